//! The n-grams that a document has more than once, where weights are not linear in the frequency.

use super::archive::{Archive, Sections};
use super::buffer::Buffer;
use super::paths::DocRepeat;
use super::weighting::Weighting;
use crate::cpu::prefetch;
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Corrections for n-grams that a document has more than once, sorted by n-gram, then document.
#[derive(Default)]
pub struct Repeats {
    /// Number of each n-gram, less that of the last mark.
    pub ngrams: Buffer<u8>,
    docs: Buffer<u16>,
    /// Weight of the frequency, in units of the weight of a frequency of one, less the frequency.
    /// Not a number where that is listed apart.
    excesses: Buffer<f32>,
    /// First repeat of every `MARK_EVERY`th n-gram.
    marks: Buffer<u32>,
    /// Places of the excesses that need all digits, ascending.
    exact_at: Buffer<u32>,
    exact: Buffer<f64>,
}

const MARK_EVERY: usize = 64;

/// Excesses are listed apart where the frequency is more than so many times what it is worth.
///
/// A float32 is off by 2^-24 of itself, which is at most this ratio times as much of what the n-gram
/// is worth. So a document's vector is off by no more of its norm, and the cosine by 2.4e-7.
const RATIO: f64 = 4.0;

/// The excess of a frequency as a float32, where that is precise enough.
fn single(tf: u32, excess: f64) -> Option<f32> {
    let tf = f64::from(tf);
    (tf <= RATIO * (tf + excess)).then_some(excess as f32)
}

/// What `Repeats` has as the excess of a frequency.
pub fn excess(weighting: Weighting, tf: u32, penalty: f64) -> f64 {
    let excess = weighting.excess(tf, penalty);
    single(tf, excess).map_or(excess, f64::from)
}

impl Repeats {
    pub fn weighted(repeats: &[DocRepeat], weighting: Weighting, penalties: &[f32]) -> Self {
        let excess = |repeat: &DocRepeat| {
            weighting.excess(repeat.tf, penalties[usize::from(repeat.doc)].into())
        };
        let rounded = |repeat: &DocRepeat| single(repeat.tf, excess(repeat)).unwrap_or(f32::NAN);
        let excesses: Vec<f32> = repeats.par_iter().map(rounded).collect();
        let listed = excesses.iter().enumerate().filter(|(_, e)| e.is_nan());
        let exact_at: Vec<u32> = listed.map(|(at, _)| at as u32).collect();
        let exact = exact_at.iter().map(|&at| excess(&repeats[at as usize]));
        let exact: Vec<f64> = exact.collect();
        let end = repeats.last().map_or(0, |last| last.ngram as usize + 1);
        let marks = (0..=end.div_ceil(MARK_EVERY)).into_par_iter().map(|mark| {
            let first = (mark * MARK_EVERY) as u32;
            repeats.partition_point(|repeat| repeat.ngram < first) as u32
        });
        let low = |repeat: &DocRepeat| (repeat.ngram as usize % MARK_EVERY) as u8;
        Self {
            marks: marks.collect::<Vec<_>>().into(),
            ngrams: repeats.par_iter().map(low).collect::<Vec<_>>().into(),
            docs: repeats.par_iter().map(|r| r.doc).collect::<Vec<_>>().into(),
            excesses: excesses.into(),
            exact_at: exact_at.into(),
            exact: exact.into(),
        }
    }

    /// Fetches what `range` will read first.
    pub fn prefetch(&self, ngram: usize) {
        if let Some(mark) = self.marks.get(ngram / MARK_EVERY) {
            prefetch(mark);
        }
    }

