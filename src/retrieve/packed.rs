//! Integers that all take as few bytes as the largest needs.

use super::archive::Archive;
use super::buffer::Buffer;
use super::join::join;
use crate::cpu::prefetch;
use crate::error::Result;

/// Bytes that are read at once.
const WORD: usize = size_of::<u64>();

/// A read-only array. Reading an integer is one load, aligned or not; so that the last one is no
/// exception, a word follows it: zeros, and the width in the last byte.
pub struct Packed {
    bytes: Buffer<u8>,
    width: usize,
    mask: u64,
}

impl Packed {
    /// The integers of all drafts, one after the other; drafts must have one width.
    pub fn join(drafts: &[&Draft], width: usize) -> Result<Self> {
        let mut end = Draft::new(width, 1);
        end.bytes.resize(WORD, 0);
        end.bytes[WORD - 1] = width as u8;
        let drafts: Vec<&Draft> = drafts.iter().copied().chain([&end]).collect();
        debug_assert!(drafts.iter().all(|draft| draft.width == width));
        let bytes = join(&drafts, |draft| &draft.bytes[..])?;
        Ok(Self::of(bytes.into(), width))
    }

    /// These integers.
    pub fn from_integers(integers: impl ExactSizeIterator<Item = u64> + Clone) -> Self {
        let largest = integers.clone().max().unwrap_or(0);
        let mut draft = Draft::new(width_of(largest), integers.len());
        integers.for_each(|integer| draft.push(integer));
        let width = draft.width;
        draft.bytes.extend_from_slice(&[0; WORD - 1]);
        draft.bytes.push(width as u8);
        Self::of(draft.bytes.into(), width)
    }

    /// An array of an archive.
    pub fn restore(name: &str, archive: &Archive) -> Result<Self> {
        Self::from_bytes(archive.get(name)?).ok_or_else(|| archive.damaged(name))
    }

    /// An array whose bytes were stored; none if they are not such.
    fn from_bytes(bytes: Buffer<u8>) -> Option<Self> {
        let width = usize::from(*bytes.last()?);
        let sound = (1..=WORD).contains(&width)
            && bytes.len() >= WORD
            && (bytes.len() - WORD).is_multiple_of(width);
        sound.then(|| Self::of(bytes, width))
    }

    fn of(bytes: Buffer<u8>, width: usize) -> Self {
        Self {
            bytes,
            width,
            mask: u64::MAX >> (u64::BITS as usize - 8 * width),
        }
    }

    /// What is to be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        (self.bytes.len() - WORD) / self.width
    }

    #[inline]
    pub fn get(&self, at: usize) -> u64 {
        let start = at * self.width;
        let word = &self.bytes[start..start + WORD];
        u64::from_le_bytes(word.try_into().expect("a word")) & self.mask
    }

    /// Fetches what `get` will read.
    pub fn prefetch(&self, at: usize) {
        prefetch(self.bytes.as_ptr().wrapping_add(at * self.width));
    }
}

/// Bytes that an integer needs, at least one.
pub fn width_of(largest: u64) -> usize {
    ((u64::BITS - largest.leading_zeros()).div_ceil(u8::BITS) as usize).max(1)
}

/// An array in the making.
#[derive(Default)]
pub struct Draft {
    bytes: Vec<u8>,
    width: usize,
}

impl Draft {
    /// An array with room for so many integers of this width.
    pub fn new(width: usize, room: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(room * width + WORD),
            width,
        }
    }

    #[cfg(test)]
    pub fn integers(self) -> Packed {
        let width = self.width;
        Packed::join(&[&self], width).expect("memory for a test")
    }

    /// Appends an integer that fits.
    #[inline]
    pub fn push(&mut self, integer: u64) {
        // A word, and what is too much of it: a copy of no fixed length would be a call.
        let end = self.bytes.len() + self.width;
        self.bytes.extend_from_slice(&integer.to_le_bytes());
        self.bytes.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_every_integer() {
        for width in 1..=WORD {
            let largest = u64::MAX >> (u64::BITS as usize - 8 * width);
            let integers = [largest, 0, 1, largest / 3, largest - 1, 77];
            assert_eq!(width_of(largest), width);
            let mut drafts = [Draft::new(width, 0), Draft::new(width, 9)];
            for (at, &integer) in integers.iter().enumerate() {
                drafts[at / 4].push(integer);
            }
            let joined = Packed::join(&[&drafts[0], &drafts[1]], width).unwrap();
            let plain = Packed::from_integers(integers.into_iter());
            assert_eq!(joined.bytes(), plain.bytes());
            let stored = Packed::from_bytes(plain.bytes().to_vec().into()).unwrap();
            assert_eq!(stored.bytes().len(), 6 * width + WORD);
            assert_eq!(stored.len(), 6);
            for (at, integer) in integers.into_iter().enumerate() {
                assert_eq!(joined.get(at), integer);
                assert_eq!(stored.get(at), integer);
            }
        }
        assert_eq!(Packed::from_integers([].into_iter()).len(), 0);
        for unsound in [&[][..], &[0; 8], &[9; 17], &[0, 0, 0, 0, 0, 0, 0, 0, 2]] {
            assert!(Packed::from_bytes(unsound.to_vec().into()).is_none());
        }
    }
}
