//! What transformers 5 makes of a tokenizer.json.
//!
//! Where the tokenizer's class has a constructor of its own, transformers 5 keeps only the vocabulary
//! of tokenizer.json (and the character map of a sentencepiece model) and builds the rest anew from
//! tokenizer_config.json and the class's defaults. The two disagree for many files that transformers 4
//! converted. We follow, to give the same token ids; for all other classes the file counts as it is.

use super::tokenize::TokenizerConfig;
use serde_json::{Value, json};
use tokenizers::{NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer};

/// The class AutoTokenizer takes for a model whose files name none.
pub fn default_class(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "bert" | "distilbert" | "electra" => "BertTokenizer",
        "roberta" => "RobertaTokenizer",
        "xlm-roberta" => "XLMRobertaTokenizer",
        "camembert" => "CamembertTokenizer",
        "mpnet" => "MPNetTokenizer",
        "albert" => "AlbertTokenizer",
        "deberta" => "DebertaTokenizer",
        "deberta-v2" => "DebertaV2Tokenizer",
        _ => return None,
    })
}

/// The parts a class builds; None for a part leaves the tokenizer without it.
struct Parts {
    normalizer: Option<Value>,
    pre_tokenizer: Value,
    post_processor: Value,
}

/// Replaces the parts of `tokenizer` that its class builds anew.
pub fn rebuild(tokenizer: &mut Tokenizer, config: &TokenizerConfig) -> tokenizers::Result<()> {
    let class = config.tokenizer_class.as_deref().unwrap_or_default();
    let Some(parts) = parts_of(
        class.strip_suffix("Fast").unwrap_or(class),
        tokenizer,
        config,
    )?
    else {
        return Ok(());
    };
    let normalizer: Option<NormalizerWrapper> =
        parts.normalizer.map(serde_json::from_value).transpose()?;
    let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(parts.pre_tokenizer)?;
    let post_processor: PostProcessorWrapper = serde_json::from_value(parts.post_processor)?;
    tokenizer.with_normalizer(normalizer)?;
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    tokenizer.with_post_processor(Some(post_processor));
    Ok(())
}

fn parts_of(
    class: &str,
    tokenizer: &Tokenizer,
    config: &TokenizerConfig,
) -> tokenizers::Result<Option<Parts>> {
    let cls = |default: &str| Special::find(tokenizer, &config.cls_token, default);
    let sep = |default: &str| Special::find(tokenizer, &config.sep_token, default);
    Ok(Some(match class {
        "BertTokenizer" | "DistilBertTokenizer" | "ElectraTokenizer" => Parts {
            normalizer: Some(bert_normalizer(config)),
            pre_tokenizer: json!({"type": "BertPreTokenizer"}),
            post_processor: bert_pair(&cls("[CLS]")?, &sep("[SEP]")?),
        },
        "MPNetTokenizer" => Parts {
            normalizer: Some(bert_normalizer(config)),
            pre_tokenizer: json!({"type": "BertPreTokenizer"}),
            post_processor: roberta_pair(&cls("<s>")?, &sep("</s>")?),
        },
        "RobertaTokenizer" => Parts {
            normalizer: None,
            pre_tokenizer: byte_level(config),
            post_processor: roberta_pair(&cls("<s>")?, &sep("</s>")?),
        },
        // One type id and two separators, unlike the files of transformers 4.
        "DebertaTokenizer" => Parts {
            normalizer: None,
            pre_tokenizer: byte_level(config),
            post_processor: roberta_pair(&cls("[CLS]")?, &sep("[SEP]")?),
        },
        "XLMRobertaTokenizer" | "CamembertTokenizer" => Parts {
            normalizer: character_map(tokenizer)?,
            pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                {"type": "WhitespaceSplit"}, metaspace(config, "never")]}),
            post_processor: roberta_pair(
                &Special::find(tokenizer, &config.bos_token, "<s>")?,
                &Special::find(tokenizer, &config.eos_token, "</s>")?,
            ),
        },
        "AlbertTokenizer" => Parts {
            normalizer: Some(albert_normalizer(tokenizer, config)?),
            pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                {"type": "WhitespaceSplit"}, metaspace(config, "never")]}),
            post_processor: bert_pair(&cls("[CLS]")?, &sep("[SEP]")?),
        },
        "DebertaV2Tokenizer" => Parts {
            normalizer: Some(deberta_v2_normalizer(config)),
            pre_tokenizer: deberta_v2_pre_tokenizer(config),
            post_processor: bert_pair(&cls("[CLS]")?, &sep("[SEP]")?),
        },
        _ => return Ok(None),
    }))
}

/// A special token and its id.
struct Special {
    token: String,
    id: u32,
}

