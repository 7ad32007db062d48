//! The n-grams that most documents have, as a row of bits for each document.
//!
//! Their postings are two thirds of what queries would read, and weigh least. So a query leaves them
//! out at first (`left_out.rs`) and looks at the rows of those documents that may still be among the
//! best.

use super::ngrams::Shape;
use super::trie::Trie;
use super::weighting::Weighting;
use crate::cpu::prefetch;
use std::cmp::Reverse;
use std::ops::Range;

/// Common n-grams of a segment, at most: bits of a row.
pub const MOST: usize = 256;
/// Documents whose scores are compared at once: bits of a mask.
pub const CHUNK: usize = 64;
pub const WORDS: usize = MOST / 64;

/// Which common n-grams a document, or a query, has.
pub type Row = [u64; WORDS];

/// Whether a row has a common n-gram.
pub fn has(row: &Row, number: u8) -> bool {
    row[usize::from(number) / 64] >> (number % 64) & 1 == 1
}

// Tests have few documents.
/// Documents of the smallest segment where leaving out pays.
const LEAST_DOCUMENTS: usize = if cfg!(test) { 3 } else { 1024 };
/// An n-gram is common if there is at least one posting of it for so many documents.
const ONE_IN: usize = if cfg!(test) { 4 } else { 16 };

/// Common n-grams have numbers from zero on, in the order of their numbers as n-grams.
pub struct Common {
    /// Ascending.
    pub ngrams: Vec<u32>,
    /// One for each document.
    pub rows: Vec<Row>,
    /// For each document the norm of the weights of its common n-grams, in units of the weight of
    /// a frequency of one: the upper half of a float32, rounded up.
    pub norms: Vec<u16>,
    /// For each chunk of documents, the largest part that these are of the norm of a document.
    pub shares: Vec<f32>,
    /// And the average of these.
    pub share: f32,
    /// First repeat of each document, and their number.
    pub starts: Vec<u32>,
    /// Common n-grams that a document has more than once, by document.
    pub repeats: Vec<RepeatOf>,
}

/// A common n-gram that a document has more than once.
#[derive(Clone, Copy)]
pub struct RepeatOf {
    /// Its number among the common ones.
    pub number: u8,
    /// How often.
    pub tf: u16,
    /// The weight of this frequency, in units of the weight of a frequency of one.
    pub relative: f32,
}

impl Common {
    /// Finds the common n-grams of a segment; documents have no norms yet.
    pub fn of(shape: &Shape, trie: &Trie, docs: &[u16], documents: usize) -> Self {
        let mut rows = vec![Row::default(); documents];
        let mut ngrams = Vec::new();
        // Document, n-gram and frequency.
        let mut repeats: Vec<(u16, u8, u16)> = Vec::new();
        let mut counts = vec![0u32; documents];
        for (ngram, postings) in choose(shape, trie, documents) {
            let docs = &docs[postings];
            for &doc in docs {
                counts[usize::from(doc)] += 1;
            }
            // Nobody misses an n-gram that a document has so often.
            let fits = docs
                .iter()
                .all(|&doc| counts[usize::from(doc)] <= u16::MAX.into());
            let number = ngrams.len();
            for &doc in docs {
                let count = std::mem::take(&mut counts[usize::from(doc)]);
                if fits && count > 0 {
                    rows[usize::from(doc)][number / 64] |= 1 << (number % 64);
                    if count > 1 {
                        repeats.push((doc, number as u8, count as u16));
                    }
                }
            }
            if fits {
                ngrams.push(ngram);
            }
        }
        repeats.sort_unstable();
        let mut starts = vec![0u32; documents + 1];
        for &(doc, ..) in &repeats {
            starts[usize::from(doc) + 1] += 1;
        }
        for doc in 0..documents {
            starts[doc + 1] += starts[doc];
        }
        Self {
            ngrams,
            rows,
            norms: Vec::new(),
            shares: Vec::new(),
            share: 0.0,
            starts,
            repeats: repeats
                .into_iter()
                .map(|(_, number, tf)| RepeatOf {
                    number,
                    tf,
                    relative: 0.0,
                })
                .collect(),
        }
    }

