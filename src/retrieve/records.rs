//! A position while it is sorted, as one integer.

use super::ngrams::{Shape, Symbol, Texts, shared_prefix};
use super::spelling::rest_bits;
use std::cmp::Ordering;
use std::ops::Range;

/// The bits of a position's key that follow those of its bucket, the document, the offset in the
/// document. The last two get the bits that the segment needs, the key all others. Where paths are
/// spelled without the texts, nobody asks for the offset.
pub type Record = u64;

/// Documents of a segment: their numbers take two bytes.
pub const MAX_DOCS: usize = 1 << u16::BITS;
/// Symbols of a document: so that more of the key fits in.
pub const MAX_LENGTH: usize = (1 << 24) - 1;

/// What the records of a segment mean.
#[derive(Clone, Copy)]
pub struct Layout<'a, S: Symbol> {
    pub shape: &'a Shape,
    pub texts: &'a Texts<S>,
    /// Bits of a key that choose its bucket.
    pub table_bits: u32,
    /// Bucket and record hold the whole path: records sort as integers.
    pub complete: bool,
    /// Bits of the key that follow those of the bucket, if paths are to be spelled by them.
    pub rest_bits: Option<u32>,
    doc_bits: u32,
    offset_bits: u32,
    key_bits: u32,
    /// Symbols within so many first bits of a path.
    symbols: [u8; 2 * u64::BITS as usize],
}

impl<'a, S: Symbol> Layout<'a, S> {
    /// With `spelled_by_texts`, no path is spelled otherwise.
    pub fn new(
        shape: &'a Shape,
        texts: &'a Texts<S>,
        table_bits: u32,
        spelled_by_texts: bool,
    ) -> Self {
        let bits = |largest: usize| usize::BITS - largest.max(1).leading_zeros();
        let lengths = texts.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        let doc_bits = bits(texts.len());
        let rest_bits = match spelled_by_texts {
            true => None,
            false => rest_bits(shape, table_bits).filter(|bits| bits + doc_bits <= u64::BITS),
        };
        let offset_bits = match rest_bits {
            Some(_) => 0,
            None => bits(lengths.max().unwrap_or(0) as usize),
        };
        let key_bits = u64::BITS - doc_bits - offset_bits;
        Self {
            shape,
            texts,
            table_bits,
            rest_bits,
            doc_bits,
            offset_bits,
            key_bits,
            // A key holds no more, however many bits table and record have together.
            complete: shape.longest as u32 * shape.bits <= (table_bits + key_bits).min(u64::BITS),
            symbols: std::array::from_fn(|bits| (bits as u32 / shape.bits) as u8),
        }
    }

    #[inline]
    pub fn bucket(&self, key: u64) -> usize {
        key.unbounded_shr(u64::BITS - self.table_bits) as usize
    }

    #[inline]
    pub fn record(&self, key: u64, doc: usize, offset: usize) -> Record {
        let rest = key.unbounded_shl(self.table_bits) >> self.key_shift() << self.key_shift();
        let offset = offset as u64 & !(u64::MAX << self.offset_bits);
        rest | ((doc as u64) << self.offset_bits) | offset
    }

    /// The bits of records that hold keys.
    pub fn key_range(&self) -> Range<u32> {
        let used = (self.shape.longest as u32 * self.shape.bits).saturating_sub(self.table_bits);
        u64::BITS - used.min(self.key_bits)..u64::BITS
    }

    fn key_shift(&self) -> u32 {
        self.doc_bits + self.offset_bits
    }

    /// Document of a record.
    #[inline]
    pub fn doc(&self, record: Record) -> u16 {
        (record << self.key_bits >> self.key_bits >> self.offset_bits) as u16
    }

    /// What spells the path of a record: the rest of its key, or where the texts have it.
    #[inline]
    pub fn spelling(&self, record: Record) -> u64 {
        match self.rest_bits {
            Some(bits) => record.unbounded_shr(u64::BITS - bits),
            None => self.at(record) as u64,
        }
    }

    /// The largest number that `spelling` may give.
    pub fn largest_spelling(&self) -> u64 {
        match self.rest_bits {
            Some(bits) => u64::MAX.unbounded_shr(u64::BITS - bits),
            None => self.texts.symbols.len() as u64,
        }
    }

    /// Where the texts have it.
    #[inline]
    fn at(&self, record: Record) -> usize {
        let offset = (record & !(u64::MAX << self.offset_bits)) as usize;
        self.texts.offsets[usize::from(self.doc(record))] as usize + offset
    }

    #[inline]
    pub fn path(&self, record: Record) -> &[S] {
        let end = self.texts.offsets[usize::from(self.doc(record)) + 1] as usize;
        let at = self.at(record);
        &self.texts.symbols[at..end.min(at + self.shape.longest)]
    }

    /// Length of a record's path.
    #[inline]
    pub fn length(&self, record: Record) -> usize {
        if self.complete {
            // No symbol is zero: the last one ends where the zeros begin.
            let zeros = (record >> self.key_shift()).trailing_zeros();
            let bits = self.table_bits + self.key_bits - zeros.min(self.key_bits);
            return usize::from(self.symbols[(bits + self.shape.bits - 1) as usize]);
        }
        self.path(record).len()
    }

    /// Order of two records of one bucket: by path, document, offset.
    #[inline]
    pub fn order(&self, a: Record, b: Record) -> Ordering {
        if self.complete {
            return a.cmp(&b);
        }
        (a >> self.key_shift())
            .cmp(&(b >> self.key_shift()))
            .then_with(|| self.path(a).cmp(self.path(b)))
            .then(a.cmp(&b))
    }

    /// Symbols that the paths of two records of one bucket share; `None` if it is one path.
    #[inline]
    pub fn differ(&self, a: Record, b: Record) -> Option<usize> {
        let differing = (a ^ b) >> self.key_shift();
        if self.complete {
            let zeros = differing.leading_zeros() - self.key_shift();
            let shared = self.symbols[(zeros + self.table_bits) as usize];
            return (differing != 0).then_some(shared.into());
        }
        let (a, b) = (self.path(a), self.path(b));
        let shared = shared_prefix(a, b);
        (shared < a.len() || shared < b.len()).then_some(shared)
    }
}
