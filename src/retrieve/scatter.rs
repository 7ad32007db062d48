//! All positions of a segment, by bucket: a counting sort.

use super::ngrams::Symbol;
use super::progress::Progress;
use super::records::{Layout, Stored};
use super::scratch::Scratch;
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Largest number of parts that are counted apart: each has a table of its own.
const MAX_PARTS: usize = 16;
/// Documents between two looks at the progress.
const TICK: usize = 256;

/// A pointer into the records that threads write to at places of their own.
#[derive(Clone, Copy)]
struct Scattered<R>(*mut R);
// SAFETY: see `scatter`, the one place where it is used.
unsafe impl<R> Send for Scattered<R> {}
unsafe impl<R> Sync for Scattered<R> {}

impl<R> Scattered<R> {
    /// # Safety
    ///
    /// No other thread may read or write this place, and it must be inside the records.
    unsafe fn write(self, place: u32, record: R) {
        unsafe { *self.0.add(place as usize) = record }
    }
}

/// Records of all positions by bucket, then document, then offset, and where each bucket starts.
pub fn scatter<S: Symbol, R: Stored>(
    layout: &Layout<S>,
    progress: Progress,
) -> Result<(Scratch<R>, Vec<u32>)> {
    let buckets = 1 << layout.table_bits;
    let parts = parts(layout);
    let mut cursors: Vec<Vec<u32>> = parts
        .par_iter()
        .map(|part| -> Result<Vec<u32>> {
            let mut counts = vec![0u32; buckets];
            for doc in part.clone() {
                layout.shape.for_each_key(layout.texts.get(doc), |_, key| {
                    counts[layout.bucket(key)] += 1;
                });
                if doc % TICK == 0 {
                    progress.advance(TICK)?;
                }
            }
            Ok(counts)
        })
        .collect::<Result<_>>()?;
    let mut starts = Vec::with_capacity(buckets + 1);
    let mut total = 0;
    for bucket in 0..buckets {
        starts.push(total);
        for cursor in &mut cursors {
            total += std::mem::replace(&mut cursor[bucket], total);
        }
    }
    starts.push(total);

    let mut records = Scratch::new(total as usize)?;
    let target = Scattered(records.as_mut_ptr());
    parts
        .into_par_iter()
        .zip(cursors)
        .try_for_each(|(part, mut cursor)| -> Result<()> {
            // Copies: what is written to the records cannot be a part of them.
            let (layout, shape) = (*layout, *layout.shape);
            for doc in part {
                let text = layout.texts.get(doc);
                shape.for_each_key(text, |offset, key| {
                    let place = &mut cursor[layout.bucket(key)];
                    // SAFETY: the cursors of all parts and buckets were laid one after the other
                    // above by counting exactly these visits, so every place is inside `records`
                    // and is written once, by one thread.
                    unsafe { target.write(*place, R::store(layout.record(key, doc, offset))) };
                    *place += 1;
                });
                if doc % TICK == 0 {
                    progress.advance(TICK)?;
                }
            }
            Ok(())
        })?;
    Ok((records, starts))
}

/// Cuts the documents into parts with about as many symbols each, one for each thread.
fn parts<S: Symbol>(layout: &Layout<S>) -> Vec<Range<usize>> {
    let offsets = &layout.texts.offsets;
    let docs = layout.texts.len();
    let symbols = layout.texts.symbols.len();
    let count = rayon::current_num_threads().clamp(1, MAX_PARTS);
    let bound = |part: usize| match part == count {
        true => docs,
        false => offsets[..docs].partition_point(|&at| (at as usize) < symbols * part / count),
    };
    (0..count)
        .map(|part| bound(part)..bound(part + 1))
        .collect()
}
