//! How the symbols of paths are stored.

use super::archive::{Archive, Sections};
use super::ngrams::{Shape, Symbol};
use super::packed::Packed;
use crate::error::Result;
use std::ops::Deref;

/// Longest paths that are spelled without the texts.
pub const MOST_SYMBOLS: usize = 8;

pub enum Spelling {
    /// By the bits of a path's key that follow those of its bucket: no text is needed.
    Rests { rests: Packed, bits: u32 },
    /// By a place in the texts where the path occurs: for wide alphabets and long paths, and for
    /// segments whose texts will be sorted again.
    Places(Packed),
}

/// The bits of a path's key that follow those of its bucket, if keys hold whole paths.
pub fn rest_bits(shape: &Shape, table_bits: u32) -> Option<u32> {
    let bits = shape.longest as u32 * shape.bits;
    let fits = shape.longest <= MOST_SYMBOLS && bits <= u64::BITS;
    fits.then_some(bits.saturating_sub(table_bits))
}

impl Spelling {
    /// A number for each path.
    fn numbers(&self) -> &Packed {
        match self {
            Self::Rests { rests: numbers, .. } | Self::Places(numbers) => numbers,
        }
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.numbers().len()
    }

    /// Whether paths are spelled by the texts.
    pub fn needs_texts(&self) -> bool {
        matches!(self, Self::Places(_))
    }

    pub fn store<'a>(&'a self, prefix: &str, sections: &mut Sections<'a>) {
        let name = match self {
            Self::Rests { .. } => "rests",
            Self::Places(_) => "places",
        };
        sections.push(format!("{prefix}.{name}"), self.numbers().bytes());
    }

    pub fn restore(
        prefix: &str,
        archive: &Archive,
        shape: &Shape,
        table_bits: u32,
    ) -> Result<Self> {
        let rests = format!("{prefix}.rests");
        if !archive.has(&rests) {
            return Ok(Self::Places(Packed::restore(
                &format!("{prefix}.places"),
                archive,
            )?));
        }
        let bits = rest_bits(shape, table_bits).ok_or_else(|| archive.damaged(&rests))?;
        let rests = Packed::restore(&rests, archive)?;
        Ok(Self::Rests { rests, bits })
    }
}

/// The bits of a path after those of its bucket, left-aligned: they sort as paths of a bucket do.
#[inline]
pub fn left_aligned(rest: u64, bits: u32) -> u64 {
    rest.unbounded_shl(u64::BITS - bits)
}

/// The symbols of a path.
pub enum Spelled<'a, S: Symbol> {
    Text(&'a [S]),
    Own {
        symbols: [S; MOST_SYMBOLS],
        length: usize,
    },
}

impl<S: Symbol> Spelled<'_, S> {
    /// The symbols of a key.
    pub fn of_key(shape: &Shape, key: u64) -> Self {
        let mut symbols = [S::from_code(0); MOST_SYMBOLS];
        let mut length = 0;
        let mut left = key;
        for symbol in &mut symbols[..shape.longest] {
            let code = left.unbounded_shr(u64::BITS - shape.bits);
            if code == 0 {
                break;
            }
            *symbol = S::from_code(code as u32);
            length += 1;
            left = left.unbounded_shl(shape.bits);
        }
        Self::Own { symbols, length }
    }
}

impl<S: Symbol> Deref for Spelled<'_, S> {
    type Target = [S];
    fn deref(&self) -> &[S] {
        match self {
            Self::Text(text) => text,
            Self::Own { symbols, length } => &symbols[..*length],
        }
    }
}
