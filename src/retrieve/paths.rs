//! From sorted records to paths, postings, frequencies and repeated n-grams.

use super::counts::Draft;
use super::ngrams::{Shape, Symbol};
use super::packed::{Draft as Integers, width_of};
use super::radix;
use super::records::{Layout, Record};
use crate::cpu::prefetch;
use std::ops::Range;

/// The last posting of a document with some n-grams that it has more than once: the prefixes of
/// these lengths of the posting's path. So n-grams that are repeated together, as those of a word,
/// are one repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeat {
    pub posting: u32,
    /// Shortest and longest of the n-grams.
    pub from: u8,
    pub to: u8,
    /// How often the document has each of them.
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
    /// In the order of their postings, those of one posting shortest first.
    pub repeats: Vec<Repeat>,
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
    /// For each document its last posting so far, plus one; doubled, and one more if the document had
    /// an n-gram there that it had before.
    last: Vec<u32>,
    again: Again,
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
    again.clear(starts[buckets.start], docs.len());
    let mut reader = Reader {
        layout,
        group: Group::with_room(layout, docs.len(), starts[starts.len() - 1]),
        open: vec![Open::default(); layout.shape.longest + 1],
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
    group.repeats = again.repeats(layout.shape);
    group.df.finish();
    group
}

struct Reader<'a, S: Symbol> {
    layout: &'a Layout<'a, S>,
    group: Group,
    /// For each length, the n-gram of the current path.
    open: Vec<Open>,
    last: &'a mut [u32],
    again: &'a mut Again,
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
                    *slot = Open {
                        ngram: group.df.push(),
                        first: posting,
                        again: 0,
                    };
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
            let before = std::mem::replace(&mut last[usize::from(doc)], (posting + 1) << 1);
            let mut reach = shortest - 1;
            for open in &mut open[shortest..=depth] {
                if open.first >= before >> 1 {
                    break;
                }
                open.again += 1;
                reach += 1;
            }
            if reach >= shortest {
                last[usize::from(doc)] |= 1;
                again.push(layout.shape, posting, reach, before);
            }
        }
        let end = first + records.len() as u32;
        close(&mut group.df, &open[shortest..=depth], end);
        group.sizes.push((group.shared.len() - paths_before) as u32);
    }
}

/// An n-gram whose postings are being read.
#[derive(Clone, Copy, Default)]
struct Open {
    ngram: u32,
    first: u32,
    /// Postings of documents that had one before.
    again: u32,
}

/// Counts the documents of n-grams that no further path has.
fn close(df: &mut Draft, open: &[Open], end: u32) {
    for open in open {
        df.set(open.ngram, end - open.first - open.again);
    }
}

/// The postings that are not the first of their document with some n-gram.
#[derive(Default)]
struct Again {
    /// The first posting of the buckets.
    base: u32,
    events: Vec<Event>,
    /// For each event, the number of events so far with each n-gram and the document, shortest first.
    counts: Vec<u32>,
    /// For each posting that is an event, its place among them.
    places: Vec<u32>,
}

struct Event {
    posting: u32,
    /// Length of the longest n-gram that the document had before.
    reach: u8,
    /// The same for the document's next posting: it goes on with these n-grams.
    kept: u8,
    counts: u32,
}

impl Again {
    fn clear(&mut self, base: u32, postings: usize) {
        self.base = base;
        self.events.clear();
        self.counts.clear();
        if self.places.len() < postings {
            self.places.resize(postings, 0);
        }
    }

    /// Takes a posting of a document that had the n-grams of up to `reach` symbols `before`.
    fn push(&mut self, shape: &Shape, posting: u32, reach: usize, before: u32) {
        let counts = self.counts.len();
        self.counts.resize(counts + reach + 1 - shape.shortest, 1);
        if before & 1 == 1 {
            let place = self.places[((before >> 1) - 1 - self.base) as usize];
            let event = &mut self.events[place as usize];
            event.kept = reach as u8;
            let (old, new) = self.counts.split_at_mut(counts);
            let old = &old[event.counts as usize..];
            let both = reach.min(event.reach.into()) + 1 - shape.shortest;
            for (new, &old) in new.iter_mut().zip(&old[..both]) {
                *new = old + 1;
            }
        }
        self.places[(posting - self.base) as usize] = self.events.len() as u32;
        self.events.push(Event {
            posting,
            reach: reach as u8,
            kept: 0,
            counts: counts as u32,
        });
    }

    /// How often documents have the n-grams that they have more than once.
    fn repeats(&self, shape: &Shape) -> Vec<Repeat> {
        let mut repeats: Vec<Repeat> = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let first = shape.shortest.max(usize::from(event.kept) + 1);
            let mut from = first;
            let tf = |length: usize| {
                let count = self.counts[event.counts as usize + length - shape.shortest];
                count + 1
            };
            for length in first..=usize::from(event.reach) {
                let last = length == usize::from(event.reach);
                if last || tf(length + 1) != tf(length) {
                    repeats.push(Repeat {
                        posting: event.posting,
                        from: from as u8,
                        to: length as u8,
                        tf: tf(length),
                    });
                    from = length + 1;
                }
            }
        }
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::ngrams::Texts;
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
                // The n-gram of a length that each path begins with.
                let mut found = HashMap::new();
                let mut ngrams = 0;
                let mut open = vec![0; longest + 1];
                let mut repeats = group.repeats.iter().peekable();
                let starts = group.starts.integers();
                let starts = (0..starts.len()).map(|at| starts.get(at) as u32);
                let ends: Vec<u32> = starts.skip(1).chain([docs.len() as u32]).collect();
                for (path, end) in ends.into_iter().enumerate() {
                    let shared = usize::from(group.shared[path]);
                    let length = shared + usize::from(group.fresh[path]);
                    for slot in &mut open[shared + 1..=length] {
                        *slot = ngrams;
                        ngrams += 1;
                    }
                    while let Some(repeat) = repeats.next_if(|repeat| repeat.posting < end) {
                        for &ngram in &open[repeat.from.into()..=repeat.to.into()] {
                            let of = (ngram, docs[repeat.posting as usize]);
                            assert!(found.insert(of, repeat.tf).is_none());
                        }
                    }
                }
                assert_eq!(found, repeated);
                assert!(group.repeats.is_sorted_by_key(|r| (r.posting, r.from)));
            }
        }
    }
}
