//! Bounded selection: descending score, then ascending document number.

use std::cmp::Ordering;

/// Documents and scores of one query, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    pub docs: Vec<u32>,
    pub scores: Vec<f64>,
}

impl Hits {
    /// The best `k` of several answers about different documents.
    pub fn best_of(answers: Vec<Self>, k: usize) -> Self {
        let all = answers
            .into_iter()
            .flat_map(|hits| hits.scores.into_iter().zip(hits.docs));
        let mut all: Vec<(f64, u32)> = all.collect();
        all.sort_unstable_by(best_first);
        all.truncate(k);
        let (scores, docs) = all.into_iter().unzip();
        Self { docs, scores }
    }
}

/// The best `k` of what is offered. Documents must come in ascending order.
pub struct TopK {
    k: usize,
    found: Vec<(f64, u32)>,
    threshold: f64,
}

impl TopK {
    pub fn new(k: usize) -> Self {
        Self {
            k,
            found: Vec::new(),
            threshold: if k == 0 { f64::INFINITY } else { 0.0 },
        }
    }

    /// How many are wanted.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Scores up to this one cannot be among the best any more.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    pub fn offer(&mut self, score: f64, doc: u32) {
        // An equal score comes from a later document: it loses the tie.
        if score > self.threshold {
            self.found.push((score, doc));
            if self.found.len() >= self.k.saturating_mul(2).max(64) && self.found.len() > self.k {
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        self.found.select_nth_unstable_by(self.k - 1, best_first);
        self.found.truncate(self.k);
        self.threshold = self.found[self.k - 1].0;
    }

    pub fn into_hits(mut self) -> Hits {
        if self.found.len() > self.k {
            self.shrink();
        }
        self.found.sort_unstable_by(best_first);
        Hits {
            docs: self.found.iter().map(|&(_, doc)| doc).collect(),
            scores: self.found.iter().map(|&(score, _)| score).collect(),
        }
    }
}

fn best_first(a: &(f64, u32), b: &(f64, u32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_stable_sort_keeps() {
        for k in [0, 1, 5, 100, 999, usize::MAX] {
            let scores: Vec<f64> = (0..500u32).map(|i| f64::from(i * i % 23)).collect();
            let mut top = TopK::new(k);
            for (doc, &score) in (0..).zip(&scores) {
                top.offer(score, doc);
            }
            let mut expected: Vec<(f64, u32)> = scores.iter().copied().zip(0..).collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0));
            expected.retain(|pair| pair.0 > 0.0);
            expected.truncate(k);
            let hits = top.into_hits();
            let pairs: Vec<_> = hits.scores.iter().copied().zip(hits.docs.clone()).collect();
            assert_eq!(pairs, expected);
        }
    }
}
