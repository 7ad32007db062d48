//! Which n-grams a document has more than once, found while its postings are read in order.

use super::ngrams::Shape;

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

/// The postings that are not the first of their document with some n-gram.
#[derive(Default)]
pub struct Again {
    pub last: Vec<Last>,
    pub events: Vec<Event>,
    /// For each event, the number of events so far with each n-gram and the document, shortest first.
    counts: Vec<u32>,
}

/// The last posting of a document.
#[derive(Clone, Copy, Default)]
pub struct Last {
    /// The one after it; zero if there is none.
    pub next: u32,
    /// The number of its event, from one on; zero if it is no event.
    pub event: u32,
}

pub struct Event {
    pub posting: u32,
    /// Length of the longest n-gram that the document had before.
    pub reach: u8,
    /// The same for the document's next posting: it goes on with these n-grams.
    kept: u8,
    counts: u32,
}

impl Again {
    pub fn clear(&mut self, docs: usize) {
        self.last.clear();
        self.last.resize(docs, Last::default());
        self.events.clear();
        self.counts.clear();
    }

    /// Takes a posting of a document that had the n-grams of up to `reach` symbols before, and the
    /// event of the document's posting before it. Gives the event's number.
    pub fn push(&mut self, shape: &Shape, posting: u32, reach: usize, before: u32) -> u32 {
        let counts = self.counts.len();
        self.counts.resize(counts + reach + 1 - shape.shortest, 1);
        if before > 0 {
            let event = &mut self.events[before as usize - 1];
            event.kept = reach as u8;
            let (old, new) = self.counts.split_at_mut(counts);
            let old = &old[event.counts as usize..];
            let both = reach.min(event.reach.into()) + 1 - shape.shortest;
            for (new, &old) in new.iter_mut().zip(&old[..both]) {
                *new = old + 1;
            }
        }
        self.events.push(Event {
            posting,
            reach: reach as u8,
            kept: 0,
            counts: counts as u32,
        });
        self.events.len() as u32
    }

    /// How often documents have the n-grams that they have more than once.
    pub fn repeats(&self, shape: &Shape) -> Vec<Repeat> {
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
