//! The n-grams that a document has more than once, where weights are not linear in the frequency.

use super::again::Repeat;
use super::archive::{Archive, Sections};
use super::buffer::Buffer;
use super::build::MAX_DOCS;
use super::ngrams::Shape;
use super::sum::Sum;
use super::weighed::{self, Counted, OfLength, Weighed};
use super::weighting::Weighting;
use crate::cpu::prefetch;
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// The repeats of a segment, in the order of their postings: the document is the posting's, so that
/// two bytes are left of each.
#[derive(Default)]
pub struct Repeats {
    /// Each posting, less that of the last mark.
    lows: Buffer<u8>,
    /// Lengths and frequency, as a place in `kinds`; the last code means that they are listed apart.
    codes: Buffer<u8>,
    /// First repeat of every `MARK_EVERY`th posting, and their number.
    marks: Buffer<u32>,
    /// Places of the repeats that no code means, ascending, and what they are.
    rare_at: Buffer<u32>,
    rare: Buffer<u64>,
    kinds: Vec<Kind>,
    /// Number of lengths, and the shortest less one, from which they are counted here.
    lengths: usize,
    base: u8,
    /// All of them with what they are worth, once there are enough queries to find it for.
    weighed: OnceLock<Vec<Weighed>>,
}

/// What repeats are weighed with: the document of each posting, and the documents' penalties.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub weighting: Weighting,
    pub docs: &'a [u16],
    pub penalties: &'a [f32],
}

/// Repeats that are weighed by one task.
const TASK: usize = 1 << 14;

const MARK_EVERY: usize = 1 << u8::BITS;
const RARE: u8 = u8::MAX;

/// A repeat without its posting.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    from: u8,
    to: u8,
    tf: u32,
}

impl Kind {
    fn of(repeat: &Repeat) -> Self {
        let &Repeat { from, to, tf, .. } = repeat;
        Self { from, to, tf }
    }

    fn to_bits(self) -> u64 {
        u64::from(self.tf) << 16 | u64::from(self.to) << 8 | u64::from(self.from)
    }

    fn from_bits(bits: u64) -> Self {
        Self {
            from: bits as u8,
            to: (bits >> 8) as u8,
            tf: (bits >> 16) as u32,
        }
    }
}

/// What codes mean: all pairs of lengths with the frequency 2, then those with 3, and so on.
fn kinds(shape: &Shape) -> Vec<Kind> {
    let (shortest, longest) = (shape.shortest as u8, shape.longest as u8);
    let pairs = (shortest..=longest).flat_map(|from| (from..=longest).map(move |to| (from, to)));
    let pairs: Vec<(u8, u8)> = pairs.collect();
    let with = |tf| pairs.iter().map(move |&(from, to)| Kind { from, to, tf });
    (2..).flat_map(with).take(RARE.into()).collect()
}

impl Repeats {
    /// Repeats in the order of their postings, of which there are so many.
    pub fn new(shape: &Shape, repeats: &[Repeat], postings: usize) -> Self {
        let kinds = kinds(shape);
        let lengths = shape.longest - shape.shortest + 1;
        let pairs = lengths * (lengths + 1) / 2;
        let code = |repeat: &Repeat| {
            let (from, to) = (
                usize::from(repeat.from) - shape.shortest,
                usize::from(repeat.to - repeat.from),
            );
            // Pairs begin with all of the shortest length, one less of the next, and so on.
            let pair = from * (2 * lengths + 1 - from) / 2 + to;
            let code = (repeat.tf as usize - 2).saturating_mul(pairs) + pair;
            u8::try_from(code).unwrap_or(RARE)
        };
        let codes: Vec<u8> = repeats.par_iter().map(code).collect();
        let low = |repeat: &Repeat| (repeat.posting as usize % MARK_EVERY) as u8;
        let marks = (0..=postings.div_ceil(MARK_EVERY))
            .into_par_iter()
            .map(|mark| {
                let first = (mark * MARK_EVERY) as u32;
                repeats.partition_point(|repeat| repeat.posting < first) as u32
            });
        let marks: Vec<u32> = marks.collect();
        let rare_at = codes.iter().enumerate().filter(|(_, code)| **code == RARE);
        let rare_at: Vec<u32> = rare_at.map(|(at, _)| at as u32).collect();
        let rare = rare_at.iter().map(|&at| &repeats[at as usize]);
        let rare: Vec<u64> = rare.map(|repeat| Kind::of(repeat).to_bits()).collect();
        Self {
            lows: repeats.par_iter().map(low).collect::<Vec<_>>().into(),
            codes: codes.into(),
            marks: marks.into(),
            rare_at: rare_at.into(),
            rare: rare.into(),
            kinds,
            lengths,
            base: shape.shortest as u8 - 1,
            weighed: OnceLock::new(),
        }
    }

