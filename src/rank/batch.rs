//! Which pairs are scored together.

use std::ops::Range;

/// Tokens a batch aims at. From some 250 rows on, products run at full speed; small batches keep activations
/// in cache, spread over threads and stop quickly when asked to.
const TOKENS: usize = 1024;

/// Multiplications in the dense layers a batch may cost: about half a second of one core.
const WORK: usize = 25_000_000_000;

/// Multiplications in the dense layers that are worth a thread of their own inside a batch: about 10 ms. With
/// less, threads wait for each other longer than they help, most of all where other programs run too.
const SHARE: usize = 500_000_000;

/// Threads inside each of these batches, where there are fewer batches than workers.
pub fn threads_inside(
    batches: &[Range<usize>],
    tokens: usize,
    weights_per_token: usize,
    workers: usize,
) -> usize {
    let batches = batches.len().max(1);
    let worthwhile = tokens * weights_per_token / batches / SHARE;
    (workers / batches).min(worthwhile).max(1)
}

/// Order that puts pairs of similar length side by side, longest first so that the last batches to finish are
/// short. Equal lengths keep their order.
pub fn longest_first(lengths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    order
}

/// Cuts pairs (in the given order) into batches of consecutive pairs for `threads` threads.
pub fn cut(
    lengths: &[usize],
    order: &[usize],
    weights_per_token: usize,
    threads: usize,
) -> Vec<Range<usize>> {
    let total: usize = lengths.iter().sum();
    // Few pairs: give every thread its share rather than one thread a full batch.
    let share = total.div_ceil(threads.max(1));
    let budget = TOKENS
        .min(WORK / weights_per_token.max(1))
        .min(share)
        .max(1);
    let mut batches = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (at, &pair) in order.iter().enumerate() {
        // A pair joins if that brings the batch closer to its budget than stopping here would.
        if at > start && tokens + lengths[pair] / 2 > budget {
            batches.push(start..at);
            (start, tokens) = (at, 0);
        }
        tokens += lengths[pair];
    }
    if start < order.len() {
        batches.push(start..order.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_pair_once_and_share_the_work() {
        let lengths: Vec<usize> = (0..1000).map(|i| 3 + (i * 7919) % 200).collect();
        let order = longest_first(&lengths);
        assert!(order.windows(2).all(|w| lengths[w[0]] >= lengths[w[1]]));
        let batches = cut(&lengths, &order, 10_000_000, 2);
        assert_eq!(batches.first().unwrap().start, 0);
        assert_eq!(batches.last().unwrap().end, 1000);
        assert!(batches.windows(2).all(|w| w[0].end == w[1].start));
        for batch in &batches {
            let tokens: usize = order[batch.clone()].iter().map(|&i| lengths[i]).sum();
            assert!(tokens < 2 * TOKENS);
        }
    }

    #[test]
    fn threads_inside_a_batch_need_enough_to_do() {
        let one = std::slice::from_ref(&(0..1));
        assert_eq!(threads_inside(one, 80, 10_000_000, 16), 1);
        assert_eq!(threads_inside(one, 512, 10_000_000, 16), 10);
        assert_eq!(threads_inside(one, 512, 85_000_000, 16), 16);
        assert_eq!(threads_inside(&[0..1, 1..2], 1024, 85_000_000, 16), 8);
        assert_eq!(threads_inside(&[], 0, 85_000_000, 16), 1);
    }

    #[test]
    fn few_pairs_are_spread_over_threads() {
        let lengths = vec![80; 10];
        let order = longest_first(&lengths);
        let batches = cut(&lengths, &order, 10_000_000, 2);
        assert_eq!(batches, vec![0..5, 5..10]);
        assert!(cut(&[], &[], 1, 2).is_empty());
    }
}
