//! A position while it is sorted, as one integer.

use super::ngrams::{Shape, Symbol, Texts, shared_prefix};
use super::spelling::rest_bits;
use bytemuck::Pod;
use std::cmp::Ordering;
use std::ops::{BitAnd, BitOr, BitXor, Range};

/// The bits of a position's key that follow those of its bucket, the document, the offset in the
/// document, a flag. Document and offset get the bits that the segment needs, the key all others. Where
/// paths are spelled without the texts, nobody asks for the offset.
pub type Record = u64;

/// A record in memory, which may need no more than the upper half.
pub trait Stored:
    Pod
    + Ord
    + Default
    + Send
    + Sync
    + BitXor<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
{
    fn store(record: Record) -> Self;
    fn record(self) -> Record;
    /// As `Layout::doc`, given where in a `Record` documents are.
    fn doc(self, of_doc: Self, shift: u32) -> u16;
}

impl Stored for u64 {
    #[inline(always)]
    fn store(record: Record) -> Self {
        record
    }
    #[inline(always)]
    fn record(self) -> Record {
        self
    }
    #[inline(always)]
    fn doc(self, of_doc: Self, shift: u32) -> u16 {
        ((self & of_doc) >> shift) as u16
    }
}

impl Stored for u32 {
    #[inline(always)]
    fn store(record: Record) -> Self {
        (record >> u32::BITS) as u32
    }
    #[inline(always)]
    fn record(self) -> Record {
        Record::from(self) << u32::BITS
    }
    #[inline(always)]
    fn doc(self, of_doc: Self, shift: u32) -> u16 {
        ((self & of_doc) >> (shift - u32::BITS)) as u16
    }
}

/// Documents of a segment: their numbers take two bytes.
pub const MAX_DOCS: usize = 1 << u16::BITS;
/// Symbols of a document: so that more of the key fits in.
pub const MAX_LENGTH: usize = (1 << 24) - 1;

