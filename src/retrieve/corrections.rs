//! What documents have of a query's n-grams beyond once: ranges of postings gave a document tf times what a
//! frequency of one is worth, and this adds the difference.

use super::build::MAX_DOCS;
use super::ngrams::Shape;
use super::ranges::Prefixes;
use super::repeats::{Repeats, Weights};
use super::sum::Sum;
use super::weighed::OfLength;
use std::ops::Range;

/// Values of n-grams that documents repeat: with more, those looked up are read before others are.
const MOST_VALUES: usize = 1 << 12;

/// Ranges of postings whose repeats are to be added, and what `Prefixes` says of them.
#[derive(Default)]
pub struct Corrections {
    ranges: Vec<Repeated>,
    /// The values of all, one after the other.
    values: Vec<f64>,
}

struct Repeated {
    postings: Range<usize>,
    /// Where the repeats of these are.
    places: Range<usize>,
    left_out: usize,
    values: Range<usize>,
}

impl Corrections {
    /// Whether it is time to add them.
    pub fn are_many(&self) -> bool {
        self.values.len() > MOST_VALUES
    }

    pub fn push(&mut self, repeats: &Repeats, postings: Range<usize>, prefixes: Prefixes) {
        repeats.prefetch(&postings);
        let start = self.values.len();
        self.values.extend_from_slice(prefixes.values);
        self.ranges.push(Repeated {
            postings,
            places: 0..0,
            left_out: prefixes.left_out.into(),
            values: start..self.values.len(),
        });
    }

    /// Adds them, and forgets them.
    pub fn add<T: Sum>(
        &mut self,
        repeats: &Repeats,
        weights: Weights,
        shape: &Shape,
        sums: &mut [T; MAX_DOCS],
    ) {
        // All are looked up before any is read, so that no search waits for another's memory. Most
        // begin where the one before ends.
        let mut last = (0, 0);
        for repeated in &mut self.ranges {
            let Range { start, end } = repeated.postings;
            let first = match last {
                (posting, place) if posting == start => place,
                _ => repeats.place(start),
            };
            last = (end, repeats.place(end));
            repeated.places = first..last.1;
            repeats.prefetch_places(&repeated.places);
        }
        let mut of_length: OfLength = [0.0; _];
        let (base, lengths) = (shape.shortest - 1, shape.longest - shape.shortest + 1);
        for repeated in &self.ranges {
            let values = &self.values[repeated.values.clone()];
            let start = repeated.left_out - base;
            let end = start + values.len();
            of_length[..start].fill(values[0]);
            of_length[start..end].copy_from_slice(values);
            // Of longer n-grams the query, or the path, has none.
            of_length[end..=lengths].fill(values[values.len() - 1]);
            let (posting, places) = (repeated.postings.start, repeated.places.clone());
            repeats.add(weights, posting, places, &of_length, sums);
        }
        self.ranges.clear();
        self.values.clear();
    }
}
