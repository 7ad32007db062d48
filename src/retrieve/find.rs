//! Where a query's n-grams are in a segment.

use super::ngrams::{Shape, Symbol};
use super::segment::Segment;
use super::trie::Place;

/// An n-gram in a segment.
#[derive(Clone, Copy, Default)]
pub struct Found {
    /// The paths that begin with it.
    pub first: u32,
    pub end: u32,
    /// And how many postings these have.
    pub postings: u32,
    /// Its number.
    pub ngram: u32,
    /// Whether a document may have it more than once.
    pub repeated: bool,
    /// Its number among the common n-grams of the segment.
    pub common: Option<u8>,
}

/// Finds n-grams in a segment, and adds up how many documents have each. `paths` are those of the
/// query; `fresh` says of each how many symbols it shares with those before, and which n-gram is the
/// first that it is the first to have.
#[allow(clippy::too_many_arguments)]
pub fn find<S: Symbol>(
    shape: &Shape,
    segment: &Segment<S>,
    paths: &[&[S]],
    fresh: &[(usize, usize)],
    lengths: impl Iterator<Item = u8>,
    found: &mut [Found],
    places: &mut Vec<Place>,
    df: &mut [u32],
) {
    let (trie, symbols) = (&segment.trie, &segment.texts.symbols);
    if let Some(codes) = segment.codes() {
        let wanted = paths.iter().zip(fresh);
        let wanted = wanted.map(|(&path, &(shared, _))| (path, shared));
        codes.walk(shape, trie, wanted, |number, length, ngram| {
            let end = codes.end(ngram, length);
            codes.prefetch_path(ngram);
            codes.prefetch_path(end);
            if let Some(df) = &segment.df {
                df.prefetch(ngram);
            }
            let found = &mut found[number];
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
        for (found, length) in found.iter_mut().zip(lengths) {
            if found.first < found.end {
                let number = trie.ngram(found.first as usize, length.into());
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
