//! Softmax attention over packed sequences: no padding, no score matrix in memory.
//!
//! Per sequence and head, keys are transposed and values copied into contiguous scratch, then blocks
//! of [`BLOCK`] queries go through scores, bias, softmax and the weighted sum while everything is in
//! cache (the blocking idea of Rabe & Staats 2021; whole rows of scores fit L1, so the softmax
//! needs no rescaling). Where no query of a block looks, nothing is computed.

mod format;
mod softmax;
mod tile;

#[cfg(test)]
mod tests;

use super::LANES;
use super::element::Element;
use super::simd::{CACHE_LINE, Simd, simd_dispatch};
use crate::cpu::prefetch;
use format::{Format, Single};
use softmax::softmax;
use std::ops::Range;
use tile::{BLOCK, product};

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

impl Geometry {
    /// The keys a query may look at.
    fn visible(&self, query: usize, length: usize) -> Range<usize> {
        let from = self.window.map_or(0, |w| query.saturating_sub(w));
        let mut to = self.window.map_or(length, |w| (query + w + 1).min(length));
        if self.causal {
            to = to.min(query + 1);
        }
        from.min(to)..to
    }
}

/// Something added to the scaled scores, such as a relative position bias.
pub trait Bias: Sync {
    /// Adds to the scores of one query. `sequence` counts sequences of the batch, `query` positions
    /// within the sequence; `scores[j]` belongs to key `j`. Scores of keys that are not seen hold
    /// anything.
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

impl<'a, T> Rows<'a, T> {
    /// `width` numbers of row `row`, from `column` on. The numbers after them, which the next head will ask
    /// for, are called into the cache: the CPU does not foresee steps as large as a row.
    #[inline(always)]
    fn part(&self, row: usize, column: usize, width: usize) -> &'a [T] {
        let part = &self.data[row * self.stride + column..][..width];
        let next = part.as_ptr_range().end;
        for line in (0..size_of_val(part)).step_by(CACHE_LINE) {
            prefetch(next.wrapping_byte_add(line));
        }
        part
    }
}

/// One sequence: which query rows look at which key rows. The first query row stands at position
/// `first_query` of the keys (0 when queries and keys are the same rows).
#[derive(Clone, Debug)]
pub struct Span {
    pub queries: Range<usize>,
    pub keys: Range<usize>,
    pub first_query: usize,
}

/// `out[i] = softmax(scale * q[i] . k + bias) . v` for every query row, head by head.
///
/// `out` has `heads * head_dim` numbers a row and one row per query row. bfloat16 is multiplied as such
/// where the CPU can, with the weights of the sum rounded to it; sums are f32 everywhere.
pub fn attention<T: Element, B: Bias>(
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
    spans: &[Span],
    geometry: Geometry,
    bias: &B,
) {
    #[cfg(target_arch = "x86_64")]
    if format::pairs_supported::<T>() {
        // SAFETY: the CPU's features and the type were checked just now.
        return unsafe { in_pairs(q, k, v, out, spans, geometry, bias) };
    }
    in_f32(q, k, v, out, spans, geometry, bias);
}

