//! From texts to sorted paths: scatter the positions by the first bits of their keys, sort each
//! bucket, read off the paths.

use super::counts::Counts;
use super::ngrams::{Shape, Symbol, Texts, shared_prefix};
use super::repeats::RepeatFinder;
use super::trie::{MARK_EVERY, Trie};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Documents of a segment: their numbers take two bytes.
pub const MAX_DOCS: usize = 1 << DOC_BITS;
/// Symbols of a document, less one.
pub const MAX_LENGTH: usize = (1 << OFFSET_BITS) - 1;

/// A position while it is sorted: the bits of its key that follow those of its bucket, the
/// document, the offset in the document.
type Record = u64;
const KEY_BITS: u32 = 24;
const DOC_BITS: u32 = 16;
const OFFSET_BITS: u32 = 24;

/// Largest table of buckets.
const MAX_TABLE_BITS: u32 = 20;
/// Tasks for the thread pool in each phase.
const PARTS: usize = 4;
const GROUPS: usize = 64;

/// N-grams that a document has more than once, by number of n-gram, then of document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DocRepeat {
    pub ngram: u32,
    pub doc: u16,
    pub tf: u32,
}

/// What is built from the texts of a segment.
pub struct Built {
    pub trie: Trie,
    /// Document of each posting.
    pub docs: Vec<u16>,
    pub repeats: Vec<DocRepeat>,
    /// Documents that have each n-gram.
    pub df: Counts,
}

/// Width of the table for a segment with so many positions: whole symbols of the shortest n-grams
/// as far as that is not much more than the positions, else a part of the first symbol.
pub fn table_bits(shape: &Shape, positions: usize) -> u32 {
    let limit = (4 * positions + 64).ilog2().min(MAX_TABLE_BITS);
    let symbols = (limit / shape.bits).min(shape.shortest as u32);
    if symbols > 0 {
        symbols * shape.bits
    } else {
        limit
    }
}

/// Number of positions at which n-grams start.
pub fn positions<S: Symbol>(shape: &Shape, texts: &Texts<S>) -> usize {
    let lengths = texts.offsets.windows(2);
    lengths
        .map(|pair| shape.positions((pair[1] - pair[0]) as usize))
        .sum()
}

/// Sorts the positions of `texts`. Fails only if cancelled.
pub fn build<S: Symbol>(
    shape: &Shape,
    texts: &Texts<S>,
    table_bits: u32,
    cancel: &AtomicBool,
) -> Result<Built> {
    let sorter = Sorter {
        shape,
        texts,
        table_bits,
        complete: shape.longest as u32 * shape.bits <= table_bits + KEY_BITS,
    };
    let (mut records, starts) = sorter.scatter();
    let stop = || match cancel.load(Ordering::Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    };
    stop()?;
    let repeats = sorter.repeats();
    stop()?;

    let mut tasks = Vec::new();
    let (mut rest_records, mut rest_repeats) = (&mut records[..], &repeats[..]);
    for buckets in groups(&starts) {
        let first = starts[buckets.start];
        let size = (starts[buckets.end] - first) as usize;
        let own = rest_repeats.partition_point(|repeat| (repeat.bucket as usize) < buckets.end);
        let (records, repeats);
        (records, rest_records) = rest_records.split_at_mut(size);
        (repeats, rest_repeats) = rest_repeats.split_at(own);
        tasks.push((buckets, records, repeats));
    }
    let groups: Vec<Group> = tasks
        .into_par_iter()
        .map(|(buckets, records, repeats)| {
            stop()?;
            Ok(sorter.paths(buckets, &starts, records, repeats))
        })
        .collect::<Result<_>>()?;
    drop(records);
    Ok(assemble(groups, table_bits))
}

