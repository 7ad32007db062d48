//! Normalisation over the last dimension, with the residual sum in the same pass.

use super::element::Element;
use super::{LANES, multiversion};

/// Which statistic a norm divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Mean and variance (LayerNorm, Ba et al. 2016).
    Layer,
    /// Root mean square (RMSNorm, Zhang & Sennrich 2019).
    RootMeanSquare,
}

/// Scale, shift and epsilon of a norm over `weight.len()` features.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub eps: f32,
    pub statistic: Statistic,
}

multiversion! {
    /// `rows = norm(rows + residual)`, in place, row by row.
    pub fn norm_in_place<T: Element>(rows: &mut [T], residual: Option<&[T]>, affine: Affine<'_>) = body
}

#[inline(always)]
fn body<T: Element>(rows: &mut [T], residual: Option<&[T]>, affine: Affine<'_>) {
    let width = affine.weight.len();
    let mut buffer = vec![0f32; width];
    for (index, row) in rows.chunks_exact_mut(width).enumerate() {
        match residual {
            Some(residual) => {
                let other = &residual[index * width..(index + 1) * width];
                for ((b, x), y) in buffer.iter_mut().zip(row.iter()).zip(other) {
                    *b = x.to_f32() + y.to_f32();
                }
            }
            None => {
                for (b, x) in buffer.iter_mut().zip(row.iter()) {
                    *b = x.to_f32();
                }
            }
        }
        let mean = match affine.statistic {
            Statistic::Layer => total(&buffer, |x| x) / width as f32,
            Statistic::RootMeanSquare => 0.0,
        };
        let variance = total(&buffer, |x| (x - mean) * (x - mean)) / width as f32;
        let scale = 1.0 / (variance + affine.eps).sqrt();
        match affine.bias {
            Some(bias) => {
                for (((x, b), w), c) in row.iter_mut().zip(&buffer).zip(affine.weight).zip(bias) {
                    *x = T::from_f32(((b - mean) * scale).mul_add(*w, *c));
                }
            }
            None => {
                for ((x, b), w) in row.iter_mut().zip(&buffer).zip(affine.weight) {
                    *x = T::from_f32((b - mean) * scale * w);
                }
            }
        }
    }
}

#[inline(always)]
fn total(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().map(|&x| term(x)).sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(x: &[f64], affine: &Affine<'_>) -> Vec<f64> {
        let n = x.len() as f64;
        let mean = match affine.statistic {
            Statistic::Layer => x.iter().sum::<f64>() / n,
            Statistic::RootMeanSquare => 0.0,
        };
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let scale = 1.0 / (variance + f64::from(affine.eps)).sqrt();
        x.iter()
            .enumerate()
            .map(|(i, v)| {
                (v - mean) * scale * f64::from(affine.weight[i])
                    + affine.bias.map_or(0.0, |b| f64::from(b[i]))
            })
            .collect()
    }

    #[test]
    fn agrees_with_f64_for_any_width() {
        for width in [1, 7, 16, 37, 384] {
            let weight: Vec<f32> = (0..width).map(|i| 1.0 + 0.01 * i as f32).collect();
            let bias: Vec<f32> = (0..width).map(|i| 0.1 - 0.003 * i as f32).collect();
            for (statistic, bias) in [
                (Statistic::Layer, Some(&bias[..])),
                (Statistic::RootMeanSquare, None),
            ] {
                let affine = Affine {
                    weight: &weight,
                    bias,
                    eps: 1e-5,
                    statistic,
                };
                let x: Vec<f32> = (0..2 * width)
                    .map(|i| ((i * 31) % 17) as f32 - 7.5)
                    .collect();
                let y: Vec<f32> = (0..2 * width).map(|i| ((i * 13) % 11) as f32).collect();
                let mut out = x.clone();
                norm_in_place(&mut out, Some(&y), affine);
                for row in 0..2 {
                    let at = row * width..(row + 1) * width;
                    let summed: Vec<f64> = x[at.clone()]
                        .iter()
                        .zip(&y[at.clone()])
                        .map(|(a, b)| f64::from(a + b))
                        .collect();
                    for (got, want) in out[at].iter().zip(reference(&summed, &affine)) {
                        assert!((f64::from(*got) - want).abs() < 2e-5, "{got} {want}");
                    }
                }
            }
        }
    }
}
