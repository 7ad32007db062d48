//! The files of a tokenizer, and what they say besides its vocabulary.

use super::sentencepiece::{self, Piece};
use super::tokenizer_class::Class;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

/// Names under which a sentencepiece model is kept.
const SENTENCEPIECE: [&str; 4] = [
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
];

/// The special tokens that have a name, in the order in which transformers adds them.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// What tokenizer_config.json and its older companions say. Absent entries mean the defaults of transformers.
#[derive(Debug, Default)]
pub struct TokenizerConfig(Map<String, Value>);

impl TokenizerConfig {
    /// Reads tokenizer_config.json; the entries of the object `overrides` count in place of its own.
    pub fn parse(text: &str, overrides: Option<&str>, origin: &str) -> Result<Self> {
        let mut entries = object(text, "tokenizer_config.json", origin)?;
        if let Some(overrides) = overrides {
            entries.extend(object(overrides, "the tokenizer arguments", origin)?);
        }
        Ok(TokenizerConfig(entries))
    }

    /// Reads what a directory holds of tokenizer_config.json, special_tokens_map.json and added_tokens.json.
    fn of_directory(directory: &Path, overrides: Option<&str>, origin: &str) -> Result<Self> {
        let text = read(directory, "tokenizer_config.json")?.unwrap_or_else(|| "{}".into());
        let mut config = Self::parse(&text, overrides, origin)?;
        if config.0.contains_key("added_tokens_decoder") {
            return Ok(config);
        }
        if let Some(text) = read(directory, "special_tokens_map.json")? {
            let map = object(&text, "special_tokens_map.json", origin)?;
            config.0.extend(map);
        }
        if let Some(text) = read(directory, "added_tokens.json")? {
            let map = object(&text, "added_tokens.json", origin)?;
            let special: Vec<String> = NAMED
                .iter()
                .filter_map(|name| config.token(name))
                .chain(config.more_special_tokens())
                .map(|token| token.content)
                .collect();
            let tokens = map
                .into_iter()
                .map(|(content, id)| {
                    let is_special = special.contains(&content);
                    (
                        id.to_string(),
                        serde_json::json!({"content": content, "special": is_special}),
                    )
                })
                .collect();
            config
                .0
                .insert("added_tokens_decoder".into(), Value::Object(tokens));
        }
        Ok(config)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The longest sequence the tokenizer claims for its model; often 1e30, meaning no limit.
    pub fn max_length(&self) -> Option<usize> {
        self.0
            .get("model_max_length")?
            .as_f64()
            .filter(|&n| (1.0..1e9).contains(&n))
            .map(|n| n as usize)
    }

    /// A named special token.
    pub fn token(&self, name: &str) -> Option<AddedToken> {
        token(self.0.get(name)?, true)
    }

    fn more_special_tokens(&self) -> Vec<AddedToken> {
        let entry = |name| self.0.get(name).filter(|v| !v.is_null());
        match entry("extra_special_tokens").or_else(|| entry("additional_special_tokens")) {
            Some(Value::Array(tokens)) => tokens.iter().filter_map(|t| token(t, true)).collect(),
            Some(Value::Object(tokens)) => tokens.values().filter_map(|t| token(t, true)).collect(),
            _ => Vec::new(),
        }
    }

    /// Tokens added to the vocabulary, in the order of their ids.
    fn added_tokens(&self) -> Vec<AddedToken> {
        let Some(Value::Object(tokens)) = self.0.get("added_tokens_decoder") else {
            return Vec::new();
        };
        let mut tokens: Vec<(u64, AddedToken)> = tokens
            .iter()
            .filter_map(|(id, t)| Some((id.parse().ok()?, token(t, false)?)))
            .collect();
        tokens.sort_by_key(|(id, _)| *id);
        tokens.into_iter().map(|(_, token)| token).collect()
    }
}

/// Reads a directory's tokenizer, as transformers 5 does: the vocabulary of tokenizer.json, or of the files a
/// family was first published with, under the rules of its class.
pub fn open(
    directory: &Path,
    overrides: Option<&str>,
    origin: &str,
) -> Result<(Tokenizer, TokenizerConfig)> {
    let config = TokenizerConfig::of_directory(directory, overrides, origin)?;
    let model = read(directory, "config.json")?.unwrap_or_else(|| "{}".into());
    let model = object(&model, "config.json", origin)?;
    let text = |name| model.get(name).and_then(Value::as_str);
    let class = Class::of(
        config
            .text("tokenizer_class")
            .or_else(|| text("tokenizer_class")),
        text("model_type").unwrap_or_default(),
    );
    let fail = |file: &str, error: &dyn std::fmt::Display| {
        Error::Tokenizer(format!("{origin}: {file} is not valid: {error}"))
    };
    if let Some(json) = read(directory, "tokenizer.json")? {
        let tokenizer = build(&json, class, &config).map_err(|e| fail("tokenizer.json", &e))?;
        return Ok((tokenizer, config));
    }

    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let has = |name: &str| directory.join(name).is_file();
    let (file, found) = match class {
        Class::Bert | Class::MpNet if has("vocab.txt") => {
            let unknown = config
                .token("unk_token")
                .map_or("[UNK]".into(), |t| t.content);
            let model = WordPiece::from_file(&path("vocab.txt"))
                .unk_token(unknown)
                .build();
            ("vocab.txt", model.map(ModelWrapper::from))
        }
        Class::Roberta | Class::Deberta | Class::Qwen2
            if has("vocab.json") && has("merges.txt") =>
        {
            let model = BPE::from_file(&path("vocab.json"), &path("merges.txt")).build();
            ("vocab.json or merges.txt", model.map(ModelWrapper::from))
        }
        Class::XlmRoberta | Class::Camembert | Class::Albert | Class::DebertaV2 => {
            let Some(name) = SENTENCEPIECE.into_iter().find(|name| has(name)) else {
                return Err(missing(class, origin));
            };
            let bytes = std::fs::read(directory.join(name))
                .map_err(|e| Error::io(&directory.join(name), e))?;
            let file = sentencepiece::parse(&bytes)
                .ok_or_else(|| fail(name, &"it is no sentencepiece model, or it is truncated"))?;
            let pieces = control_tokens(&file.pieces);
            let tokenizer = class
                .arrange(file, &config)
                .and_then(|(model, charsmap)| {
                    let mut tokenizer = Tokenizer::new(model);
                    class.apply(&mut tokenizer, charsmap, &config)?;
                    add_tokens(&mut tokenizer, class, &config, pieces)?;
                    class.frame(&mut tokenizer, &config)?;
                    Ok(tokenizer)
                })
                .map_err(|e| fail(name, &e))?;
            return Ok((tokenizer, config));
        }
        _ => return Err(missing(class, origin)),
    };
    let tokenizer = found
        .and_then(|model| {
            let mut tokenizer = Tokenizer::new(model);
            class.apply(&mut tokenizer, None, &config)?;
            add_tokens(&mut tokenizer, class, &config, Vec::new())?;
            class.frame(&mut tokenizer, &config)?;
            Ok(tokenizer)
        })
        .map_err(|e| fail(file, &e))?;
    Ok((tokenizer, config))
}

/// The tokenizer of a tokenizer.json, under the rules of a class.
pub fn build(json: &str, class: Class, config: &TokenizerConfig) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer: Tokenizer = json.parse()?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    if class != Class::Verbatim && class.fits(tokenizer.get_model()) {
        let charsmap = tokenizer
            .get_normalizer()
            .and_then(super::tokenizer_class::charsmap);
        // The tokens that the file adds are added again, once the class's normalizer is in place.
        let mut own: Vec<(u32, AddedToken)> =
            tokenizer.get_added_tokens_decoder().into_iter().collect();
        own.sort_by_key(|(id, _)| *id);
        tokenizer.with_added_vocabulary(tokenizers::AddedVocabulary::new());
        class.apply(&mut tokenizer, charsmap, config)?;
        tokenizer.add_tokens(own.into_iter().map(|(_, token)| token))?;
        add_tokens(&mut tokenizer, class, config, Vec::new())?;
        class.frame(&mut tokenizer, config)?;
    } else {
        add_tokens(&mut tokenizer, Class::Verbatim, config, Vec::new())?;
    }
    Ok(tokenizer)
}

