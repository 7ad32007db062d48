//! A query as the set of its n-grams, and what each adds to the documents that have it.

use super::common::{Row, has};
use super::left_out::LeftOut;
use super::ngrams::{Shape, Symbol, shared_prefix};
use super::segment::{Model, Segment};
use super::sum::Sum;
use super::trie::Place;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;

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
    /// Square of its weight in the query.
    square: f64,
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
    /// And how many postings these have.
    postings: u32,
    /// Its number.
    ngram: u32,
    /// Whether a document may have it more than once.
    repeated: bool,
    /// Its number among the common n-grams of the segment.
    common: Option<u8>,
}

/// N-grams of which each begins with the one before, as those of a path are.
pub struct Prefixes<'a> {
    /// Whether a document may have one of them more than once.
    pub repeated: bool,
    /// Up to this length they are left out.
    pub left_out: u8,
    /// Value of all up to this length, of all that are one longer, and so on, before rounding.
    pub values: &'a [f64],
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

/// An n-gram and all that it begins with.
#[derive(Clone, Copy)]
struct Prefix<T> {
    length: u8,
    left_out: u8,
    /// Whether a document may have one of them, of those not left out, more than once.
    repeated: bool,
    /// The value of all, and of those not left out.
    all: T,
    value: T,
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
        if together {
            let each = segments.par_iter().zip(found.collect::<Vec<_>>());
            let df: Vec<Vec<u32>> = each
                .map(|(segment, found)| {
                    let mut df = vec![0; count];
                    let places = &mut Vec::new();
                    look_up(
                        shape, segment, &paths, &fresh, ngrams, found, places, &mut df,
                    );
                    df
                })
                .collect();
            for df in df {
                let sums = ngrams.iter_mut().zip(df);
                sums.for_each(|(ngram, df)| ngram.df += df);
            }
        } else {
            let mut df = vec![0; count];
            for (segment, found) in segments.iter().zip(found) {
                let places = &mut self.places;
                look_up(
                    shape, segment, &paths, &fresh, ngrams, found, places, &mut df,
                );
            }
            let sums = ngrams.iter_mut().zip(df);
            sums.for_each(|(ngram, df)| ngram.df = df);
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

    /// The most common n-grams of the query that are common in a segment, as far as the squares of
    /// their weights add up to at most `most`. With an n-gram are those that it begins with.
    pub fn most_common(&self, segment: usize, most: f64) -> MostCommon {
        // Of the current n-gram's prefixes, and of none: whether all are common, and the number.
        let mut prefixes = [(true, None); u8::MAX as usize + 1];
        let mut common: Vec<(Reverse<u32>, u8, Option<u8>, f64, u32)> = Vec::new();
        for (ngram, found) in self.in_segment(segment) {
            let length = usize::from(ngram.length);
            let (all, prefix) = prefixes[length - 1];
            prefixes[length] = (all && found.common.is_some(), found.common);
            if let (true, Some(number)) = (all, found.common) {
                common.push((
                    Reverse(ngram.df),
                    number,
                    prefix,
                    ngram.square,
                    found.postings,
                ));
            }
        }
        // Ties in the order of n-grams, so that none comes before one that it begins with.
        common.sort_unstable_by_key(|&(df, number, ..)| (df, number));
        let mut chosen = MostCommon::default();
        for (_, number, prefix, square, postings) in common {
            let with_prefix = prefix.is_none_or(|prefix| has(&chosen.row, prefix));
            if with_prefix && chosen.square + square <= most {
                chosen.square += square;
                // Those of longer n-grams are among them.
                chosen.postings += prefix.map_or(postings as usize, |_| 0);
                chosen.row[usize::from(number) / 64] |= 1 << (number % 64);
            }
        }
        chosen
    }

    /// Cuts the ranges of all n-grams, nested as they are, into disjoint ones: calls `visit(paths,
    /// value, prefixes)` for each, where value is the sum of the values of the n-grams whose range it
    /// is in. N-grams that are `left_out` go there instead.
    pub fn disjoint<T: Sum>(
        &self,
        shape: &Shape,
        segment: usize,
        units: f64,
        mut left_out: Option<&mut LeftOut<T>>,
        mut visit: impl FnMut(Range<u32>, T, Prefixes),
    ) {
        let zero = T::default();
        let none = Prefix {
            length: shape.shortest as u8 - 1,
            left_out: shape.shortest as u8 - 1,
            repeated: false,
            all: zero,
            value: zero,
        };
        // The prefixes of the current n-gram, and before rounding the value of all up to each.
        let mut prefixes = [none; u8::MAX as usize + 1];
        let mut values = [0.0; u8::MAX as usize + 1];
        // Enclosing ranges: end, and what the n-gram is.
        let mut enclosing: Vec<(u32, Prefix<T>)> = Vec::new();
        let mut done = 0;
        let mut emit = |from: u32, to: u32, prefix: &Prefix<T>, values: &[f64]| {
            // What begins with n-grams that are left out may add less than a unit to them. It is repeated
            // all the same.
            if from < to && (prefix.value != zero || prefix.repeated) {
                let prefixes = Prefixes {
                    repeated: prefix.repeated,
                    left_out: prefix.left_out,
                    values: &values[prefix.left_out.into()..=prefix.length.into()],
                };
                visit(from..to, prefix.value, prefixes);
            }
        };
        for (ngram, found) in self.in_segment(segment) {
            // Values of paths are rounded, and an n-gram's own is the difference it makes: so sums
            // do not depend on what is left out. Upwards: what is above zero stays above it.
            let length = usize::from(ngram.length);
            let value = ngram.path_value * units;
            let all = T::rounded(value.ceil());
            let above = prefixes[length - 1];
            let own = all.minus(above.all);
            let prefix = match (&mut left_out, found.common) {
                (Some(left_out), Some(number)) if left_out.has(number) => {
                    left_out.set(number, own, [values[length - 1], value]);
                    // And so is all that it begins with.
                    Prefix {
                        length: ngram.length,
                        left_out: ngram.length,
                        all,
                        ..above
                    }
                }
                _ => Prefix {
                    length: ngram.length,
                    repeated: above.repeated || found.repeated,
                    all,
                    value: above.value.plus(own),
                    ..above
                },
            };
            while let Some((outer_end, outer)) = enclosing.last() {
                if *outer_end > found.first {
                    emit(done, found.first, outer, &values);
                    break;
                }
                emit(done, *outer_end, outer, &values);
                done = done.max(*outer_end);
                enclosing.pop();
            }
            prefixes[length] = prefix;
            values[length] = value;
            done = found.first;
            enclosing.push((found.end, prefix));
        }
        while let Some((end, prefix)) = enclosing.pop() {
            emit(done, end, &prefix, &values);
            done = end;
        }
    }

    /// Calls `visit(paths, value, prefixes)` for each n-gram that is `left_out`: what they lack that
    /// it is a prefix of.
    pub fn left_out<T: Sum>(
        &self,
        segment: usize,
        left_out: &LeftOut<T>,
        mut visit: impl FnMut(Range<u32>, T, Prefixes),
    ) {
        for (ngram, found) in self.in_segment(segment) {
            if let Some(number) = found.common
                && left_out.has(number)
            {
                let (value, values) = left_out.value(number);
                let prefixes = Prefixes {
                    repeated: found.repeated,
                    left_out: ngram.length - 1,
                    values,
                };
                visit(found.first..found.end, value, prefixes);
            }
        }
    }
}

/// Finds n-grams in a segment, and adds up how many documents have each. `paths` are those of the
/// query; `fresh` says of each how many symbols it shares with those before, and which n-gram is the
/// first that it is the first to have.
#[allow(clippy::too_many_arguments)]
fn look_up<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    paths: &[&[S]],
    fresh: &[(usize, usize)],
    ngrams: &[Ngram],
    found: &mut [Found],
    places: &mut Vec<Place>,
    df: &mut [u32],
) {
    let (trie, symbols) = (&segment.trie, &segment.texts.symbols);
    if let Some(codes) = segment.codes() {
        let wanted = paths.iter().zip(fresh);
        let wanted = wanted.map(|(&path, &(shared, _))| (path, shared));
        codes.walk(shape, trie, wanted, |number, length, ngram| {
            let (shared, first) = fresh[number];
            let end = codes.end(ngram, length);
            codes.prefetch_path(ngram);
            codes.prefetch_path(end);
            if let Some(df) = &segment.df {
                df.prefetch(ngram);
            }
            let found = &mut found[first + length - shared - 1];
            (found.ngram, found.end) = (ngram as u32, end as u32);
        });
        // In loops of their own, so that no n-gram waits for another's memory.
        for found in found.iter_mut().filter(|found| found.end > 0) {
            found.first = codes.path(found.ngram as usize);
            found.end = codes.path(found.end as usize);
            trie.prefetch_postings(found.first, found.end);
        }
    } else {
        trie.places(shape, symbols, paths, places);
        for ((path, &(shared, first)), place) in paths.iter().zip(fresh).zip(places.iter()) {
            trie.prefixes(shape, symbols, path, place, |length, paths| {
                if length > shared {
                    trie.prefetch_postings(paths.start, paths.end);
                    trie.prefetch_ngram(paths.start as usize);
                    let found = &mut found[first + length - shared - 1];
                    (found.first, found.end) = (paths.start, paths.end);
                }
            });
        }
        for (found, ngram) in found.iter_mut().zip(ngrams) {
            if found.first < found.end {
                let number = trie.ngram(found.first as usize, ngram.length.into());
                found.ngram = number as u32;
                if let Some(df) = &segment.df {
                    df.prefetch(number);
                }
            }
        }
    }
    for (found, sum) in found.iter_mut().zip(df) {
        if found.first < found.end {
            let range = trie.postings(found.first..found.end);
            let postings = range.len();
            let df = segment.df.as_ref().map(|df| df.get(found.ngram as usize));
            found.postings = postings as u32;
            *sum += df.unwrap_or(0);
            found.repeated = df.is_none_or(|df| (df as usize) < postings);
            if found.repeated {
                segment.repeats.prefetch_marks(&range);
            }
            let common = segment.common.get();
            let common = common.filter(|common| common.may_have(postings));
            found.common = common.and_then(|common| common.number(found.ngram));
        }
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
        let plan = |common: [Option<u8>; 4]| Plan {
            ngrams: ngrams.into_iter().enumerate().map(ngram).collect(),
            found: common.map(found).to_vec(),
            ..Plan::default()
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

    #[test]
    fn what_is_repeated_is_visited_however_little_it_adds() {
        let shape = Shape {
            bits: 2,
            shortest: 3,
            longest: 3,
        };
        let ngram = |_| Ngram {
            length: 3,
            tf: 1,
            df: 1,
            value: 1.0,
            path_value: 1.0,
            square: 1.0,
        };
        let found = |number: u32| Found {
            first: number,
            end: number + 1,
            repeated: number == 1,
            ..Found::default()
        };
        let plan = Plan {
            ngrams: (0..3).map(ngram).collect(),
            found: (0..3).map(found).collect(),
            ..Plan::default()
        };
        for (units, expected) in [(1.0, vec![(0, 1), (1, 1), (2, 1)]), (0.0, vec![(1, 0)])] {
            let mut visited = Vec::new();
            let visit = |paths: Range<u32>, value: u32, _: Prefixes| {
                visited.push((paths.start, value));
            };
            plan.disjoint(&shape, 0, units, None, visit);
            assert_eq!(visited, expected);
        }
    }
}
