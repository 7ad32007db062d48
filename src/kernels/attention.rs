//! Softmax attention over packed sequences: no padding, no score matrix in memory.
//!
//! Per sequence and head, keys are transposed and values copied into contiguous scratch, then blocks
//! of [`BLOCK`] queries go through scores, bias, softmax and the weighted sum while everything is in
//! cache (the blocking idea of Rabe & Staats 2021; whole rows of scores fit L1, so the softmax
//! needs no rescaling).

use super::LANES;
use super::element::Element;
use super::simd::{Simd, exp, fold, simd_dispatch};
use std::ops::Range;

/// Queries handled together: with two vectors each, their sums fill half the AVX-512 registers.
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

simd_dispatch! {
    /// `out[i] = softmax(scale * q[i] . k + bias) . v` for every query row, head by head.
    ///
    /// `out` has `heads * head_dim` numbers a row and one row per query row.
    pub fn attention<T: Element, B: Bias>(
        q: Rows<'_, T>, k: Rows<'_, T>, v: Rows<'_, T>,
        out: &mut [T], spans: &[Span], geometry: Geometry, bias: &B,
    ) = body
}

/// The working memory of one call.
struct Scratch {
    /// Keys of one head, transposed: `[dim, padded length]`.
    keys: Vec<f32>,
    /// Values of one head: `[length, padded dim]`.
    values: Vec<f32>,
    /// A block of scaled queries, transposed: `[dim, BLOCK]`.
    queries: Vec<f32>,
    /// Scores, then weights: `[BLOCK, padded length]`.
    scores: Vec<f32>,
    /// Outputs: `[BLOCK, padded dim]`.
    sums: Vec<f32>,
}

