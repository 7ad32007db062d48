//! The norms of a segment's documents.
//!
//! The squared norm of a document is a sum over its positions, the sum of `idf^2` over the prefixes
//! of a path being the same for all postings of the path, corrected where a frequency is above one.

use super::again::Repeat;
use super::counts::Counts;
use super::ngrams::{Shape, Symbol};
use super::records::MAX_DOCS;
use super::segment::{Model, Segment};
use super::weighting::Weighting;
use rayon::prelude::*;
use std::ops::{AddAssign, Range};

/// Parts of the paths that are summed apart. A fixed number: sums of floating-point numbers depend
/// on their order, and results must not depend on the number of threads.
const PARTS: usize = 4;

/// What the scale factors of the documents are made of.
pub struct Norms {
    squares: Vec<f64>,
    /// Weight of a frequency of one, before idf.
    ones: Vec<f64>,
    pub penalties: Vec<f64>,
    /// Additions that a query makes to a document, at most.
    pub terms: Vec<u32>,
}

impl Norms {
    pub fn new<S: Symbol>(
        segment: &Segment<S>,
        shape: &Shape,
        model: &Model,
        frequencies: &Counts,
        repeats: &[Repeat],
    ) -> Self {
        let weighting = model.weighting;
        let walk = Walk {
            segment,
            shape,
            frequencies,
        };
        let length = |doc: usize| segment.texts.get(doc).len();
        // Some fitted document has every n-gram of a fitted one; and nothing penalises tf-idf's.
        let known = segment.df.is_some() || weighting == Weighting::TfIdf;
        let unknown = (!known).then(|| walk.unknown());
        let penalties: Vec<f64> = (0..segment.len())
            .map(|doc| {
                let unknown = unknown.as_ref().map_or(0.0, |unknown| unknown[doc]);
                let known = shape.ngrams(length(doc)) - unknown as u64;
                weighting.penalty(known, model.average_length)
            })
            .collect();
        let ones: Vec<f64> = penalties
            .iter()
            .map(|&penalty| weighting.saturation(1, penalty))
            .collect();
        // By how much the square of a weight is off, in units of that of a frequency of one.
        let more = |doc: usize, tf: u32| {
            let weight = weighting.relative(tf, penalties[doc]);
            weight * weight - f64::from(tf)
        };
        let Sums { mut squares, terms } = walk.sums(model, repeats, more);
        for (square, one) in squares.iter_mut().zip(&ones) {
            *square *= one * one;
        }
        Self {
            squares,
            ones,
            penalties,
            terms,
        }
    }

    /// Weight of a frequency of one by the norm; zero for a document without weights.
    pub fn factor(&self, doc: usize) -> f64 {
        let square = self.squares[doc];
        if square > 0.0 {
            self.ones[doc] / square.sqrt()
        } else {
            0.0
        }
    }
}

fn add<T: Copy + AddAssign>(sums: &mut [T], part: &[T]) {
    sums.iter_mut()
        .zip(part)
        .for_each(|(sum, &part)| *sum += part);
}

/// Documents of a segment for which less memory is zeroed: of those added together.
const FEW: usize = 1 << 12;

/// Texts with more symbols have n-grams so often that adding one by one, and correcting what is too
/// much, loses digits: theirs are counted first.
const LONG: u32 = 1 << 16;

/// Sums over the positions of each document.
struct Sums {
    /// Of `idf^2` of the n-grams there, corrected where a frequency is above one.
    squares: Vec<f64>,
    /// Number of positions, and of n-grams that the document has more than once.
    terms: Vec<u32>,
}

/// The paths of a segment, from the first to the last.
#[derive(Clone, Copy)]
struct Walk<'a, S: Symbol> {
    segment: &'a Segment<S>,
    shape: &'a Shape,
    frequencies: &'a Counts,
}

