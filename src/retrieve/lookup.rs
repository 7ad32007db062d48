//! How many fitted documents have the n-grams of other texts.

use super::codes::Codes;
use super::counts::Counts;
use super::ngrams::{Shape, Symbol};
use super::segment::Segment;
use std::ops::Range;

/// A segment that was fitted, and what look-ups read of it.
pub struct Fitted<'a, S: Symbol> {
    segment: &'a Segment<S>,
    df: &'a Counts,
    codes: Option<&'a Codes>,
}

impl<'a, S: Symbol> Fitted<'a, S> {
    /// Those of `segments` that were.
    pub fn of(shape: &Shape, segments: &'a [Segment<S>]) -> Vec<Self> {
        let fitted = segments.iter().filter_map(|segment| {
            let df = segment.df.as_ref()?;
            segment.find_codes(shape);
            Some(Self {
                segment,
                df,
                codes: segment.codes(),
            })
        });
        fitted.collect()
    }
}

/// For each n-gram that some paths of a segment are the first to have, its frequency in those that are
/// `fitted`. The paths are those of whole buckets.
pub fn of_paths<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    paths: Range<usize>,
    fitted: &[Fitted<S>],
) -> Vec<u32> {
    let added = Added::new(shape, segment, paths);
    let mut frequencies = vec![0; added.ngrams()];
    for &Fitted { segment, df, codes } in fitted {
        match codes {
            Some(codes) => added.merge(segment, codes, df, &mut frequencies),
            None => added.search(segment, df, &mut frequencies),
        }
    }
    frequencies
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
    for segment in fitted {
        let Some(df) = &segment.df else { continue };
        for_each_prefix(shape, segment, &wanted, |number, length, ngram| {
            if length == wanted[number].len() {
                frequencies[number] += df.get(ngram);
            }
        });
    }
    frequencies
}

/// Calls `found(number, length, n-gram)` for the prefixes of the `wanted` paths that a segment has.
fn for_each_prefix<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    wanted: &[&[S]],
    mut found: impl FnMut(usize, usize, usize),
) {
    let (trie, symbols) = (&segment.trie, &segment.texts.symbols);
    let mut places = Vec::new();
    trie.places(shape, symbols, wanted, &mut places);
    for (number, (wanted, place)) in wanted.iter().zip(&places).enumerate() {
        trie.prefixes(shape, symbols, wanted, place, |length, paths| {
            found(number, length, trie.ngram(paths.start as usize, length));
        });
    }
}

/// Some paths of a segment that was added.
struct Added<'a, S: Symbol> {
    shape: &'a Shape,
    /// Each with the number of symbols that it shares with the one before.
    paths: Vec<(&'a [S], usize)>,
}

impl<'a, S: Symbol> Added<'a, S> {
    /// Paths of whole buckets: the first shares nothing that counts with the one before.
    fn new(shape: &'a Shape, segment: &'a Segment<S>, paths: Range<usize>) -> Self {
        let (trie, symbols) = (&segment.trie, &segment.texts.symbols);
        let path = |path| (trie.text(symbols, path), trie.shared[path].into());
        Self {
            shape,
            paths: paths.map(path).collect(),
        }
    }

    /// Number of n-grams.
    fn ngrams(&self) -> usize {
        let fresh = self.paths.iter().map(|(path, shared)| path.len() - shared);
        fresh.sum()
    }

    /// Adds how many documents of a fitted segment have each n-gram. One search for each path.
    fn search(&self, fitted: &Segment<S>, df: &Counts, frequencies: &mut [u32]) {
        let wanted: Vec<&[S]> = self.paths.iter().map(|&(path, _)| path).collect();
        let firsts = self.paths.iter().scan(0, |next, (path, shared)| {
            let first = *next;
            *next += path.len() - shared;
            Some((first, *shared))
        });
        let firsts: Vec<(usize, usize)> = firsts.collect();
        for_each_prefix(self.shape, fitted, &wanted, |path, length, ngram| {
            let (first, shared) = firsts[path];
            if length > shared {
                frequencies[first + length - shared - 1] += df.get(ngram);
            }
        });
    }

