//! Softmax attention over packed sequences: no padding, no score matrix in memory.
//!
//! Per sequence and head, keys are transposed and values copied into contiguous scratch, then blocks of
//! [`BLOCK`] queries go through scores, bias, softmax and the weighted sum while everything is in
//! cache (the blocking idea of Rabe & Staats 2021; whole rows of scores fit L1, so the softmax
//! needs no rescaling).

use super::element::Element;
use super::{LANES, math, multiversion};
use std::ops::Range;

/// Queries handled together: their accumulators fill half the AVX-512 registers.
const BLOCK: usize = 8;

/// Geometry of one attention layer.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub heads: usize,
    /// Fewer than `heads` when groups of heads share keys and values.
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Factor on the scores before bias and softmax.
    pub scale: f32,
    /// Keys further away than this are not seen (both directions).
    pub window: Option<usize>,
    /// Keys after the query are not seen.
    pub causal: bool,
}

/// Something added to the scaled scores, such as a relative position bias.
pub trait Bias: Sync {
    /// Adds to the scores of one query. `sequence` counts sequences of the batch, `query` positions
    /// within the sequence; `scores[j]` belongs to key `j`.
    fn add(&self, sequence: usize, head: usize, query: usize, scores: &mut [f32]);
}

/// No bias.
pub struct NoBias;

impl Bias for NoBias {
    #[inline(always)]
    fn add(&self, _: usize, _: usize, _: usize, _: &mut [f32]) {}
}

/// Rows of queries, keys or values: head `h` of row `i` starts at `i * stride + h * head_dim`.
#[derive(Clone, Copy)]
pub struct Rows<'a, T> {
    pub data: &'a [T],
    pub stride: usize,
}

/// One sequence: which query rows look at which key rows. The first query row stands at position
/// `first_query` of the keys (0 when queries and keys are the same rows).
#[derive(Clone, Debug)]
pub struct Span {
    pub queries: Range<usize>,
    pub keys: Range<usize>,
    pub first_query: usize,
}

multiversion! {
    /// `out[i] = softmax(scale * q[i] . k + bias) . v` for every query row, head by head.
    ///
    /// `out` has `heads * head_dim` numbers a row and one row per query row.
    pub fn attention<T: Element, B: Bias>(
        q: Rows<'_, T>, k: Rows<'_, T>, v: Rows<'_, T>,
        out: &mut [T], spans: &[Span], geometry: Geometry, bias: &B,
    ) = body
}

#[inline(always)]
fn body<T: Element, B: Bias>(
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
    spans: &[Span],
    geometry: Geometry,
    bias: &B,
) {
    let dim = geometry.head_dim;
    let padded_dim = dim.next_multiple_of(LANES);
    let group = geometry.heads / geometry.kv_heads;
    let longest = spans.iter().map(|s| s.keys.len()).max().unwrap_or(0);
    let padded_longest = longest.next_multiple_of(LANES);
    let mut keys = vec![0f32; dim * padded_longest];
    let mut values = vec![0f32; longest * padded_dim];
    let mut queries = vec![0f32; dim * BLOCK];
    let mut scores = vec![0f32; BLOCK * padded_longest];
    let mut sums = vec![0f32; BLOCK * padded_dim];

    for (sequence, span) in spans.iter().enumerate() {
        let length = span.keys.len();
        if length == 0 {
            continue;
        }
        let padded = length.next_multiple_of(LANES);
        for kv_head in 0..geometry.kv_heads {
            let column = kv_head * dim;
            transpose(k, span.keys.clone(), column, dim, padded, &mut keys);
            for (j, row) in span.keys.clone().enumerate() {
                let source = &v.data[row * v.stride + column..][..dim];
                for (x, y) in values[j * padded_dim..].iter_mut().zip(source) {
                    *x = y.to_f32();
                }
            }
            for head in kv_head * group..(kv_head + 1) * group {
                let mut start = span.queries.start;
                while start < span.queries.end {
                    let rows = (span.queries.end - start).min(BLOCK);
                    let position = span.first_query + (start - span.queries.start);
                    for r in 0..BLOCK {
                        // Rows past the end repeat the last one; their results are dropped.
                        let row = start + r.min(rows - 1);
                        let source = &q.data[row * q.stride + head * dim..][..dim];
                        for (p, x) in source.iter().enumerate() {
                            queries[p * BLOCK + r] = x.to_f32() * geometry.scale;
                        }
                    }
                    product_qk(&queries, &keys, dim, padded, &mut scores);
                    for r in 0..rows {
                        let line = &mut scores[r * padded..(r + 1) * padded];
                        bias.add(sequence, head, position + r, &mut line[..length]);
                        let seen = visible(position + r, length, &geometry);
                        softmax(line, seen);
                    }
                    product_pv(&scores, &values, length, padded, padded_dim, &mut sums);
                    for r in 0..rows {
                        let at = (start + r) * geometry.heads * dim + head * dim;
                        for (x, y) in out[at..at + dim].iter_mut().zip(&sums[r * padded_dim..]) {
                            *x = T::from_f32(*y);
                        }
                    }
                    start += rows;
                }
            }
        }
    }
}

