//! Many counts of which nearly all are small.

use super::buffer::{Buffer, prefetch};

/// One byte for each count; those that do not fit are listed apart.
pub struct Counts {
    pub small: Buffer<u8>,
    /// Places of the large counts, ascending.
    pub large_at: Buffer<u32>,
    pub large: Buffer<u32>,
}

impl Counts {
    pub fn new(counts: &[u32]) -> Self {
        let small = counts.iter().map(|&c| u8::try_from(c).unwrap_or(u8::MAX));
        let is_large = |&(_, &count): &(usize, &u32)| count >= u32::from(u8::MAX);
        let large = || counts.iter().enumerate().filter(is_large);
        Self {
            small: small.collect::<Vec<_>>().into(),
            large_at: large().map(|(at, _)| at as u32).collect::<Vec<_>>().into(),
            large: large().map(|(_, &count)| count).collect::<Vec<_>>().into(),
        }
    }

    /// Fetches what `get` will read.
    pub fn prefetch(&self, at: usize) {
        prefetch(&self.small[at]);
    }

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
