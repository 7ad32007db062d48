//! From sorted records to paths, postings, frequencies and repeated n-grams.

use super::counts::Draft;
use super::ngrams::Symbol;
use super::packed::{Draft as Integers, width_of};
use super::radix;
use super::records::{Layout, Record};
use crate::cpu::prefetch;
use std::ops::Range;

/// An n-gram that a document has more than once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocRepeat {
    pub ngram: u32,
    pub doc: u16,
    pub tf: u32,
}

/// Paths of some buckets, their n-grams numbered from zero.
#[derive(Default)]
pub struct Group {
    /// Paths of each bucket.
    pub sizes: Vec<u32>,
    /// What spells each path.
    pub spelling: Integers,
    pub shared: Vec<u8>,
    pub fresh: Vec<u8>,
    /// First posting of each path, counted over all groups.
    pub starts: Integers,
    /// Documents that have each n-gram.
    pub df: Draft,
    /// Sorted by n-gram, then document.
    pub repeats: Vec<DocRepeat>,
}

impl Group {
    /// Room for as many paths as there are postings, of `all` postings. It is not moved while it
    /// grows, and what is not used of it is never touched.
    fn with_room<S: Symbol>(layout: &Layout<S>, postings: usize, all: u32) -> Self {
        let spelling = width_of(layout.largest_spelling());
        Self {
            spelling: Integers::new(spelling, postings),
            shared: Vec::with_capacity(postings),
            fresh: Vec::with_capacity(postings),
            starts: Integers::new(width_of(all.into()), postings),
            ..Self::default()
        }
    }
}

/// How far ahead of its use what is known about a document is fetched.
const AHEAD: usize = 12;

/// Memory of a thread.
#[derive(Default)]
pub struct Memory {
    records: Vec<Record>,
    /// For each document its last posting so far, plus one.
    last: Vec<u32>,
    /// Second and later occurrences of an n-gram in a document: n-gram and document as an integer
    /// that `radix` sorts.
    again: Vec<u64>,
}

/// Sorts the records of some buckets, reads off their paths and writes the documents of their
/// postings to `docs`.
pub fn read_off<S: Symbol>(
    layout: &Layout<S>,
    buckets: Range<usize>,
    starts: &[u32],
    records: &mut [Record],
    docs: &mut [u16],
    memory: &mut Memory,
) -> Group {
    let Memory {
        records: spare,
        last,
        again,
    } = memory;
    last.clear();
    last.resize(layout.texts.len(), 0);
    again.clear();
    let mut reader = Reader {
        layout,
        group: Group::with_room(layout, docs.len(), starts[starts.len() - 1]),
        open: vec![(0, 0); layout.shape.longest + 1],
        last,
        again,
    };
    let base = starts[buckets.start];
    for bucket in buckets {
        let range = (starts[bucket] - base) as usize..(starts[bucket + 1] - base) as usize;
        let records = &mut records[range.clone()];
        let sorted = if layout.complete {
            radix::sort(records, spare, layout.key_range())
        } else {
            records.sort_unstable_by(|&a, &b| layout.order(a, b));
            records
        };
        reader.bucket(sorted, starts[bucket], &mut docs[range]);
    }
    let mut group = reader.group;
    group.repeats = repeats(again, spare);
    // Postings were counted; documents are wanted.
    let more = group.repeats.iter().map(|r| (r.ngram, r.tf - 1));
    group.df.finish(more);
    group
}

struct Reader<'a, S: Symbol> {
    layout: &'a Layout<'a, S>,
    group: Group,
    /// For each length, the n-gram of the current path and its first posting.
    open: Vec<(u32, u32)>,
    last: &'a mut [u32],
    again: &'a mut Vec<u64>,
}

impl<S: Symbol> Reader<'_, S> {
    /// Reads a bucket whose postings begin with number `first`.
    fn bucket(&mut self, records: &[Record], first: u32, docs: &mut [u16]) {
        let Self {
            layout,
            group,
            open,
            last,
            again,
        } = self;
        if records.is_empty() {
            group.sizes.push(0);
            return;
        }
        // A copy: what is written to the group cannot be a part of it, so that it stays in registers.
        let layout = **layout;
        let shortest = layout.shape.shortest;
        let paths_before = group.shared.len();
        let mut depth = shortest - 1;
        let mut previous = None;
        for (posting, (&record, doc_slot)) in (first..).zip(records.iter().zip(docs)) {
            if let Some(&coming) = records.get((posting - first) as usize + AHEAD) {
                prefetch(&last[usize::from(layout.doc(coming))]);
            }
            let shared = match previous {
                None => Some(0),
                Some(previous) => layout.differ(previous, record),
            };
            previous = Some(record);
            if let Some(shared) = shared {
                let shared = shared.max(shortest - 1);
                close(&mut group.df, &open[shared + 1..=depth], posting);
                depth = layout.length(record);
                for slot in &mut open[shared + 1..=depth] {
                    *slot = (group.df.push(), posting);
                }
                group.spelling.push(layout.spelling(record));
                group.shared.push(shared as u8);
                group.fresh.push((depth - shared) as u8);
                group.starts.push(posting.into());
            }
            let doc = layout.doc(record);
            *doc_slot = doc;
            // Prefixes of this path that began no later than the document's last posting have the
            // document more than once.
            let before = std::mem::replace(&mut last[usize::from(doc)], posting + 1);
            for &(ngram, _) in open[shortest..=depth]
                .iter()
                .take_while(|&&(_, first)| first < before)
            {
                again.push(event(ngram, doc));
            }
        }
        let end = first + records.len() as u32;
        close(&mut group.df, &open[shortest..=depth], end);
        group.sizes.push((group.shared.len() - paths_before) as u32);
    }
}