    /// Finds what each is worth, which takes eight bytes for it, unless there are too many lengths for that.
    /// On a thread of the pool.
    pub fn weigh(&self, weights: Weights) {
        if self.lengths > weighed::MOST_LENGTHS {
            return;
        }
        let tasks = 0..self.marks.len().saturating_sub(1);
        let tasks = tasks.into_par_iter().with_min_len(TASK / MARK_EVERY);
        let weighed = tasks.flat_map_iter(|mark| {
            let places = self.marks[mark] as usize..self.marks[mark + 1] as usize;
            places.map(move |place| Weighed::new(self.counted(weights, mark, place)))
        });
        // Another thread may have found the same.
        let _ = self.weighed.set(weighed.collect());
    }

    /// A repeat of a posting after this mark.
    #[inline]
    fn counted(&self, weights: Weights, mark: usize, place: usize) -> Counted {
        let posting = mark * MARK_EVERY + usize::from(self.lows[place]);
        let doc = weights.docs[posting];
        let kind = self.kind(place);
        let penalty = weights.penalties[usize::from(doc)].into();
        Counted {
            doc,
            tf: kind.tf,
            relative: weights.weighting.relative(kind.tf, penalty) as f32,
            before: kind.from - 1 - self.base,
            to: kind.to - self.base,
        }
    }

    #[inline]
    fn kind(&self, place: usize) -> Kind {
        match self.kinds.get(usize::from(self.codes[place])) {
            Some(&kind) => kind,
            None => self.rare(place),
        }
    }

    pub fn len(&self) -> usize {
        self.codes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Fetches what `place` will read for these bounds, given that `prefetch_marks` was told of them.
    pub fn prefetch(&self, postings: &Range<usize>) {
        for posting in [postings.start, postings.end] {
            if let Some(&mark) = self.marks.get(posting / MARK_EVERY) {
                prefetch(self.lows.as_ptr().wrapping_add(mark as usize));
            }
        }
    }

    /// Fetches what `prefetch` will read.
    pub fn prefetch_marks(&self, postings: &Range<usize>) {
        for posting in [postings.start, postings.end] {
            if let Some(mark) = self.marks.get(posting / MARK_EVERY) {
                prefetch(mark);
            }
        }
    }

    /// The first repeat that is not before a posting.
    pub fn place(&self, posting: usize) -> usize {
        let mark = posting / MARK_EVERY;
        let Some(marks) = self.marks.get(mark..mark + 2) else {
            return self.codes.len();
        };
        let (first, end) = (marks[0] as usize, marks[1] as usize);
        let low = (posting % MARK_EVERY) as u8;
        first + self.lows[first..end].partition_point(|&l| l < low)
    }

    /// Fetches what `add` will read first.
    pub fn prefetch_places(&self, places: &Range<usize>) {
        if places.start < places.end {
            match self.weighed.get() {
                Some(weighed) => prefetch(&weighed[places.start]),
                None => {
                    prefetch(&self.lows[places.start]);
                    prefetch(&self.codes[places.start]);
                }
            }
        }
    }

    /// Adds what the repeats in these places are worth, the first of which is of this posting or a
    /// later one.
    pub fn add<T: Sum>(
        &self,
        weights: Weights,
        posting: usize,
        places: Range<usize>,
        of_length: &OfLength,
        sums: &mut [T; MAX_DOCS],
    ) {
        if let Some(weighed) = self.weighed.get() {
            let tf = |number| self.kind(places.start + number).tf;
            let weighed = &weighed[places.clone()];
            return weighed::add_all(weighed, sums, of_length, self.lengths, tf);
        }
        let mut mark = posting / MARK_EVERY;
        for place in places {
            while place >= self.marks[mark + 1] as usize {
                mark += 1;
            }
            self.counted(weights, mark, place).add(sums, of_length);
        }
    }

    #[cold]
    fn rare(&self, at: usize) -> Kind {
        let place = self.rare_at.binary_search(&(at as u32));
        Kind::from_bits(self.rare[place.expect("every repeat without a code is listed")])
    }

    pub fn store<'a>(&'a self, prefix: &str, sections: &mut Sections<'a>) {
        sections.push(format!("{prefix}.lows"), &self.lows);
        sections.push(format!("{prefix}.codes"), &self.codes);
        sections.push(format!("{prefix}.marks"), &self.marks);
        sections.push(format!("{prefix}.rare_at"), &self.rare_at);
        sections.push(format!("{prefix}.rare"), &self.rare);
    }

