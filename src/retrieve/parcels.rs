//! Answers on their way to a thread that waits for them. Waking it takes as long as a seventh of a
//! query, so answers are handed over in parcels.

use super::top_k::Hits;
use std::sync::{Mutex, PoisonError};

/// Answers of neighbouring queries: the number of the first, and the answers.
pub type Part = (usize, Vec<Hits>);

/// What is handed over when an eighth of the answers to come are ready: much at first, and at the end
/// little, so that nobody waits long for the last of it.
const ONE_IN: usize = 8;

/// Answers that are found and not handed over.
pub struct Parcels(Mutex<State>);

struct State {
    parts: Vec<Part>,
    ready: usize,
    to_come: usize,
}

impl Parcels {
    /// For so many answers to come.
    pub fn new(to_come: usize) -> Self {
        Self(Mutex::new(State {
            parts: Vec::new(),
            ready: 0,
            to_come,
        }))
    }

    /// Takes the answers from query `first` on. Gives all that are to be handed over now.
    pub fn add(&self, first: usize, hits: Vec<Hits>) -> Option<Vec<Part>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ready += hits.len();
        state.to_come -= hits.len();
        state.parts.push((first, hits));
        (state.ready * ONE_IN >= state.to_come).then(|| {
            state.ready = 0;
            std::mem::take(&mut state.parts)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_in_one_of_few_parcels() {
        for (count, size) in [(1, 1), (9, 1), (512, 4), (1024, 4), (1023, 7)] {
            let parcels = Parcels::new(count);
            let mut sizes = Vec::new();
            let mut numbers = Vec::new();
            for first in (0..count).step_by(size) {
                let hits = vec![Hits::default(); size.min(count - first)];
                if let Some(parts) = parcels.add(first, hits) {
                    let of_parts = parts.iter().flat_map(|(n, hits)| *n..n + hits.len());
                    let before = numbers.len();
                    numbers.extend(of_parts);
                    sizes.push(numbers.len() - before);
                }
            }
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
            assert!(sizes.len() <= 45, "{sizes:?}");
            assert!(*sizes.last().unwrap() <= 2 * size, "{sizes:?}");
        }
    }
}
