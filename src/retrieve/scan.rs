//! Scores of a planned query: fixed-point sums over ranges of postings, then the best documents.
//!
//! Sums are integers, so they do not depend on the order of additions. The unit is chosen so that no
//! sum overflows: by Cauchy-Schwarz, a query of norm |q| gives a document at most |q| / factor. Each
//! addition is off by less than a unit, each document gets at most one addition per position and repeat,
//! so a cosine is off by at most `rounding` units divided by |q| (see `Bounds`). Where that is too
//! much for 32 bits, because of a few very long texts, the sums take 62.

use super::buffer::prefetch;
use super::build::MAX_DOCS;
use super::ngrams::Symbol;
use super::plan::Plan;
use super::segment::{Bounds, Segment};
use super::select::Selector;
use super::top_k::TopK;
use std::ops::Range;

/// Largest error of a cosine that 32-bit sums may have.
const TOLERANCE: f64 = 5e-7;

/// An integer that sums are made in. Numbers wrap: only the last sum must fit, not what is added
/// for a repeated n-gram and then taken off again.
pub trait Sum: Copy + Default + PartialEq {
    const BITS: i32;
    /// Rounds towards zero.
    fn wrapped(units: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

impl Sum for u32 {
    const BITS: i32 = 32;
    fn wrapped(units: f64) -> Self {
        units as i64 as u32
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

impl Sum for u64 {
    const BITS: i32 = 62;
    fn wrapped(units: f64) -> Self {
        units as i128 as i64 as u64
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
    Narrow(Box<[u32; MAX_DOCS]>),
    Wide(Box<[u64; MAX_DOCS]>),
}

/// A thread's memory.
pub struct Scanner {
    sums: Sums,
    pub plan: Plan,
    work: Work,
}

/// What a scan fills and forgets.
#[derive(Default)]
struct Work {
    pieces: Vec<Piece>,
    /// Places of repeats, and the value of their n-gram.
    repeats: Vec<(Range<usize>, f64)>,
    selector: Selector,
}

/// Postings, and what to add for each.
struct Piece {
    postings: Range<usize>,
    value: f64,
}

impl Scanner {
    pub fn new(bounds: Bounds) -> Self {
        let error = bounds.rounding * bounds.sum / capacity::<u32>();
        let sums = if error <= TOLERANCE {
            Sums::Narrow(zeros())
        } else {
            Sums::Wide(zeros())
        };
        Self {
            sums,
            plan: Plan::default(),
            work: Work::default(),
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
        let (plan, work) = (&self.plan, &mut self.work);
        match &mut self.sums {
            Sums::Narrow(sums) => scan(sums, work, plan, bounds, number, segment, factors, top),
            Sums::Wide(sums) => scan(sums, work, plan, bounds, number, segment, factors, top),
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
    work: &mut Work,
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
    work.pieces.clear();
    plan.disjoint(number, |paths, value| {
        let postings = segment.trie.postings(paths);
        work.pieces.push(Piece { postings, value });
    });
    for (at, piece) in work.pieces.iter().enumerate() {
        if let Some(next) = work.pieces.get(at + AHEAD) {
            prefetch(&segment.docs[next.postings.start]);
        }
        // Upwards: what is above zero stays above it.
        let value = T::wrapped((piece.value * units).ceil());
        for &doc in &segment.docs[piece.postings.clone()] {
            let sum = &mut sums[usize::from(doc)];
            *sum = sum.plus(value);
        }
    }
    if !segment.repeats.ngrams.is_empty() {
        // The range gave a document tf times what a frequency of one is worth. All are looked up
        // before any is read, so that no search waits for another's memory.
        work.repeats.clear();
        plan.repeated(number, |ngram, value| {
            work.repeats.push((segment.repeats.range(ngram), value));
        });
        for (range, value) in work.repeats.drain(..) {
            let value = value * units;
            for (doc, excess) in segment.repeats.at(range) {
                let sum = &mut sums[usize::from(doc)];
                *sum = sum.plus(T::wrapped(excess * value));
            }
        }
    }
    let sums = &mut sums[..segment.len()];
    let cosine = 1.0 / (units * plan.norm());
    work.selector
        .offer(sums, factors, cosine, segment.first, top);
    sums.fill(T::default());
}

/// Pieces between the one that is read and the one that is fetched.
const AHEAD: usize = 8;
