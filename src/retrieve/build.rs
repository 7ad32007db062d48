//! From texts to sorted paths: scatter the positions by the first bits of their keys, sort each
//! bucket, read off the paths.

use super::again::Repeat;
use super::buffer::Buffer;
use super::counts::Counts;
use super::join::{join, join_for_a_time};
use super::ngrams::{Shape, Symbol, Texts};
use super::packed::{Draft, Packed, width_of};
use super::paths::{Group, Memory, read_off};
use super::progress::Progress;
pub use super::records::MAX_DOCS;
use super::records::{Layout, Stored};
use super::scatter::scatter;
use super::scratch::Scratch;
use super::spelling::Spelling;
use super::table::Table;
use super::trie::{MARK_EVERY, Trie};
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Largest table of buckets.
const MAX_TABLE_BITS: u32 = 20;
/// Tasks for the thread pool, at most, and how many records are worth one.
const MAX_GROUPS: u64 = 64;
const GROUP: u64 = 4096;

/// What is built from the texts of a segment.
pub struct Built {
    pub trie: Trie,
    /// Document of each posting.
    pub docs: Buffer<u16>,
    pub repeats: Vec<Repeat>,
    /// Documents that have each n-gram, if somebody will ask.
    pub df: Option<Counts>,
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

/// Sorts the positions of `texts`. Fails only if cancelled, or for want of memory. Paths of `added`
/// texts are spelled by their places there, and their n-grams are not counted.
pub fn build<S: Symbol>(
    shape: &Shape,
    texts: &Texts<S>,
    table_bits: u32,
    added: bool,
    progress: Progress,
) -> Result<Built> {
    let layout = Layout::new(shape, texts, table_bits, added);
    match (added, layout.narrow) {
        (true, _) => build_of::<S, u64, false>(&layout, progress),
        (false, true) => build_of::<S, u32, true>(&layout, progress),
        (false, false) => build_of::<S, u64, true>(&layout, progress),
    }
}

/// The same with records of either width, whose n-grams are `COUNTED` or not.
fn build_of<S: Symbol, R: Stored, const COUNTED: bool>(
    layout: &Layout<S>,
    progress: Progress,
) -> Result<Built> {
    let (mut records, starts) = scatter::<S, R>(layout, progress)?;
    let mut docs = Scratch::new(records.len())?;
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
        .map_init(Memory::<R>::default, |memory, (buckets, records, docs)| {
            progress.check()?;
            // Postings of all documents, in place of all postings of some documents.
            let share = layout.texts.len() * docs.len() / starts[starts.len() - 1].max(1) as usize;
            let group = read_off::<S, R, COUNTED>(layout, buckets, &starts, records, docs, memory);
            progress.advance(share)?;
            Ok(group)
        })
        .collect::<Result<_>>()?;
    drop(records);
    let mut built = assemble(layout, &groups, docs)?;
    if COUNTED {
        built.df = Some(Counts::join(groups.iter().map(|group| &group.df))?);
    }
    Ok(built)
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

fn assemble<S: Symbol>(layout: &Layout<S>, groups: &[Group], docs: Scratch<u16>) -> Result<Built> {
    let fresh = join(groups, |group| &group.fresh)?;
    let spelling: Vec<&Draft> = groups.iter().map(|group| &group.spelling).collect();
    let spelling = Packed::join(&spelling, width_of(layout.largest_spelling()))?;
    let spelling = match layout.rest_bits {
        Some(bits) => Spelling::Rests {
            rests: spelling,
            bits,
        },
        None => Spelling::Places(spelling),
    };
    // Where the last path ends.
    let width = width_of(docs.len() as u64);
    let mut end = Draft::new(width, 1);
    end.push(docs.len() as u64);
    let starts = groups.iter().map(|group| &group.starts).chain([&end]);
    let sizes = groups.iter().flat_map(|group| &group.sizes).copied();
    Ok(Built {
        trie: Trie {
            table: Table::new(sizes, 1 << layout.table_bits),
            table_bits: layout.table_bits,
            spelling,
            shared: join(groups, |group| &group.shared)?.into(),
            marks: marks(&fresh).into(),
            fresh: fresh.into(),
            starts: Packed::join(&starts.collect::<Vec<_>>(), width)?,
        },
        docs: docs.into(),
        repeats: join_for_a_time(groups, |group| &group.repeats),
        df: None,
    })
}

/// Number of n-grams before every `MARK_EVERY`th path.
fn marks(fresh: &[u8]) -> Vec<u32> {
    let count = |block: &[u8]| block.iter().map(|&fresh| u32::from(fresh)).sum::<u32>();
    let mut marks: Vec<u32> = fresh.par_chunks(MARK_EVERY).map(count).collect();
    let mut total = 0;
    for mark in &mut marks {
        total += std::mem::replace(mark, total);
    }
    if fresh.len().is_multiple_of(MARK_EVERY) {
        marks.push(total);
    }
    marks
}
