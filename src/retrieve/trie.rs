//! The distinct paths of a segment, sorted: a trie of n-grams laid flat.
//!
//! A path is the longest n-gram at some position. The n-grams that begin with g, and g itself, are
//! a contiguous range of paths. Each path knows how many symbols it shares with the one before it;
//! the n-grams beyond those are the ones it is the first to have, and n-grams are numbered in that order.

use super::buffer::Buffer;
use super::ngrams::{Shape, Symbol, shared_prefix};
use super::packed::Packed;
use super::spelling::{Spelled, Spelling, left_aligned};
use super::table::Table;
use crate::cpu::prefetch;
use std::ops::Range;

/// Paths between two entries of `Trie::marks`.
pub const MARK_EVERY: usize = 32;

/// Sorted paths.
pub struct Trie {
    /// First path of each bucket: paths are in one bucket if the first `table_bits` bits of their
    /// keys agree.
    pub table: Table,
    pub table_bits: u32,
    pub spelling: Spelling,
    /// Symbols shared with the path before, at least `shortest - 1`.
    pub shared: Buffer<u8>,
    /// Length of each path less `shared`: the number of n-grams that it is the first to have.
    pub fresh: Buffer<u8>,
    /// Number of n-grams before every `MARK_EVERY`th path.
    pub marks: Buffer<u32>,
    /// First posting of each path, and the number of postings.
    pub starts: Packed,
}

impl Trie {
    /// Number of paths.
    pub fn len(&self) -> usize {
        self.spelling.len()
    }

    /// Length of a path.
    pub fn length(&self, path: usize) -> usize {
        usize::from(self.shared[path]) + usize::from(self.fresh[path])
    }

