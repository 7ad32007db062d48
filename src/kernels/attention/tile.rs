//! Small matrix products out of registers.

use super::super::LANES;
use super::super::element::Element;
use super::super::simd::Simd;
use super::format::Format;
use std::ops::Range;

/// Rows handled together: with two vectors each, their sums fill half the AVX-512 registers.
pub const BLOCK: usize = 8;

/// `to[r][c] = scale[r] * sum over i in depth of left[r][i] . right[i][c]` for `rows` rows (at most [`BLOCK`])
/// and the given columns, whole vectors. Matrices come with their stride in words.
///
/// Rows past `rows` may be computed too: every matrix with rows `r` has room for [`BLOCK`].
///
/// # Safety
/// The CPU must have the instruction sets of `S` and `F`.
#[inline(always)]
pub unsafe fn product<S: Simd, F: Format<S, T>, T: Element>(
    rows: usize,
    depth: Range<usize>,
    (left, left_stride): (&[f32], usize),
    (right, right_stride): (&[f32], usize),
    columns: Range<usize>,
    scale: [f32; BLOCK],
    (to, to_stride): (&mut [f32], usize),
) {
    assert!(rows <= BLOCK && depth.end <= left_stride && columns.end <= right_stride);
    assert!(left.len() >= BLOCK * left_stride && right.len() >= depth.end * right_stride);
    assert!(to.len() >= BLOCK * to_stride && columns.end <= to_stride);
    assert!(columns.start.is_multiple_of(LANES) && columns.end.is_multiple_of(LANES));
    let step = S::LANES * S::WIDE;
    let mut column = columns.start;
    while column < columns.end {
        let wide = S::WIDE == 2 && column + step <= columns.end;
        // SAFETY: sizes asserted above; a tile ends at `columns.end` at the latest.
        unsafe {
            let tile = Tile {
                left: left.as_ptr().add(depth.start),
                left_stride,
                right: right.as_ptr().add(depth.start * right_stride + column),
                right_stride,
                depth: depth.len(),
                scale: &scale,
                to: to.as_mut_ptr().add(column),
                to_stride,
            };
            match (rows, wide) {
                (1, true) => tile.compute::<S, F, T, 1, 2>(),
                (1, false) => tile.compute::<S, F, T, 1, 1>(),
                (2..=4, true) => tile.compute::<S, F, T, 4, 2>(),
                (2..=4, false) => tile.compute::<S, F, T, 4, 1>(),
                (_, true) => tile.compute::<S, F, T, BLOCK, 2>(),
                (_, false) => tile.compute::<S, F, T, BLOCK, 1>(),
            }
        }
        column += if wide { step } else { S::LANES };
    }
}

/// Where the operands of one tile lie.
struct Tile<'a> {
    left: *const f32,
    left_stride: usize,
    right: *const f32,
    right_stride: usize,
    depth: usize,
    scale: &'a [f32; BLOCK],
    to: *mut f32,
    to_stride: usize,
}

impl Tile<'_> {
    /// `R` rows by `N` vectors, their sums in registers.
    #[inline(always)]
    unsafe fn compute<S: Simd, F: Format<S, T>, T: Element, const R: usize, const N: usize>(self) {
        // SAFETY: the caller's promise that the pointers cover the tile.
        unsafe {
            let mut sums = [[S::splat(0.0); N]; R];
            for i in 0..self.depth {
                let from = self.right.add(i * self.right_stride);
                let mut row = [S::splat(0.0); N];
                for (c, x) in row.iter_mut().enumerate() {
                    *x = S::load(from.add(c * S::LANES));
                }
                for (r, sum) in sums.iter_mut().enumerate() {
                    let factor = S::splat(*self.left.add(r * self.left_stride + i));
                    for (s, x) in sum.iter_mut().zip(row) {
                        *s = F::multiply_add(factor, x, *s);
                    }
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                let scale = S::splat(self.scale[r]);
                for (c, s) in sum.iter().enumerate() {
                    let to = self.to.add(r * self.to_stride + c * S::LANES);
                    S::store(to, S::mul(*s, scale));
                }
            }
        }
    }
}