    /// The same along the codes of the fitted segment.
    fn merge(&self, fitted: &Segment<S>, codes: &Codes, df: &Counts, frequencies: &mut [u32]) {
        let mut df = df.ascending();
        let paths = self.paths.iter().copied();
        codes.walk(self.shape, &fitted.trie, paths, |number, _, ngram| {
            frequencies[number] += df.get(ngram);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::Index;
    use super::super::progress::Progress;
    use super::super::texts::Encoded;
    use super::super::weighting::Weighting;
    use super::*;
    use std::collections::{HashMap, HashSet};
    use std::sync::atomic::AtomicBool;

    fn encoded<S: Symbol>(texts: &[Vec<S>]) -> Encoded<S> {
        let ends = texts.iter().scan(0, |end, text| {
            *end += text.len();
            Some(*end)
        });
        Encoded {
            symbols: texts.concat(),
            ends: ends.collect(),
        }
    }

    fn ngrams<'a, S: Symbol + std::hash::Hash>(
        shape: &Shape,
        text: &'a [S],
    ) -> impl Iterator<Item = &'a [S]> {
        (shape.shortest..=shape.longest).flat_map(|n| text.windows(n))
    }

    /// Compares the ways of looking up with counting. Says whether there were codes.
    fn compare<S: Symbol + std::hash::Hash>(shape: Shape, most: u32, seed: u32) -> bool {
        let mut state = seed;
        let mut next = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        // Low symbols are frequent, so that texts share long n-grams. Some texts are empty.
        let mut texts = |count: u32, most: u32| -> Vec<Vec<S>> {
            let mut text = |_| {
                let length = next(40) * next(4);
                let mut symbol = |_| {
                    let bound = 1 + next(most);
                    S::from_code(1 + next(bound))
                };
                (0..length).map(&mut symbol).collect()
            };
            (0..count).map(&mut text).collect()
        };
        // The largest symbol is one that fitted texts do not have.
        let (fitted, added) = (texts(300, most - 1), texts(60, most));
        let go = AtomicBool::new(false);
        let progress = Progress::new(&go);
        let blocks = vec![encoded(&fitted)];
        let mut index = Index::fit(shape, Weighting::TfIdf, blocks, progress).unwrap();
        index.add(vec![encoded(&added)], progress).unwrap();
        let mut counted: HashMap<&[S], u32> = HashMap::new();
        for text in &fitted {
            let distinct: HashSet<&[S]> = ngrams(&shape, text).collect();
            distinct
                .into_iter()
                .for_each(|ngram| *counted.entry(ngram).or_default() += 1);
        }
        let distinct: HashSet<&[S]> = added.iter().flat_map(|t| ngrams(&shape, t)).collect();
        let mut distinct: Vec<&[S]> = distinct.into_iter().collect();
        distinct.sort_unstable();
        let expected = distinct
            .iter()
            .map(|n| counted.get(n).copied().unwrap_or(0));
        let expected: Vec<u32> = expected.collect();
        assert!(expected.contains(&0) && expected.iter().any(|&df| df > 1));

        let [fitted, added] = &index.segments[..] else {
            panic!("two segments");
        };
        let df = fitted.df.as_ref().unwrap();
        let buckets = added.trie.table.firsts();
        for parts in [1, 2, 7] {
            let (mut searched, mut merged) = (Vec::new(), Vec::new());
            let bound = |part| buckets[(buckets.len() - 1) * part / parts] as usize;
            for part in 0..parts {
                let added = Added::new(&shape, added, bound(part)..bound(part + 1));
                let zeros = vec![0; added.ngrams()];
                let mut frequencies = zeros.clone();
                added.search(fitted, df, &mut frequencies);
                searched.extend(frequencies);
                if let Some(codes) = fitted.codes() {
                    let mut frequencies = zeros;
                    added.merge(fitted, codes, df, &mut frequencies);
                    merged.extend(frequencies);
                }
            }
            assert_eq!(searched, expected);
            if fitted.codes().is_some() {
                assert_eq!(merged, expected);
            }
        }
        let ngrams: Vec<u32> = (0..expected.len() as u32).collect();
        let of_ngrams = of_ngrams(&shape, added, &ngrams, &index.segments);
        assert_eq!(of_ngrams, expected);
        fitted.codes().is_some()
    }

    #[test]
    fn all_ways_find_what_counting_finds() {
        let shape = |bits, shortest, longest| Shape {
            bits,
            shortest,
            longest,
        };
        for seed in 0..20 {
            assert!(compare::<u8>(shape(2, 1, 1), 3, seed));
            assert!(compare::<u8>(shape(3, 2, 7), 7, seed));
            assert!(compare::<u8>(shape(2, 3, 20), 3, seed));
            assert!(compare::<u8>(shape(5, 2, 10), 31, seed));
            assert!(compare::<u32>(shape(6, 2, 6), 63, seed));
            // Too many codes; buckets of several of the shortest n-grams.
            assert!(!compare::<u8>(shape(6, 2, 7), 63, seed));
            assert!(!compare::<u8>(shape(4, 5, 9), 15, seed));
            assert!(!compare::<u32>(shape(17, 1, 3), 100_000, seed));
        }
    }
}
