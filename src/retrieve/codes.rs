//! The n-grams of a segment in their order, a byte each: what a look-up needs, side by side.
//!
//! N-grams are numbered as a walk through the trie meets them: after each come those that begin with
//! it, children in the order of their last symbols. An n-gram's code is made of its length and its
//! last symbol such that longer ones have smaller codes. From an n-gram on, everything is longer than
//! its child with a symbol c, or a child before that, until the code of this child or a larger
//! one: a child is found by one search for the next code that is not smaller.

use super::ngrams::{Shape, Symbol};
use super::trie::Trie;
use crate::cpu::prefetch;
use rayon::prelude::*;

/// Codes that are compared together.
const BLOCK: usize = 64;
/// Paths that are worth a task.
const TASK: usize = 8192;

/// One code for each n-gram.
pub struct Codes {
    /// Filled up to whole blocks, and one more, with the largest number, which ends every search.
    codes: Vec<u8>,
    /// The largest of each block, filled up likewise.
    maxima: Vec<u8>,
    /// For each block, the paths that begin before it, and a bit for each n-gram that is the first of
    /// a path: of those that the path is the first to have.
    paths: Vec<(u32, u64)>,
    /// The first n-gram of each bucket that has some: one of the shortest.
    buckets: Vec<u32>,
    coding: Coding,
}

/// Which code an n-gram has.
#[derive(Clone, Copy)]
struct Coding {
    shortest: usize,
    longest: usize,
    /// Symbols there may be.
    symbols: usize,
}

impl Coding {
    /// None if a byte cannot hold the codes, or if several of the shortest n-grams are in one bucket:
    /// these have one code.
    fn new(shape: &Shape, table_bits: u32) -> Option<Self> {
        let symbols = (1 << shape.bits) - 1;
        let codes = (shape.longest - shape.shortest) * symbols + 1;
        let alone = table_bits == shape.shortest as u32 * shape.bits;
        (alone && codes <= u8::MAX.into()).then_some(Self {
            shortest: shape.shortest,
            longest: shape.longest,
            symbols,
        })
    }

    #[inline]
    fn code(&self, length: usize, last: usize) -> u8 {
        let longer = (self.longest - length) * self.symbols;
        match length == self.shortest {
            true => longer as u8,
            // Symbols are numbered from one on.
            false => (longer + last).wrapping_sub(1) as u8,
        }
    }
}

impl Codes {
    /// The codes of the n-grams of a segment; none if they do not fit in bytes. On a thread of the
    /// pool.
    pub fn of<S: Symbol>(shape: &Shape, trie: &Trie, symbols: &[S]) -> Option<Self> {
        let coding = Coding::new(shape, trie.table_bits)?;
        let count = trie.first_ngram(trie.len());
        let mut codes = vec![u8::MAX; (count / BLOCK + 2) * BLOCK];
        let mut tasks = Vec::new();
        let mut rest = &mut codes[..count];
        for first in (0..trie.len()).step_by(TASK) {
            let end = trie.len().min(first + TASK);
            let own;
            let ngrams = trie.first_ngram(end) - trie.first_ngram(first);
            (own, rest) = rest.split_at_mut(ngrams);
            tasks.push((first..end, own));
        }
        tasks.into_par_iter().for_each(|(paths, own)| {
            let mut slots = own.iter_mut();
            for path in paths {
                let shared = usize::from(trie.shared[path]);
                for (depth, slot) in (shared..trie.length(path)).zip(&mut slots) {
                    let last = match depth + 1 > shape.shortest {
                        true => trie.code(shape, symbols, path, depth),
                        // Its bucket has no other.
                        false => 0,
                    };
                    *slot = coding.code(depth + 1, last as usize);
                }
            }
        });
        let blocks = codes.chunks_exact(BLOCK);
        let largest = |block: &[u8]| block.iter().fold(0, |largest: u8, &c| largest.max(c));
        let mut maxima: Vec<u8> = blocks.map(largest).collect();
        let mut paths = vec![(0, 0u64); maxima.len()];
        maxima.resize(maxima.len().next_multiple_of(BLOCK), u8::MAX);
        let (mut ngram, mut buckets) = (0, Vec::with_capacity(trie.table.firsts().len()));
        // After the last path as well, which ends there.
        for (path, &fresh) in (0..).zip(trie.fresh.iter().chain(&[0])) {
            paths[ngram / BLOCK].1 |= 1 << (ngram % BLOCK);
            if trie.table.firsts()[buckets.len()] == path {
                buckets.push(ngram as u32);
            }
            ngram += usize::from(fresh);
        }
        let mut before = 0;
        for (paths, firsts) in &mut paths {
            *paths = before;
            before += firsts.count_ones();
        }
        Some(Self {
            codes,
            maxima,
            paths,
            buckets,
            coding,
        })
    }

