//! Many counts of which nearly all are small.

use super::buffer::{Buffer, prefetch};
use rayon::prelude::*;

/// One byte for each count; those that do not fit are listed apart.
#[derive(Clone)]
pub struct Counts {
    pub small: Buffer<u8>,
    /// Places of the large counts, ascending.
    pub large_at: Buffer<u32>,
    pub large: Buffer<u32>,
}

impl Counts {
    pub fn new(counts: &[u32]) -> Self {
        let small = counts
            .par_iter()
            .map(|&c| u8::try_from(c).unwrap_or(u8::MAX));
        let small: Vec<u8> = small.collect();
        let is_large = |&(_, &small): &(usize, &u8)| small == u8::MAX;
        let large_at = small.iter().enumerate().filter(is_large);
        let large_at: Vec<u32> = large_at.map(|(at, _)| at as u32).collect();
        let large: Vec<u32> = large_at.iter().map(|&at| counts[at as usize]).collect();
        Self {
            small: small.into(),
            large_at: large_at.into(),
            large: large.into(),
        }
    }

    /// Fetches what `get` will read.
    pub fn prefetch(&self, at: usize) {
        prefetch(&self.small[at]);
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

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn gives_back_every_count() {
        let counts = [0, 1, 254, 255, 256, 70_000, 3];
        let packed = Counts::new(&counts);
        for (at, &count) in counts.iter().enumerate() {
            assert_eq!(packed.get(at), count);
        }
    }
}