/// # Safety
/// The CPU must have the instruction set `S`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn body<S: Simd, T: Element, B: Bias>(
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
    let mut scratch = Scratch {
        keys: vec![0f32; dim * padded_longest],
        values: vec![0f32; longest * padded_dim],
        queries: vec![0f32; dim * BLOCK],
        scores: vec![0f32; BLOCK * padded_longest],
        sums: vec![0f32; BLOCK * padded_dim],
    };

    for (sequence, span) in spans.iter().enumerate() {
        let length = span.keys.len();
        if length == 0 {
            continue;
        }
        let padded = length.next_multiple_of(LANES);
        for kv_head in 0..geometry.kv_heads {
            let column = kv_head * dim;
            transpose(k, span.keys.clone(), column, dim, padded, &mut scratch.keys);
            for (j, row) in span.keys.clone().enumerate() {
                let source = &v.data[row * v.stride + column..][..dim];
                for (x, y) in scratch.values[j * padded_dim..].iter_mut().zip(source) {
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
                            scratch.queries[p * BLOCK + r] = x.to_f32() * geometry.scale;
                        }
                    }
                    let scores = &mut scratch.scores[..BLOCK * padded];
                    // SAFETY: the caller's promise on S; sizes as Scratch states.
                    unsafe { product_qk::<S>(&scratch.queries, &scratch.keys, dim, padded, scores) }
                    for (r, line) in scores.chunks_exact_mut(padded).take(rows).enumerate() {
                        bias.add(sequence, head, position + r, &mut line[..length]);
                        let seen = visible(position + r, length, &geometry);
                        // SAFETY: as above; `padded` is a multiple of LANES.
                        unsafe { softmax::<S>(line, seen) }
                    }
                    // SAFETY: as above.
                    unsafe {
                        let (values, sums) = (&scratch.values, &mut scratch.sums);
                        product_pv::<S>(scores, values, length, padded, padded_dim, sums);
                    }
                    for r in 0..rows {
                        let at = (start + r) * geometry.heads * dim + head * dim;
                        let sums = &scratch.sums[r * padded_dim..];
                        for (x, y) in out[at..at + dim].iter_mut().zip(sums) {
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
    from.min(to)..to
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
    for j in 0..length {
        let source = &k.data[(first + j) * k.stride + column..][..dim];
        for (x, line) in source.iter().zip(keys.chunks_exact_mut(padded)) {
            line[j] = x.to_f32();
        }
    }
    for line in keys.chunks_exact_mut(padded).take(dim) {
        line[length..].fill(0.0);
    }
}

/// `scores[r][j] = sum over p of queries[p][r] * keys[p][j]`.
#[inline(always)]
unsafe fn product_qk<S: Simd>(
    queries: &[f32],
    keys: &[f32],
    dim: usize,
    padded: usize,
    scores: &mut [f32],
) {
    assert!(queries.len() >= dim * BLOCK && keys.len() >= dim * padded);
    assert!(scores.len() >= BLOCK * padded && padded.is_multiple_of(LANES));
    let step = S::LANES * S::WIDE;
    let mut column = 0;
    while column < padded {
        // SAFETY: sizes asserted above; a tile ends at `padded` at the latest.
        unsafe {
            let (q, k) = (queries.as_ptr(), keys.as_ptr().add(column));
            let to = scores.as_mut_ptr().add(column);
            if S::WIDE == 2 && column + step <= padded {
                tile::<S, 2>(
                    dim,
                    |p, r| *q.add(p * BLOCK + r),
                    |p| k.add(p * padded),
                    to,
                    padded,
                );
                column += step;
            } else {
                tile::<S, 1>(
                    dim,
                    |p, r| *q.add(p * BLOCK + r),
                    |p| k.add(p * padded),
                    to,
                    padded,
                );
                column += S::LANES;
            }
        }
    }
}

/// `sums[r] = sum over j of weights[r][j] * values[j]`.
#[inline(always)]
unsafe fn product_pv<S: Simd>(
    weights: &[f32],
    values: &[f32],
    length: usize,
    padded: usize,
    dim: usize,
    sums: &mut [f32],
) {
    assert!(weights.len() >= BLOCK * padded && values.len() >= length * dim);
    assert!(sums.len() >= BLOCK * dim && dim.is_multiple_of(LANES) && length <= padded);
    let step = S::LANES * S::WIDE;
    let mut column = 0;
    while column < dim {
        // SAFETY: sizes asserted above; a tile ends at `dim` at the latest.
        unsafe {
            let (w, v) = (weights.as_ptr(), values.as_ptr().add(column));
            let to = sums.as_mut_ptr().add(column);
            if S::WIDE == 2 && column + step <= dim {
                tile::<S, 2>(
                    length,
                    |j, r| *w.add(r * padded + j),
                    |j| v.add(j * dim),
                    to,
                    dim,
                );
                column += step;
            } else {
                tile::<S, 1>(
                    length,
                    |j, r| *w.add(r * padded + j),
                    |j| v.add(j * dim),
                    to,
                    dim,
                );
                column += S::LANES;
            }
        }
    }
}

/// `BLOCK` rows by `N` vectors of a matrix product, kept in registers:
/// `out[r * stride ..] = sum over i < depth of left(i, r) * right(i)[..]`.
#[inline(always)]
unsafe fn tile<S: Simd, const N: usize>(
    depth: usize,
    left: impl Fn(usize, usize) -> f32,
    right: impl Fn(usize) -> *const f32,
    out: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller's promise that the pointers cover the tile.
    unsafe {
        let mut sums = [[S::splat(0.0); N]; BLOCK];
        for i in 0..depth {
            let from = right(i);
            let mut row = [S::splat(0.0); N];
            for (c, x) in row.iter_mut().enumerate() {
                *x = S::load(from.add(c * S::LANES));
            }
            for (r, sum) in sums.iter_mut().enumerate() {
                let factor = S::splat(left(i, r));
                for (s, x) in sum.iter_mut().zip(row) {
                    *s = S::fma(factor, x, *s);
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            for (c, s) in sum.iter().enumerate() {
                S::store(out.add(r * stride + c * S::LANES), *s);
            }
        }
    }
}

/// Softmax over `seen`, zero elsewhere. A query that sees nothing gets all zeros.
#[inline(always)]
unsafe fn softmax<S: Simd>(line: &mut [f32], seen: Range<usize>) {
    assert!(line.len().is_multiple_of(LANES));
    if seen.is_empty() {
        line.fill(0.0);
        return;
    }
    // Only whole vectors around what is seen are touched; the rest weighs nothing.
    let (from, to) = (seen.start / LANES * LANES, seen.end.next_multiple_of(LANES));
    line[from..seen.start].fill(f32::NEG_INFINITY);
    line[seen.end..to].fill(f32::NEG_INFINITY);
    line[..from].fill(0.0);
    line[to..].fill(0.0);
    let active = &mut line[from..to];
    // SAFETY: `active` is whole vectors long.
    unsafe {
        let mut highest = S::splat(f32::NEG_INFINITY);
        for chunk in active.chunks_exact(S::LANES) {
            highest = S::max(highest, S::load(chunk.as_ptr()));
        }
        let highest = S::splat(fold::<S>(highest, f32::max));
        let mut total = S::splat(0.0);
        for chunk in active.chunks_exact_mut(S::LANES) {
            let weight = exp::<S>(S::sub(S::load(chunk.as_ptr()), highest));
            total = S::add(total, weight);
            S::store(chunk.as_mut_ptr(), weight);
        }
        let scale = S::splat(1.0 / fold::<S>(total, |a, b| a + b));
        for chunk in active.chunks_exact_mut(S::LANES) {
            let weight = S::mul(S::load(chunk.as_ptr()), scale);
            S::store(chunk.as_mut_ptr(), weight);
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
