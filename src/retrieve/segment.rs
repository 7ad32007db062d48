//! Up to 65,536 documents: their paths, postings and scale factors.

use super::again::Repeat;
use super::buffer::Buffer;
use super::build;
use super::codes::Codes;
use super::common::Common;
use super::counts::Counts;
use super::ngrams::{Shape, Symbol, Texts};
use super::norms::{Frequencies, Norms};
use super::progress::Progress;
use super::repeats::{Repeats, Weights};
use super::trie::Trie;
use super::weighting::{IdfSquares, Weighting};
use crate::error::Result;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

/// What was learned when the index was fitted.
pub struct Model {
    pub weighting: Weighting,
    /// Fitted documents.
    pub fitted: u64,
    /// Mean number of n-grams of a fitted document.
    pub average_length: f64,
    pub idf_squares: IdfSquares,
}

impl Model {
    pub fn new(weighting: Weighting, fitted: u64, average_length: f64) -> Self {
        Self {
            weighting,
            fitted,
            average_length,
            idf_squares: IdfSquares::new(weighting, fitted),
        }
    }
}

/// Bounds over documents, from which the error of fixed-point sums follows (see `scan.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Largest sum a query of norm one can give a document: the largest inverse factor.
    pub sum: f64,
    /// Largest product of a document's factor and its number of terms.
    pub rounding: f64,
}

impl Bounds {
    pub fn join(self, other: Self) -> Self {
        Self {
            sum: self.sum.max(other.sum),
            rounding: self.rounding.max(other.rounding),
        }
    }
}

/// A part of the index. All but the factors is immutable.
pub struct Segment<S: Symbol> {
    /// Empty where paths are spelled without.
    pub texts: Texts<S>,
    pub trie: Trie,
    /// Document of each posting.
    pub docs: Buffer<u16>,
    /// Empty where weights are linear in the frequency (tf-idf).
    pub repeats: Repeats,
    /// The n-grams that most documents have, once there are enough queries to find them for.
    pub common: OnceLock<Common>,
    /// Its n-grams, once many are looked up; none if they do not fit in bytes.
    pub codes: OnceLock<Option<Codes>>,
    /// For fitted segments: how many documents have each n-gram.
    pub df: Option<Counts>,
    /// Turns a query's sum over a document into a cosine: the weight of a frequency of one, by the
    /// document's norm. Zero for documents without weights and for removed ones.
    pub factors: Vec<f32>,
    /// BM25's length penalty of each document; empty for tf-idf.
    pub penalties: Buffer<f32>,
    /// Number, in the index, of the first document.
    pub first: u32,
}

impl<S: Symbol> Segment<S> {
    /// Sorts the texts; documents have no weights yet. Also gives the n-grams that documents repeat.
    /// Those of `added` texts have no df; the texts stay, as the segment is to be merged later.
    pub fn build(
        shape: &Shape,
        texts: Texts<S>,
        table_bits: u32,
        added: bool,
        first: u32,
        progress: Progress,
    ) -> Result<(Self, Vec<Repeat>)> {
        let built = build::build(shape, &texts, table_bits, added, progress)?;
        let segment = Self {
            trie: built.trie,
            common: OnceLock::new(),
            codes: OnceLock::new(),
            docs: built.docs,
            repeats: Repeats::default(),
            df: built.df,
            factors: vec![0.0; texts.len()],
            penalties: Vec::new().into(),
            texts,
            first,
        };
        Ok((segment, built.repeats))
    }

    /// Number of documents, removed ones included.
    pub fn len(&self) -> usize {
        self.factors.len()
    }

    /// What its repeats are weighed with.
    pub fn weights(&self, weighting: Weighting) -> Weights<'_> {
        Weights {
            weighting,
            docs: &self.docs,
            penalties: &self.penalties,
        }
    }

    /// Finds the codes of its n-grams, unless they are known.
    pub fn find_codes(&self, shape: &Shape) {
        if self.codes.get().is_none() {
            let codes = Codes::of(shape, &self.trie, &self.texts.symbols);
            // Another thread may have found the same.
            let _ = self.codes.set(codes);
        }
    }

    /// The codes of its n-grams, if they are known and fit in bytes.
    pub fn codes(&self) -> Option<&Codes> {
        self.codes.get()?.as_ref()
    }

    /// Weights the documents, given how many fitted documents have each n-gram of the segment:
    /// without it, those of the segment are all there are.
    pub fn weigh(
        &mut self,
        shape: &Shape,
        model: &Model,
        frequencies: Option<Frequencies<S>>,
        repeats: &[Repeat],
    ) -> Bounds {
        let weighting = model.weighting;
        let own = || self.df.as_ref().map(Frequencies::Counted);
        let frequencies = frequencies.or_else(own).expect("a segment alone is fitted");
        let norms = Norms::new(self, shape, model, frequencies, repeats);
        let mut bounds = Bounds::default();
        for doc in 0..self.len() {
            let factor = norms.factor(doc);
            self.factors[doc] = factor as f32;
            if self.factors[doc] > 0.0 {
                bounds = bounds.join(Bounds {
                    sum: 1.0 / factor,
                    rounding: f64::from(norms.terms[doc]) * factor,
                });
            }
        }
        if weighting != Weighting::TfIdf {
            let penalties: Vec<f32> = norms.penalties.iter().map(|&p| p as f32).collect();
            self.repeats = Repeats::new(shape, repeats, self.docs.len());
            self.penalties = penalties.into();
        }
        bounds
    }

    /// Forgets the texts if nobody will ask for them: those of a fitted segment are not merged.
    pub fn forget_texts(&mut self) {
        if !self.trie.spelling.needs_texts() {
            self.texts = Texts::default();
        }
    }

    /// One segment in place of several neighbours; texts of removed documents are dropped, their
    /// numbers stay.
    pub fn merge(shape: &Shape, weighting: Weighting, segments: &[Self]) -> Result<Self> {
        let size = segments.iter().map(|s| s.texts.symbols.len()).sum();
        let mut symbols = Vec::with_capacity(size);
        let mut offsets = vec![0];
        for segment in segments {
            for doc in 0..segment.len() {
                if segment.factors[doc] > 0.0 {
                    symbols.extend_from_slice(segment.texts.get(doc));
                }
                offsets.push(symbols.len() as u32);
            }
        }
        let texts = Texts {
            symbols: symbols.into(),
            offsets: offsets.into(),
        };
        let table_bits = build::table_bits(shape, build::positions(shape, &texts));
        let go = AtomicBool::new(false);
        let first = segments[0].first;
        let (mut merged, repeats) =
            Self::build(shape, texts, table_bits, true, first, Progress::new(&go))?;
        let factors: Vec<&[f32]> = segments.iter().map(|s| &s.factors[..]).collect();
        merged.factors = factors.concat();
        if weighting != Weighting::TfIdf {
            let penalties: Vec<&[f32]> = segments.iter().map(|s| &s.penalties[..]).collect();
            merged.penalties = penalties.concat().into();
            merged.repeats = Repeats::new(shape, &repeats, merged.docs.len());
        }
        Ok(merged)
    }
}
