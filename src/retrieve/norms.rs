//! The norms of a segment's documents.
//!
//! The squared norm of a document is a sum over its positions, the sum of `idf^2` over the prefixes
//! of a path being the same for all postings of the path, corrected where a frequency is above one.

use super::again::Repeat;
use super::counts::Counts;
use super::lookup::{self, Fitted};
use super::ngrams::{Shape, Symbol};
use super::records::MAX_DOCS;
use super::segment::{Model, Segment};
use super::weighting::Weighting;
use rayon::prelude::*;
use std::ops::{AddAssign, Range};

/// Parts of the paths that are summed apart, of a fitted segment, and of an added one at most, and how many
/// paths are worth one of these. Not as many as there are threads: sums of floating-point numbers depend on
/// their order, and results must not depend on the number of threads.
const PARTS: usize = 4;
const MOST_PARTS: usize = 16;
const PART: usize = 2048;

/// How many fitted documents have each n-gram of a segment.
#[derive(Clone, Copy)]
pub enum Frequencies<'a, S: Symbol> {
    /// Counted, as the segment is fitted.
    Counted(&'a Counts),
    /// Looked up in these, as it is not.
    LookedUp(&'a [Fitted<'a, S>]),
}

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
        frequencies: Frequencies<S>,
        repeats: &[Repeat],
    ) -> Self {
        let weighting = model.weighting;
        let penalties = |unknown: &[u64]| -> Vec<f64> {
            let known = |doc: usize| shape.ngrams(segment.texts.get(doc).len()) - unknown[doc];
            let penalty = |doc| weighting.penalty(known(doc), model.average_length);
            (0..segment.len()).map(penalty).collect()
        };
        // Some fitted document has every n-gram of a fitted one; and nothing penalises tf-idf's.
        let fitted = matches!(frequencies, Frequencies::Counted(_));
        let all_known = fitted || weighting == Weighting::TfIdf;
        let known = all_known.then(|| penalties(&vec![0; segment.len()]));
        // By how much the square of a weight is off, in units of that of a frequency of one.
        let more = |penalty: f64, tf: u32| {
            let weight = weighting.relative(tf, penalty);
            weight * weight - f64::from(tf)
        };
        let walk = Walk {
            segment,
            shape,
            model,
            frequencies,
            repeats,
        };
        let sums = walk.sums(known.as_deref(), more);
        let mut squares = sums.squares;
        let penalties = known.unwrap_or_else(|| {
            let penalties = penalties(&sums.unknown);
            for (repeat, of_ngrams) in repeats.iter().zip(&sums.of_repeats) {
                let doc = usize::from(segment.docs[repeat.posting as usize]);
                squares[doc] += more(penalties[doc], repeat.tf) * of_ngrams;
            }
            penalties
        });
        let one = |&penalty: &f64| weighting.saturation(1, penalty);
        let ones: Vec<f64> = penalties.iter().map(one).collect();
        for (square, one) in squares.iter_mut().zip(&ones) {
            *square *= one * one;
        }
        Self {
            squares,
            ones,
            penalties,
            terms: sums.terms,
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
    /// Of `idf^2` of the n-grams there, corrected where a frequency is above one and penalties are known.
    squares: Vec<f64>,
    /// Number of positions, and of n-grams that the document has more than once.
    terms: Vec<u32>,
    /// Where penalties are not known: number of n-grams that no fitted document has, and for each repeat
    /// the sum of `idf^2` of its n-grams.
    unknown: Vec<u64>,
    of_repeats: Vec<f64>,
}

/// The paths of a segment, from the first to the last.
#[derive(Clone, Copy)]
struct Walk<'a, S: Symbol> {
    segment: &'a Segment<S>,
    shape: &'a Shape,
    model: &'a Model,
    frequencies: Frequencies<'a, S>,
    repeats: &'a [Repeat],
}

