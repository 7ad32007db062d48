//! Many counts of which nearly all are small.

use super::buffer::Buffer;
use super::join::join;
use crate::cpu::prefetch;
use crate::error::Result;

/// One byte for each count; those that do not fit are listed apart.
pub struct Counts {
    pub small: Buffer<u8>,
    /// Places of the large counts, ascending.
    pub large_at: Buffer<u32>,
    pub large: Buffer<u32>,
}

impl Counts {
    /// The counts of all drafts, one after the other.
    pub fn join<'a>(drafts: impl Iterator<Item = &'a Draft>) -> Result<Self> {
        let drafts: Vec<&Draft> = drafts.collect();
        let (mut large_at, mut large) = (Vec::new(), Vec::new());
        let mut first = 0;
        for draft in &drafts {
            large_at.extend(draft.large.iter().map(|&(at, _)| first + at));
            large.extend(draft.large.iter().map(|&(_, count)| count));
            first += draft.small.len() as u32;
        }
        Ok(Self {
            small: join(&drafts, |draft| &draft.small[..])?.into(),
            large_at: large_at.into(),
            large: large.into(),
        })
    }

    pub fn len(&self) -> usize {
        self.small.len()
    }

    /// Fetches what `get` will read.
    pub fn prefetch(&self, at: usize) {
        prefetch(&self.small[at]);
    }

    /// For reading in ascending order.
    pub fn ascending(&self) -> Ascending<'_> {
        Ascending {
            counts: self,
            next: 0,
        }
    }

    #[inline]
    pub fn get(&self, at: usize) -> u32 {
        match self.small[at] {
            u8::MAX => {
                let place = self.large_at.binary_search(&(at as u32));
                self.large[place.expect("every large count is listed")]
            }
            small => small.into(),
        }
    }
}

/// Counts, of which none is asked for that is before another one asked for.
pub struct Ascending<'a> {
    counts: &'a Counts,
    /// Large counts that are passed.
    next: usize,
}

impl Ascending<'_> {
    /// As `Counts::get`, but what is large is near the last one that was.
    #[inline]
    pub fn get(&mut self, at: usize) -> u32 {
        match self.counts.small[at] {
            u8::MAX => {
                let rest = &self.counts.large_at[self.next..];
                self.next += gallop(rest, at as u32);
                self.counts.large[self.next]
            }
            small => small.into(),
        }
    }
}

/// How many of ascending numbers are less than `bound`, looked for near the start first.
fn gallop(numbers: &[u32], bound: u32) -> usize {
    let mut high = 1;
    while numbers.get(high - 1).is_some_and(|&number| number < bound) {
        high *= 2;
    }
    let low = high / 2;
    let near = &numbers[low..numbers.len().min(high)];
    low + near.partition_point(|&number| number < bound)
}

/// Counts in the making.
#[derive(Default)]
pub struct Draft {
    small: Vec<u8>,
    /// Places and counts, in any order until `finish`.
    large: Vec<(u32, u32)>,
}

impl Draft {
    /// Makes room for one count, and tells its place.
    #[inline]
    pub fn push(&mut self) -> u32 {
        self.small.push(0);
        self.small.len() as u32 - 1
    }

    /// Sets a count, once.
    #[inline]
    pub fn set(&mut self, at: u32, count: u32) {
        let small = u8::try_from(count).unwrap_or(u8::MAX);
        self.small[at as usize] = small;
        if small == u8::MAX {
            self.large.push((at, count));
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.small.len()
    }

    /// All counts are set.
    pub fn finish(&mut self) {
        self.large.sort_unstable();
    }
}

impl From<Vec<u32>> for Draft {
    fn from(counts: Vec<u32>) -> Self {
        let small = |&count: &u32| count.min(u8::MAX.into()) as u8;
        let large = (0..)
            .zip(&counts)
            .filter(|&(_, &count)| count >= u8::MAX.into());
        Self {
            large: large.map(|(at, &count)| (at, count)).collect(),
            small: counts.iter().map(small).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_every_count() {
        let mut drafts: Vec<Draft> = [vec![0, 300, 1, 255], vec![254, 255, 256, 70_000, 3]]
            .map(Draft::from)
            .into();
        drafts[0].large.reverse();
        drafts[0].finish();
        let packed = Counts::join(drafts.iter()).unwrap();
        let expected = [0, 300, 1, 255, 254, 255, 256, 70_000, 3];
        for (at, count) in expected.into_iter().enumerate() {
            assert_eq!(packed.get(at), count, "{at}");
        }
        assert_eq!(packed.large_at[..], [1, 3, 5, 6, 7]);
    }

    #[test]
    fn ascending_counts_are_those_at_any_place() {
        let counts: Vec<u32> = (0..3_000).map(|i| i % 7 * (i % 11) * (i % 60)).collect();
        let packed = Counts::join([Draft::from(counts.clone())].iter()).unwrap();
        assert!(packed.large.len() > 500);
        for step in [1, 2, 30, 700] {
            let mut ascending = packed.ascending();
            for at in (0..counts.len()).step_by(step) {
                assert_eq!(ascending.get(at), counts[at]);
                assert_eq!(ascending.get(at), counts[at]);
            }
        }
    }
}
