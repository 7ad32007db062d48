//! The common n-grams of a query, which it leaves out at first.
//!
//! What they would add to a document is at most |q_C| |d_C|, the norms of both restricted to them
//! (Cauchy-Schwarz). As they weigh little, few documents can rise among the best by them: those are
//! completed from their rows of bits. It is the principle of MaxScore (Turtle & Flood 1995), and
//! complete sums are the same to the bit as those that leave nothing out.

use super::common::{Common, MOST, Row, WORDS, has};
use super::sum::{OfWord, Sum};

/// What the sums of a segment lack.
pub struct LeftOut<'a, T> {
    common: &'a Common,
    /// The n-grams that are left out.
    row: Row,
    /// What an occurrence of each would add.
    values: [OfWord<T>; WORDS],
    /// Before rounding: the values of the n-grams that it begins with, and those with its own.
    units: [[f64; 2]; MOST],
    /// |q_C| in units: times the norm of a document, more than its sum lacks but for rounding.
    pub reach: f32,
    /// The rest of what a sum may lack, by a document's factor.
    pub error: f64,
    /// To complete more documents than these takes longer than to add what was left out.
    pub limit: usize,
}

impl<'a, T: Sum> LeftOut<'a, T> {
    pub fn new(common: &'a Common, row: Row, reach: f64, error: f64, limit: usize) -> Self {
        Self {
            common,
            row,
            values: [[T::default(); _]; WORDS],
            units: [[0.0; 2]; MOST],
            reach: reach as f32,
            error,
            limit,
        }
    }

    /// Whether a common n-gram is left out.
    pub fn has(&self, number: u8) -> bool {
        has(&self.row, number)
    }

    /// Says what an occurrence of an n-gram would add.
    pub fn set(&mut self, number: u8, value: T, units: [f64; 2]) {
        let number = usize::from(number);
        self.values.as_flattened_mut()[number] = value;
        self.units[number] = units;
    }

    /// What an occurrence of an n-gram would add, and that before rounding: see `units`.
    pub fn value(&self, number: u8) -> (T, &[f64]) {
        let number = usize::from(number);
        (self.values.as_flattened()[number], &self.units[number])
    }

