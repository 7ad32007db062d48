//! Scores of a planned query: fixed-point sums over ranges of postings, then the best documents.
//!
//! Sums are integers, so they do not depend on the order of additions. The unit is chosen so that no
//! sum overflows: by Cauchy-Schwarz, a query of norm |q| gives a document at most |q| / factor. Each
//! addition is off by less than a unit, each document gets at most one addition per position and repeat,
//! so a cosine is off by at most `rounding` units divided by |q| (see `Bounds`). Where that is too
//! much for 31 bits, because of a few very long texts, the sums take 62.

use super::build::MAX_DOCS;
use super::ngrams::Symbol;
use super::plan::Plan;
use super::segment::{Bounds, Segment};
use super::top_k::TopK;

/// Largest error of a cosine that 31-bit sums may have.
const TOLERANCE: f64 = 2e-7;

/// An integer that sums are made in. Numbers wrap: only the last sum must fit, not what is added
/// for a repeated n-gram and then taken off again.
trait Sum: Copy + Default + PartialEq {
    const BITS: i32;
    /// Rounds towards zero.
    fn wrapped(units: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

impl Sum for i32 {
    const BITS: i32 = 31;
    fn wrapped(units: f64) -> Self {
        units as i64 as i32
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Sum for i64 {
    const BITS: i32 = 62;
    fn wrapped(units: f64) -> Self {
        units as i128 as i64
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn to_f64(self) -> f64 {
        self as f64
    }
}

/// One sum per document of a segment, all zero between two scans.
enum Sums {
    Narrow(Box<[i32; MAX_DOCS]>),
    Wide(Box<[i64; MAX_DOCS]>),
}

/// A thread's memory.
pub struct Scanner {
    sums: Sums,
    pub plan: Plan,
}

impl Scanner {
    pub fn new(bounds: Bounds) -> Self {
        let error = bounds.rounding * bounds.sum / capacity::<i32>();
        let sums = if error <= TOLERANCE {
            Sums::Narrow(zeros())
        } else {
            Sums::Wide(zeros())
        };
        Self {
            sums,
            plan: Plan::default(),
        }
    }

    /// Offers the documents of a segment that share n-grams with the planned query. `factors`
    /// replace those of the segment.
    pub fn scan<S: Symbol>(
        &mut self,
        bounds: Bounds,
        number: usize,
        segment: &Segment<S>,
        factors: Option<&[f32]>,
        top: &mut TopK,
    ) {
        let factors = factors.unwrap_or(&segment.factors);
        let plan = &self.plan;
        match &mut self.sums {
            Sums::Narrow(sums) => scan(sums, plan, bounds, number, segment, factors, top),
            Sums::Wide(sums) => scan(sums, plan, bounds, number, segment, factors, top),
        }
    }
}

fn zeros<T: Sum>() -> Box<[T; MAX_DOCS]> {
    let zeros = vec![T::default(); MAX_DOCS].into_boxed_slice();
    zeros.try_into().ok().expect("the length is MAX_DOCS")
}

/// Units in the largest sum, with room for the rounding of all additions.
fn capacity<T: Sum>() -> f64 {
    0.999 * 2f64.powi(T::BITS)
}

#[allow(clippy::too_many_arguments)]
fn scan<T: Sum, S: Symbol>(
    sums: &mut [T; MAX_DOCS],
    plan: &Plan,
    bounds: Bounds,
    number: usize,
    segment: &Segment<S>,
    factors: &[f32],
    top: &mut TopK,
) {
    if plan.norm() == 0.0 || bounds.sum == 0.0 {
        return;
    }
    let units = capacity::<T>() / (plan.norm() * bounds.sum);
    plan.disjoint(number, |paths, value| {
        // Upwards: what is above zero stays above it.
        let value = T::wrapped((value * units).ceil());
        for &doc in &segment.docs[segment.trie.postings(paths)] {
            let sum = &mut sums[usize::from(doc)];
            *sum = sum.plus(value);
        }
    });
    if !segment.repeats.ngrams.is_empty() {
        // The range gave a document tf times what a frequency of one is worth.
        plan.each(number, |path, length, value| {
            let ngram = segment.trie.ngram(path as usize, length);
            let value = value * units;
            for (doc, excess) in segment.repeats.of(ngram) {
                let sum = &mut sums[usize::from(doc)];
                *sum = sum.plus(T::wrapped(excess * value));
            }
        });
    }
    select(
        &mut sums[..segment.len()],
        factors,
        1.0 / (units * plan.norm()),
        segment.first,
        top,
    );
}

/// Documents whose scores are compared at once.
const LANES: usize = 32;

/// Offers the documents with a score, `sum * factor * cosine`, and clears the sums.
fn select<T: Sum>(sums: &mut [T], factors: &[f32], cosine: f64, first: u32, top: &mut TopK) {
    // The quick comparison is in f32: let nothing fall through its rounding.
    let bar = |top: &TopK| (top.threshold() / cosine * (1.0 - 1e-6)) as f32;
    let mut threshold = bar(top);
    let chunks = sums.chunks_mut(LANES).zip(factors.chunks(LANES));
    for (number, (sums, factors)) in chunks.enumerate() {
        // No early exit: this becomes a few vector instructions.
        let pairs = sums.iter().zip(factors);
        if pairs.fold(false, |any, (sum, factor)| {
            any | (sum.to_f32() * factor > threshold)
        }) {
            for (lane, (sum, factor)) in sums.iter().zip(factors).enumerate() {
                let score = sum.to_f64() * f64::from(*factor) * cosine;
                top.offer(score, first + (number * LANES + lane) as u32);
            }
            threshold = bar(top);
        }
        sums.fill(T::default());
    }
}
