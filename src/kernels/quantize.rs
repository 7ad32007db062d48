//! Rows of f32 to 8-bit integers, and products of 8-bit integers back to f32.
//!
//! A row `x` becomes `u` in 0..=255 with `x ~ scale * u + low`, where `low` and `low + 255 * scale` are its
//! smallest and largest number: an affine quantisation per row whose zero point need not be an
//! integer, because `sum w * x = scale * sum w * u + low * sum w` puts it right after the product.

use super::element::Element;
use super::gelu::{coarse_gelu, gelu};
use super::rotate::{Vectors, rotate_from, rotate_row};
use super::simd::{Simd, fold, simd_dispatch};
use super::{LANES, multiversion};

simd_dispatch! {
    /// Rotates ([`super::rotate`]) and quantises rows of `width` numbers; `scales` and `lows` get one number a row.
    pub fn quantize_rows<T: Element>(x: &[T], width: usize, out: &mut [u8], scales: &mut [f32], lows: &mut [f32]) = quantize
}

#[inline(always)]
unsafe fn quantize<S: Simd, T: Element>(
    x: &[T],
    width: usize,
    out: &mut [u8],
    scales: &mut [f32],
    lows: &mut [f32],
) {
    assert!(x.len() == out.len() && x.len() == scales.len() * width && scales.len() == lows.len());
    let mut floats = vec![0f32; width];
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((row, codes), (scale, low)) in rows.zip(scales.iter_mut().zip(lows)) {
        for (to, from) in floats.iter_mut().zip(row) {
            *to = from.to_f32();
        }
        // SAFETY: the dispatcher's promise.
        (*scale, *low) = unsafe {
            rotate_row::<S>(&mut floats);
            quantize_row::<S>(&floats, codes)
        };
    }
}

/// The codes of a row that has been rotated, its scale and smallest number.
#[inline(always)]
unsafe fn quantize_row<S: Simd>(row: &[f32], codes: &mut [u8]) -> (f32, f32) {
    // SAFETY: the caller's promise.
    let (least, most) = unsafe { range::<S>(row) };
    let scale = (most - least) / 255.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(row) {
        // Within 0..=255.5 by construction. A row with NaN keeps it in its scale; its codes are arbitrary.
        let value = ((*x - least) * inverse + 0.5).clamp(0.0, 255.0);
        // SAFETY: in the range of i32 after the clamp, or NaN made zero.
        *code = unsafe { (if value >= 0.0 { value } else { 0.0 }).to_int_unchecked::<i32>() } as u8;
    }
    (scale, least)
}

/// Smallest and largest number; NaN if there is one.
#[inline(always)]
unsafe fn range<S: Simd>(row: &[f32]) -> (f32, f32) {
    let chunks = row.chunks_exact(S::LANES);
    let tail = chunks.remainder();
    let mut poison = 0.0;
    // SAFETY: the caller's promise; chunks are whole vectors.
    unsafe {
        let (mut highest, mut lowest) = (S::splat(f32::NEG_INFINITY), S::splat(f32::NEG_INFINITY));
        let mut sum = S::splat(0.0);
        for chunk in chunks {
            let v = S::load(chunk.as_ptr());
            highest = S::max(highest, v);
            lowest = S::max(lowest, S::sub(S::splat(0.0), v));
            sum = S::fma(v, S::splat(0.0), sum);
        }
        let mut most = fold::<S>(highest, f32::max);
        let mut least = -fold::<S>(lowest, f32::max);
        for &x in tail {
            (most, least) = (most.max(x), least.min(x));
            poison += x * 0.0;
        }
        // 0 * x is NaN for NaN and infinity, which no 8-bit code can stand for.
        poison += fold::<S>(sum, |a, b| a + b);
        (least + poison, most + poison)
    }
}