impl<S: Symbol> Walk<'_, S> {
    fn sums(self, penalties: Option<&[f64]>, more: impl Fn(f64, u32) -> f64 + Sync) -> Sums {
        let texts = &self.segment.texts;
        let parts = match self.frequencies {
            Frequencies::Counted(_) => PARTS,
            Frequencies::LookedUp(_) => (self.segment.trie.len() / PART).clamp(1, MOST_PARTS),
        };
        let of_part = |part| {
            let paths = paths_of_part(self.segment, part, parts);
            match texts.len() {
                0..=FEW => self.sums_of::<FEW>(paths, penalties, &more),
                _ => self.sums_of::<MAX_DOCS>(paths, penalties, &more),
            }
        };
        let parts: Vec<Sums> = (0..parts).into_par_iter().map(of_part).collect();
        let positions = (0..texts.len()).map(|doc| self.shape.positions(texts.get(doc).len()));
        let mut all = Sums {
            squares: vec![0.0; texts.len()],
            terms: positions.map(|positions| positions as u32).collect(),
            unknown: vec![0; texts.len()],
            of_repeats: Vec::new(),
        };
        for part in parts {
            add(&mut all.squares, &part.squares);
            add(&mut all.terms, &part.terms);
            add(&mut all.unknown, &part.unknown);
            all.of_repeats.extend(part.of_repeats);
        }
        all
    }

    /// Of some paths of a segment of at most `MOST` documents, a power of two.
    fn sums_of<const MOST: usize>(
        self,
        paths: Range<usize>,
        penalties: Option<&[f64]>,
        more: impl Fn(f64, u32) -> f64,
    ) -> Sums {
        // As many as there can be, so that no index, of which `at` leaves the bits there are, is out of
        // bounds.
        let mut squares = vec![0f64; MOST];
        let squares: &mut [f64; MOST] = (&mut squares[..]).try_into().expect("the length");
        let at = |doc: u16| usize::from(doc) & (MOST - 1);
        let count = self.segment.len();
        let mut terms = vec![0u32; count];
        let mut unknown = vec![0u64; if penalties.is_none() { count } else { 0 }];
        let mut of_repeats = Vec::new();
        let docs = &self.segment.docs[..];
        let sizes = self.segment.texts.offsets.windows(2);
        let long = sizes.map(|pair| pair[1] - pair[0]).max() > Some(LONG);
        let first = self.segment.trie.starts.get(paths.start);
        let before = |repeat: &Repeat| u64::from(repeat.posting) < first;
        let repeats = &self.repeats[self.repeats.partition_point(before)..];
        let mut repeats = repeats.iter().peekable();
        self.for_each_path(paths, |postings, sums, new| {
            let end = postings.end as u32;
            let sum = *sums.last().expect("a path has n-grams");
            if penalties.is_none() && new > 0 {
                for &doc in &docs[postings.clone()] {
                    unknown[usize::from(doc)] += new as u64;
                }
            }
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
                match penalties {
                    Some(penalties) => squares[doc] += more(penalties[doc], repeat.tf) * of_ngrams,
                    None => of_repeats.push(of_ngrams),
                }
                terms[doc] += u32::from(to - from) + 1;
            }
        });
        Sums {
            squares: squares[..count].to_vec(),
            terms,
            unknown,
            of_repeats,
        }
    }

    /// Calls `visit(postings, sums, unknown)` for some paths: for each length the sum of `idf^2` of the
    /// prefixes up to that length, and the number of prefixes that no fitted document has.
    fn for_each_path(self, paths: Range<usize>, visit: impl FnMut(Range<usize>, &[f64], usize)) {
        match self.frequencies {
            Frequencies::Counted(counts) => {
                let mut counts = counts.ascending();
                self.for_each_path_of(paths, |ngram| counts.get(ngram), visit);
            }
            Frequencies::LookedUp(fitted) => {
                let first = self.segment.trie.first_ngram(paths.start);
                let found = lookup::of_paths(self.shape, self.segment, paths.clone(), fitted);
                self.for_each_path_of(paths, |ngram| found[ngram - first], visit);
            }
        }
    }

    fn for_each_path_of(
        self,
        paths: Range<usize>,
        mut frequency: impl FnMut(usize) -> u32,
        mut visit: impl FnMut(Range<usize>, &[f64], usize),
    ) {
        let trie = &self.segment.trie;
        let idf_squares = &self.model.idf_squares;
        let mut sums = vec![0f64; self.shape.longest + 1];
        // The longest prefix that a fitted document has: it has those that are shorter as well.
        let mut known = 0;
        let mut ngram = trie.first_ngram(paths.start);
        let mut start = trie.starts.get(paths.start) as usize;
        let shared = &trie.shared[paths.clone()];
        let fresh = &trie.fresh[paths.clone()];
        for (path, (&shared, &fresh)) in paths.zip(shared.iter().zip(fresh)) {
            let (shared, fresh) = (usize::from(shared), usize::from(fresh));
            let mut sum = sums[shared];
            known = shared.min(known.max(self.shape.shortest - 1));
            let slots = &mut sums[shared + 1..=shared + fresh];
            for (slot, ngram) in slots.iter_mut().zip(ngram..) {
                let df = frequency(ngram);
                known += usize::from(df > 0);
                sum += idf_squares.get(df);
                *slot = sum;
            }
            ngram += fresh;
            let end = trie.starts.get(path + 1) as usize;
            let length = shared + fresh;
            visit(start..end, &sums[..=length], length - known);
            start = end;
        }
    }
}

/// Paths of one of so many parts: whole buckets, with about as many postings as the other parts.
fn paths_of_part<S: Symbol>(segment: &Segment<S>, part: usize, parts: usize) -> Range<usize> {
    let trie = &segment.trie;
    let bound = |part: usize| {
        let goal = segment.docs.len() * part / parts;
        let firsts = trie.table.firsts();
        let before = |&path: &u32| (trie.starts.get(path as usize) as usize) < goal;
        let bucket = firsts.partition_point(before);
        firsts[bucket.min(firsts.len() - 1)] as usize
    };
    bound(part)..bound(part + 1)
}
