//! The best of the scores of a segment, `sum * factor * cosine`.
//!
//! Two passes in f32: the maximum of each chunk of documents; then those documents that reach a bar.
//! Where k chunks have a maximum of at least x, k documents have a score of at least x: the bar is
//! the k-th best maximum. Only what reaches it, little more than k documents, is compared in f64.

use super::common::from_upper_half;
use super::left_out::LeftOut;
use super::sum::Sum;
use super::top_k::TopK;
use crate::cpu::{Isa, isa};

/// Documents of a chunk: bits of a mask.
pub const CHUNK: usize = 64;
/// Documents between the one that is completed and the one whose repeats are fetched.
const AHEAD: usize = 8;
/// Nothing may fall through the rounding of f32.
const MARGIN: f64 = 1.0 - 1e-6;

/// Memory of a selection.
#[derive(Default)]
pub struct Selector {
    maxima: Vec<f32>,
    /// What the scores of a chunk may be at most, where sums are not complete.
    highest: Vec<f32>,
    sorted: Vec<f32>,
    /// Documents to complete.
    candidates: Vec<u32>,
}

impl Selector {
    /// Offers the documents, numbered from `first` on, that may be among the best.
    pub fn offer<T: Sum>(
        &mut self,
        sums: &[T],
        factors: &[f32],
        cosine: f64,
        first: u32,
        top: &mut TopK,
    ) {
        self.maxima.clear();
        maxima(sums, factors, &mut self.maxima);
        let floor = self.floor(top.k());
        for (number, &maximum) in self.maxima.iter().enumerate() {
            let bar = (floor.max(top.threshold() / cosine) * MARGIN) as f32;
            if maximum > 0.0 && maximum >= bar {
                let start = number * CHUNK;
                let end = sums.len().min(start + CHUNK);
                let (sums, factors) = (&sums[start..end], &factors[start..end]);
                let mut mask = reaching(sums, factors, &[0; CHUNK], 0.0, bar);
                while mask != 0 {
                    let lane = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let score = sums[lane].to_f64() * f64::from(factors[lane]) * cosine;
                    top.offer(score, first + (start + lane) as u32);
                }
            }
        }
    }

    /// As `offer`, for sums that lack what was `left_out`. Offers nothing and says no if more than
    /// `limit` documents may be among the best.
    #[allow(clippy::too_many_arguments)]
    pub fn complete<T: Sum>(
        &mut self,
        sums: &[T],
        factors: &[f32],
        cosine: f64,
        first: u32,
        left_out: &LeftOut<T>,
        limit: usize,
        top: &mut TopK,
    ) -> bool {
        let (norms, reach) = (left_out.norms(), left_out.reach);
        self.maxima.clear();
        self.highest.clear();
        let (maxima, highest) = (&mut self.maxima, &mut self.highest);
        bounds(sums, factors, norms, reach, maxima, highest);
        // Sums only grow when they are completed: what k of them reach, the k best reach.
        let bar = self.floor(top.k()).max(top.threshold() / cosine);
        let bar = (bar * MARGIN - left_out.error) as f32;
        self.candidates.clear();
        for (number, &highest) in self.highest.iter().enumerate() {
            if highest > 0.0 && highest >= bar {
                let start = number * CHUNK;
                let chunk = start..sums.len().min(start + CHUNK);
                let (sums, norms) = (&sums[chunk.clone()], &norms[chunk.clone()]);
                let mut mask = reaching(sums, &factors[chunk], norms, reach, bar);
                while mask != 0 {
                    let doc = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    left_out.prefetch(doc);
                    self.candidates.push(doc as u32);
                }
                if self.candidates.len() > limit {
                    return false;
                }
            }
        }
        for (at, &doc) in self.candidates.iter().enumerate() {
            if let Some(&next) = self.candidates.get(at + AHEAD) {
                left_out.prefetch_repeats(next as usize);
            }
            let sum = left_out.complete(doc as usize, sums[doc as usize]);
            let score = sum.to_f64() * f64::from(factors[doc as usize]) * cosine;
            top.offer(score, first + doc);
        }
        true
    }

    /// What the best k scores reach at least.
    fn floor(&mut self, k: usize) -> f64 {
        if !(1..=self.maxima.len()).contains(&k) {
            return 0.0;
        }
        self.sorted.clone_from(&self.maxima);
        let (_, best, _) = self
            .sorted
            .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        f64::from(*best)
    }
}

