//! How many fitted documents have each n-gram: a sum over the fitted segments.

use super::counts::{Counts, Draft};
use super::ngrams::{Shape, Symbol, shared_prefix};
use super::progress::Progress;
use super::segment::Segment;
use super::spelling::Spelled;
use crate::error::Result;
use rayon::prelude::*;

/// Tasks for the thread pool.
const TASKS: usize = 64;

/// For each n-gram of each of the fitted `segments` (whose tables have one width), its frequency in
/// all of them together; none if there are not several.
pub fn of_fitted<S: Symbol>(
    shape: &Shape,
    segments: &[Segment<S>],
    progress: Progress,
) -> Result<Option<Vec<Counts>>> {
    let [first, _, ..] = segments else {
        return Ok(None);
    };
    let buckets = 1 << first.trie.table_bits;
    let parts: Vec<Vec<Draft>> = (0..TASKS)
        .into_par_iter()
        .map(|task| {
            let mut merge = Merge::new(shape, segments, buckets * task / TASKS);
            for bucket in buckets * task / TASKS..buckets * (task + 1) / TASKS {
                merge.bucket(bucket);
            }
            progress.check()?;
            Ok(merge.totals.into_iter().map(Draft::from).collect())
        })
        .collect::<Result<_>>()?;
    let totals = (0..segments.len())
        .map(|segment| Counts::join(parts.iter().map(|part| &part[segment])))
        .collect::<Result<_>>()?;
    Ok(Some(totals))
}

/// Walks the paths of several segments in their common order, bucket by bucket.
struct Merge<'a, S: Symbol> {
    shape: &'a Shape,
    segments: &'a [Segment<S>],
    /// Next n-gram of each segment.
    ngrams: Vec<usize>,
    /// What is known of each segment's n-grams, from the first bucket on.
    totals: Vec<Vec<u32>>,
    /// For each length, the sum so far and where (segment, place) it goes.
    open: Vec<(u32, Vec<(usize, usize)>)>,
    paths: Vec<(Spelled<'a, S>, usize, usize)>,
}

impl<'a, S: Symbol> Merge<'a, S> {
    fn new(shape: &'a Shape, segments: &'a [Segment<S>], bucket: usize) -> Self {
        let first = |s: &Segment<S>| s.trie.first_ngram(s.trie.table.bucket(bucket).start);
        Self {
            shape,
            segments,
            ngrams: segments.iter().map(first).collect(),
            totals: vec![Vec::new(); segments.len()],
            open: vec![Default::default(); shape.longest + 1],
            paths: Vec::new(),
        }
    }

    fn bucket(&mut self, bucket: usize) {
        self.paths.clear();
        for (number, segment) in self.segments.iter().enumerate() {
            let trie = &segment.trie;
            for path in trie.table.bucket(bucket) {
                let symbols = trie.path_in(self.shape, &segment.texts.symbols, bucket, path);
                self.paths.push((symbols, number, path));
            }
        }
        // A stable sort of a few ascending runs is a merge.
        self.paths.sort_by(|a, b| a.0.cmp(&b.0));
        let mut previous: &[S] = &[];
        for (symbols, number, path) in &self.paths {
            let (number, path) = (*number, *path);
            let common = shared_prefix(previous, symbols).max(self.shape.shortest - 1);
            close(&mut self.open[common + 1..], &mut self.totals);
            let segment = &self.segments[number];
            let df = segment.df.as_ref().expect("the segment is fitted");
            for length in usize::from(segment.trie.shared[path]) + 1..=symbols.len() {
                let (sum, places) = &mut self.open[length];
                *sum += df.get(self.ngrams[number]);
                places.push((number, self.totals[number].len()));
                self.totals[number].push(0);
                self.ngrams[number] += 1;
            }
            previous = symbols;
        }
        close(&mut self.open, &mut self.totals);
    }
}

/// Hands out sums that are complete.
fn close(open: &mut [(u32, Vec<(usize, usize)>)], totals: &mut [Vec<u32>]) {
    for (sum, places) in open {
        for (segment, place) in places.drain(..) {
            totals[segment][place] = *sum;
        }
        *sum = 0;
    }
}