impl<S: Symbol> Walk<'_, S> {
    /// For each document its n-grams, as often as it has them, that no fitted document has.
    fn unknown(self) -> Vec<f64> {
        let of_part = |part| {
            let mut unknown = vec![0.0; self.segment.len()];
            let one = |df| if df == 0 { 1.0 } else { 0.0 };
            self.for_each_path(part, one, |postings, sums| {
                let sum = *sums.last().expect("a path has n-grams");
                if sum > 0.0 {
                    for &doc in &self.segment.docs[postings] {
                        unknown[usize::from(doc)] += sum;
                    }
                }
            });
            unknown
        };
        let parts: Vec<Vec<f64>> = (0..PARTS).into_par_iter().map(of_part).collect();
        let mut unknown = vec![0.0; self.segment.len()];
        parts.iter().for_each(|part| add(&mut unknown, part));
        unknown
    }

    fn sums(
        self,
        model: &Model,
        repeats: &[Repeat],
        more: impl Fn(usize, u32) -> f64 + Sync,
    ) -> Sums {
        let texts = &self.segment.texts;
        let parts = (0..PARTS).into_par_iter();
        let of_part = |part| match texts.len() {
            0..=FEW => self.sums_of_part::<FEW>(part, model, repeats, &more),
            _ => self.sums_of_part::<MAX_DOCS>(part, model, repeats, &more),
        };
        let parts: Vec<Sums> = parts.map(of_part).collect();
        let positions = (0..texts.len()).map(|doc| self.shape.positions(texts.get(doc).len()));
        let mut all = Sums {
            squares: vec![0.0; texts.len()],
            terms: positions.map(|positions| positions as u32).collect(),
        };
        for part in parts {
            add(&mut all.squares, &part.squares);
            add(&mut all.terms, &part.terms);
        }
        all
    }

    /// For a segment of at most `MOST` documents, a power of two.
    fn sums_of_part<const MOST: usize>(
        self,
        part: usize,
        model: &Model,
        repeats: &[Repeat],
        more: impl Fn(usize, u32) -> f64,
    ) -> Sums {
        // As many as there can be, so that no index, of which `at` leaves the bits there are, is out of
        // bounds.
        let mut squares = vec![0f64; MOST];
        let squares: &mut [f64; MOST] = (&mut squares[..]).try_into().expect("the length");
        let at = |doc: u16| usize::from(doc) & (MOST - 1);
        let mut terms = vec![0u32; self.segment.len()];
        let docs = &self.segment.docs[..];
        let sizes = self.segment.texts.offsets.windows(2);
        let long = sizes.map(|pair| pair[1] - pair[0]).max() > Some(LONG);
        let first = self.postings(part).start;
        let before = repeats.partition_point(|repeat| (repeat.posting as usize) < first);
        let mut repeats = repeats[before..].iter().peekable();
        let idf_square = |df| model.idf_squares.get(df);
        self.for_each_path(part, idf_square, |postings, sums| {
            let end = postings.end as u32;
            let sum = *sums.last().expect("a path has n-grams");
            match long {
                false => docs[postings]
                    .iter()
                    .for_each(|&doc| squares[at(doc)] += sum),
                true => {
                    for run in docs[postings].chunk_by(|a, b| a == b) {
                        squares[at(run[0])] += sum * run.len() as f64;
                    }
                }
            }
            while let Some(repeat) = repeats.next_if(|repeat| repeat.posting < end) {
                let &Repeat { from, to, .. } = repeat;
                let doc = usize::from(docs[repeat.posting as usize]);
                let of_ngrams = sums[usize::from(to)] - sums[usize::from(from) - 1];
                squares[doc] += more(doc, repeat.tf) * of_ngrams;
                terms[doc] += u32::from(to - from) + 1;
            }
        });
        Sums {
            squares: squares[..terms.len()].to_vec(),
            terms,
        }
    }

    /// Calls `visit(postings, sums)` for each path of a part: for each length, the sum of what `value`
    /// makes of the df of its prefixes up to that length.
    fn for_each_path(
        self,
        part: usize,
        value: impl Fn(u32) -> f64,
        mut visit: impl FnMut(Range<usize>, &[f64]),
    ) {
        let trie = &self.segment.trie;
        let mut sums = vec![0f64; self.shape.longest + 1];
        let paths = paths_of_part(self.segment, part);
        let mut ngram = trie.first_ngram(paths.start);
        let mut frequencies = self.frequencies.ascending();
        let mut start = trie.starts.get(paths.start) as usize;
        let shared = &trie.shared[paths.clone()];
        let fresh = &trie.fresh[paths.clone()];
        for (path, (&shared, &fresh)) in paths.zip(shared.iter().zip(fresh)) {
            let (shared, fresh) = (usize::from(shared), usize::from(fresh));
            let mut sum = sums[shared];
            let slots = &mut sums[shared + 1..=shared + fresh];
            for (slot, ngram) in slots.iter_mut().zip(ngram..) {
                sum += value(frequencies.get(ngram));
                *slot = sum;
            }
            ngram += fresh;
            let end = trie.starts.get(path + 1) as usize;
            visit(start..end, &sums[..=shared + fresh]);
            start = end;
        }
    }

    /// Postings of one part.
    fn postings(self, part: usize) -> Range<usize> {
        let paths = paths_of_part(self.segment, part);
        let trie = &self.segment.trie;
        trie.postings(paths.start as u32..paths.end as u32)
    }
}

/// Paths of one part: whole buckets, with about as many postings as the other parts.
fn paths_of_part<S: Symbol>(segment: &Segment<S>, part: usize) -> Range<usize> {
    let trie = &segment.trie;
    let bound = |part: usize| {
        let goal = segment.docs.len() * part / PARTS;
        let firsts = trie.table.firsts();
        let before = |&path: &u32| (trie.starts.get(path as usize) as usize) < goal;
        let bucket = firsts.partition_point(before);
        firsts[bucket.min(firsts.len() - 1)] as usize
    };
    bound(part)..bound(part + 1)
}
