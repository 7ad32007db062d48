//! The symbols of the fitted texts: which characters or words there are, and their codes.

use super::analyzer::Unit;
use super::ngrams::Symbol;
use super::texts::{Encoded, TextBlock};
use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

/// Codes 1, 2, ... in ascending order of the characters or words; one more code stands for all that
/// the fitted texts do not have.
pub struct Alphabet {
    symbols: Symbols,
    /// Code of what is not in the alphabet.
    unknown: u32,
}

enum Symbols {
    Chars {
        known: Vec<char>,
        ascii: Box<[u32; 128]>,
    },
    Words {
        known: Vec<String>,
        codes: HashMap<String, u32>,
    },
}

impl Alphabet {
    /// The alphabet of these texts.
    pub fn of(unit: Unit, texts: &[TextBlock]) -> Self {
        match unit {
            Unit::Char => Self::of_chars(sorted_union(texts, |block| {
                let mut ascii = [false; 128];
                let mut others = HashSet::new();
                if let Some(bytes) = block.as_ascii() {
                    for &byte in bytes {
                        ascii[usize::from(byte & 127)] = true;
                    }
                } else {
                    for character in block.texts().flat_map(str::chars) {
                        match ascii.get_mut(character as usize) {
                            Some(seen) => *seen = true,
                            None => drop(others.insert(character)),
                        }
                    }
                }
                let seen = (0..128u8).filter(|&byte| ascii[usize::from(byte)]);
                others.extend(seen.map(char::from));
                others
            })),
            Unit::Word => Self::of_words(
                sorted_union(texts, |part| {
                    part.texts().flat_map(str::split_whitespace).collect()
                })
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
        }
    }

    /// The alphabet of these characters, in ascending order.
    pub fn of_chars(known: Vec<char>) -> Self {
        let unknown = known.len() as u32 + 1;
        let mut ascii = Box::new([unknown; 128]);
        for (code, &character) in (1..).zip(&known) {
            if let Some(slot) = ascii.get_mut(character as usize) {
                *slot = code;
            }
        }
        let symbols = Symbols::Chars { known, ascii };
        Self { symbols, unknown }
    }

    /// The alphabet of these words, in ascending order.
    pub fn of_words(known: Vec<String>) -> Self {
        let unknown = known.len() as u32 + 1;
        let codes = known.iter().cloned().zip(1..).collect();
        let symbols = Symbols::Words { known, codes };
        Self { symbols, unknown }
    }

    /// Largest code, that of unknown symbols.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Bits that hold any code.
    pub fn bits(&self) -> u32 {
        u32::BITS - self.unknown.leading_zeros()
    }

    /// The characters or words in a form that [`Self::from_text`] reads: neither holds a line feed
    /// that matters, since words are split at white space and characters are fixed by their count.
    pub fn to_text(&self) -> String {
        match &self.symbols {
            Symbols::Chars { known, .. } => known.iter().collect(),
            Symbols::Words { known, .. } => known.join("\n"),
        }
    }

    pub fn from_text(unit: Unit, text: &str) -> Self {
        match unit {
            Unit::Char => Self::of_chars(text.chars().collect()),
            Unit::Word => Self::of_words(text.split_whitespace().map(str::to_owned).collect()),
        }
    }

    /// The codes of prepared texts.
    pub fn encode_block<S: Symbol>(&self, block: TextBlock) -> Encoded<S> {
        if let Symbols::Chars { ascii, .. } = &self.symbols
            && block.as_ascii().is_some()
        {
            let (bytes, ends) = block.into_parts();
            let code = |byte: u8| S::from_code(ascii[usize::from(byte & 127)]);
            // Bytes for bytes: this takes no new memory.
            let symbols = bytes.into_iter().map(code).collect();
            return Encoded { symbols, ends };
        }
        let mut encoded = Encoded {
            symbols: Vec::new(),
            ends: Vec::with_capacity(block.ends().len()),
        };
        for text in block.texts() {
            self.encode(text, &mut encoded.symbols);
            encoded.ends.push(encoded.symbols.len());
        }
        encoded
    }

    /// Appends the codes of a prepared text to `out`.
    pub fn encode<S: Symbol>(&self, text: &str, out: &mut Vec<S>) {
        match &self.symbols {
            Symbols::Chars { known, ascii } => {
                out.reserve(text.len());
                out.extend(text.chars().map(|character| {
                    S::from_code(match ascii.get(character as usize) {
                        Some(&code) => code,
                        None => known
                            .binary_search(&character)
                            .map_or(self.unknown, |index| index as u32 + 1),
                    })
                }));
            }
            Symbols::Words { codes, .. } => out.extend(
                text.split_whitespace()
                    .map(|word| S::from_code(codes.get(word).copied().unwrap_or(self.unknown))),
            ),
        }
    }
}

/// Union of what `symbols` finds in each part, sorted.
fn sorted_union<'a, T: Ord + std::hash::Hash + Eq + Send>(
    texts: &'a [TextBlock],
    symbols: impl Fn(&'a TextBlock) -> HashSet<T> + Send + Sync,
) -> Vec<T> {
    let union = texts.par_iter().map(symbols).reduce(HashSet::new, |a, b| {
        let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
        large.extend(small);
        large
    });
    let mut sorted: Vec<T> = union.into_iter().collect();
    sorted.par_sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::analyzer::Analyzer;
    use super::*;

    #[test]
    fn codes_follow_the_order_of_symbols_and_survive_a_round_trip() {
        let as_it_is = Analyzer {
            unit: Unit::Char,
            normalize: false,
            stop_words: None,
            shortest: 1,
            longest: 1,
        };
        let text = TextBlock::prepared(&as_it_is, &["b é a"]);
        for (unit, probe, expected) in [
            (Unit::Char, "ab\nzé", vec![2u32, 3, 5, 5, 4]),
            (Unit::Word, "a  é zz b", vec![1, 3, 4, 2]),
        ] {
            let alphabet = Alphabet::of(unit, std::slice::from_ref(&text));
            let again = Alphabet::from_text(unit, &alphabet.to_text());
            for alphabet in [alphabet, again] {
                let mut codes: Vec<u32> = Vec::new();
                alphabet.encode(probe, &mut codes);
                assert_eq!(codes, expected);
            }
        }
    }
}
