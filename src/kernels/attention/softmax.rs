//! Softmax without its division.

use super::super::LANES;
use super::super::simd::{Simd, exp};
use std::ops::Range;

/// Turns scores into weights `e^(score - largest)` over `seen`, zero elsewhere in `active`; the result is
/// their sum, infinite if nothing is seen.
///
/// Dividing the weighted sum by it later is cheaper than dividing every weight now.
///
/// # Safety
/// The CPU must have the instruction set `S`.
#[inline(always)]
pub unsafe fn softmax<S: Simd>(line: &mut [f32], active: Range<usize>, seen: Range<usize>) -> f32 {
    assert!(active.start.is_multiple_of(LANES) && active.end.is_multiple_of(LANES));
    if seen.is_empty() {
        line[active].fill(0.0);
        return f32::INFINITY;
    }
    // Only whole vectors around what is seen are touched; the rest weighs nothing.
    let (from, to) = (seen.start / LANES * LANES, seen.end.next_multiple_of(LANES));
    line[from..seen.start].fill(f32::NEG_INFINITY);
    line[seen.end..to].fill(f32::NEG_INFINITY);
    line[active.start..from].fill(0.0);
    line[to..active.end].fill(0.0);
    let line = &mut line[from..to];
    // SAFETY: whole vectors long.
    unsafe {
        let mut highest = S::splat(f32::NEG_INFINITY);
        for chunk in line.chunks_exact(S::LANES) {
            highest = S::max(highest, S::load(chunk.as_ptr()));
        }
        let highest = S::splat(S::largest(highest));
        let mut total = S::splat(0.0);
        for chunk in line.chunks_exact_mut(S::LANES) {
            let weight = exp::<S>(S::sub(S::load(chunk.as_ptr()), highest));
            total = S::add(total, weight);
            S::store(chunk.as_mut_ptr(), weight);
        }
        S::total(total)
    }
}
