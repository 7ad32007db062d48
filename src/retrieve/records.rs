//! A position while it is sorted, as one integer.

use super::ngrams::{Shape, Symbol, Texts, shared_prefix};
use std::cmp::Ordering;
use std::ops::Range;

/// The bits of a position's key that follow those of its bucket, the document, the offset in the
/// document.
pub type Record = u64;
const KEY_BITS: u32 = 24;
const DOC_BITS: u32 = 16;
const OFFSET_BITS: u32 = 24;
/// Place of the key's bits.
pub const KEY_SHIFT: u32 = DOC_BITS + OFFSET_BITS;

/// Documents of a segment: their numbers take two bytes.
pub const MAX_DOCS: usize = 1 << DOC_BITS;
/// Symbols of a document, less one.
pub const MAX_LENGTH: usize = (1 << OFFSET_BITS) - 1;

/// Document of a record.
#[inline]
pub fn doc(record: Record) -> u16 {
    (record >> OFFSET_BITS) as u16
}

/// What the records of a segment mean.
pub struct Layout<'a, S: Symbol> {
    pub shape: &'a Shape,
    pub texts: &'a Texts<S>,
    /// Bits of a key that choose its bucket.
    pub table_bits: u32,
    /// Bucket and record hold the whole path: records sort as integers.
    pub complete: bool,
    /// Symbols within so many first bits of a path.
    symbols: [u8; 2 * u64::BITS as usize],
}

impl<'a, S: Symbol> Layout<'a, S> {
    pub fn new(shape: &'a Shape, texts: &'a Texts<S>, table_bits: u32) -> Self {
        Self {
            shape,
            texts,
            table_bits,
            complete: shape.longest as u32 * shape.bits <= table_bits + KEY_BITS,
            symbols: std::array::from_fn(|bits| (bits as u32 / shape.bits) as u8),
        }
    }

    #[inline]
    pub fn bucket(&self, key: u64) -> usize {
        key.unbounded_shr(u64::BITS - self.table_bits) as usize
    }

    #[inline]
    pub fn record(&self, key: u64, doc: usize, offset: usize) -> Record {
        let rest = key.unbounded_shl(self.table_bits) >> (u64::BITS - KEY_BITS);
        (rest << KEY_SHIFT) | ((doc as u64) << OFFSET_BITS) | offset as u64
    }

    /// The bits of records that hold keys.
    pub fn key_bits(&self) -> Range<u32> {
        let used = (self.shape.longest as u32 * self.shape.bits).saturating_sub(self.table_bits);
        KEY_SHIFT + KEY_BITS - used.min(KEY_BITS)..u64::BITS
    }

    /// Where the texts have it.
    #[inline]
    pub fn at(&self, record: Record) -> usize {
        let offset = (record & MAX_LENGTH as u64) as usize;
        self.texts.offsets[usize::from(doc(record))] as usize + offset
    }

    #[inline]
    pub fn path(&self, record: Record) -> &[S] {
        let end = self.texts.offsets[usize::from(doc(record)) + 1] as usize;
        let at = self.at(record);
        &self.texts.symbols[at..end.min(at + self.shape.longest)]
    }

    /// Length of a record's path.
    #[inline]
    pub fn length(&self, record: Record) -> usize {
        if self.complete {
            // No symbol is zero: the last one ends where the zeros begin.
            let key = record >> KEY_SHIFT;
            let bits = self.table_bits + KEY_BITS - key.trailing_zeros().min(KEY_BITS);
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
        (a >> KEY_SHIFT)
            .cmp(&(b >> KEY_SHIFT))
            .then_with(|| self.path(a).cmp(self.path(b)))
            .then(a.cmp(&b))
    }

    /// Symbols that the paths of two records of one bucket share; `None` if it is one path.
    #[inline]
    pub fn differ(&self, a: Record, b: Record) -> Option<usize> {
        let differing = (a ^ b) >> KEY_SHIFT;
        if self.complete {
            let zeros = differing.leading_zeros() - (u64::BITS - KEY_BITS);
            let shared = self.symbols[(zeros + self.table_bits) as usize];
            return (differing != 0).then_some(shared.into());
        }
        let (a, b) = (self.path(a), self.path(b));
        let shared = shared_prefix(a, b);
        (shared < a.len() || shared < b.len()).then_some(shared)
    }
}
