//! A query as the set of its n-grams, and what each adds to the documents that have it.

use super::ngrams::{Shape, Symbol, shared_prefix};
use super::segment::{Model, Segment};

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
    positions: Vec<u32>,
    ngrams: Vec<Ngram>,
    /// For each segment and n-gram, the paths that begin with it.
    ranges: Vec<(u32, u32)>,
    /// Norm of the query's weights.
    norm: f64,
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
        self.ranges.clear();
        self.positions.clear();
        let positions = shape.positions(query.len()) as u32;
        self.positions.extend(0..positions);
        let path = |position: u32| {
            let start = position as usize;
            &query[start..query.len().min(start + shape.longest)]
        };
        self.positions
            .sort_unstable_by(|&a, &b| path(a).cmp(path(b)));

        // The n-gram of each length that is a prefix of the current path.
        let mut open = [0; u8::MAX as usize + 1];
        let mut previous: &[S] = &[];
        let mut searches = Vec::with_capacity(positions as usize);
        for &position in &self.positions {
            let path = path(position);
            let shared = shared_prefix(previous, path).max(shape.shortest - 1);
            if shared < path.len() {
                searches.push((path, shared, self.ngrams.len()));
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
        self.ranges.resize(count * segments.len(), (0, 0));
        for (segment, ranges) in segments.iter().zip(self.ranges.chunks_mut(count.max(1))) {
            for &(path, shared, first) in &searches {
                let symbols = &segment.texts.symbols;
                segment
                    .trie
                    .prefixes(shape, symbols, path, |length, paths| {
                        if length > shared {
                            let ngram = first + length - shared - 1;
                            ranges[ngram] = (paths.start, paths.end);
                            if let Some(df) = &segment.df {
                                let place = segment.trie.ngram(paths.start as usize, length);
                                self.ngrams[ngram].df += df.get(place);
                            }
                        }
                    });
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

    fn in_segment(&self, segment: usize) -> impl Iterator<Item = (&Ngram, (u32, u32))> {
        let count = self.ngrams.len();
        let ranges = &self.ranges[segment * count..(segment + 1) * count];
        let all = self.ngrams.iter().zip(ranges.iter().copied());
        all.filter(|&(ngram, (first, end))| first < end && ngram.value > 0.0)
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
        for (ngram, (first, end)) in self.in_segment(segment) {
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

    /// Calls `visit(first path, length, value)` for each n-gram that the segment has.
    pub fn each(&self, segment: usize, mut visit: impl FnMut(u32, usize, f64)) {
        for (ngram, (first, _)) in self.in_segment(segment) {
            visit(first, ngram.length.into(), ngram.value);
        }
    }
}