/// The keys a query may look at.
#[inline(always)]
fn visible(query: usize, length: usize, geometry: &Geometry) -> Range<usize> {
    let from = geometry.window.map_or(0, |w| query.saturating_sub(w));
    let mut to = geometry
        .window
        .map_or(length, |w| (query + w + 1).min(length));
    if geometry.causal {
        to = to.min(query + 1);
    }
    from.min(length)..to
}

/// `keys[p * padded + j] = k[j][p]`; columns past the length are zero.
#[inline(always)]
fn transpose<T: Element>(
    k: Rows<'_, T>,
    rows: Range<usize>,
    column: usize,
    dim: usize,
    padded: usize,
    keys: &mut [f32],
) {
    let length = rows.len();
    let first = rows.start;
    // Tiles of 16 keys keep the scattered writes within a few cache lines.
    for tile in (0..padded).step_by(LANES) {
        for j in tile..tile + LANES {
            if j < length {
                let source = &k.data[(first + j) * k.stride + column..][..dim];
                for (p, x) in source.iter().enumerate() {
                    keys[p * padded + j] = x.to_f32();
                }
            } else {
                for p in 0..dim {
                    keys[p * padded + j] = 0.0;
                }
            }
        }
    }
}

/// `scores[r][j] = sum over p of queries[p][r] * keys[p][j]`.
#[inline(always)]
fn product_qk(queries: &[f32], keys: &[f32], dim: usize, padded: usize, scores: &mut [f32]) {
    for column in (0..padded).step_by(LANES) {
        let mut sums = [[0f32; LANES]; BLOCK];
        for p in 0..dim {
            let key: &[f32; LANES] = keys[p * padded + column..][..LANES].try_into().unwrap();
            let query: &[f32; BLOCK] = queries[p * BLOCK..][..BLOCK].try_into().unwrap();
            for r in 0..BLOCK {
                for c in 0..LANES {
                    sums[r][c] = query[r].mul_add(key[c], sums[r][c]);
                }
            }
        }
        for (r, line) in sums.iter().enumerate() {
            scores[r * padded + column..][..LANES].copy_from_slice(line);
        }
    }
}

/// Softmax over `seen`, zero elsewhere. A query that sees nothing gets all zeros.
#[inline(always)]
fn softmax(line: &mut [f32], seen: Range<usize>) {
    line[..seen.start].fill(f32::NEG_INFINITY);
    line[seen.end.max(seen.start)..].fill(f32::NEG_INFINITY);
    let highest = math::max(line);
    if highest == f32::NEG_INFINITY {
        line.fill(0.0);
        return;
    }
    for x in line.iter_mut() {
        *x = math::exp(*x - highest);
    }
    let scale = 1.0 / math::sum(line);
    for x in line.iter_mut() {
        *x *= scale;
    }
}

/// `sums[r] = sum over j of weights[r][j] * values[j]`.
#[inline(always)]
fn product_pv(
    weights: &[f32],
    values: &[f32],
    length: usize,
    padded: usize,
    dim: usize,
    sums: &mut [f32],
) {
    for column in (0..dim).step_by(LANES) {
        let mut block = [[0f32; LANES]; BLOCK];
        for j in 0..length {
            let value: &[f32; LANES] = values[j * dim + column..][..LANES].try_into().unwrap();
            for r in 0..BLOCK {
                let weight = weights[r * padded + j];
                for c in 0..LANES {
                    block[r][c] = weight.mul_add(value[c], block[r][c]);
                }
            }
        }
        for (r, line) in block.iter().enumerate() {
            sums[r * dim + column..][..LANES].copy_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
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
                    let weights: Vec<f64> =
                        scores.iter().map(|s| f64::from(s - top).exp()).collect();
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
}
