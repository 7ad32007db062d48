//! Scores of a planned query: fixed-point sums over ranges of postings, then the best documents.
//!
//! Sums are integers, so they do not depend on the order of additions. The unit is chosen so that no
//! sum overflows: by Cauchy-Schwarz, a query of norm |q| gives a document at most |q| / factor. Each
//! addition is off by less than a unit, each document gets at most one addition per position and repeat,
//! so a cosine is off by at most `rounding` units divided by |q| (see `Bounds`). Where that is too
//! much for 32 bits, because of a few very long texts, the sums take 62.

use super::build::MAX_DOCS;
use super::corrections::Corrections;
use super::left_out::LeftOut;
use super::ngrams::{Shape, Symbol};
use super::plan::{MostCommon, Plan};
use super::ranges::Prefixes;
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
/// How many postings are added in the time that it takes to complete a document, more for each common
/// n-gram that it has more than once, and to add a repeat.
const COMPLETED: usize = if cfg!(test) { 1000 } else { 128 };
const COMPLETED_REPEAT: usize = 8;
const REPEAT: usize = 3;
/// Documents to complete for each that is wanted: some, and more where what is left out may be a larger part
/// of a document's norm. With fewer that pay, nothing is left out.
const CANDIDATES: f32 = if cfg!(test) { 0.5 } else { 2.0 };
const CANDIDATES_BY_SHARE: f32 = if cfg!(test) { 0.5 } else { 16.0 };

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
        let shape = setting.shape;
        let units = capacity::<T>() / (plan.norm() * setting.bounds.sum);
        let cosine = 1.0 / (units * plan.norm());
        let mut left_out = self.leave_out(setting, plan, number, segment, units, top.k());
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

        let (documents, first) = (segment.len(), segment.first);
        let mut offered = false;
        if let Some(left_out) = &left_out {
            let scores = Scores::new(&self.sums[..documents], factors, cosine, first);
            offered = self.selector.complete(scores, left_out, top);
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
        let sums = &mut self.sums[..documents];
        if !offered {
            let scores = Scores::new(sums, factors, cosine, first);
            self.selector.offer(scores, top);
        }
        sums.fill(T::default());
    }

    /// What the query leaves out at first, if that pays.
    fn leave_out<'a, S: Symbol>(
        &self,
        setting: Setting,
        plan: &Plan,
        number: usize,
        segment: &'a Segment<S>,
        units: f64,
        k: usize,
    ) -> Option<LeftOut<'a, T>> {
        let common = segment.common.get()?;
        let MostCommon {
            row,
            square,
            postings,
        } = plan.most_common(number, MOST_LEFT_OUT * plan.norm().powi(2));
        let repeats = segment.repeats.len() * postings / segment.docs.len().max(1);
        let completed = COMPLETED + COMPLETED_REPEAT * common.repeats_each();
        let limit = (postings + REPEAT * repeats) / completed;
        let candidates = k as f32 * (CANDIDATES + CANDIDATES_BY_SHARE * common.share);
        if (limit as f32) < candidates.max(1.0) {
            return None;
        }
        let reach = square.sqrt() * units;
        // An n-gram's value is off by less than a unit for each occurrence, of which a position has as
        // many as there are lengths.
        let lengths = setting.shape.longest - setting.shape.shortest + 1;
        let error = lengths as f64 * setting.bounds.rounding;
        Some(LeftOut::new(common, row, reach, error, limit))
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
        let (shape, sums) = (setting.shape, &mut self.sums);
        self.corrections.add(&segment.repeats, weights, shape, sums);
    }
}

/// Units in the largest sum, with room for the rounding of all additions, and for numbers that stand for
/// those below zero: in 32 bits a document has a few thousand additions at most, see `TOLERANCE`.
fn capacity<T: Sum>() -> f64 {
    0.999 * 2f64.powi(T::BITS)
}