impl Special {
    /// The token tokenizer_config.json names (as a string or an object), else the class's default.
    fn find(
        tokenizer: &Tokenizer,
        named: &Option<Value>,
        default: &str,
    ) -> tokenizers::Result<Self> {
        let content = named.as_ref().map(|v| v.get("content").unwrap_or(v));
        let token = content
            .and_then(Value::as_str)
            .unwrap_or(default)
            .to_owned();
        match tokenizer.token_to_id(&token) {
            Some(id) => Ok(Special { token, id }),
            None => Err(format!("the vocabulary has no special token {token:?}").into()),
        }
    }

    fn piece(&self, type_id: u32) -> Value {
        json!({"SpecialToken": {"id": self.token, "type_id": type_id}})
    }
}

/// `cls A sep B sep`, the second text and its separator of type 1.
fn bert_pair(cls: &Special, sep: &Special) -> Value {
    let pair = json!([
        cls.piece(0),
        text("A", 0),
        sep.piece(0),
        text("B", 1),
        sep.piece(1)
    ]);
    template(cls, sep, pair)
}

/// `cls A sep sep B sep`, all of type 0.
fn roberta_pair(cls: &Special, sep: &Special) -> Value {
    let pair = json!([
        cls.piece(0),
        text("A", 0),
        sep.piece(0),
        sep.piece(0),
        text("B", 0),
        sep.piece(0)
    ]);
    template(cls, sep, pair)
}

fn text(name: &str, type_id: u32) -> Value {
    json!({"Sequence": {"id": name, "type_id": type_id}})
}

fn template(cls: &Special, sep: &Special, pair: Value) -> Value {
    let entry = |s: &Special| json!({"id": s.token, "ids": [s.id], "tokens": [s.token]});
    json!({
        "type": "TemplateProcessing",
        "single": [cls.piece(0), text("A", 0), sep.piece(0)],
        "pair": pair,
        "special_tokens": {cls.token.as_str(): entry(cls), sep.token.as_str(): entry(sep)},
    })
}

fn bert_normalizer(config: &TokenizerConfig) -> Value {
    json!({
        "type": "BertNormalizer",
        "clean_text": true,
        "handle_chinese_chars": config.tokenize_chinese_chars.unwrap_or(true),
        "strip_accents": config.strip_accents,
        "lowercase": config.do_lower_case.unwrap_or(true),
    })
}

fn byte_level(config: &TokenizerConfig) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": config.add_prefix_space.unwrap_or(false),
        "trim_offsets": true,
        "use_regex": true,
    })
}

fn metaspace(config: &TokenizerConfig, without_prefix: &str) -> Value {
    let always = config.add_prefix_space.unwrap_or(true);
    json!({
        "type": "Metaspace",
        "replacement": "\u{2581}",
        "prepend_scheme": if always { "always" } else { without_prefix },
        "split": true,
    })
}

fn albert_normalizer(tokenizer: &Tokenizer, config: &TokenizerConfig) -> tokenizers::Result<Value> {
    let replace =
        |from: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": "\""});
    let mut steps = vec![replace("``"), replace("''")];
    if !config.keep_accents.unwrap_or(false) {
        steps.extend([json!({"type": "NFKD"}), json!({"type": "StripAccents"})]);
    }
    if config.do_lower_case.unwrap_or(true) {
        steps.push(json!({"type": "Lowercase"}));
    }
    steps.extend(character_map(tokenizer)?);
    Ok(json!({"type": "Sequence", "normalizers": steps}))
}

/// Without the character map of the sentencepiece model, which the class leaves out.
fn deberta_v2_normalizer(config: &TokenizerConfig) -> Value {
    let mut steps = Vec::new();
    if config.do_lower_case.unwrap_or(false) {
        steps.push(json!({"type": "Lowercase"}));
    }
    steps.extend([
        json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "}),
        json!({"type": "NFC"}),
        json!({"type": "Strip", "strip_left": false, "strip_right": true}),
    ]);
    json!({"type": "Sequence", "normalizers": steps})
}

fn deberta_v2_pre_tokenizer(config: &TokenizerConfig) -> Value {
    let mut steps = Vec::new();
    if config.split_by_punct.unwrap_or(false) {
        steps.push(json!({"type": "Punctuation", "behavior": "Isolated"}));
    }
    steps.push(metaspace(config, "first"));
    json!({"type": "Sequence", "pretokenizers": steps})
}

/// The first precompiled character map among the normalizers of the file.
fn character_map(tokenizer: &Tokenizer) -> tokenizers::Result<Option<Value>> {
    let Some(normalizer) = tokenizer.get_normalizer() else {
        return Ok(None);
    };
    let found = serde_json::to_value(normalizer)?;
    let steps = match found.get("normalizers").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None => vec![found],
    };
    Ok(steps.into_iter().find(|step| step["type"] == "Precompiled"))
}