/// Adds the tokens that the configuration, the class and the vocabulary's own marks ask for.
fn add_tokens(
    tokenizer: &mut Tokenizer,
    class: Class,
    config: &TokenizerConfig,
    of_vocabulary: Vec<AddedToken>,
) -> tokenizers::Result<()> {
    let known: Vec<String> = tokenizer
        .get_added_tokens_decoder()
        .into_values()
        .map(|token| token.content)
        .collect();
    let mut added = config.added_tokens();
    let is_new = |added: &[AddedToken], content: &str| {
        !known.iter().any(|k| k == content) && !added.iter().any(|t| t.content == content)
    };
    let named = NAMED.iter().filter_map(|name| class.token(name, config));
    let more = config.more_special_tokens();
    for mut token in named.chain(more).chain(of_vocabulary) {
        if let Some(own) = added.iter_mut().find(|t| t.content == token.content) {
            own.special |= token.special;
        } else if is_new(&added, &token.content) {
            token.normalized = token.normalized && !token.special;
            added.push(token);
        }
    }
    tokenizer.add_tokens(added)?;
    Ok(())
}

/// The pieces a sentencepiece model marks as control symbols or as defined by its user.
fn control_tokens(pieces: &[Piece]) -> Vec<AddedToken> {
    pieces
        .iter()
        .filter(|piece| piece.is_control || piece.is_user_defined)
        .map(|piece| AddedToken::from(piece.text.clone(), piece.is_control).normalized(false))
        .collect()
}

fn missing(class: Class, origin: &str) -> Error {
    let instead = match class {
        Class::Bert | Class::MpNet => ", nor a vocab.txt",
        Class::Roberta | Class::Deberta | Class::Qwen2 => ", nor a vocab.json with a merges.txt",
        Class::Verbatim => "",
        _ => ", nor a sentencepiece model",
    };
    Error::NotFound(format!(
        "{origin}: no tokenizer.json{instead}; write one with \
         transformers.AutoTokenizer.from_pretrained({origin:?}).save_pretrained({origin:?})"
    ))
}

/// A token written as its text, or as a description of it.
fn token(value: &Value, special: bool) -> Option<AddedToken> {
    if let Value::String(content) = value {
        return Some(AddedToken::from(content.clone(), special));
    }
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(special);
    Some(
        AddedToken::from(value.get("content")?.as_str()?, special)
            .single_word(flag("single_word").unwrap_or(false))
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special)),
    )
}

fn object(text: &str, file: &str, origin: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text)
        .map_err(|e| Error::Tokenizer(format!("{origin}: {file} is not valid: {e}")))
}

fn read(directory: &Path, name: &str) -> Result<Option<String>> {
    let path = directory.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(&path, error)),
    }
}
