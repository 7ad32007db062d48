//! Pairs of texts -> token sequences.
//!
//! Every text is tokenised once, on its own; pairs are then cut to length and framed with the special
//! tokens that the tokenizer's post-processor puts around a pair.

use super::plan::Span;
use super::tokenizer_class::Class;
use super::tokenizer_files::{self, TokenizerConfig};
use super::truncate::Truncation;
use crate::error::{Error, Result};
use crate::models::modules::Recipe;
use std::path::Path;
use tokenizers::Tokenizer;

/// One token of the frame around a pair.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Special { id: u32, type_id: u32 },
    First { type_id: u32 },
    Second { type_id: u32 },
}

/// A tokenizer for pairs of texts.
pub struct PairTokenizer {
    tokenizer: Tokenizer,
    frame: Vec<Piece>,
    specials: usize,
    cut_left: bool,
    max_length: Option<usize>,
}

/// Token ids of one text, without special tokens.
pub type TokenIds = Vec<u32>;

impl PairTokenizer {
    /// Reads a directory's tokenizer; the entries of the JSON object `overrides` count in place of those of
    /// tokenizer_config.json.
    pub fn from_directory(directory: &Path, overrides: Option<&str>) -> Result<Self> {
        let origin = directory.display().to_string();
        let (tokenizer, config) = tokenizer_files::open(directory, overrides, &origin)?;
        Self::new(tokenizer, &config, &origin)
    }

    /// Uses a tokenizer.json as it is.
    pub fn from_json(json: &str, config: &TokenizerConfig, origin: &str) -> Result<Self> {
        let tokenizer = tokenizer_files::build(json, Class::Verbatim, config)
            .map_err(|e| Error::Tokenizer(format!("{origin}: tokenizer.json is not valid: {e}")))?;
        Self::new(tokenizer, config, origin)
    }

    fn new(tokenizer: Tokenizer, config: &TokenizerConfig, origin: &str) -> Result<Self> {
        let frame = frame(&tokenizer, origin)?;
        let specials = frame
            .iter()
            .filter(|p| matches!(p, Piece::Special { .. }))
            .count();
        Ok(PairTokenizer {
            tokenizer,
            frame,
            specials,
            cut_left: config.text("truncation_side") == Some("left"),
            max_length: config.max_length(),
        })
    }

    /// The same tokenizer, putting nothing around a pair.
    pub fn without_specials(mut self) -> Self {
        self.frame = vec![Piece::First { type_id: 0 }, Piece::Second { type_id: 0 }];
        self.specials = 0;
        self
    }

    /// The tokens a bare language model answers with.
    pub fn yes_no(&self) -> Result<Recipe> {
        let id = |word: &str| {
            let missing = || {
                Error::Tokenizer(format!(
                    "the tokenizer has no token {word:?}: a language model without modules.json is scored by \
                     its logits of \"yes\" and \"no\""
                ))
            };
            self.tokenizer
                .token_to_id(word)
                .map(i64::from)
                .ok_or_else(missing)
        };
        Ok(Recipe::Logits {
            yes: id("yes")?,
            no: Some(id("no")?),
        })
    }

    /// The longest sequence the tokenizer claims for its model, special tokens included.
    pub fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// Special tokens around a pair.
    pub fn specials(&self) -> usize {
        self.specials
    }

    /// Token ids of one text, without special tokens, of any length.
    pub fn encode(&self, text: &str) -> Result<TokenIds> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|e| Error::Tokenizer(format!("cannot tokenise {:?}: {e}", excerpt(text))))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The part of two texts of these many tokens that fits `max_length` with their special tokens.
    pub fn fit(
        &self,
        first: usize,
        second: usize,
        max_length: usize,
        truncation: Truncation,
    ) -> Result<Span> {
        let budget = max_length.checked_sub(self.specials).ok_or_else(|| {
            Error::Input(format!(
                "max_length={max_length} has no room for the {} special tokens around a pair",
                self.specials
            ))
        })?;
        let (a, b) = truncation.split(first, second, budget).ok_or_else(|| {
            Error::Input(format!(
                "a query of {first} tokens leaves no room for its document within max_length={max_length}; \
                 shorten the query, or let truncation=\"longest_first\" cut it"
            ))
        })?;
        let cut = |length: usize, keep: usize| {
            if self.cut_left {
                length - keep..length
            } else {
                0..keep
            }
        };
        Ok(Span {
            first: cut(first, a),
            second: cut(second, b),
        })
    }

    /// Appends one pair with its special tokens to `ids` and `type_ids`.
    pub fn frame(
        &self,
        first: &[u32],
        second: &[u32],
        ids: &mut Vec<i64>,
        type_ids: &mut Vec<i64>,
    ) {
        let mut append = |tokens: &[u32], type_id: u32| {
            ids.extend(tokens.iter().map(|&id| i64::from(id)));
            type_ids.extend(std::iter::repeat_n(i64::from(type_id), tokens.len()));
        };
        for piece in &self.frame {
            match *piece {
                Piece::First { type_id } => append(first, type_id),
                Piece::Second { type_id } => append(second, type_id),
                Piece::Special { id, type_id } => append(&[id], type_id),
            }
        }
    }
}

/// Reads the frame around a pair off the post-processor, by framing two short texts.
fn frame(tokenizer: &Tokenizer, origin: &str) -> Result<Vec<Piece>> {
    let fail =
        |e: &dyn std::fmt::Display| Error::Tokenizer(format!("{origin}: tokenizer.json: {e}"));
    let sample = tokenizer.encode("a", false).map_err(|e| fail(&e))?;
    if sample.is_empty() {
        return Err(fail(
            &"the letter a gives no token, so the pair template cannot be read",
        ));
    }
    let length = sample.len();
    let pair = tokenizer
        .post_process(sample.clone(), Some(sample), true)
        .map_err(|e| fail(&e))?;
    let mut frame = Vec::new();
    let mut texts = 0;
    for ((&id, &type_id), &special) in pair
        .get_ids()
        .iter()
        .zip(pair.get_type_ids())
        .zip(pair.get_special_tokens_mask())
    {
        if special == 1 {
            frame.push(Piece::Special { id, type_id });
            continue;
        }
        if texts == 0 {
            frame.push(Piece::First { type_id });
        } else if texts == length {
            frame.push(Piece::Second { type_id });
        }
        texts += 1;
    }
    if texts != 2 * length {
        return Err(fail(
            &"its post-processor does not keep the tokens of a pair",
        ));
    }
    Ok(frame)
}

/// The start of a text, for messages.
fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}
