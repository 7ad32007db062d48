//! From the pairs of a call to the token sequences that are scored for them.

use super::tokenize::{PairTokenizer, TokenIds};
use super::truncate::Truncation;
use super::windows::{Aggregate, LongDocuments, combine, windows};
use crate::error::{Error, Result};
use crate::pool;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to score one call's pairs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Longest sequence, special tokens included.
    pub max_length: usize,
    pub truncation: Truncation,
    pub long_documents: LongDocuments,
}

/// Pairs as indices into a list of distinct texts.
pub struct Pairs<'a> {
    pub texts: Vec<&'a str>,
    pub pairs: Vec<(u32, u32)>,
    /// Instruction for models that read a pair as a chat.
    pub prompt: Option<&'a str>,
}

impl<'a> Pairs<'a> {
    /// Gives every distinct text one number, so that it is tokenised once.
    pub fn new(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut numbers: HashMap<&'a str, u32> = HashMap::new();
        let mut texts = Vec::new();
        let mut number = |text: &'a str| {
            *numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as u32 - 1
            })
        };
        let pairs = pairs
            .into_iter()
            .map(|(a, b)| (number(a), number(b)))
            .collect();
        Pairs {
            texts,
            pairs,
            prompt: None,
        }
    }
}

/// The part of each text that one sequence holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Range<usize>,
    pub second: Range<usize>,
}

/// One sequence to score.
pub struct Sequence {
    /// Its pair among the distinct ones.
    pub pair: usize,
    pub span: Span,
}

/// What will be scored.
pub struct Plan {
    pub texts: Vec<TokenIds>,
    /// Distinct pairs, as indices into `texts`.
    pub pairs: Vec<(u32, u32)>,
    /// Place among the distinct pairs of every pair of the call.
    pub place: Vec<usize>,
    pub sequences: Vec<Sequence>,
    /// The sequences of distinct pair `i` are `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    /// Tokens of every distinct pair that are in none of its sequences.
    lost: Vec<usize>,
    aggregate: Aggregate,
}

/// What a call has to do, in numbers.
#[derive(Clone, Debug)]
pub struct Report {
    /// Distinct texts that were tokenised.
    pub texts: usize,
    /// Sequences for the model: one for each distinct pair, or for each window of it.
    pub sequences: usize,
    /// Tokens of these sequences.
    pub tokens: usize,
    /// Tokens every pair of the call loses to `max_length`.
    pub lost: Vec<usize>,
}

impl Plan {
    pub fn new(
        pairs: &Pairs<'_>,
        tokenizer: &PairTokenizer,
        options: Options,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let texts = tokenise(&pairs.texts, tokenizer, cancel)?;
        let (distinct, place) = distinct(&pairs.pairs);
        let mut plan = Plan {
            texts,
            pairs: distinct,
            place,
            sequences: Vec::with_capacity(pairs.pairs.len()),
            starts: vec![0],
            lost: Vec::new(),
            aggregate: match options.long_documents {
                LongDocuments::Truncate => Aggregate::First,
                LongDocuments::Windows { aggregate, .. } => aggregate,
            },
        };
        for pair in 0..plan.pairs.len() {
            let (first, second) = plan.texts_of(pair);
            let (first, second) = (first.len(), second.len());
            let spans = spans(tokenizer, first, second, options)?;
            let covered = spans[0].first.len() + union(&spans);
            plan.lost.push(first + second - covered);
            plan.sequences
                .extend(spans.into_iter().map(|span| Sequence { pair, span }));
            plan.starts.push(plan.sequences.len());
        }
        Ok(plan)
    }

    /// Token ids of the two texts of a distinct pair.
    pub fn texts_of(&self, pair: usize) -> (&TokenIds, &TokenIds) {
        let (a, b) = self.pairs[pair];
        (&self.texts[a as usize], &self.texts[b as usize])
    }

    /// Sequences of every pair of the call.
    pub fn sequences_of_each(&self) -> impl Iterator<Item = &[Sequence]> {
        self.place
            .iter()
            .map(|&at| &self.sequences[self.starts[at]..self.starts[at + 1]])
    }

    /// Tokens of every sequence, special tokens included.
    pub fn lengths(&self, specials: usize) -> Vec<usize> {
        self.sequences
            .iter()
            .map(|s| s.span.first.len() + s.span.second.len() + specials)
            .collect()
    }

    /// For every sequence, the pairs of the call that are done with it.
    pub fn finished_by(&self) -> Vec<usize> {
        let mut counts = vec![0; self.sequences.len()];
        for &at in &self.place {
            counts[self.starts[at]] += 1;
        }
        counts
    }

    /// From the logits of the sequences to those of the pairs of the call, row by row.
    pub fn gather(&self, scored: &[f32], labels: usize) -> Vec<f32> {
        let mut combined = vec![0f32; self.pairs.len() * labels];
        for (pair, row) in combined.chunks_exact_mut(labels).enumerate() {
            let rows = &scored[self.starts[pair] * labels..self.starts[pair + 1] * labels];
            combine(self.aggregate, rows, labels, row);
        }
        let mut logits = Vec::with_capacity(self.place.len() * labels);
        for &at in &self.place {
            logits.extend_from_slice(&combined[at * labels..][..labels]);
        }
        logits
    }

    pub fn report(&self, specials: usize) -> Report {
        Report {
            texts: self.texts.len(),
            sequences: self.sequences.len(),
            tokens: self.lengths(specials).iter().sum(),
            lost: self.place.iter().map(|&at| self.lost[at]).collect(),
        }
    }
}

/// The sequences of one pair of texts of these many tokens.
fn spans(
    tokenizer: &PairTokenizer,
    first: usize,
    second: usize,
    options: Options,
) -> Result<Vec<Span>> {
    let span = tokenizer.fit(first, second, options.max_length, options.truncation)?;
    let size = span.second.len();
    let LongDocuments::Windows { aggregate, overlap } = options.long_documents else {
        return Ok(vec![span]);
    };
    if size == second {
        return Ok(vec![span]);
    }
    if size == 0 {
        return Err(Error::Input(format!(
            "max_length={} leaves no room for a window of the document",
            options.max_length
        )));
    }
    let mut cut = windows(second, size, overlap);
    if aggregate == Aggregate::First {
        cut.truncate(1);
    }
    Ok(cut
        .into_iter()
        .map(|second| Span {
            first: span.first.clone(),
            second,
        })
        .collect())
}

/// Document tokens that are in some span; neighbouring spans leave no gap.
fn union(spans: &[Span]) -> usize {
    let start = spans.first().map_or(0, |span| span.second.start);
    spans.last().map_or(0, |span| span.second.end - start)
}

/// Distinct pairs, and for every pair the place of its like.
fn distinct(pairs: &[(u32, u32)]) -> (Vec<(u32, u32)>, Vec<usize>) {
    let mut seen = HashMap::with_capacity(pairs.len());
    let mut distinct = Vec::with_capacity(pairs.len());
    let place = pairs
        .iter()
        .map(|&pair| {
            *seen.entry(pair).or_insert_with(|| {
                distinct.push(pair);
                distinct.len() - 1
            })
        })
        .collect();
    (distinct, place)
}

fn tokenise(
    texts: &[&str],
    tokenizer: &PairTokenizer,
    cancel: &AtomicBool,
) -> Result<Vec<TokenIds>> {
    pool::pool()?.install(|| {
        texts
            .par_iter()
            .map(|text| {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                tokenizer.encode(text)
            })
            .collect()
    })
}
