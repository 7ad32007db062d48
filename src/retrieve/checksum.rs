//! A checksum that is read as fast as memory, by all threads.

use crate::cpu::prefetch;
use rayon::prelude::*;

/// Parts are padded with zeros to a multiple of this.
pub const BLOCK: usize = 64;
/// Bytes that are summed apart from the others.
pub const CHUNK: usize = 1 << 20;
/// How far ahead memory is fetched: hardware stops at the end of each page.
const AHEAD: usize = 16 * BLOCK;

/// Eight multiply-and-rotate lanes over 64-bit words, as fast hashes have them: each step can be
/// undone, so that no change of one word is lost in its lane.
#[derive(Clone, Copy)]
struct Lanes([u64; 8]);

impl Lanes {
    const START: Self = Self([1, 2, 3, 4, 5, 6, 7, 8]);

    #[inline]
    fn block(&mut self, block: &[u8]) {
        for (lane, word) in self.0.iter_mut().zip(block.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            *lane = (*lane ^ word)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(31);
        }
    }

    fn value(self) -> u64 {
        self.0.into_iter().fold(0, mix)
    }
}

fn mix(sum: u64, value: u64) -> u64 {
    (sum ^ value).wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ (sum >> 32)
}

/// The checksum of parts that come one after the other.
pub struct Checksum {
    chunks: u64,
    lanes: Lanes,
    /// Bytes of the chunk so far.
    filled: usize,
}

impl Default for Checksum {
    fn default() -> Self {
        Self {
            chunks: 0,
            lanes: Lanes::START,
            filled: 0,
        }
    }
}

impl Checksum {
    /// Takes a part, as if padded with zeros to a multiple of [`BLOCK`].
    pub fn add(&mut self, part: &[u8]) {
        let blocks = part.chunks_exact(BLOCK);
        let mut last = [0; BLOCK];
        last[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
        let padded = (!blocks.remainder().is_empty()).then_some(last.as_slice());
        for block in blocks.chain(padded) {
            self.lanes.block(block);
            self.filled += BLOCK;
            if self.filled == CHUNK {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.chunks = mix(self.chunks, self.lanes.value());
        self.lanes = Lanes::START;
        self.filled = 0;
    }

    pub fn value(mut self) -> u64 {
        if self.filled > 0 {
            self.close();
        }
        self.chunks
    }
}

/// The checksum of padded parts that lie together, by all threads of the pool. Calls `ready` with
/// the place of each chunk before it is read.
pub fn of(bytes: &[u8], ready: impl Fn(usize) + Sync) -> u64 {
    let chunk = |(number, chunk): (usize, &[u8])| {
        ready(number * CHUNK);
        let mut lanes = Lanes::START;
        let blocks = chunk.chunks_exact(BLOCK);
        let rest = blocks.remainder();
        for (number, block) in blocks.enumerate() {
            if let Some(ahead) = chunk.get(number * BLOCK + AHEAD) {
                prefetch(ahead);
            }
            lanes.block(block);
        }
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            lanes.block(&last);
        }
        lanes.value()
    };
    let values: Vec<u64> = bytes.par_chunks(CHUNK).enumerate().map(chunk).collect();
    values.into_iter().fold(0, mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_the_whole_agree_and_every_word_counts() {
        let mut bytes: Vec<u8> = (0..2 * CHUNK + 5 * BLOCK).map(|i| (i / 7) as u8).collect();
        let whole = of(&bytes, |_| ());
        let mut sum = Checksum::default();
        for part in [
            0..3 * BLOCK,
            3 * BLOCK..CHUNK + BLOCK,
            CHUNK + BLOCK..bytes.len(),
        ] {
            sum.add(&bytes[part]);
        }
        assert_eq!(sum.value(), whole);
        for place in [0, 8, 77, CHUNK - 1, CHUNK, bytes.len() - 1] {
            bytes[place] ^= 4;
            assert_ne!(of(&bytes, |_| ()), whole, "byte {place}");
            bytes[place] ^= 4;
        }
        let (a, b) = bytes.split_at_mut(CHUNK);
        a.swap_with_slice(&mut b[..CHUNK]);
        assert_ne!(of(&bytes, |_| ()), whole, "chunks in another order");
    }

    #[test]
    fn a_part_counts_as_padded() {
        let mut sum = Checksum::default();
        sum.add(&[1, 2, 3]);
        sum.add(&[4]);
        let mut padded = [0; 2 * BLOCK];
        padded[..3].copy_from_slice(&[1, 2, 3]);
        padded[BLOCK] = 4;
        assert_eq!(sum.value(), of(&padded, |_| ()));
    }
}
