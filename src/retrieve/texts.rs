//! Texts by the block: as they come, prepared, as symbols, and as the texts of segments.

use super::alphabet::Alphabet;
use super::analyzer::Analyzer;
use super::ngrams::{Shape, Symbol, Texts};
use super::progress::Progress;
use super::records::{MAX_DOCS, MAX_LENGTH};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Symbols of a segment: positions take four bytes.
const MAX_SYMBOLS: usize = 1 << 30;

/// Symbols of a segment with n-grams of these lengths, whose numbers take four bytes too. It is
/// more than any text has.
pub fn max_symbols(shape: &Shape) -> usize {
    let lengths = shape.longest - shape.shortest + 1;
    MAX_SYMBOLS.min(u32::MAX as usize / lengths)
}

/// Prepared texts as UTF-8, one after the other: a task for a thread.
#[derive(Default)]
pub struct TextBlock {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TextBlock {
    /// Texts without what the analyzer drops.
    pub fn prepared(analyzer: &Analyzer, texts: &[&str]) -> Self {
        let mut prepared = Self {
            bytes: Vec::with_capacity(texts.iter().map(|text| text.len()).sum()),
            ends: Vec::with_capacity(texts.len()),
        };
        for text in texts {
            analyzer.prepare(text, &mut prepared.bytes);
            prepared.ends.push(prepared.bytes.len());
        }
        prepared
    }

    /// The texts together, and where each ends.
    pub fn into_parts(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }

    /// Where each text ends.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| {
            std::str::from_utf8(&self.bytes[start..end]).expect("texts are UTF-8")
        })
    }

    /// All texts together, if they are ASCII.
    pub fn as_ascii(&self) -> Option<&[u8]> {
        self.bytes.is_ascii().then_some(&self.bytes)
    }
}

/// Texts as symbols, one after the other.
pub struct Encoded<S> {
    pub symbols: Vec<S>,
    pub ends: Vec<usize>,
}

/// Prepared texts as symbols.
pub fn encode<S: Symbol>(
    alphabet: &Alphabet,
    blocks: Vec<TextBlock>,
    progress: Progress,
) -> Result<Vec<Encoded<S>>> {
    let encode = |block: TextBlock| {
        progress.check()?;
        Ok(alphabet.encode_block(block))
    };
    blocks.into_par_iter().map(encode).collect()
}

/// Joins blocks of texts into as few segments as their limits allow.
pub fn pack<S: Symbol>(shape: &Shape, blocks: Vec<Encoded<S>>) -> Result<Vec<Texts<S>>> {
    let most = max_symbols(shape);
    let mut packed = Vec::new();
    let mut symbols = Vec::with_capacity(symbols_in(&blocks).min(most));
    let mut offsets = vec![0];
    let mut blocks = blocks.into_iter();
    while let Some(block) = blocks.next() {
        let mut start = 0;
        // What of the block goes to the segment in the making.
        let mut from = 0;
        for &end in &block.ends {
            let length = end - start;
            if length > MAX_LENGTH {
                return Err(Error::Input(format!(
                    "a document has {length} characters (or words) after normalisation; at most \
                     {MAX_LENGTH} can be indexed: split it"
                )));
            }
            if offsets.len() > MAX_DOCS || symbols.len() + (end - from) > most {
                symbols.extend_from_slice(&block.symbols[from..start]);
                from = start;
                let rest = symbols_in(blocks.as_slice()) + block.symbols.len() - start;
                packed.push(Texts {
                    symbols: std::mem::replace(&mut symbols, Vec::with_capacity(rest.min(most)))
                        .into(),
                    offsets: std::mem::replace(&mut offsets, vec![0]).into(),
                });
            }
            offsets.push((symbols.len() + end - from) as u32);
            start = end;
        }
        symbols.extend_from_slice(&block.symbols[from..]);
    }
    if offsets.len() > 1 {
        packed.push(Texts {
            symbols: symbols.into(),
            offsets: offsets.into(),
        });
    }
    Ok(packed)
}

fn symbols_in<S>(blocks: &[Encoded<S>]) -> usize {
    blocks.iter().map(|block| block.symbols.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_of_a_segment_have_numbers_and_any_text_fits() {
        for (shortest, longest) in [(1, 1), (3, 7), (2, 30), (1, 255), (255, 255)] {
            let shape = Shape {
                bits: 6,
                shortest,
                longest,
            };
            let most = max_symbols(&shape);
            assert!(shape.ngrams(most) <= u32::MAX.into(), "{shape:?}");
            assert!((MAX_LENGTH..=MAX_SYMBOLS).contains(&most), "{shape:?}");
        }
    }
}
