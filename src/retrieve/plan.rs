//! A query as the set of its n-grams, and what each adds to the documents that have it.

use super::common::{Row, has};
use super::find::{Found, find};
use super::ngrams::{Shape, Symbol, shared_prefix};
use super::segment::{Model, Segment};
use super::trie::Place;
use rayon::prelude::*;
use std::cmp::Reverse;

/// A distinct n-gram of the query.
pub struct Ngram {
    pub length: u8,
    /// Occurrences in the query.
    pub tf: u32,
    /// Fitted documents that have it.
    pub df: u32,
    /// Weight in the query times idf: what one occurrence in a document adds.
    pub value: f64,
    /// Sum of the values of its prefixes and itself.
    pub path_value: f64,
    /// Square of its weight in the query.
    pub square: f64,
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

/// Some of a query's n-grams that are common in a segment.
#[derive(Debug, Default, PartialEq)]
pub struct MostCommon {
    pub row: Row,
    /// Sum of the squares of their weights in the query.
    pub square: f64,
    /// How many there are of all.
    pub postings: usize,
}

impl Plan {
    /// Plans a query, reusing the memory of the one before. With `together`, all threads look up
    /// its n-grams, a segment each.
    pub fn make<S: Symbol>(
        &mut self,
        shape: &Shape,
        model: &Model,
        segments: &[Segment<S>],
        query: &[S],
        together: bool,
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
                    square: 0.0,
                });
            }
            for &ngram in &open[shape.shortest..=path.len()] {
                self.ngrams[ngram].tf += 1;
            }
            previous = path;
        }

        let count = self.ngrams.len();
        let Self { ngrams, found, .. } = self;
        found.resize(count * segments.len(), Found::default());
        let found = found.chunks_mut(count.max(1));
        let in_segment = |segment, found: &mut [_], places: &mut Vec<_>, df: &mut [u32]| {
            let lengths = ngrams.iter().map(|ngram| ngram.length);
            find(shape, segment, &paths, &fresh, lengths, found, places, df);
        };
        let mut df = vec![0; count];
        if together {
            let each = segments.par_iter().zip(found.collect::<Vec<_>>());
            let each = each.map(|(segment, found)| {
                let mut df = vec![0; count];
                in_segment(segment, found, &mut Vec::new(), &mut df);
                df
            });
            for of_segment in each.collect::<Vec<_>>() {
                let sums = df.iter_mut().zip(of_segment);
                sums.for_each(|(sum, df)| *sum += df);
            }
        } else {
            for (segment, found) in segments.iter().zip(found) {
                in_segment(segment, found, &mut self.places, &mut df);
            }
        }
        for (ngram, df) in ngrams.iter_mut().zip(df) {
            ngram.df = df;
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
            ngram.square = saturation * ngram.value;
            square += ngram.square;
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

    #[cfg(test)]
    pub fn of(ngrams: Vec<Ngram>, found: Vec<Found>) -> Self {
        Self {
            ngrams,
            found,
            ..Self::default()
        }
    }

    /// Norm of the query's weights; zero if no n-gram is known.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// The n-grams that weigh something and that a segment has.
    pub fn in_segment(&self, segment: usize) -> impl Iterator<Item = (&Ngram, &Found)> {
        let count = self.ngrams.len();
        let found = &self.found[segment * count..(segment + 1) * count];
        let all = self.ngrams.iter().zip(found);
        all.filter(|(ngram, found)| found.first < found.end && ngram.value > 0.0)
    }

    /// The most common n-grams of the query that are common in a segment, as far as the squares of
    /// their weights add up to at most `most`. With an n-gram are those that it begins with.
    pub fn most_common(&self, segment: usize, most: f64) -> MostCommon {
        // Of the current n-gram's prefixes, and of none: whether all are common, and the number.
        let mut prefixes = [(true, None); u8::MAX as usize + 1];
        let mut common = Vec::new();
        for (ngram, found) in self.in_segment(segment) {
            let length = usize::from(ngram.length);
            let (all, prefix) = prefixes[length - 1];
            prefixes[length] = (all && found.common.is_some(), found.common);
            if let (true, Some(number)) = (all, found.common) {
                common.push((ngram, found, number, prefix));
            }
        }
        // Ties in the order of n-grams, so that none comes before one that it begins with.
        common.sort_unstable_by_key(|&(ngram, _, number, _)| (Reverse(ngram.df), number));
        let mut chosen = MostCommon::default();
        for (ngram, found, number, prefix) in common {
            let with_prefix = prefix.is_none_or(|prefix| has(&chosen.row, prefix));
            if with_prefix && chosen.square + ngram.square <= most {
                chosen.square += ngram.square;
                // Those of longer n-grams are among them.
                chosen.postings += prefix.map_or(found.postings as usize, |_| 0);
                chosen.row[usize::from(number) / 64] |= 1 << (number % 64);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ngram_is_left_out_with_those_it_begins_with() {
        // Two n-grams, and two that begin with the first of them.
        let ngrams = [(3, 9.0), (4, 1.0), (5, 1.0), (3, 2.0)];
        let ngram = |(place, (length, square)): (usize, (u8, f64))| Ngram {
            length,
            tf: 1,
            df: 100 - place as u32,
            value: 1.0,
            path_value: 1.0,
            square,
        };
        let found = |common| Found {
            end: 1,
            postings: 7,
            common,
            ..Found::default()
        };
        let plan = |common: [Option<u8>; 4]| {
            Plan::of(
                ngrams.into_iter().enumerate().map(ngram).collect(),
                common.map(found).to_vec(),
            )
        };
        // Those that begin with another have no postings but its.
        let chosen = |numbers: &[u8], square, postings| {
            let mut row = Row::default();
            row[0] = numbers.iter().fold(0, |bits, number| bits | 1 << number);
            MostCommon {
                row,
                square,
                postings,
            }
        };
        let all = plan([0, 1, 2, 3].map(Some));
        assert_eq!(all.most_common(0, 20.0), chosen(&[0, 1, 2, 3], 13.0, 14));
        assert_eq!(all.most_common(0, 11.0), chosen(&[0, 1, 2], 11.0, 7));
        assert_eq!(all.most_common(0, 8.0), chosen(&[3], 2.0, 7));
        let some = plan([None, Some(0), Some(1), Some(2)]);
        assert_eq!(some.most_common(0, 20.0), chosen(&[2], 2.0, 7));
        let some = plan([Some(0), None, Some(1), Some(2)]);
        assert_eq!(some.most_common(0, 20.0), chosen(&[0, 2], 11.0, 14));
    }
}