multiversion! {
    /// As [`dequantize_rows`], into other memory and another format.
    pub fn dequantize_rows_to<T: Element>(x: &[f32], out: &mut [T], scales: &[f32], lows: &[f32], sums: &[f32], bias: &[f32]) = dequantize_to
}

#[inline(always)]
fn dequantize_to<T: Element>(
    x: &[f32],
    out: &mut [T],
    scales: &[f32],
    lows: &[f32],
    sums: &[f32],
    bias: &[f32],
) {
    let rows = x
        .chunks_exact(sums.len())
        .zip(out.chunks_exact_mut(sums.len()));
    for ((row, to), (scale, low)) in rows.zip(scales.iter().zip(lows)) {
        for ((x, y), (sum, bias)) in row.iter().zip(to).zip(sums.iter().zip(bias)) {
            *y = T::from_f32(scale * *x + (low * sum + bias));
        }
    }
}

multiversion! {
    /// `x[m][n] = scales[m] * x[m][n] + lows[m] * sums[n] + bias[n]`, in place: `x` holds products with
    /// quantised rows, `sums` the sums of the weights of each output.
    pub fn dequantize_rows(x: &mut [f32], scales: &[f32], lows: &[f32], sums: &[f32], bias: &[f32]) = dequantize
}

#[inline(always)]
fn dequantize(x: &mut [f32], scales: &[f32], lows: &[f32], sums: &[f32], bias: &[f32]) {
    for ((row, scale), low) in x.chunks_exact_mut(sums.len()).zip(scales).zip(lows) {
        for ((x, sum), bias) in row.iter_mut().zip(sums).zip(bias) {
            *x = scale * *x + (low * sum + bias);
        }
    }
}

simd_dispatch! {
    /// The same, then the exact GELU.
    pub fn dequantize_rows_gelu(x: &mut [f32], scales: &[f32], lows: &[f32], sums: &[f32], bias: &[f32]) = dequantize_gelu
}

#[inline(always)]
unsafe fn dequantize_gelu<S: Simd>(
    x: &mut [f32],
    scales: &[f32],
    lows: &[f32],
    sums: &[f32],
    bias: &[f32],
) {
    for ((row, &scale), &low) in x.chunks_exact_mut(sums.len()).zip(scales).zip(lows) {
        // SAFETY: the dispatcher's promise.
        unsafe { dequantize_row_gelu::<S>(row, scale, low, sums, bias) }
    }
}

#[inline(always)]
unsafe fn dequantize_row_gelu<S: Simd>(
    row: &mut [f32],
    scale: f32,
    low: f32,
    sums: &[f32],
    bias: &[f32],
) {
    let width = sums.len();
    assert!(row.len() == width && bias.len() == width);
    let whole = width / S::LANES * S::LANES;
    // SAFETY: the caller's promise; vectors end at `whole <= width`, the tail is copied through a
    // vector of its own.
    unsafe {
        for at in (0..whole).step_by(S::LANES) {
            let to = row.as_mut_ptr().add(at);
            let (sum, bias) = (sums.as_ptr().add(at), bias.as_ptr().add(at));
            S::store(to, gelu::<S>(dequantized::<S>(to, sum, bias, scale, low)));
        }
        if whole < width {
            let mut tail = [[0f32; LANES]; 3];
            tail[0][..width - whole].copy_from_slice(&row[whole..]);
            tail[1][..width - whole].copy_from_slice(&sums[whole..]);
            tail[2][..width - whole].copy_from_slice(&bias[whole..]);
            let (sum, bias) = (tail[1].as_ptr(), tail[2].as_ptr());
            let v = dequantized::<S>(tail[0].as_ptr(), sum, bias, scale, low);
            S::store(tail[0].as_mut_ptr(), gelu::<S>(v));
            row[whole..].copy_from_slice(&tail[0][..width - whole]);
        }
    }
}

/// Rows of 8-bit codes with what takes each back, to be written.
pub struct CodesMut<'a> {
    pub codes: &'a mut [u8],
    pub scales: &'a mut [f32],
    pub lows: &'a mut [f32],
}