    /// Finds the n-grams of `wanted`: ascending paths, and of each the number of symbols that it shares
    /// with the one before, at least `shortest - 1`, for the first no more than that. They are numbered
    /// as those of a segment are: calls `found(number, length, n-gram)` for each that the segment has.
    ///
    /// N-grams come in one order here and there, so that no step goes back.
    pub fn walk<'w, S: Symbol>(
        &self,
        shape: &Shape,
        trie: &Trie,
        wanted: impl Iterator<Item = (&'w [S], usize)> + Clone,
        mut found: impl FnMut(usize, usize, usize),
    ) {
        let shortest = shape.shortest;
        let mut buckets = self.buckets(shape, trie, wanted.clone()).into_iter();
        // What is known of the current path, and where n-grams after that are.
        let (mut known, mut at) = (0, 0);
        // Number of the path's first n-gram.
        let mut first = 0;
        for (path, shared) in wanted {
            known = known.min(shared);
            if shared < shortest {
                let bucket = buckets
                    .next()
                    .expect("one for each of the shortest n-grams");
                if let Some(ngram) = bucket {
                    found(first, shortest, ngram as usize);
                    known = shortest;
                    at = ngram as usize + 1;
                }
            }
            for length in shared.max(shortest) + 1..=path.len() {
                // Without the n-gram that it begins with, there is none that is longer.
                if known < length - 1 {
                    break;
                }
                let code = self.coding.code(length, path[length - 1].code() as usize);
                at = self.next(at, code);
                if self.codes[at] == code {
                    found(first + length - shared - 1, length, at);
                    known = length;
                    at += 1;
                }
            }
            first += path.len() - shared;
        }
    }

    /// For each of the `wanted` paths that begins with another one of the shortest n-grams: its number,
    /// if the segment has it. Whoever goes on from there finds the codes fetched.
    fn buckets<'w, S: Symbol>(
        &self,
        shape: &Shape,
        trie: &Trie,
        wanted: impl Iterator<Item = (&'w [S], usize)>,
    ) -> Vec<Option<u32>> {
        let begin = wanted.filter(|&(_, shared)| shared < shape.shortest);
        let ngram = |(path, _): (&[S], usize)| {
            // As `Trie::bucket_number` says it of a key, of which no more is asked for.
            let symbols = path[..shape.shortest].iter();
            let bucket = symbols.fold(0, |bucket, s| bucket << shape.bits | s.code() as usize);
            let place = trie.table.place(bucket)?;
            let ngram = self.buckets[place];
            prefetch(&self.codes[ngram as usize]);
            Some(ngram)
        };
        begin.map(ngram).collect()
    }

    /// The end of the n-grams that begin with an `ngram` of a `length`.
    #[inline]
    pub fn end(&self, ngram: usize, length: usize) -> usize {
        // Those that are not longer have codes from this one on.
        let code = (self.coding.longest - length) * self.coding.symbols;
        self.next(ngram + 1, code as u8)
    }

