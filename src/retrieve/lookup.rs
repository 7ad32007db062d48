//! How many fitted documents have the n-grams of other texts.

use super::counts::{Counts, Draft};
use super::ngrams::{Shape, Symbol};
use super::segment::Segment;
use super::trie::run_after;
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Paths that are worth a task.
const TASK: usize = 1024;
/// Children that are passed by one by one before they are searched.
const MAX_HOPS: usize = 32;

/// For each n-gram of a `segment` that is not fitted, its frequency in those that are.
pub fn of_added<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    fitted: &[Segment<S>],
) -> Result<Counts> {
    let trie = &segment.trie;
    let paths = trie.len();
    let tasks = paths.div_ceil(TASK).max(1);
    let parts: Vec<Draft> = (0..tasks)
        .into_par_iter()
        .map(|task| {
            let paths = paths * task / tasks..paths * (task + 1) / tasks;
            let fresh = trie.fresh[paths.clone()].iter();
            let ngrams = fresh.map(|&fresh| usize::from(fresh)).sum();
            let mut frequencies = vec![0; ngrams];
            for segment_fitted in fitted {
                if let Some(df) = &segment_fitted.df {
                    let descent = Descent::new(shape, segment_fitted, df);
                    descent.add_frequencies(segment, paths.clone(), &mut frequencies);
                }
            }
            frequencies.into()
        })
        .collect();
    Counts::join(parts.iter())
}

/// For some n-grams of a segment, their frequency in the segments that are `fitted`.
pub fn of_ngrams<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    ngrams: &[u32],
    fitted: &[Segment<S>],
) -> Vec<u32> {
    let spelled = |&ngram: &u32| {
        let (paths, length) = segment.trie.paths(ngram as usize);
        let first = paths.start as usize;
        let path = segment.trie.path(shape, &segment.texts.symbols, first);
        (path, length)
    };
    let spelled: Vec<_> = ngrams.iter().map(spelled).collect();
    let spelled = spelled.iter();
    let wanted: Vec<&[S]> = spelled.map(|(path, length)| &path[..*length]).collect();
    let mut frequencies = vec![0; wanted.len()];
    let mut places = Vec::new();
    for Segment {
        trie, texts, df, ..
    } in fitted
    {
        let Some(df) = df else { continue };
        trie.places(shape, &texts.symbols, &wanted, &mut places);
        for ((wanted, place), frequency) in wanted.iter().zip(&places).zip(&mut frequencies) {
            trie.prefixes(shape, &texts.symbols, wanted, place, |length, paths| {
                if length == wanted.len() {
                    *frequency += df.get(trie.ngram(paths.start as usize, length));
                }
            });
        }
    }
    frequencies
}

/// Goes down a fitted trie along ascending paths of another one: what two of them share is looked
/// up once, and each search begins where the last one on its level ended.
struct Descent<'a, S: Symbol> {
    shape: &'a Shape,
    fitted: &'a Segment<S>,
    df: &'a Counts,
    /// For each length, the fitted paths that begin with so many symbols of the current path.
    found: Vec<Range<usize>>,
    /// For each length, where a search among the children of the level above begins.
    next: Vec<usize>,
}

impl<'a, S: Symbol> Descent<'a, S> {
    fn new(shape: &'a Shape, fitted: &'a Segment<S>, df: &'a Counts) -> Self {
        Self {
            shape,
            fitted,
            df,
            found: vec![0..0; shape.longest + 1],
            next: vec![0; shape.longest + 2],
        }
    }

    fn add_frequencies(
        mut self,
        segment: &Segment<S>,
        paths: Range<usize>,
        frequencies: &mut [u32],
    ) {
        let trie = &segment.trie;
        let first = paths.start;
        let mut ngrams = frequencies.iter_mut();
        for path in paths {
            let wanted = &trie.path(self.shape, &segment.texts.symbols, path)[..];
            let shared = usize::from(trie.shared[path]);
            if path == first {
                // The levels that it shares with a path of another task.
                (self.shape.shortest..=shared).for_each(|length| self.step(wanted, length));
            }
            for length in shared + 1..=wanted.len() {
                self.step(wanted, length);
                let found = &self.found[length];
                let frequency = ngrams.next().expect("one for each n-gram of the paths");
                if !found.is_empty() {
                    let ngram = self.fitted.trie.ngram(found.start, length);
                    *frequency += self.df.get(ngram);
                }
            }
        }
    }

    /// Finds the paths that begin with `length` symbols of `wanted` among those of the level above.
    fn step(&mut self, wanted: &[S], length: usize) {
        let trie = &self.fitted.trie;
        let symbols = &self.fitted.texts.symbols;
        let found = if length == self.shape.shortest {
            let key = self.shape.key(wanted);
            let bucket = trie.bucket(key);
            if length as u32 * self.shape.bits == trie.table_bits {
                bucket
            } else {
                let number = trie.bucket_number(key);
                let compare = |path| {
                    let path = trie.path_in(self.shape, symbols, number, path);
                    path[..length.min(path.len())].cmp(&wanted[..length])
                };
                let start = search(bucket.clone(), |path| compare(path).is_lt());
                start..search(start..bucket.end, |path| compare(path).is_le())
            }
        } else {
            self.child(length, wanted[length - 1])
        };
        self.next[length] = found.end;
        self.next[length + 1] = found.start;
        self.found[length] = found;
    }

    /// The paths that go on with `symbol` among those of the level above `length`.
    fn child(&self, length: usize, symbol: S) -> Range<usize> {
        let trie = &self.fitted.trie;
        let depth = length - 1;
        // Zero, less than any symbol, where the path ends.
        let symbols = &self.fitted.texts.symbols;
        let code = |path: usize| trie.code(self.shape, symbols, path, depth);
        let symbol = symbol.code().into();
        let Range { mut start, end } = self.found[depth];
        start = start.max(self.next[length]);
        // From one child to the next: the first path of each shares only the level above.
        let after = |start: usize| start + 1 + run_after(&trie.shared[start + 1..end], length);
        for hop in 0.. {
            if start >= end {
                break;
            }
            let found = code(start);
            if found == symbol {
                return start..after(start);
            }
            if found > symbol {
                break;
            }
            start = match hop < MAX_HOPS {
                true => after(start),
                false => search(start..end, |path| code(path) < symbol),
            };
        }
        start..start
    }
}

/// First place of a range where `before` is false, looked for near the start first.
fn search(range: Range<usize>, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut step) = (range.start, 1);
    let mut high = low;
    while high < range.end && before(high) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    high = high.min(range.end);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::search;

    #[test]
    fn finds_the_first_place() {
        for start in 0..5 {
            for end in start..40 {
                for first in start..=end {
                    let found = search(start..end, |place| {
                        assert!((start..end).contains(&place));
                        place < first
                    });
                    assert_eq!(found, first);
                }
            }
        }
    }
}
