//! The best of the scores of a segment, `sum * factor * cosine`.
//!
//! Two passes in f32: the maximum of each chunk of documents; then those documents that reach a bar.
//! Where k chunks have a maximum of at least x, k documents have a score of at least x: the bar is
//! the k-th best maximum. Only what reaches it, little more than k documents, is compared in f64.
//! Where sums lack what was left out, those documents are completed, and the k-th best of them is the
//! bar for all others.

use super::common::{CHUNK, from_upper_half};
use super::left_out::LeftOut;
use super::sum::Sum;
use super::top_k::TopK;
use crate::cpu::{Isa, isa};

/// Documents between the one that is completed and the one whose repeats are fetched.
const AHEAD: usize = 8;
/// Maxima of a chunk where chunks are few for the documents that are wanted, each of every eighth document.
const FINE: usize = 8;
/// Chunks for each document that is wanted, with which one maximum of each is enough.
const CHUNKS_EACH: usize = 4;
/// Nothing may fall through the rounding of f32.
const MARGIN: f64 = 1.0 - 1e-6;

/// The documents of a segment.
#[derive(Clone, Copy)]
pub struct Scores<'a, T> {
    sums: &'a [T],
    factors: &'a [f32],
    cosine: f64,
    /// Number of the first document.
    first: u32,
}

impl<'a, T: Sum> Scores<'a, T> {
    pub fn new(sums: &'a [T], factors: &'a [f32], cosine: f64, first: u32) -> Self {
        Self {
            sums,
            factors,
            cosine,
            first,
        }
    }

    /// In units: a score without the factor that all have.
    fn score(&self, doc: usize, sum: T) -> f64 {
        sum.to_f64() * f64::from(self.factors[doc])
    }
}

/// Memory of a selection.
#[derive(Default)]
pub struct Selector {
    /// The largest scores of each chunk, and how many of each.
    maxima: Vec<f32>,
    maxima_each: usize,
    /// Memory of `kth_largest`.
    sorted: Vec<f64>,
    /// Documents that may be among the best, once they are complete.
    candidates: Vec<u32>,
    /// Documents that are complete, and their scores in units.
    completed: Vec<(u32, f64)>,
}

impl Selector {
    /// Offers the documents that may be among the best.
    pub fn offer<T: Sum>(&mut self, scores: Scores<T>, top: &mut TopK) {
        let Scores {
            sums,
            factors,
            cosine,
            first,
        } = scores;
        let floor = self.find_maxima(scores, top.k());
        for (number, maxima) in self.maxima.chunks(self.maxima_each).enumerate() {
            let maximum = maxima.iter().copied().fold(0.0, larger);
            let bar = (floor.max(top.threshold() / cosine) * MARGIN) as f32;
            if maximum > 0.0 && maximum >= bar {
                let start = number * CHUNK;
                let end = sums.len().min(start + CHUNK);
                let (sums, factors) = (&sums[start..end], &factors[start..end]);
                let mut mask = reaching(sums, factors, &[0; CHUNK], 0.0, bar);
                while mask != 0 {
                    let doc = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let score = scores.score(doc, scores.sums[doc]) * cosine;
                    top.offer(score, first + doc as u32);
                }
            }
        }
    }

    /// As `offer`, for sums that lack what was `left_out`. Offers nothing and says no if too
    /// many documents may be among the best.
    pub fn complete<T: Sum>(
        &mut self,
        scores: Scores<T>,
        left_out: &LeftOut<T>,
        top: &mut TopK,
    ) -> bool {
        // But for rounding, sums only grow when they are completed: what k of them reach, the k best reach.
        let floor = self.find_maxima(scores, top.k());
        let bar = floor.max(top.threshold() / scores.cosine);
        let complete = |doc: u32| {
            let sum = left_out.complete(doc as usize, scores.sums[doc as usize]);
            scores.score(doc as usize, sum)
        };
        self.completed.clear();
        if !self.gather(scores, left_out, 0.0, bar * MARGIN) {
            return false;
        }
        for (at, &doc) in self.candidates.iter().enumerate() {
            left_out.prefetch_repeats(self.candidates.get(at + AHEAD));
            self.completed.push((doc, complete(doc)));
        }

        // And what k reach that are complete.
        let completed = self.completed.iter().map(|&(_, score)| score);
        let bar = bar.max(kth_largest(top.k(), completed, &mut self.sorted));
        let bar = bar * MARGIN - left_out.error;
        if !self.gather(scores, left_out, left_out.reach, bar) {
            return false;
        }
        let mut completed = self.completed.iter().peekable();
        for (at, &doc) in self.candidates.iter().enumerate() {
            left_out.prefetch_repeats(self.candidates.get(at + AHEAD));
            while completed.next_if(|(other, _)| *other < doc).is_some() {}
            let known = completed.next_if(|(other, _)| *other == doc);
            let score = known.map_or_else(|| complete(doc), |&(_, score)| score);
            top.offer(score * scores.cosine, scores.first + doc);
        }
        true
    }