    pub fn restore(prefix: &str, archive: &Archive, shape: &Shape) -> Result<Self> {
        Ok(Self {
            lows: archive.get(&format!("{prefix}.lows"))?,
            codes: archive.get(&format!("{prefix}.codes"))?,
            marks: archive.get(&format!("{prefix}.marks"))?,
            rare_at: archive.get(&format!("{prefix}.rare_at"))?,
            rare: archive.get(&format!("{prefix}.rare"))?,
            kinds: kinds(shape),
            lengths: shape.longest - shape.shortest + 1,
            base: shape.shortest as u8 - 1,
            weighed: OnceLock::new(),
        })
    }

    /// Whether the arrays fit together, and to so many postings.
    pub fn sound(&self, postings: usize) -> bool {
        let count = self.codes.len();
        let rare = self.codes.iter().filter(|&&code| code == RARE).count();
        let marks = match count {
            0 => self.marks.len(),
            _ => postings.div_ceil(MARK_EVERY) + 1,
        };
        self.lows.len() == count
            && self.marks.len() == marks
            && self.marks.last().map_or(0, |&end| end as usize) == count
            && [self.rare_at.len(), self.rare.len()] == [rare; 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_repeats_of_each_ngram() {
        for (shortest, longest) in [(3, 5), (1, 1), (2, 30)] {
            let shape = Shape {
                bits: 6,
                shortest,
                longest,
            };
            let mut repeats = Vec::new();
            for posting in (0..3000u32).filter(|posting| posting % 7 < 2 && posting / 300 % 3 < 2) {
                let from = shortest + posting as usize % (longest - shortest + 1);
                let mut tf = 2 + posting % 5 + (posting % 11) / 10 * 1000;
                for to in from..=longest {
                    // Two at one posting, or one of several lengths.
                    let (from, to) = if posting % 2 == 0 {
                        (to, to)
                    } else {
                        (from, longest)
                    };
                    let (from, to) = (from as u8, to as u8);
                    #[rustfmt::skip]
                    repeats.push(Repeat { posting, from, to, tf });
                    if posting % 2 == 1 || tf == 2 {
                        break;
                    }
                    tf -= 1;
                }
            }
            let packed = Repeats::new(&shape, &repeats, 3000);
            assert!(packed.sound(3000) && !packed.rare.is_empty());
            assert!(packed.rare.len() < repeats.len() || longest == 30);
            let common = repeats.iter().zip(packed.codes.iter());
            for (repeat, &code) in common.filter(|(_, code)| **code != RARE) {
                assert_eq!(packed.kinds[usize::from(code)], Kind::of(repeat));
            }
            let docs: Vec<u16> = (0..3000).map(|posting| posting % 701).collect();
            let penalties: Vec<f32> = (0..701).map(|doc| 0.3 + doc as f32 * 0.01).collect();
            let weighting = Weighting::Bm25 {
                k1: 1.5,
                b: 0.7,
                epsilon: 0.0,
            };
            let weights = Weights {
                weighting,
                docs: &docs,
                penalties: &penalties,
            };
            let value = |length: usize| length as f64 * 1234.56789;
            let of_length = std::array::from_fn(value);
            for weighed in [false, true] {
                if weighed {
                    packed.weigh(weights);
                }
                for postings in [0..3000, 0..0, 255..257, 256..512, 511..1700, 2999..3000] {
                    let here = repeats
                        .iter()
                        .filter(|repeat| postings.contains(&(repeat.posting as usize)));
                    let mut expected = [0u32; 701];
                    for repeat in here {
                        let doc = usize::from(docs[repeat.posting as usize]);
                        let relative = weighting.relative(repeat.tf, penalties[doc].into());
                        let excess = f64::from(relative as f32) - f64::from(repeat.tf);
                        let upto = |length| {
                            let length = usize::from(length) + 1 - shortest;
                            u32::rounded(excess * of_length[length])
                        };
                        let worth = upto(repeat.to).minus(upto(repeat.from - 1));
                        expected[doc] = expected[doc].plus(worth);
                    }
                    let places = packed.place(postings.start)..packed.place(postings.end);
                    let mut narrow = Box::new([0u32; MAX_DOCS]);
                    let mut wide = Box::new([0u64; MAX_DOCS]);
                    let (posting, again) = (postings.start, places.clone());
                    packed.add(weights, posting, again, &of_length, &mut narrow);
                    packed.add(weights, posting, places, &of_length, &mut wide);
                    assert_eq!(narrow[..701], expected);
                    assert!(wide.iter().map(|&sum| sum as u32).eq(*narrow));
                }
            }
        }
        assert_eq!(Repeats::default().place(7), 0);
        assert!(Repeats::default().sound(9));
    }
}
