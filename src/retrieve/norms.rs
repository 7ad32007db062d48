//! The norms of a segment's documents.
//!
//! The squared norm of a document is a sum over its positions, the sum of `idf^2` over the prefixes
//! of a path being the same for all postings of the path, corrected where a frequency is above one.

use super::counts::Counts;
use super::ngrams::{Shape, Symbol};
use super::paths::Repeat;
use super::segment::{Model, Segment};
use rayon::prelude::*;
use std::ops::{AddAssign, Range};

/// Parts of the paths, and of the repeats, that are summed apart. A fixed number: sums of floating-point numbers depend
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
        let docs = segment.len();
        let length = |doc: usize| segment.texts.get(doc).len();
        let sums = Sums::of_segment(segment, shape, model, frequencies, repeats);
        let penalties: Vec<f64> = (0..docs)
            .map(|doc| {
                let known = shape.ngrams(length(doc)) - sums.unknown[doc];
                weighting.penalty(known, model.average_length)
            })
            .collect();
        let ones: Vec<f64> = penalties
            .iter()
            .map(|&penalty| weighting.saturation(1, penalty))
            .collect();
        let mut squares = sums.squares;
        for (square, one) in squares.iter_mut().zip(&ones) {
            *square *= one * one;
        }
        let mut terms: Vec<u32> = (0..docs)
            .map(|doc| shape.positions(length(doc)) as u32)
            .collect();
        let more = |doc: usize, tf: u32| {
            let weight = weighting.saturation(tf, penalties[doc]);
            weight * weight - f64::from(tf) * ones[doc] * ones[doc]
        };
        let part = repeats.len().div_ceil(PARTS).max(1);
        let corrections: Vec<Corrections> = repeats
            .par_chunks(part)
            .zip(sums.repeats.par_chunks(part))
            .map(|(repeats, idf_squares)| Corrections::of(segment, repeats, idf_squares, more))
            .collect();
        for part in corrections {
            add(&mut squares, &part.squares);
            add(&mut terms, &part.terms);
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

/// Sums over the repeats of each document.
struct Corrections {
    squares: Vec<f64>,
    /// Number of repeats.
    terms: Vec<u32>,
}

impl Corrections {
    /// Of each repeat the sum of `idf^2` of its n-grams is given; `more` is by how much the square
    /// of a weight is off, before idf.
    fn of<S: Symbol>(
        segment: &Segment<S>,
        repeats: &[Repeat],
        idf_squares: &[f64],
        more: impl Fn(usize, u32) -> f64,
    ) -> Self {
        let mut squares = vec![0.0; segment.len()];
        let mut terms = vec![0; segment.len()];
        for (repeat, idf_square) in repeats.iter().zip(idf_squares) {
            let doc = usize::from(segment.docs[repeat.posting as usize]);
            squares[doc] += more(doc, repeat.tf) * idf_square;
            terms[doc] += u32::from(repeat.to - repeat.from) + 1;
        }
        Self { squares, terms }
    }
}

fn add<T: Copy + AddAssign>(sums: &mut [T], part: &[T]) {
    sums.iter_mut()
        .zip(part)
        .for_each(|(sum, &part)| *sum += part);
}

/// Sums over the positions of each document.
struct Sums {
    /// Of `idf^2` of the n-grams there.
    squares: Vec<f64>,
    /// Of the n-grams there that no fitted document has.
    unknown: Vec<u64>,
    /// For each repeat the sum of `idf^2` of its n-grams.
    repeats: Vec<f64>,
}

impl Sums {
    fn of_segment<S: Symbol>(
        segment: &Segment<S>,
        shape: &Shape,
        model: &Model,
        frequencies: &Counts,
        repeats: &[Repeat],
    ) -> Self {
        let parts: Vec<Self> = (0..PARTS)
            .into_par_iter()
            .map(|part| Self::of_part(segment, shape, model, frequencies, repeats, part))
            .collect();
        let mut parts = parts.into_iter();
        let mut all = parts.next().expect("there are parts");
        for part in parts {
            add(&mut all.squares, &part.squares);
            add(&mut all.unknown, &part.unknown);
            all.repeats.extend(part.repeats);
        }
        all
    }

    fn of_part<S: Symbol>(
        segment: &Segment<S>,
        shape: &Shape,
        model: &Model,
        frequencies: &Counts,
        repeats: &[Repeat],
        part: usize,
    ) -> Self {
        let trie = &segment.trie;
        let mut squares = vec![0f64; segment.len()];
        let mut unknown = vec![0u64; segment.len()];
        let mut square_sums = vec![0f64; shape.longest + 1];
        let mut unknown_sums = vec![0u64; shape.longest + 1];
        let paths = paths_of_part(segment, part);
        let postings = trie.postings(paths.start as u32..paths.end as u32);
        let place = |posting: usize| repeats.partition_point(|r| (r.posting as usize) < posting);
        let repeats = &repeats[place(postings.start)..place(postings.end)];
        let mut idf_squares = Vec::with_capacity(repeats.len());
        let mut repeats = repeats.iter().peekable();
        let mut ngram = trie.first_ngram(paths.start);
        let mut frequencies = frequencies.ascending();
        for path in paths {
            let shared = usize::from(trie.shared[path]);
            let length = trie.length(path);
            for depth in shared + 1..=length {
                let df = frequencies.get(ngram);
                square_sums[depth] = square_sums[depth - 1] + model.idf_squares.get(df);
                unknown_sums[depth] = unknown_sums[depth - 1] + u64::from(df == 0);
                ngram += 1;
            }
            let postings = trie.postings(path as u32..path as u32 + 1);
            let end = postings.end as u32;
            while let Some(&Repeat { from, to, .. }) = repeats.next_if(|r| r.posting < end) {
                let above = square_sums[usize::from(from) - 1];
                idf_squares.push(square_sums[usize::from(to)] - above);
            }
            let docs = &segment.docs[postings];
            for &doc in docs {
                squares[usize::from(doc)] += square_sums[length];
            }
            if unknown_sums[length] > 0 {
                for &doc in docs {
                    unknown[usize::from(doc)] += unknown_sums[length];
                }
            }
        }
        Self {
            squares,
            unknown,
            repeats: idf_squares,
        }
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
