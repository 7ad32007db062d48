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

/// Compares on sequences of these lengths; of each, only the queries from the `skip`th on are asked.
fn check<T: Element>(geometry: Geometry, lengths: &[usize], skip: usize, bias: &impl Bias) {
    let tolerance = if T::KIND == tch::Kind::Float {
        1e-5
    } else {
        // Weights and results have 8 bits; values are at most 1.
        8e-3
    };
    let rows: usize = lengths.iter().sum();
    let (width, kv_width) = (
        geometry.heads * geometry.head_dim,
        geometry.kv_heads * geometry.head_dim,
    );
    let numbers = |count, seed| -> Vec<T> {
        let noise = noise(count, seed).into_iter();
        noise.map(T::from_f32).collect()
    };
    let q = numbers(rows * width, 1);
    let (k, v) = (numbers(rows * kv_width, 2), numbers(rows * kv_width, 3));
    let mut spans = Vec::new();
    let (mut at, mut asked) = (0, 0);
    for &n in lengths {
        let first_query = skip.min(n - 1);
        spans.push(Span {
            queries: asked..asked + n - first_query,
            keys: at..at + n,
            first_query,
        });
        at += n;
        asked += n - first_query;
    }
    let mut out = vec![T::from_f32(0.0); asked * width];
    let part = |data, stride| Rows { data, stride };
    attention(
        part(&q[..asked * width], width),
        part(&k, kv_width),
        part(&v, kv_width),
        &mut out,
        &spans,
        geometry,
        bias,
    );
    let d = geometry.head_dim;
    for (sequence, span) in spans.iter().enumerate() {
        for head in 0..geometry.heads {
            let kv = head / (geometry.heads / geometry.kv_heads);
            for (i, row) in span.queries.clone().enumerate() {
                let position = span.first_query + i;
                let score = |j: usize| {
                    let query = &q[row * width + head * d..][..d];
                    let key = &k[j * kv_width + kv * d..][..d];
                    let products = query.iter().zip(key).map(|(a, b)| a.to_f32() * b.to_f32());
                    products.sum::<f32>() * geometry.scale
                };
                let mut scores: Vec<f32> = span.keys.clone().map(score).collect();
                bias.add(sequence, head, position, &mut scores);
                for (j, s) in scores.iter_mut().enumerate() {
                    let far = geometry.window.is_some_and(|w| position.abs_diff(j) > w);
                    if far || (geometry.causal && j > position) {
                        *s = f32::NEG_INFINITY;
                    }
                }
                let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let weights: Vec<f64> = scores.iter().map(|s| f64::from(s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for p in 0..d {
                    let values = span
                        .keys
                        .clone()
                        .map(|j| v[j * kv_width + kv * d + p].to_f32());
                    let sum: f64 = weights
                        .iter()
                        .zip(values)
                        .map(|(w, v)| w * f64::from(v))
                        .sum();
                    let (want, got) = (sum / total, out[row * width + head * d + p].to_f32());
                    assert!((f64::from(got) - want).abs() < tolerance, "{got} {want}");
                }
            }
        }
    }
}

fn check_all<T: Element>() {
    let plain = Geometry {
        heads: 3,
        kv_heads: 3,
        head_dim: 32,
        scale: 0.4,
        window: None,
        causal: false,
    };
    let windowed = Geometry {
        window: Some(4),
        ..plain
    };
    let causal = Geometry {
        causal: true,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        ..plain
    };
    let uneven = Geometry {
        head_dim: 20,
        ..plain
    };
    let lengths = [1, 7, 8, 9, 16, 17, 33, 80];
    for skip in [0, 5, 100] {
        check::<T>(plain, &lengths, skip, &NoBias);
        check::<T>(plain, &lengths, skip, &Slope);
        check::<T>(windowed, &lengths, skip, &NoBias);
        check::<T>(causal, &lengths, skip, &NoBias);
        check::<T>(uneven, &lengths, skip, &NoBias);
    }
}

#[test]
fn agrees_with_the_definition() {
    check_all::<f32>();
}

#[test]
fn agrees_with_the_definition_in_bfloat16() {
    check_all::<half::bf16>();
}