/// Cuts the buckets into groups with about as many records each.
fn groups(starts: &[u32]) -> Vec<Range<usize>> {
    let total = u64::from(*starts.last().expect("starts has an end"));
    let mut groups = Vec::new();
    let mut first = 0;
    for part in 1..=GROUPS as u64 {
        let goal = total * part / GROUPS as u64;
        let end = match part == GROUPS as u64 {
            true => starts.len() - 1,
            false => starts.partition_point(|&start| u64::from(start) < goal),
        };
        if end > first {
            groups.push(first..end);
            first = end;
        }
    }
    groups
}

/// A repeat on its way to its path.
struct PendingRepeat {
    bucket: u32,
    record: Record,
    length: u8,
    tf: u32,
}

/// Paths of some buckets, as in `Built` but numbered from zero.
#[derive(Default)]
struct Group {
    /// Paths of each bucket.
    sizes: Vec<u32>,
    at: Vec<u32>,
    shared: Vec<u8>,
    fresh: Vec<u8>,
    starts: Vec<u32>,
    docs: Vec<u16>,
    df: Vec<u32>,
    repeats: Vec<DocRepeat>,
}

struct Sorter<'a, S: Symbol> {
    shape: &'a Shape,
    texts: &'a Texts<S>,
    table_bits: u32,
    /// Bucket and record hold the whole path.
    complete: bool,
}

/// A pointer into the records that threads write to at places of their own.
#[derive(Clone, Copy)]
struct Scattered(*mut Record);
// SAFETY: see `scatter`, the one place where it is used.
unsafe impl Send for Scattered {}
unsafe impl Sync for Scattered {}

impl Scattered {
    /// # Safety
    ///
    /// No other thread may read or write this place, and it must be inside the records.
    unsafe fn write(self, place: u32, record: Record) {
        unsafe { *self.0.add(place as usize) = record }
    }
}

