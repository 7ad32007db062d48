//! Sorting records by some of their bits.

use super::records::Stored;
use std::ops::Range;

/// Fewer records than this for each pass are sorted by comparing them.
const SMALL: usize = 96;
/// From so many records on, the counts of a wide digit pay.
const LARGE: usize = 1536;
const NARROW_DIGIT: u32 = 8;
const WIDE_DIGIT: u32 = 12;

/// Sorts records by these bits; where those below differ, they must ascend already, and those
/// above must be equal.
///
/// Least significant digit first (Knuth, volume 3, 5.2.5): each pass is stable, so that the bits
/// below need no pass.
pub fn sort<'a, R: Stored>(
    records: &'a mut [R],
    scratch: &'a mut Vec<R>,
    bits: Range<u32>,
) -> &'a [R] {
    let lowest = bits.start;
    let bits = bits.end.saturating_sub(lowest);
    let widest = if records.len() < LARGE {
        NARROW_DIGIT
    } else {
        WIDE_DIGIT
    };
    let passes = bits.div_ceil(widest);
    if passes == 0 {
        return records;
    }
    if records.len() < SMALL * passes as usize {
        records.sort_unstable();
        return records;
    }
    let width = bits.div_ceil(passes);
    if scratch.len() < records.len() {
        scratch.resize(records.len(), R::default());
    }
    let scratch = &mut scratch[..records.len()];
    let mut counts = [0u32; 1 << WIDE_DIGIT];
    let (mut from, mut to) = (records, scratch);
    for pass in 0..passes {
        let shift = lowest + pass * width;
        let digit = |record: R| ((record.record() >> shift) & ((1 << width) - 1)) as usize;
        let counts = &mut counts[..1 << width];
        counts.fill(0);
        from.iter().for_each(|&record| counts[digit(record)] += 1);
        let mut total = 0;
        for count in counts.iter_mut() {
            total += std::mem::replace(count, total);
        }
        for &record in from.iter() {
            let place = &mut counts[digit(record)];
            to[*place as usize] = record;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_comparing_does() {
        let mut state = 1u64;
        let mut random = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            state >> 20
        };
        for size in [0, 1, 2, SMALL, 1000, LARGE, 3 * LARGE] {
            for bits in [0, 6, 12, 20, 24] {
                let lowest = u64::BITS - bits;
                let mut records: Vec<u64> = (0..size as u64)
                    .map(|low| random().unbounded_shl(lowest) | low)
                    .collect();
                let mut expected = records.clone();
                expected.sort_unstable();
                assert_eq!(
                    sort(&mut records, &mut Vec::new(), lowest..u64::BITS),
                    expected
                );
            }
        }
    }
}