    /// The path that is the first to have an n-gram; after the last n-gram, the end of the paths.
    #[inline]
    pub fn path(&self, ngram: usize) -> u32 {
        let (before, firsts) = self.paths[ngram / BLOCK];
        let to_here = u64::MAX >> (BLOCK - 1 - ngram % BLOCK);
        before + (firsts & to_here).count_ones() - 1
    }

    /// Fetches what `path` will read.
    #[inline]
    pub fn prefetch_path(&self, ngram: usize) {
        prefetch(&self.paths[ngram / BLOCK]);
    }

    /// The first place from `at` on whose code is at least `code`.
    #[inline]
    fn next(&self, at: usize, code: u8) -> usize {
        // Most are near: a block's codes are compared wherever it begins.
        let near = self.codes[at..].first_chunk().expect("a block follows");
        match at_least(near, code) {
            0 => self.far(at / BLOCK + 1, code),
            found => at + found.trailing_zeros() as usize,
        }
    }

    /// The same from a block on.
    fn far(&self, mut block: usize, code: u8) -> usize {
        let block = loop {
            match next_in_block(&self.maxima, block, code) {
                Some(block) => break block,
                None => block = (block / BLOCK + 1) * BLOCK,
            }
        };
        let found = next_in_block(&self.codes, block * BLOCK, code);
        found.expect("the largest of the block is large enough")
    }
}

/// The first place from `at` on, in its block, whose code is at least `code`.
#[inline]
fn next_in_block(codes: &[u8], at: usize, code: u8) -> Option<usize> {
    let start = at / BLOCK * BLOCK;
    let block = codes[start..].first_chunk().expect("blocks are whole");
    let found = at_least(block, code) & (u64::MAX << (at % BLOCK));
    (found != 0).then(|| start + found.trailing_zeros() as usize)
}

/// A bit for each code that is at least `code`.
#[inline]
fn at_least(codes: &[u8; BLOCK], code: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to every x86-64; the four loads are of the 64 codes.
    unsafe {
        use std::arch::x86_64::*;
        let code = _mm_set1_epi8(code as i8);
        let mask = |part: usize| {
            let codes = _mm_loadu_si128(codes.as_ptr().add(16 * part).cast());
            let reached = _mm_cmpeq_epi8(_mm_max_epu8(codes, code), codes);
            u64::from(_mm_movemask_epi8(reached) as u32) << (16 * part)
        };
        mask(0) | mask(1) | mask(2) | mask(3)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bits = codes.iter().enumerate();
        bits.fold(0, |mask, (place, &c)| mask | u64::from(c >= code) << place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_code_that_a_plain_loop_finds() {
        let coding = Coding {
            shortest: 1,
            longest: 2,
            symbols: 3,
        };
        for size in [1, 63, 64, 65, 5_000, 70_000] {
            // Large codes are rare, so that searches cross blocks, and blocks of blocks.
            let mut state = size as u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let uniform = (state >> 8) as f64 / f64::from(1 << 24);
                (255.0 * uniform.powf(0.02 * size as f64).min(0.999)) as u8
            };
            let mut codes: Vec<u8> = (0..size).map(|_| next()).collect();
            codes.resize((size / BLOCK + 2) * BLOCK, u8::MAX);
            let mut maxima: Vec<u8> = codes
                .chunks_exact(BLOCK)
                .map(|block| *block.iter().max().unwrap())
                .collect();
            maxima.resize(maxima.len().next_multiple_of(BLOCK), u8::MAX);
            let codes = Codes {
                codes,
                maxima,
                paths: Vec::new(),
                buckets: Vec::new(),
                coding,
            };
            for at in (0..size).step_by(1 + size / 500) {
                for code in [0, 1, 7, 100, 200, 254] {
                    let plain = (at..).find(|&place| codes.codes[place] >= code);
                    assert_eq!(Some(codes.next(at, code)), plain, "{size} {at} {code}");
                }
            }
        }
    }
}