    /// Finds the largest scores of chunks, and what the best k scores reach at least.
    fn find_maxima<T: Sum>(&mut self, scores: Scores<T>, k: usize) -> f64 {
        let chunks = scores.sums.len().div_ceil(CHUNK);
        let fine = chunks < k.saturating_mul(CHUNKS_EACH);
        self.maxima_each = if fine { FINE } else { 1 };
        self.maxima.clear();
        maxima(scores.sums, scores.factors, fine, &mut self.maxima);
        let maxima = self.maxima.iter().map(|&maximum| maximum.into());
        kth_largest(k, maxima, &mut self.sorted)
    }

    /// Finds the documents whose scores may be above zero and not below `bar`, where sums lack up to
    /// `reach` times a document's norm, and fetches what completes them. Says no if there are too
    /// many.
    fn gather<T: Sum>(
        &mut self,
        scores: Scores<T>,
        left_out: &LeftOut<T>,
        reach: f32,
        bar: f64,
    ) -> bool {
        let bar = bar as f32;
        self.candidates.clear();
        let chunks = self.maxima.chunks(self.maxima_each).zip(left_out.shares());
        for (number, (maxima, &share)) in chunks.enumerate() {
            let most = maxima.iter().copied().fold(0.0, larger) + reach * share;
            if most > 0.0 && most >= bar {
                let start = number * CHUNK;
                let chunk = start..scores.sums.len().min(start + CHUNK);
                let (sums, factors) = (&scores.sums[chunk.clone()], &scores.factors[chunk.clone()]);
                let mut mask = reaching(sums, factors, &left_out.norms()[chunk], reach, bar);
                while mask != 0 {
                    let doc = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    left_out.prefetch(doc);
                    self.candidates.push(doc as u32);
                }
                if self.candidates.len() > left_out.limit {
                    return false;
                }
            }
        }
        true
    }
}

/// The k-th largest number; zero if there are fewer.
fn kth_largest(k: usize, numbers: impl Iterator<Item = f64>, sorted: &mut Vec<f64>) -> f64 {
    sorted.clear();
    sorted.extend(numbers);
    if !(1..=sorted.len()).contains(&k) {
        return 0.0;
    }
    let (_, &mut kth, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    kth
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

compiled_for_the_cpu! {
    fn maxima(sums: &[T], factors: &[f32], fine: bool, out: &mut Vec<f32>) = maxima_body
}
compiled_for_the_cpu! {
    fn reaching(sums: &[T], factors: &[f32], norms: &[u16], reach: f32, bar: f32) -> u64
        = reaching_body
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest of so many parts of a chunk, a power of two; they come first. An array of a fixed size,
/// halved again and again: this becomes a few vector instructions.
#[inline(always)]
fn largest<const PARTS: usize>(scores: &mut [f32; CHUNK]) -> &[f32] {
    let mut half = CHUNK / 2;
    while half >= PARTS {
        for lane in 0..half {
            scores[lane] = larger(scores[lane], scores[lane + half]);
        }
        half /= 2;
    }
    &scores[..PARTS]
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
fn maxima_body<T: Sum>(sums: &[T], factors: &[f32], fine: bool, out: &mut Vec<f32>) {
    for start in (0..sums.len()).step_by(CHUNK) {
        let (sums, factors) = (chunk(sums, start), chunk(factors, start));
        let mut scores = std::array::from_fn(|i| sums[i].to_f32() * factors[i]);
        match fine {
            true => out.extend_from_slice(largest::<FINE>(&mut scores)),
            false => out.push(largest::<1>(&mut scores)[0]),
        }
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
                    let scores = Scores::new(&sums, &factors, 1e-9, first);
                    Selector::default().offer(scores, &mut top);
                    for (doc, (&sum, &factor)) in (first..).zip(sums.iter().zip(&factors)) {
                        plain.offer(f64::from(sum) * f64::from(factor) * 1e-9, doc);
                    }
                }
                assert_eq!(top.into_hits(), plain.into_hits());
            }
        }
    }
}