    /// The norm of each document's common n-grams.
    pub fn norms(&self) -> &'a [u16] {
        &self.common.norms
    }

    /// The largest part that these are of a document's norm, for each chunk of documents.
    pub fn shares(&self) -> &'a [f32] {
        &self.common.shares
    }

    /// Fetches what `complete` will read.
    pub fn prefetch(&self, doc: usize) {
        self.common.prefetch(doc);
    }

    /// The same, once what `prefetch` fetched is there.
    pub fn prefetch_repeats(&self, doc: Option<&u32>) {
        if let Some(&doc) = doc {
            self.common.prefetch_repeats(doc as usize);
        }
    }

    /// The sum of a document with what was left out.
    pub fn complete(&self, doc: usize, mut sum: T) -> T {
        let row = &self.common.rows[doc];
        let both: Row = std::array::from_fn(|word| row[word] & self.row[word]);
        sum = sum.plus(T::sum_of_chosen(&both, &self.values));
        for repeat in self.common.repeats_of(doc) {
            if self.has(repeat.number) {
                // The bit counted once.
                let number = usize::from(repeat.number);
                let tf = u32::from(repeat.tf);
                sum = sum.plus(self.values.as_flattened()[number].times(tf - 1));
                let excess = f64::from(repeat.relative) - f64::from(tf);
                let [before, here] = self.units[number];
                sum = sum.plus(T::rounded(excess * here));
                sum = sum.minus(T::rounded(excess * before));
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::Index;
    use super::super::ngrams::Shape;
    use super::super::plan::Plan;
    use super::super::progress::Progress;
    use super::super::scan::{Scanner, Setting};
    use super::super::segment::Bounds;
    use super::super::texts::Encoded;
    use super::super::top_k::TopK;
    use super::super::weighting::Weighting;
    use std::sync::atomic::AtomicBool;

    /// Words of Zipf's frequencies over six letters, some of them again and again; most texts have one
    /// word that is long enough for common n-grams of several lengths.
    fn text(next: &mut impl FnMut(u32) -> u32) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..next(4) {
            text.extend([5, 1, 5, 2, 5, 6]);
        }
        for _ in 0..1 + next(12) {
            let rank = 1 + next(2_000);
            let word = next(rank);
            let more = next(20) / 19 * next(5);
            for _ in 0..1 + more {
                text.extend((0..2 + word % 4).map(|i| 1 + (word / 5u32.pow(i) % 5) as u8));
                text.push(6);
            }
        }
        text
    }

    /// The same numbers in each test.
    fn random() -> impl FnMut(u32) -> u32 {
        let mut state = 1u64;
        move |bound| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 33) % u64::from(bound)) as u32
        }
    }

    /// Compares what an index finds with and without leaving out: how often documents were completed one
    /// by one, and how often all together.
    fn compare(
        shape: Shape,
        weighting: Weighting,
        wide: bool,
        texts: &[Vec<u8>],
        queries: &[Vec<u8>],
    ) -> [usize; 2] {
        let block = || Encoded {
            symbols: texts.concat(),
            ends: texts
                .iter()
                .scan(0, |end, text| {
                    *end += text.len();
                    Some(*end)
                })
                .collect(),
        };
        let go = AtomicBool::new(false);
        let fit = || Index::fit(shape, weighting, vec![block()], Progress::new(&go)).unwrap();
        let (index, plain) = (fit(), fit());
        index.prepare();
        assert!(index.segments[0].codes().is_some() && plain.segments[0].codes().is_none());
        assert!(!index.segments[0].common.get().unwrap().repeats.is_empty());
        let bounds = Bounds {
            rounding: index.bounds.rounding * if wide { 1e6 } else { 1.0 },
            ..index.bounds
        };
        let (mut plan, mut scanner) = (Plan::default(), Scanner::new(bounds));
        for query in queries {
            for k in [1, 3, 10, 60] {
                let mut search = |index: &Index<u8>| {
                    let setting = Setting {
                        shape: &shape,
                        weighting,
                        bounds: index.bounds,
                    };
                    let segments = &index.segments;
                    plan.make(&shape, &index.model, segments, query, k == 3);
                    let mut top = TopK::new(k);
                    scanner.scan(setting, &plan, 0, &segments[0], None, &mut top);
                    top.into_hits()
                };
                assert_eq!(search(&index), search(&plain));
            }
        }
        scanner.completed()
    }

    #[test]
    fn sums_are_the_same_to_the_bit_whoever_finds_ngrams() {
        let bm25 = Weighting::Bm25 {
            k1: 1.2,
            b: 0.7,
            epsilon: 0.1,
        };
        let shape = Shape {
            bits: 3,
            shortest: 3,
            longest: 6,
        };
        let mut next = random();
        let texts: Vec<Vec<u8>> = (0..4_000).map(|_| text(&mut next)).collect();
        let queries: Vec<Vec<u8>> = (0..100).map(|_| text(&mut next)).collect();
        for weighting in [Weighting::TfIdf, bm25] {
            for wide in [false, true] {
                let [some, all] = compare(shape, weighting, wide, &texts, &queries);
                assert!(some > 50 && all > 10, "{some} {all}");
            }
        }
    }

    #[test]
    fn what_all_documents_have_may_make_incomplete_sums_negative() {
        let bm25 = Weighting::Bm25 {
            k1: 1.5,
            b: 0.75,
            epsilon: 0.0,
        };
        let shape = Shape {
            bits: 5,
            shortest: 3,
            longest: 5,
        };
        let mut next = random();
        // More n-grams than are common ones, which weigh next to nothing, and few texts have them again.
        let all_have: Vec<u8> = (0..300).map(|_| 1 + next(6) as u8).collect();
        let text = |number: u32| {
            let times = if number % 300 == 7 { 3 } else { 1 };
            let mut text = all_have.repeat(times);
            text.extend((0..60).map(|_| 7 + next(20) as u8));
            text
        };
        let texts: Vec<Vec<u8>> = (0..1_100).map(text).collect();
        let query = |number: usize| {
            let (start, end) = (number % 290, &texts[number * 5]);
            let shared = &all_have[start..(start + 40).min(300)];
            [shared, &end[end.len() - 60..end.len() - 40]].concat()
        };
        let queries: Vec<Vec<u8>> = (0..200).map(query).collect();
        for wide in [false, true] {
            let [some, _] = compare(shape, bm25, wide, &texts, &queries);
            assert!(some > 50, "{some}");
        }
    }
}
