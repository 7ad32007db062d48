//! From sorted records to paths, postings, frequencies and repeated n-grams.

use super::again::{Again, Last, Repeat};
use super::counts::Draft;
use super::ngrams::Symbol;
use super::packed::{Draft as Integers, width_of};
use super::radix;
use super::records::{Layout, Stored, TOGETHER};
use crate::cpu::prefetch;
use std::ops::Range;

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
const AHEAD: usize = 8;

/// Memory of a thread.
#[derive(Default)]
pub struct Memory<R> {
    records: Vec<R>,
    /// Where the paths of a bucket begin.
    bounds: Vec<u32>,
    /// Where the records of a bucket are that have a flag.
    flagged: Vec<u32>,
    again: Again,
}

/// Sorts the records of some buckets, reads off their paths and writes the documents of their
/// postings to `docs`. Documents that have an n-gram are `COUNTED` or not.
pub fn read_off<S: Symbol, R: Stored, const COUNTED: bool>(
    layout: &Layout<S>,
    buckets: Range<usize>,
    starts: &[u32],
    records: &mut [R],
    docs: &mut [u16],
    memory: &mut Memory<R>,
) -> Group {
    let Memory {
        records: spare,
        bounds,
        flagged,
        again,
    } = memory;
    again.clear(layout.texts.len());
    let mut reader = Reader {
        layout,
        group: Group::with_room(layout, docs.len(), starts[starts.len() - 1]),
        open: vec![Open::default(); layout.shape.longest + 1],
        bounds,
        flagged,
        again,
    };
    let base = starts[buckets.start];
    for bucket in buckets {
        let range = (starts[bucket] - base) as usize..(starts[bucket + 1] - base) as usize;
        let records = &mut records[range.clone()];
        layout.flag_repeated(records);
        let sorted = if layout.complete {
            radix::sort(records, spare, layout.key_range())
        } else {
            records.sort_unstable_by(|&a, &b| layout.order(a.record(), b.record()));
            records
        };
        reader.bucket::<R, COUNTED>(sorted, starts[bucket], &mut docs[range]);
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
    bounds: &'a mut Vec<u32>,
    flagged: &'a mut Vec<u32>,
    again: &'a mut Again,
}

impl<S: Symbol> Reader<'_, S> {
    /// Reads a bucket whose postings begin with number `first`.
    fn bucket<R: Stored, const COUNTED: bool>(
        &mut self,
        records: &[R],
        first: u32,
        docs: &mut [u16],
    ) {
        let (paths, flagged) = match records {
            [] => (0, 0),
            _ => self.scan(records, docs),
        };
        self.group.sizes.push(paths as u32);
        if paths == 0 {
            return;
        }
        let events = self.again.events.len();
        self.find_repeated(records, first, flagged);
        let Self {
            layout,
            group,
            open,
            bounds,
            again,
            ..
        } = self;
        let shortest = layout.shape.shortest;
        let mut events = again.events[events..].iter().peekable();
        let mut depth = shortest - 1;
        let mut previous = None;
        for path in 0..paths {
            let start = bounds[path];
            let record = records[start as usize].record();
            let posting = first + start;
            let shared = previous.map_or(0, |previous| layout.shared(previous, record));
            let shared = shared.max(shortest - 1);
            previous = Some(record);
            let before = std::mem::replace(&mut depth, layout.length(record));
            if COUNTED {
                close(&mut group.df, &open[shared + 1..=before], posting);
                for slot in &mut open[shared + 1..=depth] {
                    *slot = Open {
                        ngram: group.df.push(),
                        first: posting,
                        again: 0,
                    };
                }
            }
            group.spelling.push(layout.spelling(record));
            group.shared.push(shared as u8);
            group.fresh.push((depth - shared) as u8);
            group.starts.push(posting.into());
            if !COUNTED {
                continue;
            }
            let end = first + bounds[path + 1];
            while let Some(event) = events.next_if(|event| event.posting < end) {
                let reach = usize::from(event.reach);
                open[shortest..=reach].iter_mut().for_each(|n| n.again += 1);
            }
        }
        if COUNTED {
            let end = first + records.len() as u32;
            close(&mut group.df, &open[shortest..=depth], end);
        }
    }

    /// Writes the documents of a bucket's records; finds where its paths begin and which records have
    /// a flag. Gives the numbers of both.
    fn scan<R: Stored>(&mut self, records: &[R], docs: &mut [u16]) -> (usize, usize) {
        // A copy: what is written cannot be a part of it, so that it stays in registers.
        let layout = *self.layout;
        let room = records.len() + 1;
        if self.bounds.len() < room {
            self.bounds.resize(room, 0);
            self.flagged.resize(room, 0);
        }
        let (bounds, flags) = (&mut self.bounds[..room], &mut self.flagged[..room]);
        let (mut paths, mut flagged) = (0, 0);
        let mut previous = records[0];
        let blocks = records.chunks(TOGETHER).zip(docs.chunks_mut(TOGETHER));
        for (start, (records, docs)) in (0..).step_by(TOGETHER).zip(blocks) {
            let (mut begin, mut flagged_here) = layout.look_at(records, previous, docs);
            // The first of all begins a path.
            begin |= u64::from(start == 0);
            if !layout.complete {
                begin |= layout.differing(records, previous);
            }
            previous = records[records.len() - 1];
            while begin != 0 {
                bounds[paths] = start + begin.trailing_zeros();
                paths += 1;
                begin &= begin - 1;
            }
            while flagged_here != 0 {
                flags[flagged] = start + flagged_here.trailing_zeros();
                flagged += 1;
                flagged_here &= flagged_here - 1;
            }
        }
        bounds[paths] = records.len() as u32;
        (paths, flagged)
    }

    /// Finds the postings whose document had an n-gram of the path before.
    fn find_repeated<R: Stored>(&mut self, records: &[R], first: u32, flagged: usize) {
        let Self {
            layout,
            flagged: flags,
            again,
            ..
        } = self;
        let shape = layout.shape;
        for (number, &at) in flags[..flagged].iter().enumerate() {
            if let Some(&coming) = flags[..flagged].get(number + AHEAD) {
                let doc = layout.doc(records[coming as usize].record());
                prefetch(&again.last[usize::from(doc)]);
            }
            let record = records[at as usize].record();
            let doc = usize::from(layout.doc(record));
            let posting = first + at;
            let Last { next, event } = again.last[doc];
            let mut last = Last {
                next: posting + 1,
                event: 0,
            };
            if next > first {
                // Of all the document's postings before, it shares most with the last one.
                let before = records[(next - 1 - first) as usize].record();
                let reach = layout.shared(before, record);
                if reach >= shape.shortest {
                    last.event = again.push(shape, posting, reach, event);
                }
            }
            again.last[doc] = last;
        }
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
                let (mut records, starts) = scatter::<_, u64>(&layout, Progress::new(&go)).unwrap();
                let mut docs = vec![0; records.len()];
                let mut memory = Memory::default();
                let all = 0..starts.len() - 1;
                let group = read_off::<_, _, true>(
                    &layout,
                    all,
                    &starts,
                    &mut records,
                    &mut docs,
                    &mut memory,
                );
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
