//! The kernel against the definition, in f64.

use super::*;

/// A cheap generator of numbers in [-1, 1).
fn noise(count: usize, mut seed: u64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

struct Slope;
impl Bias for Slope {
    fn add(&self, sequence: usize, head: usize, query: usize, scores: &mut [f32]) {
        for (j, s) in scores.iter_mut().enumerate() {
            *s += 0.05 * (head + sequence + 1) as f32 * (query as f32 - j as f32);
        }
    }
}

fn check(geometry: Geometry, lengths: &[usize], bias: &impl Bias) {
    let rows: usize = lengths.iter().sum();
    let (width, kv_width) = (
        geometry.heads * geometry.head_dim,
        geometry.kv_heads * geometry.head_dim,
    );
    let (q, k, v) = (
        noise(rows * width, 1),
        noise(rows * kv_width, 2),
        noise(rows * kv_width, 3),
    );
    let mut spans = Vec::new();
    let mut at = 0;
    for &n in lengths {
        spans.push(Span {
            queries: at..at + n,
            keys: at..at + n,
            first_query: 0,
        });
        at += n;
    }
    let mut out = vec![0f32; rows * width];
    attention(
        Rows {
            data: &q,
            stride: width,
        },
        Rows {
            data: &k,
            stride: kv_width,
        },
        Rows {
            data: &v,
            stride: kv_width,
        },
        &mut out,
        &spans,
        geometry,
        bias,
    );
    let d = geometry.head_dim;
    for (sequence, span) in spans.iter().enumerate() {
        for head in 0..geometry.heads {
            let kv = head / (geometry.heads / geometry.kv_heads);
            for i in 0..span.keys.len() {
                let mut scores: Vec<f32> = span
                    .keys
                    .clone()
                    .map(|j| {
                        (0..d)
                            .map(|p| {
                                q[(at_row(span, i)) * width + head * d + p]
                                    * k[j * kv_width + kv * d + p]
                            })
                            .sum::<f32>()
                            * geometry.scale
                    })
                    .collect();
                bias.add(sequence, head, i, &mut scores);
                for (j, s) in scores.iter_mut().enumerate() {
                    let far = geometry.window.is_some_and(|w| i.abs_diff(j) > w);
                    if far || (geometry.causal && j > i) {
                        *s = f32::NEG_INFINITY;
                    }
                }
                let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let weights: Vec<f64> = scores.iter().map(|s| f64::from(s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for p in 0..d {
                    let want: f64 = weights
                        .iter()
                        .zip(span.keys.clone())
                        .map(|(w, j)| w / total * f64::from(v[j * kv_width + kv * d + p]))
                        .sum();
                    let got = out[at_row(span, i) * width + head * d + p];
                    assert!((f64::from(got) - want).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }
}

fn at_row(span: &Span, i: usize) -> usize {
    span.queries.start + i
}

#[test]
fn agrees_with_the_definition() {
    let plain = Geometry {
        heads: 3,
        kv_heads: 3,
        head_dim: 32,
        scale: 0.4,
        window: None,
        causal: false,
    };
    let lengths = [1, 7, 8, 9, 16, 17, 33, 80];
    check(plain, &lengths, &NoBias);
    check(plain, &lengths, &Slope);
    check(
        Geometry {
            head_dim: 20,
            ..plain
        },
        &lengths,
        &NoBias,
    );
    check(
        Geometry {
            window: Some(4),
            ..plain
        },
        &lengths,
        &NoBias,
    );
    check(
        Geometry {
            causal: true,
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            ..plain
        },
        &lengths,
        &NoBias,
    );
}
