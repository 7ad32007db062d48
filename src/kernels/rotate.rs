//! Rows multiplied by an orthogonal matrix, in place: what comes before 8 bits.

use super::simd::{Simd, simd_dispatch};

simd_dispatch! {
    /// Multiplies every row by an orthogonal matrix, in place: a Walsh-Hadamard transform of as large
    /// blocks as the width allows.
    ///
    /// Rotating activations and weights alike leaves products as they are but spreads outliers over
    /// many numbers, so that 8 bits resolve all of them (QuaRot, Ashkboos et al. 2024). A width that is
    /// no multiple of the vector length is left alone.
    pub fn rotate_rows(x: &mut [f32], width: usize) = rotate
}

#[inline(always)]
unsafe fn rotate<S: Simd>(x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width) {
        // SAFETY: the dispatcher's promise.
        unsafe { rotate_row::<S>(row) }
    }
}

/// [`rotate_rows`] for one row.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
pub unsafe fn rotate_row<S: Simd>(row: &mut [f32]) {
    if row.len().is_multiple_of(S::LANES) {
        let (to, width) = (row.as_mut_ptr(), row.len());
        // SAFETY: the caller's promise; the row is read and written through one pointer.
        unsafe { rotate_from::<S, _>(to, width, Stored(to)) }
    }
}

/// Numbers that are computed a vector at a time. A trait, not a closure: a closure would not inherit
/// the instruction set.
pub trait Vectors<S: Simd> {
    /// The numbers from `at` on.
    ///
    /// # Safety
    /// The CPU must have the instruction set, and there must be as many numbers.
    unsafe fn vector(&self, at: usize) -> S::V;
}

struct Stored(*mut f32);

impl<S: Simd> Vectors<S> for Stored {
    #[inline(always)]
    unsafe fn vector(&self, at: usize) -> S::V {
        unsafe { S::load(self.0.add(at)) }
    }
}

/// Writes a row of `width`, the rotation of other numbers, which may be the row's own.
///
/// # Safety
/// The CPU must have the instruction set; `to` and the numbers must be `width` long, which is a
/// multiple of the vector length.
#[inline(always)]
pub unsafe fn rotate_from<S: Simd, F: Vectors<S>>(to: *mut f32, width: usize, from: F) {
    let vectors = width / S::LANES;
    // The largest power of two that divides the number of vectors.
    let block = 1 << vectors.trailing_zeros();
    // SAFETY: the caller's promise; every vector lies within the row.
    unsafe {
        let scale = S::splat(1.0 / ((block * S::LANES) as f32).sqrt());
        let place = |at: usize| to.wrapping_add(at * S::LANES);
        // Two steps a pass, as every number is read and written once a pass; the first pass also
        // does those within a vector.
        let mut stride = if block >= 4 { 4 } else { 1 };
        if stride == 1 {
            for at in 0..vectors {
                let v = S::hadamard(from.vector(at * S::LANES));
                S::store(place(at), S::mul(v, scale));
            }
        } else {
            for at in (0..vectors).step_by(4) {
                let mut four = [scale; 4];
                for (i, v) in four.iter_mut().enumerate() {
                    let within = S::hadamard(from.vector((at + i) * S::LANES));
                    *v = S::mul(within, scale);
                }
                for (i, v) in mix::<S>(four).into_iter().enumerate() {
                    S::store(place(at + i), v);
                }
            }
        }
        while 2 * stride < block {
            for start in (0..vectors).step_by(4 * stride) {
                for at in start..start + stride {
                    let places = [0, 1, 2, 3].map(|i| place(at + i * stride));
                    let [a, b, c, d] = places;
                    let mixed = mix::<S>([S::load(a), S::load(b), S::load(c), S::load(d)]);
                    for (to, v) in places.into_iter().zip(mixed) {
                        S::store(to, v);
                    }
                }
            }
            stride *= 4;
        }
        if stride < block {
            for start in (0..vectors).step_by(2 * stride) {
                for at in start..start + stride {
                    let (lower, upper) = (place(at), place(at + stride));
                    let (a, b) = (S::load(lower), S::load(upper));
                    S::store(lower, S::add(a, b));
                    S::store(upper, S::sub(a, b));
                }
            }
        }
    }
}

/// The Walsh-Hadamard transform of four, unscaled.
#[inline(always)]
unsafe fn mix<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 4] {
    unsafe {
        let (e, f, g, h) = (S::add(a, b), S::sub(a, b), S::add(c, d), S::sub(c, d));
        [S::add(e, g), S::add(f, h), S::sub(e, g), S::sub(f, h)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_products_and_spreads_outliers() {
        let width = 384;
        let mut x = vec![0.01f32; width];
        x[7] = 100.0;
        let mut w: Vec<f32> = (0..width).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let before = dot(&x, &w);
        rotate_rows(&mut x, width);
        rotate_rows(&mut w, width);
        assert!(
            (dot(&x, &w) - before).abs() < 1e-2,
            "{before} {}",
            dot(&x, &w)
        );
        assert!(x.iter().all(|x| x.abs() < 30.0), "the outlier is spread");
    }

    #[test]
    fn rotation_is_the_hadamard_matrix_of_the_block() {
        for width in [16usize, 32, 48, 64, 128, 384, 512, 1536, 2048] {
            let x: Vec<f32> = (0..width).map(|i| ((i * 31) % 23) as f32 - 11.0).collect();
            let mut fast = x.clone();
            rotate_rows(&mut fast, width);
            // Of every instruction set: the largest power of two that divides the width.
            let block = 1 << width.trailing_zeros();
            for (i, y) in fast.iter().enumerate() {
                let start = i / block * block;
                let sum: f32 = (0..block)
                    .map(|j| {
                        let sign = ((i - start) & j).count_ones() % 2;
                        x[start + j] * if sign == 0 { 1.0 } else { -1.0 }
                    })
                    .sum();
                let want = sum / (block as f32).sqrt();
                assert!((y - want).abs() < 1e-3, "{width}, {i}: {y}, not {want}");
            }
        }
    }
}