    /// Places of the corrections for an n-gram.
    pub fn range(&self, ngram: usize) -> Range<usize> {
        let mark = ngram / MARK_EVERY;
        let range = match self.marks.get(mark..mark + 2) {
            Some(marks) => marks[0] as usize..marks[1] as usize,
            None => return 0..0,
        };
        let low = (ngram % MARK_EVERY) as u8;
        let near = &self.ngrams[range.clone()];
        let first = range.start + near.partition_point(|&n| n < low);
        let size = self.ngrams[first..range.end].partition_point(|&n| n == low);
        if size > 0 {
            prefetch(&self.docs[first]);
            prefetch(&self.excesses[first]);
        }
        first..first + size
    }

    /// Documents and corrections at these places.
    pub fn at(&self, range: Range<usize>) -> impl Iterator<Item = (u16, f64)> + '_ {
        let docs = self.docs[range.clone()].iter().copied();
        let excesses = self.excesses[range.clone()].iter();
        docs.zip(range.zip(excesses))
            .map(|(doc, (at, &excess))| match excess.is_nan() {
                true => (doc, self.exact(at)),
                false => (doc, excess.into()),
            })
    }

    #[cold]
    fn exact(&self, at: usize) -> f64 {
        let place = self.exact_at.binary_search(&(at as u32));
        self.exact[place.expect("every excess without a number is listed")]
    }

    pub fn store<'a>(&'a self, prefix: &str, sections: &mut Sections<'a>) {
        sections.push(format!("{prefix}.ngrams"), &self.ngrams);
        sections.push(format!("{prefix}.docs"), &self.docs);
        sections.push(format!("{prefix}.excesses"), &self.excesses);
        sections.push(format!("{prefix}.marks"), &self.marks);
        sections.push(format!("{prefix}.exact_at"), &self.exact_at);
        sections.push(format!("{prefix}.exact"), &self.exact);
    }

    pub fn restore(prefix: &str, archive: &Archive) -> Result<Self> {
        Ok(Self {
            ngrams: archive.get(&format!("{prefix}.ngrams"))?,
            docs: archive.get(&format!("{prefix}.docs"))?,
            excesses: archive.get(&format!("{prefix}.excesses"))?,
            marks: archive.get(&format!("{prefix}.marks"))?,
            exact_at: archive.get(&format!("{prefix}.exact_at"))?,
            exact: archive.get(&format!("{prefix}.exact"))?,
        })
    }

    /// Whether the arrays fit together.
    pub fn sound(&self) -> bool {
        let count = self.ngrams.len();
        [self.docs.len(), self.excesses.len()] == [count; 2]
            && self.marks.last().map_or(0, |&end| end as usize) == count
            && self.exact_at.len() == self.exact.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_corrections_of_each_ngram() {
        let weighting = Weighting::Bm25 {
            k1: 1.5,
            b: 0.75,
            epsilon: 0.0,
        };
        let penalties = [1.5f32, 0.7, 40.0, 1.0];
        let mut repeats = Vec::new();
        for ngram in [0u32, 3, 63, 64, 200, 1000] {
            for doc in 0..=(ngram % 4) as u16 {
                let tf = 2 + 7 * u32::from(doc) + ngram;
                repeats.push(DocRepeat { ngram, doc, tf });
            }
        }
        let packed = Repeats::weighted(&repeats, weighting, &penalties);
        assert!(packed.sound() && !packed.exact.is_empty());
        assert!(packed.exact.len() < repeats.len(), "most need no list");
        for ngram in 0..1200 {
            let expected: Vec<&DocRepeat> = repeats.iter().filter(|r| r.ngram == ngram).collect();
            let found: Vec<_> = packed.at(packed.range(ngram as usize)).collect();
            assert_eq!(found.len(), expected.len());
            for ((doc, excess), repeat) in found.into_iter().zip(expected) {
                let exact = weighting.excess(repeat.tf, penalties[usize::from(doc)].into());
                let worth = exact + f64::from(repeat.tf);
                assert_eq!(doc, repeat.doc);
                assert!((excess - exact).abs() <= 2.4e-7 * worth, "{repeat:?}");
            }
        }
        assert_eq!(Repeats::default().range(7), 0..0);
    }
}
