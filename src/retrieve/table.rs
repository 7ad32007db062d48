//! Where each bucket's paths begin. Most buckets are empty: few sequences of symbols are n-grams.

use super::archive::{Archive, Sections};
use super::buffer::Buffer;
use crate::error::Result;
use std::ops::Range;

const WORD: usize = u64::BITS as usize;

/// A bit for each bucket, and the first path of those that have some (Jacobson's rank, 1989).
pub struct Table {
    occupied: Buffer<u64>,
    /// Occupied buckets before each word.
    ranks: Buffer<u32>,
    /// First path of each occupied bucket, and the number of paths.
    firsts: Buffer<u32>,
}

impl Table {
    /// The table of buckets with so many paths each.
    pub fn new(sizes: impl Iterator<Item = u32>, buckets: usize) -> Self {
        let mut occupied = vec![0u64; buckets.div_ceil(WORD)];
        let mut firsts = Vec::new();
        let mut paths = 0;
        for (bucket, size) in sizes.enumerate().filter(|&(_, size)| size > 0) {
            occupied[bucket / WORD] |= 1 << (bucket % WORD);
            firsts.push(paths);
            paths += size;
        }
        firsts.push(paths);
        let mut total = 0;
        let ranks = occupied.iter().map(|word| {
            total += word.count_ones();
            total - word.count_ones()
        });
        Self {
            ranks: ranks.collect::<Vec<_>>().into(),
            occupied: occupied.into(),
            firsts: firsts.into(),
        }
    }

    /// Paths of a bucket.
    #[inline]
    pub fn bucket(&self, bucket: usize) -> Range<usize> {
        let word = self.occupied[bucket / WORD] >> (bucket % WORD);
        let rank = self.rank(bucket);
        let next = rank + (word & 1) as usize;
        self.firsts[rank] as usize..self.firsts[next] as usize
    }

    /// How many occupied buckets come before this one, if it is one.
    #[inline]
    pub fn place(&self, bucket: usize) -> Option<usize> {
        let occupied = self.occupied[bucket / WORD] >> (bucket % WORD) & 1 == 1;
        occupied.then(|| self.rank(bucket))
    }

    /// Occupied buckets before this one.
    #[inline]
    fn rank(&self, bucket: usize) -> usize {
        let below = self.occupied[bucket / WORD] & !(u64::MAX << (bucket % WORD));
        (self.ranks[bucket / WORD] + below.count_ones()) as usize
    }

    /// The bucket that a path is in.
    pub fn bucket_of(&self, path: usize) -> usize {
        let rank = self.firsts.partition_point(|&first| first as usize <= path) - 1;
        let word = self
            .ranks
            .partition_point(|&before| before as usize <= rank)
            - 1;
        let mut bits = self.occupied[word];
        for _ in self.ranks[word] as usize..rank {
            bits &= bits - 1;
        }
        word * WORD + bits.trailing_zeros() as usize
    }

    /// The first path of each bucket that has some, and the number of paths.
    pub fn firsts(&self) -> &[u32] {
        &self.firsts
    }

    pub fn store<'a>(&'a self, prefix: &str, sections: &mut Sections<'a>) {
        sections.push(format!("{prefix}.occupied"), &self.occupied);
        sections.push(format!("{prefix}.ranks"), &self.ranks);
        sections.push(format!("{prefix}.firsts"), &self.firsts);
    }

    pub fn restore(prefix: &str, archive: &Archive) -> Result<Self> {
        Ok(Self {
            occupied: archive.get(&format!("{prefix}.occupied"))?,
            ranks: archive.get(&format!("{prefix}.ranks"))?,
            firsts: archive.get(&format!("{prefix}.firsts"))?,
        })
    }

    /// Whether it is a table of so many buckets and paths.
    pub fn sound(&self, buckets: usize, paths: usize) -> bool {
        let occupied: u32 = self.occupied.iter().map(|word| word.count_ones()).sum();
        [self.occupied.len(), self.ranks.len()] == [buckets.div_ceil(WORD); 2]
            && self.firsts.len() == occupied as usize + 1
            && self.firsts.last().copied() == Some(paths as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_paths_of_each_bucket_and_the_bucket_of_each_path() {
        for buckets in [1, 64, 300] {
            for every in [1, 7, 100, 1000] {
                let sizes = |bucket: usize| match bucket % every {
                    0 => 1 + bucket as u32 % 3,
                    _ => 0,
                };
                let table = Table::new((0..buckets).map(sizes), buckets);
                let mut first = 0;
                for bucket in 0..buckets {
                    let end = first + sizes(bucket) as usize;
                    assert_eq!(table.bucket(bucket), first..end);
                    let place = table.place(bucket);
                    assert_eq!(
                        place.map(|place| table.firsts()[place] as usize),
                        (end > first).then_some(first)
                    );
                    (first..end).for_each(|path| assert_eq!(table.bucket_of(path), bucket));
                    first = end;
                }
                assert!(table.sound(buckets, first));
                assert!(!table.sound(buckets, first + 1));
            }
        }
    }
}
