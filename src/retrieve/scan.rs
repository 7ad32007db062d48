//! Scores of a planned query: fixed-point sums over ranges of postings, then the best documents.
//!
//! Sums are integers, so they do not depend on the order of additions. The unit is chosen so that no
//! sum overflows: by Cauchy-Schwarz, a query of norm |q| gives a document at most |q| / factor. Each
//! addition is off by less than a unit, each document gets at most one addition per position and repeat,
//! so a cosine is off by at most `rounding` units divided by |q| (see `Bounds`). Where that is too
//! much for 32 bits, because of a few very long texts, the sums take 62.

use super::build::MAX_DOCS;
use super::common::CHUNK;
use super::corrections::Corrections;
use super::left_out::LeftOut;
use super::ngrams::{Shape, Symbol};
use super::plan::{Plan, Prefixes};
use super::segment::{Bounds, Segment};
use super::select::{Scores, Selector};
use super::sum::Sum;
use super::top_k::TopK;
use super::weighting::Weighting;
use crate::cpu::prefetch;
use std::ops::Range;

/// Largest error of a cosine that 32-bit sums may have.
const TOLERANCE: f64 = 5e-7;
/// Pieces between the one that is read and the one that is fetched.
const AHEAD: usize = 8;
// Tests have few documents.
/// Share of a query's squared norm that is left out, at most.
const MOST_LEFT_OUT: f64 = if cfg!(test) { 0.25 } else { 0.04 };
/// Documents that are completed one by one: at most one in so many.
const COMPLETED_ONE_IN: usize = if cfg!(test) { 40 } else { 32 };
/// Chunks of documents for each that is wanted: with fewer, too many may be among the best.
const CHUNKS_EACH: usize = if cfg!(test) { 1 } else { 4 };

/// What the segments of an index share.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub shape: &'a Shape,
    pub weighting: Weighting,
    pub bounds: Bounds,
}

/// A thread's memory.
pub enum Scanner {
    Narrow(Scan<u32>),
    Wide(Scan<u64>),
}

impl Scanner {
    pub fn new(bounds: Bounds) -> Self {
        let error = bounds.rounding * bounds.sum / capacity::<u32>();
        if error <= TOLERANCE {
            Self::Narrow(Scan::new())
        } else {
            Self::Wide(Scan::new())
        }
    }

    #[cfg(test)]
    pub fn completed(&self) -> [usize; 2] {
        match self {
            Self::Narrow(scan) => scan.completed,
            Self::Wide(scan) => scan.completed,
        }
    }

    /// Offers the documents of a segment that share n-grams with a planned query. `factors`
    /// replace those of the segment.
    pub fn scan<S: Symbol>(
        &mut self,
        setting: Setting,
        plan: &Plan,
        number: usize,
        segment: &Segment<S>,
        factors: Option<&[f32]>,
        top: &mut TopK,
    ) {
        let factors = factors.unwrap_or(&segment.factors);
        if plan.norm() > 0.0 && setting.bounds.sum > 0.0 {
            match self {
                Self::Narrow(scan) => scan.run(setting, plan, number, segment, factors, top),
                Self::Wide(scan) => scan.run(setting, plan, number, segment, factors, top),
            }
        }
    }
}

/// Postings, and what to add for each.
struct Piece<T> {
    postings: Range<usize>,
    value: T,
}

/// Sums, and what else is filled and forgotten.
pub struct Scan<T> {
    /// One for each document of a segment, all zero between two scans.
    sums: Box<[T; MAX_DOCS]>,
    pieces: Vec<Piece<T>>,
    corrections: Corrections,
    selector: Selector,
    /// Scans that completed documents one by one, and scans that had to complete all.
    #[cfg(test)]
    completed: [usize; 2],
}

impl<T: Sum> Scan<T> {
    fn new() -> Self {
        let zeros = vec![T::default(); MAX_DOCS].into_boxed_slice();
        Self {
            sums: zeros.try_into().ok().expect("the length is MAX_DOCS"),
            pieces: Vec::new(),
            corrections: Corrections::default(),
            selector: Selector::default(),
            #[cfg(test)]
            completed: [0; 2],
        }
    }