simd_dispatch! {
    /// [`dequantize_rows_gelu`] and [`quantize_rows`], row by row while it is in the first cache, with
    /// [`coarse_gelu`].
    pub fn requantize_rows_gelu(x: &[f32], scales: &[f32], lows: &[f32], sums: &[f32], bias: &[f32], out: CodesMut<'_>) = requantize_gelu
}

#[inline(always)]
unsafe fn requantize_gelu<S: Simd>(
    x: &[f32],
    scales: &[f32],
    lows: &[f32],
    sums: &[f32],
    bias: &[f32],
    out: CodesMut<'_>,
) {
    let width = sums.len();
    assert!(x.len() == out.codes.len() && x.len() == out.scales.len() * width);
    assert!(out.scales.len() == out.lows.len());
    let mut floats = vec![0f32; width];
    let from = x.chunks_exact(width).zip(scales.iter().zip(lows));
    let to = (out.codes.chunks_exact_mut(width)).zip(out.scales.iter_mut().zip(out.lows));
    for ((row, (&scale, &low)), (codes, (new_scale, new_low))) in from.zip(to) {
        // SAFETY: the dispatcher's promise; everything is `width` long.
        (*new_scale, *new_low) = unsafe {
            if width.is_multiple_of(S::LANES) {
                let activated = Activated {
                    row,
                    sums,
                    bias,
                    scale,
                    low,
                };
                rotate_from::<S, _>(floats.as_mut_ptr(), width, activated);
            } else {
                floats.copy_from_slice(row);
                dequantize_row_gelu::<S>(&mut floats, scale, low, sums, bias);
            }
            quantize_row::<S>(&floats, codes)
        };
    }
}

/// A row of products on its way through GELU, for [`rotate_from`].
struct Activated<'a> {
    row: &'a [f32],
    sums: &'a [f32],
    bias: &'a [f32],
    scale: f32,
    low: f32,
}

impl<S: Simd> Vectors<S> for Activated<'_> {
    #[inline(always)]
    unsafe fn vector(&self, at: usize) -> S::V {
        unsafe {
            let sum = self.sums.as_ptr().add(at);
            let bias = self.bias.as_ptr().add(at);
            let row = self.row.as_ptr().add(at);
            coarse_gelu::<S>(dequantized::<S>(row, sum, bias, self.scale, self.low))
        }
    }
}