impl<S: Symbol> Sorter<'_, S> {
    fn bucket(&self, key: u64) -> usize {
        key.unbounded_shr(u64::BITS - self.table_bits) as usize
    }

    fn record(&self, key: u64, doc: usize, offset: usize) -> Record {
        let rest = key.unbounded_shl(self.table_bits) >> (u64::BITS - KEY_BITS);
        (rest << (DOC_BITS + OFFSET_BITS)) | ((doc as u64) << OFFSET_BITS) | offset as u64
    }

    fn doc(record: Record) -> u16 {
        (record >> OFFSET_BITS) as u16
    }

    /// Where the texts have it.
    fn at(&self, record: Record) -> usize {
        let offset = (record & MAX_LENGTH as u64) as usize;
        self.texts.offsets[usize::from(Self::doc(record))] as usize + offset
    }

    fn path(&self, record: Record) -> &[S] {
        let end = self.texts.offsets[usize::from(Self::doc(record)) + 1] as usize;
        let at = self.at(record);
        &self.texts.symbols[at..end.min(at + self.shape.longest)]
    }

    /// Records of all positions by bucket, and where each bucket starts.
    fn scatter(&self) -> (Vec<Record>, Vec<u32>) {
        let buckets = 1 << self.table_bits;
        let docs = self.texts.len();
        let parts: Vec<Range<usize>> = (0..PARTS)
            .map(|part| docs * part / PARTS..docs * (part + 1) / PARTS)
            .collect();
        let mut cursors: Vec<Vec<u32>> = parts
            .par_iter()
            .map(|part| {
                let mut counts = vec![0u32; buckets];
                for doc in part.clone() {
                    let text = self.texts.get(doc);
                    self.shape
                        .for_each_key(text, |_, key| counts[self.bucket(key)] += 1);
                }
                counts
            })
            .collect();
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut total = 0;
        for bucket in 0..buckets {
            starts.push(total);
            for cursor in &mut cursors {
                total += std::mem::replace(&mut cursor[bucket], total);
            }
        }
        starts.push(total);

        let mut records: Vec<Record> = vec![0; total as usize];
        let target = Scattered(records.as_mut_ptr());
        parts
            .into_par_iter()
            .zip(cursors)
            .for_each(|(part, mut cursor)| {
                for doc in part {
                    self.shape.for_each_key(self.texts.get(doc), |offset, key| {
                        let place = &mut cursor[self.bucket(key)];
                        // SAFETY: the cursors of all parts and buckets were laid one after the
                        // other above by counting exactly these visits, so every place is
                        // inside `records` and is written once, by one thread.
                        unsafe { target.write(*place, self.record(key, doc, offset)) };
                        *place += 1;
                    });
                }
            });
        (records, starts)
    }

    /// The repeats of all documents, sorted as the records are.
    fn repeats(&self) -> Vec<PendingRepeat> {
        let docs = self.texts.len();
        let mut pending: Vec<PendingRepeat> = (0..docs)
            .into_par_iter()
            .with_min_len(256)
            .fold(
                || (RepeatFinder::default(), Vec::new()),
                |(mut finder, mut pending), doc| {
                    let text = self.texts.get(doc);
                    finder.find(self.shape, text, |repeat| {
                        let offset = repeat.position as usize;
                        let key = self.shape.key(&text[offset..]);
                        pending.push(PendingRepeat {
                            bucket: self.bucket(key) as u32,
                            record: self.record(key, doc, offset),
                            length: repeat.length,
                            tf: repeat.tf,
                        });
                    });
                    (finder, pending)
                },
            )
            .map(|(_, pending)| pending)
            .reduce(Vec::new, |mut a, mut b| {
                a.append(&mut b);
                a
            });
        if self.complete {
            pending
                .par_sort_unstable_by_key(|r| (u128::from(r.bucket) << 64) | u128::from(r.record));
        } else {
            pending.par_sort_unstable_by(|a, b| {
                let buckets = a.bucket.cmp(&b.bucket);
                buckets.then_with(|| self.order(a.record, b.record))
            });
        }
        pending
    }

    /// Order of two records of one bucket: by path, document, offset.
    fn order(&self, a: Record, b: Record) -> std::cmp::Ordering {
        if self.complete {
            return a.cmp(&b);
        }
        let key = |record: Record| record >> (DOC_BITS + OFFSET_BITS);
        key(a)
            .cmp(&key(b))
            .then_with(|| self.path(a).cmp(self.path(b)))
            .then(a.cmp(&b))
    }

    /// Symbols that the paths of two records of one bucket share; `None` if all.
    fn shared(&self, a: Record, b: Record) -> Option<usize> {
        let differing = (a ^ b) >> (DOC_BITS + OFFSET_BITS);
        if self.complete {
            let bits = differing.leading_zeros() - (u64::BITS - KEY_BITS) + self.table_bits;
            return (differing != 0).then_some((bits / self.shape.bits) as usize);
        }
        let (a, b) = (self.path(a), self.path(b));
        let shared = shared_prefix(a, b);
        (shared < a.len() || shared < b.len()).then_some(shared)
    }

    /// Sorts the records of some buckets and reads off their paths.
    fn paths(
        &self,
        buckets: Range<usize>,
        starts: &[u32],
        records: &mut [Record],
        repeats: &[PendingRepeat],
    ) -> Group {
        let mut group = Group {
            docs: Vec::with_capacity(records.len()),
            ..Group::default()
        };
        let mut repeats = repeats.iter().peekable();
        let base = starts[buckets.start];
        // For each length, the n-gram of the current path and its first posting.
        let mut open = vec![(0u32, 0u32); self.shape.longest + 1];
        for bucket in buckets {
            let range = (starts[bucket] - base) as usize..(starts[bucket + 1] - base) as usize;
            let records = &mut records[range];
            if self.complete {
                records.sort_unstable();
            } else {
                records.sort_unstable_by(|&a, &b| self.order(a, b));
            }
            let paths_before = group.at.len();
            let mut depth = self.shape.shortest - 1;
            let mut previous = None;
            for &record in records.iter() {
                let shared = match previous {
                    None => Some(0),
                    Some(previous) => self.shared(previous, record),
                };
                previous = Some(record);
                let posting = group.docs.len() as u32;
                if let Some(shared) = shared {
                    let shared = shared.max(self.shape.shortest - 1);
                    close(&mut group.df, &open[shared + 1..=depth], posting);
                    depth = self.path(record).len();
                    for slot in &mut open[shared + 1..=depth] {
                        *slot = (group.df.len() as u32, posting);
                        group.df.push(0);
                    }
                    group.at.push(self.at(record) as u32);
                    group.shared.push(shared as u8);
                    group.fresh.push((depth - shared) as u8);
                    group.starts.push(posting);
                }
                group.docs.push(Self::doc(record));
                let here = |repeat: &&PendingRepeat| {
                    repeat.bucket as usize == bucket && repeat.record == record
                };
                while let Some(repeat) = repeats.next_if(here) {
                    group.repeats.push(DocRepeat {
                        ngram: open[usize::from(repeat.length)].0,
                        doc: Self::doc(record),
                        tf: repeat.tf,
                    });
                }
            }
            let end = group.docs.len() as u32;
            close(&mut group.df, &open[self.shape.shortest..=depth], end);
            group.sizes.push((group.at.len() - paths_before) as u32);
        }
        // Postings were counted; documents are wanted.
        for repeat in &group.repeats {
            group.df[repeat.ngram as usize] -= repeat.tf - 1;
        }
        group.repeats.sort_unstable();
        group
    }
}