    /// Symbols of a path.
    pub fn path<'a, S: Symbol>(
        &self,
        shape: &Shape,
        symbols: &'a [S],
        path: usize,
    ) -> Spelled<'a, S> {
        let bucket = match self.spelling.needs_texts() {
            true => 0,
            false => self.table.bucket_of(path),
        };
        self.path_in(shape, symbols, bucket, path)
    }

    /// Symbols of a path in this bucket.
    pub fn path_in<'a, S: Symbol>(
        &self,
        shape: &Shape,
        symbols: &'a [S],
        bucket: usize,
        path: usize,
    ) -> Spelled<'a, S> {
        match &self.spelling {
            Spelling::Rests { rests, bits } => {
                let rest = left_aligned(rests.get(path), *bits).unbounded_shr(self.table_bits);
                let bucket = (bucket as u64).unbounded_shl(u64::BITS - self.table_bits);
                Spelled::of_key(shape, bucket | rest)
            }
            Spelling::Places(places) => {
                let at = places.get(path) as usize;
                Spelled::Text(&symbols[at..at + self.length(path)])
            }
        }
    }

    /// Symbols of a path of a segment that needs its texts, as all that are added do.
    pub fn text<'a, S: Symbol>(&self, symbols: &'a [S], path: usize) -> &'a [S] {
        let Spelling::Places(places) = &self.spelling else {
            unreachable!("paths are spelled by texts");
        };
        let at = places.get(path) as usize;
        &symbols[at..at + self.length(path)]
    }

    /// The code of a path's symbol beyond those that its bucket tells: zero where the path ends.
    pub fn code<S: Symbol>(&self, shape: &Shape, symbols: &[S], path: usize, depth: usize) -> u64 {
        match &self.spelling {
            Spelling::Rests { rests, bits } => {
                let before = depth as u32 * shape.bits - self.table_bits;
                let rest = left_aligned(rests.get(path), *bits);
                rest.unbounded_shl(before)
                    .unbounded_shr(u64::BITS - shape.bits)
            }
            Spelling::Places(places) => match self.length(path) > depth {
                true => symbols[places.get(path) as usize + depth].code().into(),
                false => 0,
            },
        }
    }

    /// Number of the first n-gram that no path before this one has.
    pub fn first_ngram(&self, path: usize) -> usize {
        let mark = path / MARK_EVERY;
        let since = self.fresh[mark * MARK_EVERY..path].iter();
        self.marks[mark] as usize + since.map(|&fresh| usize::from(fresh)).sum::<usize>()
    }

    /// Number of the n-gram of this length that is common to a range of paths, and to no other.
    pub fn ngram(&self, first_path: usize, length: usize) -> usize {
        self.first_ngram(first_path) + length - usize::from(self.shared[first_path]) - 1
    }

    /// The paths that begin with an n-gram, given its number, and its length.
    pub fn paths(&self, ngram: usize) -> (Range<u32>, usize) {
        let mark = self.marks.partition_point(|&n| n as usize <= ngram) - 1;
        let mut path = mark * MARK_EVERY;
        let mut first = self.marks[mark] as usize;
        while first + usize::from(self.fresh[path]) <= ngram {
            first += usize::from(self.fresh[path]);
            path += 1;
        }
        let length = usize::from(self.shared[path]) + 1 + ngram - first;
        let end = path + 1 + run_after(&self.shared[path + 1..], length);
        (path as u32..end as u32, length)
    }

    /// Postings of a range of paths.
    pub fn postings(&self, paths: Range<u32>) -> Range<usize> {
        self.starts.get(paths.start as usize) as usize..self.starts.get(paths.end as usize) as usize
    }

    /// Fetches what `postings` will read for a range of paths.
    pub fn prefetch_postings(&self, first_path: u32, end_path: u32) {
        self.starts.prefetch(first_path as usize);
        self.starts.prefetch(end_path as usize);
    }

    /// Fetches what `first_ngram` will read.
    pub fn prefetch_ngram(&self, path: usize) {
        prefetch(&self.marks[path / MARK_EVERY]);
        prefetch(&self.fresh[path / MARK_EVERY * MARK_EVERY]);
    }

    /// Paths in the bucket of a key.
    pub fn bucket(&self, key: u64) -> Range<usize> {
        self.table.bucket(self.bucket_number(key))
    }

    /// The bucket of a key.
    pub fn bucket_number(&self, key: u64) -> usize {
        key.unbounded_shr(u64::BITS - self.table_bits) as usize
    }

    /// For each of the `wanted` paths, ascending or not, the first path that is not before it.
    ///
    /// A step of a binary search waits for memory: for a path's rest, or for its place and then for
    /// the text there. All searches therefore go one step at a time, and their waits overlap.
    pub fn places<S: Symbol>(
        &self,
        shape: &Shape,
        symbols: &[S],
        wanted: &[&[S]],
        places: &mut Vec<Place>,
    ) {
        places.clear();
        places.extend(wanted.iter().map(|path| {
            let key = shape.key(path);
            let Range { start, end } = self.bucket(key);
            Place {
                start: start as u32,
                end: end as u32,
                at: start as u32,
                left: (end - start) as u32,
                head: match &self.spelling {
                    Spelling::Rests { .. } => key.unbounded_shl(self.table_bits),
                    Spelling::Places(_) => S::head(path, 0, path.len()),
                },
            }
        }));
        match &self.spelling {
            Spelling::Rests { rests, bits } => search(places, |path, _, place| {
                left_aligned(rests.get(path), *bits) < place.head
            }),
            Spelling::Places(at) => search(places, |path, number, place| {
                let (at, length) = (at.get(path) as usize, self.length(path));
                let (head, wanted) = (S::head(symbols, at, length), wanted[number]);
                if head != place.head || length.max(wanted.len()) <= S::HEAD {
                    head < place.head
                } else {
                    &symbols[at..at + length] < wanted
                }
            }),
        }
    }

    /// Symbols that a path shares with a `wanted` one of its bucket.
    fn shares<S: Symbol>(
        &self,
        shape: &Shape,
        symbols: &[S],
        path: usize,
        wanted: &[S],
        place: &Place,
    ) -> usize {
        match &self.spelling {
            Spelling::Rests { rests, bits } => {
                // Where both end, they agree in zeros.
                let differing = left_aligned(rests.get(path), *bits) ^ place.head;
                let shared = (self.table_bits + differing.leading_zeros()) / shape.bits;
                wanted.len().min(shared as usize)
            }
            Spelling::Places(places) => {
                let at = places.get(path) as usize;
                shared_prefix(&symbols[at..at + self.length(path)], wanted)
            }
        }
    }

    /// Finds the prefixes of `wanted`: calls `found(length, paths)` for each that the segment has,
    /// longest first.
    pub fn prefixes<S: Symbol>(
        &self,
        shape: &Shape,
        symbols: &[S],
        wanted: &[S],
        place: &Place,
        mut found: impl FnMut(usize, Range<u32>),
    ) {
        let (start, end) = (place.start as usize, place.end as usize);
        let shares = |path| self.shares(shape, symbols, path, wanted, place);
        let place = place.at as usize;
        let left = if place > start { shares(place - 1) } else { 0 };
        let right = if place < end { shares(place) } else { 0 };
        // The ranges of shorter prefixes contain those of longer ones: grow both ends.
        let (mut first, mut last) = (place, place);
        for length in (shape.shortest..=left.max(right)).rev() {
            if length as u32 * shape.bits == self.table_bits {
                // The bucket holds just the paths that begin like this.
                found(length, start as u32..end as u32);
                break;
            }
            if first == place && left >= length {
                first -= 1;
            }
            if last == place && right >= length {
                last += 1;
            }
            if first < place {
                first -= run_before(&self.shared[start..=first], length);
            }
            if last > place {
                last += run_after(&self.shared[last..end], length);
            }
            found(length, first as u32..last as u32);
        }
    }
}

