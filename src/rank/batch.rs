//! Which pairs are scored together.

/// Tokens a batch aims at. From some 250 rows on, products run at full speed; small batches keep activations
/// in cache, spread over threads and stop quickly when asked to.
const TOKENS: usize = 1024;

/// Multiplications in the dense layers a batch may cost: about half a second of one core.
const WORK: usize = 25_000_000_000;

/// Multiplications in the dense layers that are worth a thread of their own inside a batch: about 10 ms. With
/// less, threads wait for each other longer than they help, most of all where other programs run too.
const SHARE: usize = 500_000_000;

/// Batches for each thread up to which they are made even rather than of similar lengths.
const EVEN: usize = 4;

/// Threads inside each of so many batches, where there are fewer batches than workers.
pub fn threads_inside(
    batches: usize,
    tokens: usize,
    weights_per_token: usize,
    workers: usize,
) -> usize {
    let batches = batches.max(1);
    let worthwhile = tokens * weights_per_token / batches / SHARE;
    (workers / batches).min(worthwhile).max(1)
}

/// Divides pairs among batches for `threads` threads; a batch lists places in `lengths`. Where batches are
/// `padded` to their longest pair, all are of similar lengths.
pub fn divide(
    lengths: &[usize],
    weights_per_token: usize,
    threads: usize,
    padded: bool,
) -> Vec<Vec<usize>> {
    // Equal lengths keep their order.
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let total: usize = lengths.iter().sum();
    let budget = TOKENS.min(WORK / weights_per_token.max(1)).max(1);
    let threads = threads.max(1);
    // As many for each thread: with one batch too many, all threads but one would wait for it.
    let count = (total.div_ceil(budget).next_multiple_of(threads)).min(lengths.len());
    if threads > 1 && !padded && count <= EVEN * threads {
        even(lengths, &order, count)
    } else {
        similar(lengths, &order, total.div_ceil(count.max(1)))
    }
}

/// Each pair, longest first, joins the batch with the fewest tokens (Graham 1969).
fn even(lengths: &[usize], order: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut batches = vec![(0, Vec::new()); count];
    for &pair in order {
        let least = batches.iter_mut().min_by_key(|(tokens, _)| *tokens);
        if let Some((tokens, members)) = least {
            *tokens += lengths[pair];
            members.push(pair);
        }
    }
    batches.into_iter().map(|(_, members)| members).collect()
}

/// Pairs of similar length side by side, longest first so that the last batches to finish are short.
fn similar(lengths: &[usize], order: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut batches = Vec::new();
    let (mut members, mut tokens) = (Vec::new(), 0);
    for &pair in order {
        // A pair joins if that brings the batch closer to its budget than stopping here would.
        if !members.is_empty() && tokens + lengths[pair] / 2 > budget {
            batches.push(std::mem::take(&mut members));
            tokens = 0;
        }
        members.push(pair);
        tokens += lengths[pair];
    }
    if !members.is_empty() {
        batches.push(members);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lengths: &[usize], batches: &[Vec<usize>]) -> Vec<usize> {
        let sum = |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).sum();
        batches.iter().map(sum).collect()
    }

    fn holds_all_once(batches: &[Vec<usize>], count: usize) -> bool {
        let mut all = batches.concat();
        all.sort_unstable();
        all.iter().copied().eq(0..count)
    }

    #[test]
    fn batches_hold_every_pair_once_and_share_the_work() {
        let lengths: Vec<usize> = (0..1000).map(|i| 3 + (i * 7919) % 200).collect();
        for threads in [1, 2, 3, 16, 1000, 5000] {
            let batches = divide(&lengths, 10_000_000, threads, false);
            assert!(holds_all_once(&batches, 1000), "{threads}");
            let all = tokens(&lengths, &batches);
            assert!(all.iter().all(|&tokens| tokens < 2 * TOKENS), "{threads}");
        }
        let batches = divide(&lengths, 10_000_000, 2, false);
        let ends = |batch: &Vec<usize>| (lengths[batch[0]], lengths[batch[batch.len() - 1]]);
        let similar = (batches.windows(2)).all(|w| ends(&w[0]).1 >= ends(&w[1]).0);
        assert!(similar, "many batches: the longest pairs first");
        let padded = divide(&lengths[..40], 10_000_000, 2, true);
        assert!(holds_all_once(&padded, 40));
        assert!((padded.windows(2)).all(|w| ends(&w[0]).1 >= ends(&w[1]).0));
    }

    #[test]
    fn few_batches_are_even_and_as_many_for_each_thread() {
        // 40 times 3 to 171 tokens: three full batches and a bit.
        let lengths: Vec<usize> = (0..40).map(|i| 3 + (i * 7919) % 169).collect();
        for (threads, count) in [(2, 4), (3, 6), (8, 8), (64, 40)] {
            let batches = divide(&lengths, 10_000_000, threads, false);
            assert_eq!(batches.len(), count);
            assert!(holds_all_once(&batches, 40));
            let all = tokens(&lengths, &batches);
            let longest = lengths.iter().max().unwrap();
            let spread = all.iter().max().unwrap() - all.iter().min().unwrap();
            assert!(spread <= *longest, "{all:?}");
            if threads == 2 {
                assert!(spread < 20, "{all:?}");
            }
        }
        assert_eq!(divide(&[80; 10], 10_000_000, 1, false).len(), 1);
        assert!(divide(&[], 1, 1, false).is_empty() && divide(&[], 1, 2, false).is_empty());
    }

    #[test]
    fn threads_inside_a_batch_need_enough_to_do() {
        assert_eq!(threads_inside(1, 80, 10_000_000, 16), 1);
        assert_eq!(threads_inside(1, 512, 10_000_000, 16), 10);
        assert_eq!(threads_inside(1, 512, 85_000_000, 16), 16);
        assert_eq!(threads_inside(2, 1024, 85_000_000, 16), 8);
        assert_eq!(threads_inside(0, 0, 85_000_000, 16), 1);
    }
}