/// Counts the postings of n-grams that no further path has.
fn close(df: &mut [u32], open: &[(u32, u32)], posting: u32) {
    for &(ngram, first) in open {
        df[ngram as usize] = posting - first;
    }
}

fn assemble(groups: Vec<Group>, table_bits: u32) -> Built {
    let total = |size: fn(&Group) -> usize| groups.iter().map(size).sum::<usize>();
    let (paths, postings) = (total(|g| g.at.len()), total(|g| g.docs.len()));
    let ngrams = total(|g| g.df.len());
    let mut table = Vec::with_capacity((1 << table_bits) + 1);
    let (mut at, mut shared, mut fresh) = (
        Vec::with_capacity(paths),
        Vec::with_capacity(paths),
        Vec::with_capacity(paths),
    );
    let mut starts = Vec::with_capacity(paths + 1);
    let mut docs = Vec::with_capacity(postings);
    let mut df = Vec::with_capacity(ngrams);
    let mut repeats = Vec::with_capacity(total(|g| g.repeats.len()));
    let mut first_path = 0;
    for group in groups {
        for size in group.sizes {
            table.push(first_path);
            first_path += size;
        }
        let (first_posting, first_ngram) = (docs.len() as u32, df.len() as u32);
        at.extend(group.at);
        shared.extend(group.shared);
        fresh.extend(group.fresh);
        starts.extend(group.starts.iter().map(|start| start + first_posting));
        docs.extend(group.docs);
        df.extend(group.df);
        repeats.extend(group.repeats.into_iter().map(|repeat| DocRepeat {
            ngram: repeat.ngram + first_ngram,
            ..repeat
        }));
    }
    table.resize((1 << table_bits) + 1, first_path);
    starts.push(docs.len() as u32);
    let mut marks = Vec::with_capacity(paths / MARK_EVERY + 1);
    let mut ngrams = 0;
    for block in fresh.chunks(MARK_EVERY) {
        marks.push(ngrams);
        ngrams += block.iter().map(|&fresh| u32::from(fresh)).sum::<u32>();
    }
    if paths % MARK_EVERY == 0 {
        marks.push(ngrams);
    }
    Built {
        trie: Trie {
            table: table.into(),
            table_bits,
            at: at.into(),
            shared: shared.into(),
            fresh: fresh.into(),
            marks: marks.into(),
            starts: starts.into(),
        },
        docs,
        repeats,
        df: Counts::new(&df),
    }
}