/// Counts the postings of n-grams that no further path has.
fn close(df: &mut Draft, open: &[(u32, u32)], posting: u32) {
    for &(ngram, first) in open {
        df.set(ngram, posting - first);
    }
}

const NGRAM_SHIFT: u32 = 32;
const EVENT_SHIFT: u32 = NGRAM_SHIFT - u16::BITS;

fn event(ngram: u32, doc: u16) -> u64 {
    (u64::from(ngram) << NGRAM_SHIFT) | (u64::from(doc) << EVENT_SHIFT)
}

/// Counts the occurrences of n-grams in documents, of which the first is not listed.
fn repeats(again: &mut [u64], scratch: &mut Vec<u64>) -> Vec<DocRepeat> {
    let used = again.iter().fold(0, |all, event| all | event);
    let mut repeats: Vec<DocRepeat> = Vec::new();
    for run in radix::sort(
        again,
        scratch,
        EVENT_SHIFT..u64::BITS - used.leading_zeros(),
    )
    .chunk_by(|a, b| a == b)
    {
        repeats.push(DocRepeat {
            ngram: (run[0] >> NGRAM_SHIFT) as u32,
            doc: (run[0] >> EVENT_SHIFT) as u16,
            tf: run.len() as u32 + 1,
        });
    }
    repeats
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::ngrams::{Shape, Texts};
    use super::super::progress::Progress;
    use super::super::scatter::scatter;
    use super::*;
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn finds_the_ngrams_and_repeats_that_counting_finds() {
        // The second shape's paths do not fit in a record, those after it in a record and the table
        // together, but not in a key of 64 bits.
        let shapes = [
            (2, 5, 4),
            (8, 9, 5),
            (13, 5, 13),
            (5, 13, 10),
            (11, 6, 11),
            (22, 3, 22),
        ];
        for (bits, longest, table_bits) in shapes {
            let shape = Shape {
                bits,
                shortest: 2,
                longest,
            };
            for seed in 0..100u32 {
                let text = |seed: u32| -> Vec<u8> {
                    (0..seed % 40)
                        .map(|i| 1 + ((seed * 7 + i * i * (seed % 5) + i / 3) % 3) as u8)
                        .collect()
                };
                let documents = [text(seed), text(seed + 13), text(seed + 31)];
                let mut ends = vec![0];
                ends.extend(documents.iter().scan(0, |end, text| {
                    *end += text.len() as u32;
                    Some(*end)
                }));
                let texts = Texts {
                    symbols: documents.concat().into(),
                    offsets: ends.into(),
                };
                // The n-grams in order, and how often each document has each.
                let mut counted: Vec<(&[u8], [u32; 3])> = Vec::new();
                for (doc, text) in documents.iter().enumerate() {
                    for n in shape.shortest..=shape.longest {
                        for window in text.windows(n) {
                            let place = counted.iter().position(|(ngram, _)| *ngram == window);
                            let place = place.unwrap_or(counted.len());
                            if place == counted.len() {
                                counted.push((window, [0; 3]));
                            }
                            counted[place].1[doc] += 1;
                        }
                    }
                }
                counted.sort();
                let df = counted
                    .iter()
                    .map(|(_, tf)| tf.iter().filter(|&&tf| tf > 0).count());
                let df: Vec<u32> = df.map(|df| df as u32).collect();
                let mut repeated = HashMap::new();
                for (ngram, (_, tfs)) in counted.iter().enumerate() {
                    for (doc, &tf) in tfs.iter().enumerate().filter(|&(_, &tf)| tf > 1) {
                        repeated.insert((ngram as u32, doc as u16), tf);
                    }
                }

                let layout = Layout::new(&shape, &texts, table_bits, seed % 2 == 0);
                let go = AtomicBool::new(false);
                let (mut records, starts) = scatter(&layout, Progress::new(&go)).unwrap();
                let mut docs = vec![0; records.len()];
                let mut memory = Memory::default();
                let all = 0..starts.len() - 1;
                let group = read_off(&layout, all, &starts, &mut records, &mut docs, &mut memory);
                let found = Counts::join(std::iter::once(&group.df)).unwrap();
                assert_eq!(group.df.len(), df.len());
                let found: Vec<u32> = (0..df.len()).map(|at| found.get(at)).collect();
                assert_eq!(found, df);
                let found = group.repeats.iter().map(|r| ((r.ngram, r.doc), r.tf));
                assert_eq!(found.collect::<HashMap<_, _>>(), repeated);
                assert!(group.repeats.is_sorted_by_key(|r| (r.ngram, r.doc)));
            }
        }
    }
}
