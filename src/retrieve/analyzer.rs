//! From a text to what its n-grams are made of.

use super::normalize::normalize;
use crate::error::{Error, Result};
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

/// What an n-gram is a sequence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Code points, blanks included.
    Char,
    /// Words, split at Unicode white space.
    Word,
}

/// How texts become n-grams, as LeNLP's vectorizers do it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Analyzer {
    pub unit: Unit,
    /// Transliterate to ASCII, lowercase, delete punctuation, trim.
    pub normalize: bool,
    /// Words to drop, after normalisation and before n-grams are cut, whatever the unit.
    pub stop_words: Option<HashSet<String>>,
    /// Length of the shortest n-grams.
    pub shortest: usize,
    /// Length of the longest n-grams.
    pub longest: usize,
}

/// Lengths are stored in a byte.
const LONGEST: usize = 255;

impl Analyzer {
    /// Checks the lengths.
    pub fn validated(self) -> Result<Self> {
        let Self {
            shortest, longest, ..
        } = self;
        if shortest < 1 || longest < shortest || longest > LONGEST {
            return Err(Error::Config(format!(
                "ngram_range is ({shortest}, {longest}): it must be (min, max) with \
                 1 <= min <= max <= {LONGEST}"
            )));
        }
        Ok(self)
    }

    /// Lengths of n-grams there are.
    pub fn lengths(&self) -> usize {
        self.longest - self.shortest + 1
    }

    /// Appends the text without what the analyzer drops, as UTF-8, to `out`.
    pub fn prepare(&self, text: &str, out: &mut Vec<u8>) {
        let start = out.len();
        if self.normalize {
            normalize(text, out);
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        if let Some(stop_words) = &self.stop_words {
            let words = String::from_utf8(out.split_off(start)).expect("prepared text is UTF-8");
            for word in words.split_whitespace() {
                if !stop_words.contains(word) {
                    if out.len() > start {
                        out.push(b' ');
                    }
                    out.extend_from_slice(word.as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_dropped_after_normalisation() {
        let analyzer = Analyzer {
            unit: Unit::Char,
            normalize: true,
            stop_words: Some(["the".to_owned()].into_iter().collect()),
            shortest: 3,
            longest: 7,
        };
        let mut out = Vec::new();
        analyzer.prepare("The  cat, THE\tdog; other", &mut out);
        assert_eq!(out, b"cat dog other");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for (shortest, longest) in [(0, 3), (4, 3), (1, 256)] {
            let analyzer = Analyzer {
                unit: Unit::Char,
                normalize: true,
                stop_words: None,
                shortest,
                longest,
            };
            assert!(analyzer.validated().is_err());
        }
    }
}