simd_dispatch! {
    fn in_f32<T: Element, B: Bias>(
        q: Rows<'_, T>, k: Rows<'_, T>, v: Rows<'_, T>,
        out: &mut [T], spans: &[Span], geometry: Geometry, bias: &B,
    ) = single
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn single<S: Simd, T: Element, B: Bias>(
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
    spans: &[Span],
    geometry: Geometry,
    bias: &B,
) {
    // SAFETY: the dispatcher's promise.
    unsafe { body::<S, Single, T, B>(q, k, v, out, spans, geometry, bias) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
fn in_pairs<T: Element, B: Bias>(
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
    spans: &[Span],
    geometry: Geometry,
    bias: &B,
) {
    use super::simd::Avx512;
    // SAFETY: this function's features are those the format and the vectors need.
    unsafe { body::<Avx512, format::Pairs, T, B>(q, k, v, out, spans, geometry, bias) }
}

/// The working memory of one call, in the 32-bit words of a [`Format`].
struct Scratch {
    /// Keys of one head as they come, anything past the last: `[padded length, padded words]`.
    rows: Vec<f32>,
    /// The same, transposed: `[padded words, padded length]`.
    keys: Vec<f32>,
    /// Values of one head: `[length in words, padded dim]`.
    values: Vec<f32>,
    /// A block of queries: `[BLOCK, padded words]`.
    queries: Vec<f32>,
    /// Scores, then weights: `[BLOCK, padded length]`, f32.
    scores: Vec<f32>,
    /// Weights as words: `[BLOCK, padded length]`, of which a row uses what it needs.
    weights: Vec<f32>,
    /// Outputs: `[BLOCK, padded dim]`, f32.
    sums: Vec<f32>,
}

/// # Safety
/// The CPU must have the instruction sets of `S` and `F`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn body<S: Simd, F: Format<S, T>, T: Element, B: Bias>(
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
    spans: &[Span],
    geometry: Geometry,
    bias: &B,
) {
    let dim = geometry.head_dim;
    let width = geometry.heads * dim;
    let padded_dim = dim.next_multiple_of(LANES);
    let words = dim.div_ceil(F::PER_WORD);
    let padded_words = words.next_multiple_of(LANES);
    let group = geometry.heads / geometry.kv_heads;
    let longest = spans.iter().map(|s| s.keys.len()).max().unwrap_or(0);
    let padded_longest = longest.next_multiple_of(LANES);
    let mut scratch = Scratch {
        rows: vec![0f32; padded_longest * padded_words],
        keys: vec![0f32; padded_words * padded_longest],
        values: vec![0f32; longest.div_ceil(F::PER_WORD) * padded_dim],
        queries: vec![0f32; BLOCK * padded_words],
        scores: vec![0f32; BLOCK * padded_longest],
        weights: vec![0f32; BLOCK * padded_longest],
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
            let keys = &mut scratch.rows[..padded * padded_words];
            for (row, line) in span.keys.clone().zip(keys.chunks_exact_mut(padded_words)) {
                F::row(k.part(row, column, dim), line);
            }
            // SAFETY: the caller's promise; both are `padded * padded_words` long.
            unsafe { transpose::<S>(keys, padded_words, padded, &mut scratch.keys) };
            let lines = scratch.values.chunks_exact_mut(padded_dim);
            for (row, line) in span.keys.clone().step_by(F::PER_WORD).zip(lines) {
                let rows = row..span.keys.end.min(row + F::PER_WORD);
                F::value(rows.map(|row| v.part(row, column, dim)), line);
            }
            for head in kv_head * group..(kv_head + 1) * group {
                let mut start = span.queries.start;
                while start < span.queries.end {
                    let rows = (span.queries.end - start).min(BLOCK);
                    let position = span.first_query + (start - span.queries.start);
                    for r in 0..rows {
                        let row = q.part(start + r, head * dim, dim);
                        F::row(row, &mut scratch.queries[r * padded_words..]);
                    }
                    // What some query of the block sees, in whole vectors.
                    let first = geometry.visible(position, length).start / LANES * LANES;
                    let end = geometry.visible(position + rows - 1, length).end;
                    let active = first..end.next_multiple_of(LANES).max(first);
                    let Scratch {
                        keys,
                        values,
                        queries,
                        scores,
                        weights,
                        sums,
                        ..
                    } = &mut scratch;
                    // SAFETY: the caller's promise; sizes as Scratch states.
                    unsafe {
                        let keys = &keys[..padded_words * padded];
                        let scale = [geometry.scale; BLOCK];
                        let queries = (queries.as_slice(), padded_words);
                        let right = (keys, padded);
                        let columns = active.clone();
                        product::<S, F, T>(
                            rows,
                            0..words,
                            queries,
                            right,
                            columns,
                            scale,
                            (scores, padded),
                        );
                    }
                    let mut shares = [0f32; BLOCK];
                    let lines = scores.chunks_exact_mut(padded);
                    for (r, line) in lines.take(rows).enumerate() {
                        bias.add(sequence, head, position + r, &mut line[..length]);
                        let seen = geometry.visible(position + r, length);
                        // SAFETY: as above; `active` is whole vectors within the line.
                        let total = unsafe { softmax::<S>(line, active.clone(), seen) };
                        shares[r] = 1.0 / total;
                        let at = active.start / F::PER_WORD..active.end / F::PER_WORD;
                        F::weights(&line[active.clone()], &mut weights[r * padded..][at]);
                    }
                    let depth = active.start / F::PER_WORD..end.div_ceil(F::PER_WORD);
                    // SAFETY: as above.
                    unsafe {
                        product::<S, F, T>(
                            rows,
                            depth,
                            (weights, padded),
                            (values, padded_dim),
                            0..padded_dim,
                            shares,
                            (sums, padded_dim),
                        );
                    }
                    for (r, sums) in sums.chunks_exact(padded_dim).take(rows).enumerate() {
                        let to = &mut out[(start + r) * width + head * dim..][..dim];
                        for (x, y) in to.iter_mut().zip(sums) {
                            *x = T::from_f32(*y);
                        }
                    }
                    start += rows;
                }
            }
        }
    }
}

/// `to[j * rows + i] = from[i * columns + j]`; both counts are multiples of [`LANES`].
#[inline(always)]
unsafe fn transpose<S: Simd>(from: &[f32], columns: usize, rows: usize, to: &mut [f32]) {
    assert!(from.len() >= rows * columns && to.len() >= rows * columns);
    assert!(rows.is_multiple_of(LANES) && columns.is_multiple_of(LANES));
    for row in (0..rows).step_by(S::LANES) {
        for column in (0..columns).step_by(S::LANES) {
            // SAFETY: squares of LANES tile both matrices.
            unsafe {
                S::transpose(
                    from.as_ptr().add(row * columns + column),
                    columns,
                    to.as_mut_ptr().add(column * rows + row),
                    rows,
                );
            }
        }
    }
}