/// Defines `$name` as `$body` compiled for the instructions that the CPU has.
macro_rules! compiled_for_the_cpu {
    (fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $body:ident) => {
        fn $name<T: Sum>($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512<T: Sum>($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: Sum>($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                // SAFETY: each version runs only where its instruction set was detected.
                match isa() {
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Baseline => {}
                }
            }
            $body($($arg),*)
        }
    };
}

compiled_for_the_cpu! { fn maxima(sums: &[T], factors: &[f32], out: &mut Vec<f32>) = maxima_body }
compiled_for_the_cpu! {
    fn bounds(
        sums: &[T], factors: &[f32], norms: &[u16], reach: f32, maxima: &mut Vec<f32>,
        highest: &mut Vec<f32>
    ) = bounds_body
}
compiled_for_the_cpu! {
    fn reaching(sums: &[T], factors: &[f32], norms: &[u16], reach: f32, bar: f32) -> u64
        = reaching_body
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest of a chunk. An array of a fixed size, halved again and again: this becomes a few
/// vector instructions.
#[inline(always)]
fn largest(mut scores: [f32; CHUNK]) -> f32 {
    let mut half = CHUNK / 2;
    while half > 0 {
        for lane in 0..half {
            scores[lane] = larger(scores[lane], scores[lane + half]);
        }
        half /= 2;
    }
    scores[0]
}

/// A chunk as an array, filled up with zeros.
#[inline(always)]
fn chunk<T: Copy + Default>(values: &[T], start: usize) -> [T; CHUNK] {
    match values[start..].first_chunk() {
        Some(chunk) => *chunk,
        None => {
            let rest = &values[start..];
            std::array::from_fn(|i| rest.get(i).copied().unwrap_or_default())
        }
    }
}

#[inline(always)]
fn maxima_body<T: Sum>(sums: &[T], factors: &[f32], out: &mut Vec<f32>) {
    for start in (0..sums.len()).step_by(CHUNK) {
        let (sums, factors) = (chunk(sums, start), chunk(factors, start));
        out.push(largest(std::array::from_fn(|i| {
            sums[i].to_f32() * factors[i]
        })));
    }
}

/// The largest scores of chunks as the sums are, and what they may be at most.
#[inline(always)]
fn bounds_body<T: Sum>(
    sums: &[T],
    factors: &[f32],
    norms: &[u16],
    reach: f32,
    maxima: &mut Vec<f32>,
    highest: &mut Vec<f32>,
) {
    for start in (0..sums.len()).step_by(CHUNK) {
        let (sums, factors) = (chunk(sums, start), chunk(factors, start));
        let norms = chunk(norms, start);
        let sums: [f32; CHUNK] = std::array::from_fn(|i| sums[i].to_f32());
        maxima.push(largest(std::array::from_fn(|i| sums[i] * factors[i])));
        let most = |i: usize| (sums[i] + reach * from_upper_half(norms[i])) * factors[i];
        highest.push(largest(std::array::from_fn(most)));
    }
}

/// Which documents of a chunk may have a score above zero and not below `bar`.
#[inline(always)]
fn reaching_body<T: Sum>(sums: &[T], factors: &[f32], norms: &[u16], reach: f32, bar: f32) -> u64 {
    let mut mask = 0;
    let all = sums.iter().zip(factors).zip(norms).enumerate();
    for (lane, ((sum, factor), &norm)) in all {
        let most = (sum.to_f32() + reach * from_upper_half(norm)) * factor;
        mask |= u64::from(most >= bar && most > 0.0) << lane;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_a_plain_loop_offers() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 12
        };
        for count in [0, 1, 63, 64, 65, 1000, 4096] {
            // Few different scores, so that many are equal; some documents cannot be found.
            let sums: Vec<u32> = (0..count).map(|_| next() % 500 * 100_000).collect();
            let factors: Vec<f32> = (0..count).map(|_| (next() % 4) as f32 * 0.25).collect();
            let cases = [0, 1, 7, 64, 100, usize::MAX].map(|k| [(k, 1), (k, 2)]);
            for (k, segments) in cases.concat() {
                let (mut top, mut plain) = (TopK::new(k), TopK::new(k));
                for first in (0..segments).map(|segment| segment * 10_000) {
                    let selector = &mut Selector::default();
                    selector.offer(&sums, &factors, 1e-9, first, &mut top);
                    for (doc, (&sum, &factor)) in (first..).zip(sums.iter().zip(&factors)) {
                        plain.offer(f64::from(sum) * f64::from(factor) * 1e-9, doc);
                    }
                }
                assert_eq!(top.into_hits(), plain.into_hits());
            }
        }
    }
}
