//! From texts to sorted paths: scatter the positions by the first bits of their keys, sort each
//! bucket, read off the paths.

use super::counts::Counts;
use super::ngrams::{Shape, Symbol, Texts};
use super::paths::{DocRepeat, Group, Memory, read_off};
use super::progress::Progress;
use super::records::Layout;
pub use super::records::MAX_DOCS;
use super::scatter::scatter;
use super::trie::{MARK_EVERY, Trie};
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Largest table of buckets.
const MAX_TABLE_BITS: u32 = 20;
/// Tasks for the thread pool, at most, and how many records are worth one.
const MAX_GROUPS: u64 = 64;
const GROUP: u64 = 8192;

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
    progress: Progress,
) -> Result<Built> {
    let layout = Layout::new(shape, texts, table_bits);
    let (mut records, starts) = scatter(&layout, progress)?;
    let mut docs = vec![0u16; records.len()];
    let mut tasks = Vec::new();
    let (mut rest_records, mut rest_docs) = (&mut records[..], &mut docs[..]);
    for buckets in groups(&starts) {
        let size = (starts[buckets.end] - starts[buckets.start]) as usize;
        let (records, docs);
        (records, rest_records) = rest_records.split_at_mut(size);
        (docs, rest_docs) = rest_docs.split_at_mut(size);
        tasks.push((buckets, records, docs));
    }
    let groups: Vec<Group> = tasks
        .into_par_iter()
        .map_init(Memory::default, |memory, (buckets, records, docs)| {
            progress.check()?;
            // Postings of all documents, in place of all postings of some documents.
            let share = texts.len() * docs.len() / starts[starts.len() - 1].max(1) as usize;
            let group = read_off(&layout, buckets, &starts, records, docs, memory);
            progress.advance(share)?;
            Ok(group)
        })
        .collect::<Result<_>>()?;
    drop(records);
    Ok(assemble(groups, docs, table_bits))
}

/// Cuts the buckets into groups with about as many records each.
fn groups(starts: &[u32]) -> Vec<Range<usize>> {
    let total = u64::from(*starts.last().expect("starts has an end"));
    let mut groups = Vec::new();
    let mut first = 0;
    let count = (total / GROUP).clamp(1, MAX_GROUPS);
    for part in 1..=count {
        let goal = total * part / count;
        let end = match part == count {
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

/// One array of the parts' arrays, copied by all threads.
fn concat<T: Copy + Default + Send + Sync>(
    parts: &[Group],
    part: impl Fn(&Group) -> &[T] + Sync,
) -> Vec<T> {
    let total = parts.iter().map(|group| part(group).len()).sum();
    let mut all = vec![T::default(); total];
    let mut rest = &mut all[..];
    let mut tasks = Vec::with_capacity(parts.len());
    for group in parts {
        let (own, others) = rest.split_at_mut(part(group).len());
        tasks.push((own, part(group)));
        rest = others;
    }
    tasks
        .into_par_iter()
        .for_each(|(own, part)| own.copy_from_slice(part));
    all
}

fn assemble(groups: Vec<Group>, docs: Vec<u16>, table_bits: u32) -> Built {
    let at = concat(&groups, |group| &group.at);
    let shared = concat(&groups, |group| &group.shared);
    let fresh = concat(&groups, |group| &group.fresh);
    let mut starts = concat(&groups, |group| &group.starts);
    starts.push(docs.len() as u32);
    let df = concat(&groups, |group| &group.df);
    let mut table = Vec::with_capacity((1 << table_bits) + 1);
    let mut repeats = Vec::with_capacity(groups.iter().map(|g| g.repeats.len()).sum());
    let (mut first_path, mut first_ngram) = (0, 0);
    for group in groups {
        for size in group.sizes {
            table.push(first_path);
            first_path += size;
        }
        repeats.extend(group.repeats.into_iter().map(|repeat| DocRepeat {
            ngram: repeat.ngram + first_ngram,
            ..repeat
        }));
        first_ngram += group.df.len() as u32;
    }
    table.resize((1 << table_bits) + 1, first_path);
    let mut marks = Vec::with_capacity(fresh.len() / MARK_EVERY + 1);
    let mut ngrams = 0;
    for block in fresh.chunks(MARK_EVERY) {
        marks.push(ngrams);
        ngrams += block.iter().map(|&fresh| u32::from(fresh)).sum::<u32>();
    }
    if fresh.len() % MARK_EVERY == 0 {
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
