//! Symbols, paths and the keys they are sorted by.

use super::buffer::Buffer;
use bytemuck::Pod;

/// A coded character or word: small alphabets take a byte, the others four. Zero is no symbol: it
/// stands for the end of a text, so that a path sorts before the paths it begins.
pub trait Symbol: Pod + Ord + Send + Sync + std::fmt::Debug {
    fn from_code(code: u32) -> Self;
    fn code(self) -> u32;

    /// Symbols that `head` takes.
    const HEAD: usize = 8 / size_of::<Self>();

    /// The first `HEAD` of the `length` symbols that start at a place: numbers that sort as the
    /// symbols do, ends of texts counting as zeros.
    fn head(symbols: &[Self], at: usize, length: usize) -> u64;
}

impl Symbol for u8 {
    fn from_code(code: u32) -> Self {
        code as u8
    }
    fn code(self) -> u32 {
        self.into()
    }
    fn head(symbols: &[Self], at: usize, length: usize) -> u64 {
        let eight = match symbols.get(at..at + 8) {
            Some(eight) => eight.try_into().expect("eight symbols"),
            None => {
                let mut eight = [0; 8];
                let rest = &symbols[at..];
                eight[..rest.len()].copy_from_slice(rest);
                eight
            }
        };
        let beyond = u64::MAX.unbounded_shr(8 * length as u32);
        u64::from_be_bytes(eight) & !beyond
    }
}

impl Symbol for u32 {
    fn from_code(code: u32) -> Self {
        code
    }
    fn code(self) -> u32 {
        self
    }
    fn head(symbols: &[Self], at: usize, length: usize) -> u64 {
        let symbol = |place: usize| match place < length {
            true => u64::from(symbols[at + place]),
            false => 0,
        };
        symbol(0) << 32 | symbol(1)
    }
}

/// Texts as symbols, one after the other.
pub struct Texts<S: Symbol> {
    pub symbols: Buffer<S>,
    /// Where each text starts, and where the last one ends.
    pub offsets: Buffer<u32>,
}

impl<S: Symbol> Default for Texts<S> {
    fn default() -> Self {
        Self {
            symbols: Buffer::default(),
            offsets: vec![0].into(),
        }
    }
}

impl<S: Symbol> Texts<S> {
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn get(&self, doc: usize) -> &[S] {
        &self.symbols[self.offsets[doc] as usize..self.offsets[doc + 1] as usize]
    }
}

/// Lengths of the n-grams and width of a symbol.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bits that hold any symbol.
    pub bits: u32,
    pub shortest: usize,
    pub longest: usize,
}

impl Shape {
    /// Symbols that fit in a key.
    pub fn key_symbols(&self) -> usize {
        self.longest.min((u64::BITS / self.bits) as usize)
    }

    /// Number of positions of a text at which an n-gram starts.
    pub fn positions(&self, length: usize) -> usize {
        (length + 1).saturating_sub(self.shortest)
    }

    /// Number of n-grams in a text of so many symbols.
    pub fn ngrams(&self, length: usize) -> u64 {
        let of_length = |n: usize| (length + 1).saturating_sub(n) as u64;
        (self.shortest..=self.longest).map(of_length).sum()
    }

    /// The first symbols of a path, left-aligned: keys sort as the paths do, as far as they reach.
    pub fn key<S: Symbol>(&self, path: &[S]) -> u64 {
        let mut shift = u64::BITS;
        let mut key = 0;
        for symbol in path.iter().take(self.key_symbols()) {
            shift -= self.bits;
            key |= u64::from(symbol.code()) << shift;
        }
        key
    }

    /// Calls `visit(position, key)` for every position of `text` at which an n-gram starts.
    #[inline]
    pub fn for_each_key<S: Symbol>(&self, text: &[S], mut visit: impl FnMut(usize, u64)) {
        let positions = self.positions(text.len());
        let reach = self.key_symbols();
        let last = u64::BITS - reach as u32 * self.bits;
        let mask = u64::MAX << last;
        let mut key = self.key(text);
        let follows = text.get(reach..).unwrap_or_default();
        // Two loops: the first has no end of text to look out for.
        let inside = follows.len().min(positions);
        for (position, symbol) in follows[..inside].iter().enumerate() {
            visit(position, key);
            key = (key.unbounded_shl(self.bits) & mask) | (u64::from(symbol.code()) << last);
        }
        for position in inside..positions {
            visit(position, key);
            key = key.unbounded_shl(self.bits) & mask;
        }
    }
}

/// Number of leading symbols that two paths share.
pub fn shared_prefix<S: Symbol>(a: &[S], b: &[S]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_keys_are_the_keys_of_the_paths() {
        for (bits, shortest, longest) in [(6, 3, 7), (3, 1, 2), (17, 2, 9), (32, 1, 3)] {
            let shape = Shape {
                bits,
                shortest,
                longest,
            };
            let text: Vec<u32> = (0..20).map(|i| 1 + (i * i) % 7).collect();
            let mut seen = 0;
            shape.for_each_key(&text, |position, key| {
                let path = &text[position..text.len().min(position + longest)];
                assert_eq!(key, shape.key(path));
                assert!(path.len() >= shortest);
                seen += 1;
            });
            assert_eq!(seen, shape.positions(text.len()));
        }
        let shape = Shape {
            bits: 6,
            shortest: 3,
            longest: 7,
        };
        shape.for_each_key(&[1u8, 2], |_, _| panic!("too short for an n-gram"));
    }
}
