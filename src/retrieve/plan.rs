//! A query as the set of its n-grams, and what each adds to the documents that have it.

use super::ngrams::{Shape, Symbol, shared_prefix};
use super::segment::{Model, Segment};
use super::trie::Place;

/// A distinct n-gram of the query.
struct Ngram {
    length: u8,
    /// Occurrences in the query.
    tf: u32,
    /// Fitted documents that have it.
    df: u32,
    /// Weight in the query times idf: what one occurrence in a document adds.
    value: f64,
    /// Sum of the values of its prefixes and itself.
    path_value: f64,
}

/// Prefixes before what they begin.
#[derive(Default)]
pub struct Plan {
    positions: Vec<(u64, u32)>,
    ngrams: Vec<Ngram>,
    /// For each segment and n-gram, where it is.
    found: Vec<Found>,
    places: Vec<Place>,
    /// Norm of the query's weights.
    norm: f64,
}

/// An n-gram in a segment.
#[derive(Clone, Copy, Default)]
struct Found {
    /// The paths that begin with it.
    first: u32,
    end: u32,
    /// Its number.
    ngram: u32,
    /// Whether a document may have it more than once.
    repeated: bool,
}

impl Plan {
    /// Plans a query, reusing the memory of the one before.
    pub fn make<S: Symbol>(
        &mut self,
        shape: &Shape,
        model: &Model,
        segments: &[Segment<S>],
        query: &[S],
    ) {
        self.ngrams.clear();
        self.found.clear();
        self.positions.clear();
        let positions = shape.positions(query.len());
        let path = |position: u32| {
            let start = position as usize;
            &query[start..query.len().min(start + shape.longest)]
        };
        let keyed = (0..positions as u32).map(|p| (S::head(query, p as usize, path(p).len()), p));
        self.positions.extend(keyed);
        let order = |&(a, p): &(u64, u32), &(b, q): &(u64, u32)| {
            a.cmp(&b).then_with(|| path(p).cmp(path(q)))
        };
        self.positions.sort_unstable_by(order);

        // The n-gram of each length that is a prefix of the current path.
        let mut open = [0; u8::MAX as usize + 1];
        let mut previous: &[S] = &[];
        // Paths, and of each the number of symbols shared with those before, and its first n-gram.
        let mut paths = Vec::with_capacity(positions);
        let mut fresh = Vec::with_capacity(positions);
        for &(_, position) in &self.positions {
            let path = path(position);
            let shared = shared_prefix(previous, path).max(shape.shortest - 1);
            if shared < path.len() {
                paths.push(path);
                fresh.push((shared, self.ngrams.len()));
            }
            for (length, ngram) in open
                .iter_mut()
                .enumerate()
                .take(path.len() + 1)
                .skip(shared + 1)
            {
                *ngram = self.ngrams.len();
                self.ngrams.push(Ngram {
                    length: length as u8,
                    tf: 0,
                    df: 0,
                    value: 0.0,
                    path_value: 0.0,
                });
            }
            for &ngram in &open[shape.shortest..=path.len()] {
                self.ngrams[ngram].tf += 1;
            }
            previous = path;
        }

        let count = self.ngrams.len();
        self.found.resize(count * segments.len(), Found::default());
        for (segment, found) in segments.iter().zip(self.found.chunks_mut(count.max(1))) {
            let (trie, symbols) = (&segment.trie, &segment.texts.symbols);
            trie.places(shape, symbols, &paths, &mut self.places);
            for ((path, &(shared, first)), place) in paths.iter().zip(&fresh).zip(&self.places) {
                trie.prefixes(shape, symbols, path, place, |length, paths| {
                    if length > shared {
                        trie.prefetch(paths.start, paths.end);
                        let found = &mut found[first + length - shared - 1];
                        (found.first, found.end) = (paths.start, paths.end);
                    }
                });
            }
            // In loops of their own, so that no n-gram waits for another's memory.
            for (found, ngram) in found.iter_mut().zip(&self.ngrams) {
                if found.first < found.end {
                    let number = trie.ngram(found.first as usize, ngram.length.into());
                    found.ngram = number as u32;
                    if let Some(df) = &segment.df {
                        df.prefetch(number);
                    }
                }
            }
            for (found, ngram) in found.iter_mut().zip(&mut self.ngrams) {
                if found.first < found.end {
                    let postings = trie.postings(found.first..found.end).len();
                    let df = segment.df.as_ref().map(|df| df.get(found.ngram as usize));
                    ngram.df += df.unwrap_or(0);
                    found.repeated = df.is_none_or(|df| (df as usize) < postings);
                    if found.repeated {
                        segment.repeats.prefetch(found.ngram as usize);
                    }
                }
            }
        }
        self.weigh(shape, model);
    }

    fn weigh(&mut self, shape: &Shape, model: &Model) {
        let known = self.ngrams.iter().filter(|ngram| ngram.df > 0);
        let length = known.map(|ngram| u64::from(ngram.tf)).sum();
        let penalty = model.weighting.penalty(length, model.average_length);
        let mut square = 0.0;
        let mut sums = [0.0; u8::MAX as usize + 1];
        for ngram in &mut self.ngrams {
            let idf_square = model.idf_squares.get(ngram.df);
            let saturation = model.weighting.saturation(ngram.tf, penalty);
            ngram.value = saturation * idf_square;
            square += saturation * ngram.value;
            let length = usize::from(ngram.length);
            let above = if length > shape.shortest {
                sums[length - 1]
            } else {
                0.0
            };
            ngram.path_value = above + ngram.value;
            sums[length] = ngram.path_value;
        }
        self.norm = square.sqrt();
    }

    /// Norm of the query's weights; zero if no n-gram is known.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    fn in_segment(&self, segment: usize) -> impl Iterator<Item = (&Ngram, &Found)> {
        let count = self.ngrams.len();
        let found = &self.found[segment * count..(segment + 1) * count];
        let all = self.ngrams.iter().zip(found);
        all.filter(|(ngram, found)| found.first < found.end && ngram.value > 0.0)
    }

    /// Cuts the ranges of all n-grams, nested as they are, into disjoint ones: calls `visit(paths,
    /// value)` for each, where value is the sum of the values of the n-grams whose range it is in.
    pub fn disjoint(&self, segment: usize, mut visit: impl FnMut(std::ops::Range<u32>, f64)) {
        // Enclosing ranges: end and value.
        let mut enclosing: Vec<(u32, f64)> = Vec::new();
        let mut done = 0;
        let mut emit = |from: u32, to: u32, value: f64| {
            if from < to {
                visit(from..to, value);
            }
        };
        for (ngram, &Found { first, end, .. }) in self.in_segment(segment) {
            while let Some(&(outer_end, value)) = enclosing.last() {
                if outer_end > first {
                    emit(done, first, value);
                    break;
                }
                emit(done, outer_end, value);
                done = done.max(outer_end);
                enclosing.pop();
            }
            done = first;
            enclosing.push((end, ngram.path_value));
        }
        while let Some((end, value)) = enclosing.pop() {
            emit(done, end, value);
            done = end;
        }
    }

    /// Calls `visit(number, value)` for each n-gram that a document of the segment may repeat.
    pub fn repeated(&self, segment: usize, mut visit: impl FnMut(usize, f64)) {
        let all = self.in_segment(segment);
        for (ngram, found) in all.filter(|(_, found)| found.repeated) {
            visit(found.ngram as usize, ngram.value);
        }
    }
}
