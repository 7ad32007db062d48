//! N-grams that occur more than once in the same text: the exceptions to "one posting, weight one".

use super::ngrams::{Shape, Symbol, shared_prefix};

/// An n-gram that a text has `tf` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// One of the places, in the text, where it occurs.
    pub position: u32,
    pub length: u8,
    pub tf: u32,
}

/// Finds the repeats of one text after the other, reusing its memory.
#[derive(Default)]
pub struct RepeatFinder {
    /// Occurrences of shortest n-grams, by hash.
    seen: Vec<u8>,
    candidates: Vec<u32>,
    shared: Vec<usize>,
}

impl RepeatFinder {
    /// Calls `found` for every n-gram that `text` has at least twice.
    pub fn find<S: Symbol>(&mut self, shape: &Shape, text: &[S], mut found: impl FnMut(Repeat)) {
        let positions = shape.positions(text.len());
        if positions < 2 {
            return;
        }
        // Nearly all positions of a short text begin with an n-gram seen once: a small table finds
        // the few others (and by collision some more, which does no harm), and only those are sorted.
        let size = (4 * positions).next_power_of_two();
        self.seen.clear();
        self.seen.resize(size, 0);
        let prefix_bits = (shape.shortest as u32 * shape.bits).min(u64::BITS);
        let slot = |key: u64| {
            let prefix = key >> (u64::BITS - prefix_bits);
            let hash = prefix.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (hash >> (u64::BITS - size.trailing_zeros())) as usize
        };
        shape.for_each_key(text, |_, key| {
            let seen = &mut self.seen[slot(key)];
            *seen = seen.saturating_add(1);
        });
        self.candidates.clear();
        shape.for_each_key(text, |position, key| {
            if self.seen[slot(key)] > 1 {
                self.candidates.push(position as u32);
            }
        });
        let path = |position: u32| {
            let start = position as usize;
            &text[start..text.len().min(start + shape.longest)]
        };
        self.candidates
            .sort_unstable_by(|&a, &b| path(a).cmp(path(b)).then(a.cmp(&b)));
        let neighbours = self.candidates.windows(2);
        self.shared.clear();
        self.shared
            .extend(neighbours.map(|pair| shared_prefix(path(pair[0]), path(pair[1]))));

        let longest = self.shared.iter().copied().max().unwrap_or(0);
        for length in shape.shortest..=longest {
            let mut run = 1;
            for (place, &shared) in self.shared.iter().chain([&0]).enumerate() {
                if shared >= length {
                    run += 1;
                } else {
                    if run > 1 {
                        found(Repeat {
                            position: self.candidates[place],
                            length: length as u8,
                            tf: run,
                        });
                    }
                    run = 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn finds_what_counting_finds() {
        let shape = Shape {
            bits: 2,
            shortest: 2,
            longest: 5,
        };
        let mut finder = RepeatFinder::default();
        for seed in 0..200u32 {
            let length = seed % 40;
            let text: Vec<u8> = (0..length)
                .map(|i| 1 + ((seed * 7 + i * i * (seed % 5) + i / 3) % 3) as u8)
                .collect();
            let mut counted: HashMap<&[u8], u32> = HashMap::new();
            for n in shape.shortest..=shape.longest {
                for window in text.windows(n) {
                    *counted.entry(window).or_default() += 1;
                }
            }
            counted.retain(|_, tf| *tf > 1);
            let mut found = HashMap::new();
            finder.find(&shape, &text, |repeat| {
                let start = repeat.position as usize;
                let ngram = &text[start..start + usize::from(repeat.length)];
                assert!(found.insert(ngram, repeat.tf).is_none(), "listed twice");
            });
            assert_eq!(found, counted);
        }
    }
}
