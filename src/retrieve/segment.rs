//! Up to 65,536 documents: their paths, postings and scale factors.

use super::buffer::{Buffer, prefetch};
use super::build;
use super::common::Common;
use super::counts::Counts;
use super::ngrams::{Shape, Symbol, Texts};
use super::norms::Norms;
use super::paths::DocRepeat;
use super::progress::Progress;
use super::trie::Trie;
use super::weighting::{IdfSquares, Weighting};
use crate::error::Result;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

/// Corrections for n-grams that a document has more than once, sorted by n-gram, then document.
pub struct Repeats {
    pub ngrams: Buffer<u32>,
    pub docs: Buffer<u16>,
    /// Weight of the frequency, in units of the weight of a frequency of one, less the frequency.
    pub excesses: Buffer<f64>,
    /// First repeat of every `MARK_EVERY`th n-gram.
    marks: Vec<u32>,
}

const MARK_EVERY: usize = 64;

impl Repeats {
    pub fn new(ngrams: Buffer<u32>, docs: Buffer<u16>, excesses: Buffer<f64>) -> Self {
        let end = ngrams.last().map_or(0, |&last| last as usize + 1);
        let mut marks = Vec::with_capacity(end.div_ceil(MARK_EVERY) + 1);
        for (place, &ngram) in ngrams.iter().enumerate() {
            while marks.len() * MARK_EVERY <= ngram as usize {
                marks.push(place as u32);
            }
        }
        marks.push(ngrams.len() as u32);
        Self {
            ngrams,
            docs,
            excesses,
            marks,
        }
    }

    fn none() -> Self {
        Self::new(Vec::new().into(), Vec::new().into(), Vec::new().into())
    }

    fn weighted(repeats: &[DocRepeat], weighting: Weighting, penalties: &[f32]) -> Self {
        let excess = |repeat: &DocRepeat| {
            weighting.excess(repeat.tf, penalties[usize::from(repeat.doc)].into())
        };
        let excesses: Vec<f64> = repeats.iter().map(excess).collect();
        let ngrams: Vec<u32> = repeats.iter().map(|repeat| repeat.ngram).collect();
        let docs: Vec<u16> = repeats.iter().map(|repeat| repeat.doc).collect();
        Self::new(ngrams.into(), docs.into(), excesses.into())
    }

    /// Fetches what `range` will read first.
    pub fn prefetch(&self, ngram: usize) {
        if let Some(mark) = self.marks.get(ngram / MARK_EVERY) {
            prefetch(mark);
        }
    }

    /// Places of the corrections for an n-gram.
    pub fn range(&self, ngram: usize) -> Range<usize> {
        let mark = ngram / MARK_EVERY;
        let range = match self.marks.get(mark..mark + 2) {
            Some(marks) => marks[0] as usize..marks[1] as usize,
            None => return 0..0,
        };
        let near = &self.ngrams[range.clone()];
        let first = range.start + near.partition_point(|&n| (n as usize) < ngram);
        let size = self.ngrams[first..range.end].partition_point(|&n| n as usize == ngram);
        if size > 0 {
            prefetch(&self.docs[first]);
            prefetch(&self.excesses[first]);
        }
        first..first + size
    }

    /// Documents and corrections at these places.
    pub fn at(&self, range: Range<usize>) -> impl Iterator<Item = (u16, f64)> + '_ {
        let docs = self.docs[range.clone()].iter().copied();
        docs.zip(self.excesses[range].iter().copied())
    }
}

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

/// Bounds over documents, from which the error of fixed-point sums follows (see `scan::Unit`).
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
    pub texts: Texts<S>,
    pub trie: Trie,
    /// Document of each posting.
    pub docs: Buffer<u16>,
    /// Empty where weights are linear in the frequency (tf-idf).
    pub repeats: Repeats,
    /// The n-grams that most documents have, once there are enough queries to find them for.
    pub common: OnceLock<Common>,
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
    pub fn build(
        shape: &Shape,
        texts: Texts<S>,
        table_bits: u32,
        first: u32,
        progress: Progress,
    ) -> Result<(Self, Vec<DocRepeat>)> {
        let built = build::build(shape, &texts, table_bits, progress)?;
        let segment = Self {
            trie: built.trie,
            common: OnceLock::new(),
            docs: built.docs.into(),
            repeats: Repeats::none(),
            df: Some(built.df),
            factors: vec![0.0; texts.len()],
            penalties: Vec::new().into(),
            texts,
            first,
        };
        Ok((segment, built.repeats))
    }

    /// Number of documents, removed ones included.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Weights the documents, given how many fitted documents have each n-gram of the segment.
    pub fn weigh(
        &mut self,
        shape: &Shape,
        model: &Model,
        frequencies: &Counts,
        repeats: &[DocRepeat],
    ) -> Bounds {
        let weighting = model.weighting;
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
            self.repeats = Repeats::weighted(repeats, weighting, &penalties);
            self.penalties = penalties.into();
        }
        bounds
    }

    /// One segment in place of two neighbours; texts of removed documents are dropped, their
    /// numbers stay.
    pub fn merge(shape: &Shape, weighting: Weighting, a: &Self, b: &Self) -> Result<Self> {
        let mut symbols = Vec::with_capacity(a.texts.symbols.len() + b.texts.symbols.len());
        let mut offsets = vec![0];
        for segment in [a, b] {
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
        let (mut merged, repeats) =
            Self::build(shape, texts, table_bits, a.first, Progress::new(&go))?;
        merged.df = None;
        merged.factors = [&a.factors[..], &b.factors].concat();
        if weighting != Weighting::TfIdf {
            let penalties = [&a.penalties[..], &b.penalties].concat();
            merged.repeats = Repeats::weighted(&repeats, weighting, &penalties);
            merged.penalties = penalties.into();
        }
        Ok(merged)
    }
}