/// Where a path is, or would be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Paths in the bucket.
    start: u32,
    end: u32,
    at: u32,
    /// Paths from `at` on that are still in question.
    left: u32,
    head: u64,
}

/// Takes all searches one step after the other; `before(path, number, place)` tells whether a path
/// is before the one that search `number` looks for.
fn search(places: &mut [Place], before: impl Fn(usize, usize, &Place) -> bool) {
    let longest = places.iter().map(|place| place.left).max().unwrap_or(0);
    // A search among n paths takes at most as many steps as n has bits.
    for _ in 0..u32::BITS - longest.leading_zeros() {
        for (number, place) in places.iter_mut().enumerate() {
            if place.left == 0 {
                continue;
            }
            let half = place.left / 2;
            let middle = place.at + half;
            let before = before(middle as usize, number, place);
            // No branch depends on it, so no search waits for another.
            place.at = if before { middle + 1 } else { place.at };
            place.left = if before { place.left - half - 1 } else { half };
        }
    }
}

/// Paths looked at together.
const CHUNK: usize = 32;

fn all_reach(shared: &[u8], length: usize) -> bool {
    // No early exit: this becomes a few vector instructions.
    shared
        .iter()
        .fold(true, |all, &s| all & (usize::from(s) >= length))
}

/// How many of the first `shared` are at least `length`.
pub fn run_after(shared: &[u8], length: usize) -> usize {
    let whole = shared
        .chunks_exact(CHUNK)
        .take_while(|chunk| all_reach(chunk, length));
    let start = whole.count() * CHUNK;
    let rest = shared[start..].iter();
    start + rest.take_while(|&&s| usize::from(s) >= length).count()
}

/// How many of the last `shared` are at least `length`.
fn run_before(shared: &[u8], length: usize) -> usize {
    let whole = shared
        .rchunks_exact(CHUNK)
        .take_while(|chunk| all_reach(chunk, length));
    let end = shared.len() - whole.count() * CHUNK;
    let rest = shared[..end].iter().rev();
    shared.len() - end + rest.take_while(|&&s| usize::from(s) >= length).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_those_of_a_plain_loop() {
        for size in [0, 1, 31, 32, 33, 64, 100] {
            for low in 0..=size {
                let mut shared = vec![5u8; size];
                if low < size {
                    shared[low] = 4;
                }
                assert_eq!(run_after(&shared, 5), low);
                assert_eq!(
                    run_before(&shared, 5),
                    size - (low + 1).min(size) + usize::from(low == size) * size
                );
            }
        }
    }
}