/// Records that are compared at a time.
pub const TOGETHER: usize = 64;

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
    /// Whether the upper half of a record is all of it.
    pub narrow: bool,
    flag: Record,
    doc_shift: u32,
    key_shift: u32,
    offsets: u64,
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
        let path_bits = shape.longest as u32 * shape.bits;
        let doc_bits = bits(texts.len().saturating_sub(1));
        // What a record takes without an offset.
        let least = path_bits.saturating_sub(table_bits) + doc_bits + 1;
        let rest_bits = match spelled_by_texts {
            true => None,
            false => rest_bits(shape, table_bits).filter(|_| least <= u64::BITS),
        };
        let offset_bits = match rest_bits {
            Some(_) => 0,
            None => bits(lengths.max().unwrap_or(0) as usize),
        };
        let narrow = rest_bits.is_some() && least <= u32::BITS;
        let flag_shift = if narrow { u32::BITS } else { 0 };
        let doc_shift = flag_shift + 1 + offset_bits;
        let key_shift = doc_shift + doc_bits;
        Self {
            shape,
            texts,
            table_bits,
            // A key holds no more, however many bits bucket and record have together.
            complete: path_bits <= (table_bits + u64::BITS - key_shift).min(u64::BITS),
            rest_bits,
            narrow,
            flag: 1 << flag_shift,
            doc_shift,
            key_shift,
            offsets: !(u64::MAX << offset_bits),
            symbols: std::array::from_fn(|bits| (bits as u32 / shape.bits) as u8),
        }
    }

    #[inline]
    pub fn bucket(&self, key: u64) -> usize {
        key.unbounded_shr(u64::BITS - self.table_bits) as usize
    }

    #[inline]
    pub fn record(&self, key: u64, doc: usize, offset: usize) -> Record {
        let rest = key.unbounded_shl(self.table_bits) >> self.key_shift << self.key_shift;
        let offset = (offset as u64 & self.offsets) << 1;
        rest | ((doc as u64) << self.doc_shift) | offset
    }

    /// The bits of records that hold keys.
    pub fn key_range(&self) -> Range<u32> {
        let used = (self.shape.longest as u32 * self.shape.bits).saturating_sub(self.table_bits);
        u64::BITS - used.min(u64::BITS - self.key_shift)..u64::BITS
    }

    /// Flags the records of documents that have several here; those of a document must be neighbours.
    pub fn flag_repeated<R: Stored>(&self, records: &mut [R]) {
        let of_doc = R::store(!(u64::MAX << self.key_shift) & (u64::MAX << self.doc_shift));
        let flag = R::store(self.flag);
        // Which records have the document of the one before, in parts that become vector operations.
        let mut same = [R::default(); TOGETHER];
        let mut start = 1;
        while start < records.len() {
            let count = TOGETHER.min(records.len() - start);
            let pairs = records[start - 1..start + count].windows(2);
            for (same, pair) in same.iter_mut().zip(pairs) {
                let differ = (pair[0] ^ pair[1]) & of_doc != R::default();
                *same = if differ { R::default() } else { flag };
            }
            for (record, &same) in records[start - 1..].iter_mut().zip(&same[..count]) {
                *record = *record | same;
            }
            for (record, &same) in records[start..].iter_mut().zip(&same[..count]) {
                *record = *record | same;
            }
            start += count;
        }
    }

    /// Writes the documents of sorted records, at most [`TOGETHER`]; gives the bits of those that
    /// begin a path and of those that are flagged. `previous` is the record before them, which is
    /// compared by its key alone.
    #[inline(always)]
    pub fn look_at<R: Stored>(&self, records: &[R], previous: R, docs: &mut [u16]) -> (u64, u64) {
        let of_key = R::store(u64::MAX << self.key_shift);
        let of_doc = R::store(!(u64::MAX << self.key_shift) & (u64::MAX << self.doc_shift));
        let flag = R::store(self.flag);
        // In loops that become vector operations.
        let (mut begin, mut flagged) = ([0; TOGETHER], [0; TOGETHER]);
        begin[0] = u8::from((records[0] ^ previous) & of_key != R::default());
        for (begin, pair) in begin[1..].iter_mut().zip(records.windows(2)) {
            *begin = u8::from((pair[0] ^ pair[1]) & of_key != R::default());
        }
        for (flagged, &record) in flagged.iter_mut().zip(records) {
            *flagged = u8::from(record & flag != R::default());
        }
        for (doc, &record) in docs.iter_mut().zip(records) {
            *doc = record.doc(of_doc, self.doc_shift);
        }
        (bits(&begin), bits(&flagged))
    }

    /// The bits of the records, sorted, whose paths the texts tell from those before.
    pub fn differing<R: Stored>(&self, records: &[R], previous: R) -> u64 {
        let before = std::iter::once(&previous).chain(records);
        let pairs = before.zip(records).enumerate();
        pairs.fold(0, |bits, (at, (before, record))| {
            let differ = self.path(before.record()) != self.path(record.record());
            bits | u64::from(differ) << at
        })
    }

    /// Document of a record.
    #[inline]
    pub fn doc(&self, record: Record) -> u16 {
        ((record & !(u64::MAX << self.key_shift)) >> self.doc_shift) as u16
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
        let offset = (record >> 1 & self.offsets) as usize;
        self.texts.offsets[usize::from(self.doc(record))] as usize + offset
    }

    #[inline]
    pub fn path(&self, record: Record) -> &[S] {
        let end = self.texts.offsets[usize::from(self.doc(record)) + 1] as usize;
        let at = self.at(record);
        &self.texts.symbols[at..end.min(at + self.shape.longest)]
    }

    /// Length of a record's path.
    #[inline(always)]
    pub fn length(&self, record: Record) -> usize {
        if self.complete {
            // No symbol is zero: the last one ends where the zeros begin.
            let zeros = (record >> self.key_shift << self.key_shift).trailing_zeros();
            let bits = self.table_bits + u64::BITS - zeros;
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
        (a >> self.key_shift)
            .cmp(&(b >> self.key_shift))
            .then_with(|| self.path(a).cmp(self.path(b)))
            .then(a.cmp(&b))
    }

    /// Symbols that the paths of two records of one bucket share.
    #[inline(always)]
    pub fn shared(&self, a: Record, b: Record) -> usize {
        let differing = (a ^ b) >> self.key_shift << self.key_shift;
        if self.complete {
            // One path, or as many symbols as agree in all bits.
            return match differing {
                0 => self.length(a),
                _ => {
                    let agreeing = self.table_bits + differing.leading_zeros();
                    self.symbols[agreeing as usize].into()
                }
            };
        }
        shared_prefix(self.path(a), self.path(b))
    }
}

/// A bit for each byte that is not zero.
#[inline(always)]
fn bits(bytes: &[u8; TOGETHER]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    let eights = eights.iter().enumerate();
    eights.fold(0, |bits, (number, eight)| {
        // The product has in its highest byte the lowest bits of all eight (no carries: one bit each).
        let eight = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits | eight << (8 * number)
    })
}