    /// Gives the documents their norms, from the square of the idf of each common n-gram, and the
    /// repeats their weight.
    pub fn weigh(
        &mut self,
        idf_squares: &[f64],
        weighting: Weighting,
        penalties: &[f32],
        factors: &[f32],
    ) {
        let (repeats, starts) = (&mut self.repeats, &self.starts);
        let rows = self.rows.iter().enumerate();
        let norms = rows.map(|(doc, row)| {
            let of_bits: f64 = bits(row).map(|number| idf_squares[number]).sum();
            let penalty = penalties.get(doc).copied().unwrap_or_default();
            let range = starts[doc] as usize..starts[doc + 1] as usize;
            let of_repeats = repeats[range].iter_mut().map(|repeat| {
                let tf = repeat.tf.into();
                let relative = weighting.relative(tf, penalty.into());
                repeat.relative = relative as f32;
                (relative * relative - 1.0) * idf_squares[usize::from(repeat.number)]
            });
            upper_half((of_bits + of_repeats.sum::<f64>()).sqrt() as f32)
        });
        self.norms = norms.collect();
        let chunks = self.norms.chunks(CHUNK).zip(factors.chunks(CHUNK));
        let shares = chunks.map(|(norms, factors)| {
            let shares = norms.iter().zip(factors);
            let shares = shares.map(|(&norm, factor)| from_upper_half(norm) * factor);
            shares.fold(0.0, f32::max)
        });
        self.shares = shares.collect();
        self.share = self.shares.iter().sum::<f32>() / self.shares.len().max(1) as f32;
    }

    /// Number of a common n-gram, by its number as an n-gram.
    pub fn number(&self, ngram: u32) -> Option<u8> {
        let place = self.ngrams.binary_search(&ngram);
        place.ok().map(|number| number as u8)
    }

    /// Whether an n-gram with so many postings may be common.
    pub fn may_have(&self, postings: usize) -> bool {
        postings * ONE_IN >= self.rows.len() && !self.ngrams.is_empty()
    }

    /// How many a document has more than once, on average.
    pub fn repeats_each(&self) -> usize {
        self.repeats.len() / self.rows.len().max(1)
    }

    /// Common n-grams that a document has more than once.
    pub fn repeats_of(&self, doc: usize) -> &[RepeatOf] {
        &self.repeats[self.starts[doc] as usize..self.starts[doc + 1] as usize]
    }

    /// Fetches what is known about a document.
    pub fn prefetch(&self, doc: usize) {
        prefetch(&self.rows[doc]);
        prefetch(&self.starts[doc]);
    }

    /// Fetches what a document has more than once.
    pub fn prefetch_repeats(&self, doc: usize) {
        if let Some(repeat) = self.repeats.get(self.starts[doc] as usize) {
            prefetch(repeat);
        }
    }
}

/// The n-grams with the most postings, ascending, and these.
fn choose(shape: &Shape, trie: &Trie, documents: usize) -> Vec<(u32, Range<usize>)> {
    if documents < LEAST_DOCUMENTS {
        return Vec::new();
    }
    let mut chosen = Vec::new();
    // For each length, the n-gram of the current path and its first posting.
    let mut open = vec![(0, 0); shape.longest + 1];
    let mut depth = shape.shortest - 1;
    let mut ngram = 0;
    let mut close = |open: &[(u32, u32)], end: u32| {
        let postings = open.iter().map(|&(ngram, first)| (ngram, first..end));
        chosen.extend(postings.filter(|(_, range)| range.len() * ONE_IN >= documents));
    };
    for path in 0..trie.len() {
        let shared = usize::from(trie.shared[path]);
        close(&open[shared + 1..=depth], trie.starts.get(path) as u32);
        depth = trie.length(path);
        for slot in &mut open[shared + 1..=depth] {
            *slot = (ngram, trie.starts.get(path) as u32);
            ngram += 1;
        }
    }
    close(
        &open[shape.shortest..=depth],
        trie.starts.get(trie.len()) as u32,
    );
    chosen.sort_unstable_by_key(|(ngram, range)| (Reverse(range.len()), *ngram));
    chosen.truncate(MOST);
    chosen.sort_unstable_by_key(|(ngram, _)| *ngram);
    let places = |range: Range<u32>| range.start as usize..range.end as usize;
    let chosen = chosen.into_iter();
    chosen
        .map(|(ngram, range)| (ngram, places(range)))
        .collect()
}

/// Numbers of the bits of a row.
fn bits(row: &Row) -> impl Iterator<Item = usize> + '_ {
    row.iter().enumerate().flat_map(|(word, &bits)| {
        std::iter::successors(Some(bits), |&bits| Some(bits & bits.wrapping_sub(1)))
            .take_while(|&bits| bits != 0)
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
    })
}

/// The upper half of a positive number, rounded up.
fn upper_half(number: f32) -> u16 {
    ((number.to_bits() + 0xFFFF) >> 16) as u16
}

/// A number by its upper half.
#[inline(always)]
pub fn from_upper_half(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}