    fn run<S: Symbol>(
        &mut self,
        setting: Setting,
        plan: &Plan,
        number: usize,
        segment: &Segment<S>,
        factors: &[f32],
        top: &mut TopK,
    ) {
        let Setting {
            shape,
            weighting,
            bounds,
        } = setting;
        let units = capacity::<T>() / (plan.norm() * bounds.sum);
        let cosine = 1.0 / (units * plan.norm());
        let few = top.k().saturating_mul(CHUNKS_EACH) <= segment.len().div_ceil(CHUNK);
        let mut left_out = None;
        if few && let Some(common) = segment.common.get() {
            let most = MOST_LEFT_OUT * plan.norm().powi(2);
            let (row, square) = plan.most_common(number, most);
            // An n-gram's value is off by less than a unit for each occurrence, of which a
            // position has as many as there are lengths.
            let lengths = shape.longest - shape.shortest + 1;
            let error = lengths as f64 * bounds.rounding;
            let reach = square.sqrt() * units;
            let make = || LeftOut::new(segment, common, weighting, row, reach, error);
            left_out = (square > 0.0).then(make);
        }

        plan.disjoint(
            shape,
            number,
            units,
            left_out.as_mut(),
            |paths, value, prefixes| {
                self.push(setting, segment, paths, value, prefixes);
            },
        );
        self.add_pieces(&segment.docs);
        self.add_corrections(setting, segment);

        let no_scores = Scores {
            sums: &[],
            factors,
            cosine,
            first: segment.first,
        };
        let mut offered = false;
        if let Some(left_out) = &left_out {
            let scores = Scores {
                sums: &self.sums[..segment.len()],
                ..no_scores
            };
            let limit = segment.len().div_ceil(COMPLETED_ONE_IN);
            offered = self.selector.complete(scores, left_out, limit, top);
            #[cfg(test)]
            {
                self.completed[usize::from(!offered)] += 1;
            }
            if !offered {
                plan.left_out(number, left_out, |paths, value, prefixes| {
                    self.push(setting, segment, paths, value, prefixes);
                });
                self.add_pieces(&segment.docs);
                self.add_corrections(setting, segment);
            }
        }
        let sums = &mut self.sums[..segment.len()];
        if !offered {
            let scores = Scores { sums, ..no_scores };
            self.selector.offer(scores, top);
        }
        sums.fill(T::default());
    }

    fn add_pieces(&mut self, docs: &[u16]) {
        for (at, piece) in self.pieces.iter().enumerate() {
            if let Some(next) = self.pieces.get(at + AHEAD) {
                prefetch(&docs[next.postings.start]);
            }
            let value = piece.value;
            let mut add = |doc: u16| {
                let sum = &mut self.sums[usize::from(doc)];
                *sum = sum.plus(value);
            };
            // Four are read at once; which of them is the first does not matter.
            let (fours, rest) = docs[piece.postings.clone()].as_chunks::<4>();
            for four in fours {
                let four: u64 = bytemuck::cast(*four);
                add(four as u16);
                add((four >> 16) as u16);
                add((four >> 32) as u16);
                add((four >> 48) as u16);
            }
            rest.iter().copied().for_each(add);
        }
        self.pieces.clear();
    }

    /// Takes paths and their value: `add_pieces` adds it for every posting, `add_corrections` what repeats are worth.
    fn push<S: Symbol>(
        &mut self,
        setting: Setting,
        segment: &Segment<S>,
        paths: Range<u32>,
        value: T,
        prefixes: Prefixes,
    ) {
        let postings = segment.trie.postings(paths);
        if prefixes.repeated && !segment.repeats.is_empty() {
            if self.corrections.are_many() {
                self.add_corrections(setting, segment);
            }
            let repeats = &segment.repeats;
            self.corrections.push(repeats, postings.clone(), prefixes);
        }
        if value != T::default() {
            self.pieces.push(Piece { postings, value });
        }
    }

    fn add_corrections<S: Symbol>(&mut self, setting: Setting, segment: &Segment<S>) {
        let weights = segment.weights(setting.weighting);
        let longest = setting.shape.longest;
        let sums = &mut self.sums;
        self.corrections
            .add(&segment.repeats, weights, longest, sums);
    }
}

/// Units in the largest sum, with room for the rounding of all additions.
fn capacity<T: Sum>() -> f64 {
    0.999 * 2f64.powi(T::BITS)
}