/// One vector of products as what they stand for. A function, not a closure: closures would not inherit the
/// instruction set.
#[inline(always)]
unsafe fn dequantized<S: Simd>(
    x: *const f32,
    sum: *const f32,
    bias: *const f32,
    scale: f32,
    low: f32,
) -> S::V {
    unsafe {
        let shift = S::fma(S::splat(low), S::load(sum), S::load(bias));
        S::fma(S::splat(scale), S::load(x), shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rotate::rotate_rows;
    use half::bf16;

    #[test]
    fn rows_come_back_within_half_a_step() {
        // A width that is rotated and one that is not.
        for (rows, width) in [(5, 37), (3, 96)] {
            let mut x: Vec<f32> = (0..rows * width)
                .map(|i| ((i * 7919 % 1000) as f32 / 100.0 - 3.0) * (1 + i / width) as f32)
                .collect();
            let mut codes = vec![0; x.len()];
            let (mut scales, mut lows) = (vec![0.0; rows], vec![0.0; rows]);
            quantize_rows(&x, width, &mut codes, &mut scales, &mut lows);
            rotate_rows(&mut x, width);
            for (i, (x, code)) in x.iter().zip(&codes).enumerate() {
                let back = scales[i / width] * f32::from(*code) + lows[i / width];
                assert!(
                    (back - x).abs() <= scales[i / width] * 0.501 + 1e-4,
                    "{x} {back}"
                );
            }
        }
        // A constant row, and rows that are not finite.
        for value in [2.5, f32::NAN, f32::INFINITY] {
            let mut row = [2.5f32; 40];
            row[3] = value;
            let (mut scale, mut low) = ([0.0], [0.0]);
            quantize_rows(&row, 40, &mut [0; 40], &mut scale, &mut low);
            let finite = scale[0] + low[0];
            assert_eq!(finite.is_finite(), value.is_finite(), "{value}");
        }
    }

    #[test]
    fn requantising_is_both_steps() {
        for width in [48, 37] {
            let x: Vec<f32> = (0..3 * width)
                .map(|i| (i * 7919 % 997) as f32 - 400.0)
                .collect();
            let (scales, lows) = ([0.01, 0.004, 0.02], [-0.5, 0.25, 1.0]);
            let sums: Vec<f32> = (0..width).map(|i| i as f32 * 0.1 - 2.0).collect();
            let bias: Vec<f32> = (0..width).map(|i| (i % 5) as f32 * 0.3).collect();
            let mut floats = x.clone();
            dequantize_rows_gelu(&mut floats, &scales, &lows, &sums, &bias);
            let mut wanted = (vec![0; x.len()], [0.0; 3], [0.0; 3]);
            quantize_rows(&floats, width, &mut wanted.0, &mut wanted.1, &mut wanted.2);
            let mut found = (vec![0; x.len()], [0.0; 3], [0.0; 3]);
            let out = CodesMut {
                codes: &mut found.0,
                scales: &mut found.1,
                lows: &mut found.2,
            };
            requantize_rows_gelu(&x, &scales, &lows, &sums, &bias, out);
            // GELU is a little coarser in one go, so a code next to a boundary may fall to its other side.
            let apart = found.0.iter().zip(&wanted.0).map(|(a, b)| a.abs_diff(*b));
            assert!(apart.clone().all(|d| d <= 1));
            assert!(apart.filter(|d| *d > 0).count() * 20 < x.len());
            for (a, b) in found
                .1
                .iter()
                .chain(&found.2)
                .zip(wanted.1.iter().chain(&wanted.2))
            {
                assert!((a - b).abs() <= 1e-3 * b.abs().max(0.1), "{a} {b}");
            }
            assert!(found.0.iter().any(|&code| code > 200));
        }
    }

    #[test]
    fn dequantized_gelu_is_exact() {
        let width = 50;
        let x: Vec<f32> = (0..width).map(|i| i as f32 * 0.2 - 5.0).collect();
        let (sums, bias) = (vec![1.0; width], vec![0.25; width]);
        let (mut plain, mut act) = (x.clone(), x.clone());
        dequantize_rows(&mut plain, &[2.0], &[-0.5], &sums, &bias);
        let mut narrow = vec![bf16::ZERO; width];
        dequantize_rows_to(&x, &mut narrow, &[2.0], &[-0.5], &sums, &bias);
        let rounded: Vec<bf16> = plain.iter().map(|&y| bf16::from_f32(y)).collect();
        assert_eq!(narrow, rounded);
        dequantize_rows_gelu(&mut act, &[2.0], &[-0.5], &sums, &bias);
        for ((x, y), a) in x.iter().zip(&plain).zip(&act) {
            assert!((y - (2.0 * x - 0.25)).abs() < 1e-6);
            let z = f64::from(*y);
            // erfc by its continued integral: Simpson's rule is enough for 1e-9 here.
            let n = 2000;
            let step = z / f64::from(n);
            let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let mut area = density(0.0) + density(z);
            for i in 1..n {
                area += density(step * f64::from(i)) * if i % 2 == 0 { 2.0 } else { 4.0 };
            }
            let want = z * (0.5 + area * step / 3.0);
            assert!(
                (f64::from(*a) - want).abs() < 2e-6,
                "gelu({z}) = {a}, not {want}"
            );
        }
    }
}
