//! The tokenizer classes of transformers 5 that do not use tokenizer.json as it is.
//!
//! They take its vocabulary, and build normalizer, pre-tokenizer and pair template anew from
//! tokenizer_config.json and their own defaults. So do we, to give their token ids.
//! <https://github.com/huggingface/transformers/tree/v5.23.0/src/transformers/models>, `tokenization_*.py`.

use super::sentencepiece::SentencePiece;
use super::tokenizer_files::TokenizerConfig;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{
    BertNormalizer, Lowercase, NFC, NFKD, NormalizerWrapper, Precompiled, Replace, Sequence, Strip,
    StripAccents, replace::ReplacePattern,
};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, ModelWrapper, PreTokenizerWrapper, Result, SplitDelimiterBehavior, Tokenizer,
};

/// How GPT-4's successors and Qwen cut text into words before the merges.
const QWEN_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A family of tokenizer classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Bert,
    MpNet,
    Roberta,
    Deberta,
    XlmRoberta,
    Camembert,
    Albert,
    DebertaV2,
    Qwen2,
    /// tokenizer.json as it is.
    Verbatim,
}

impl Class {
    /// The class for the name a configuration gives, or else for the model's type.
    pub fn of(name: Option<&str>, model_type: &str) -> Self {
        // For these the name in the file is known to be wrong.
        if matches!(model_type, "modernbert" | "modernbert-decoder") {
            return Class::Verbatim;
        }
        let by_type = || match model_type {
            "bert" | "distilbert" | "electra" => "BertTokenizer",
            "mpnet" => "MPNetTokenizer",
            "roberta" => "RobertaTokenizer",
            "deberta" => "DebertaTokenizer",
            "xlm-roberta" => "XLMRobertaTokenizer",
            "camembert" => "CamembertTokenizer",
            "albert" => "AlbertTokenizer",
            "deberta-v2" => "DebertaV2Tokenizer",
            "qwen2" | "qwen3" => "Qwen2Tokenizer",
            _ => "",
        };
        match name.map_or_else(by_type, |n| n.strip_suffix("Fast").unwrap_or(n)) {
            "BertTokenizer" | "DistilBertTokenizer" | "ElectraTokenizer" => Class::Bert,
            "MPNetTokenizer" => Class::MpNet,
            "RobertaTokenizer" | "BartTokenizer" | "LongformerTokenizer" => Class::Roberta,
            "DebertaTokenizer" => Class::Deberta,
            "XLMRobertaTokenizer" => Class::XlmRoberta,
            "CamembertTokenizer" => Class::Camembert,
            "AlbertTokenizer" => Class::Albert,
            "DebertaV2Tokenizer" => Class::DebertaV2,
            "Qwen2Tokenizer" => Class::Qwen2,
            _ => Class::Verbatim,
        }
    }

    /// Whether a model is of the kind the class is made for; if not, its rules would make no sense.
    pub fn fits(self, model: &ModelWrapper) -> bool {
        match self {
            Class::Bert | Class::MpNet => matches!(model, ModelWrapper::WordPiece(_)),
            Class::Roberta | Class::Deberta | Class::Qwen2 => matches!(model, ModelWrapper::BPE(_)),
            Class::Verbatim => true,
            _ => matches!(model, ModelWrapper::Unigram(_)),
        }
    }

    /// A named special token: the configuration's, else the class's.
    pub fn token(self, name: &str, config: &TokenizerConfig) -> Option<AddedToken> {
        if let Some(token) = config.token(name) {
            return Some(token);
        }
        let roberta = |name| match name {
            "bos_token" | "cls_token" => Some("<s>"),
            "eos_token" | "sep_token" => Some("</s>"),
            "unk_token" => Some("<unk>"),
            "pad_token" => Some("<pad>"),
            "mask_token" => Some("<mask>"),
            _ => None,
        };
        let bert = |name| match name {
            "cls_token" => Some("[CLS]"),
            "sep_token" => Some("[SEP]"),
            "unk_token" => Some("[UNK]"),
            "pad_token" => Some("[PAD]"),
            "mask_token" => Some("[MASK]"),
            _ => None,
        };
        let content = match (self, name) {
            (Class::Verbatim, _) => None,
            (Class::Bert, _) => bert(name),
            (Class::MpNet, "unk_token") => Some("[UNK]"),
            (Class::Albert, "unk_token") => Some("<unk>"),
            (Class::Albert, "pad_token") => Some("<pad>"),
            (Class::Albert | Class::Deberta | Class::DebertaV2, "bos_token") => Some("[CLS]"),
            (Class::Albert | Class::Deberta | Class::DebertaV2, "eos_token") => Some("[SEP]"),
            (Class::Albert | Class::Deberta | Class::DebertaV2, _) => bert(name),
            (Class::Qwen2, "unk_token" | "eos_token" | "pad_token") => Some("<|endoftext|>"),
            (Class::Qwen2, _) => None,
            _ => roberta(name),
        }?;
        let takes_blank = name == "mask_token" && matches!(self, Class::MpNet | Class::Camembert);
        Some(AddedToken::from(content, true).lstrip(takes_blank))
    }

    /// Puts the class's normalizer and pre-tokenizer in place.
    pub fn apply(
        self,
        tokenizer: &mut Tokenizer,
        charsmap: Option<Precompiled>,
        config: &TokenizerConfig,
    ) -> Result<()> {
        let flag = |name: &str, default: bool| config.flag(name).unwrap_or(default);
        let prefix = |or: PrependScheme| match flag("add_prefix_space", true) {
            true => PrependScheme::Always,
            false => or,
        };
        let metaspace = |or| PreTokenizerWrapper::from(Metaspace::new('▁', prefix(or), true));
        let byte_level = || ByteLevel::new(flag("add_prefix_space", false), true, true);
        let words_of = |or| {
            PreSequence::new(vec![
                PreTokenizerWrapper::from(WhitespaceSplit),
                metaspace(or),
            ])
        };
        let charsmap = charsmap.map(NormalizerWrapper::Precompiled);
        match self {
            Class::Verbatim => {}
            Class::Bert | Class::MpNet => {
                let normalizer = BertNormalizer::new(
                    true,
                    flag("tokenize_chinese_chars", true),
                    config.flag("strip_accents"),
                    flag("do_lower_case", true),
                );
                tokenizer
                    .with_normalizer(Some(NormalizerWrapper::BertNormalizer(normalizer)))?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(BertPreTokenizer)));
            }
            Class::Roberta | Class::Deberta => {
                tokenizer
                    .with_normalizer(None::<NormalizerWrapper>)?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(byte_level())));
            }
            Class::Qwen2 => {
                let words = Split::new(
                    SplitPattern::Regex(QWEN_WORDS.into()),
                    SplitDelimiterBehavior::Isolated,
                    false,
                )?;
                let bytes = ByteLevel::new(flag("add_prefix_space", false), true, false);
                let cut = PreSequence::new(vec![words.into(), bytes.into()]);
                tokenizer
                    .with_normalizer(Some(NormalizerWrapper::NFC(NFC)))?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(cut)));
            }
            Class::XlmRoberta | Class::Camembert => {
                tokenizer
                    .with_normalizer(charsmap)?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(words_of(
                        PrependScheme::Never,
                    ))));
            }
            Class::Albert => {
                let quotes = |text: &str| Replace::new(ReplacePattern::String(text.into()), "\"");
                let mut steps: Vec<NormalizerWrapper> =
                    vec![quotes("``")?.into(), quotes("''")?.into()];
                if !flag("keep_accents", false) {
                    steps.extend([NFKD.into(), StripAccents.into()]);
                }
                if flag("do_lower_case", true) {
                    steps.push(Lowercase.into());
                }
                steps.extend(charsmap);
                tokenizer
                    .with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(steps))))?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(words_of(
                        PrependScheme::Never,
                    ))));
            }
            Class::DebertaV2 => {
                let blanks = ReplacePattern::Regex(r"\s{2,}|[\n\r\t]".into());
                let mut steps: Vec<NormalizerWrapper> = Vec::new();
                if flag("do_lower_case", false) {
                    steps.push(Lowercase.into());
                }
                steps.extend([
                    Replace::new(blanks, " ")?.into(),
                    NFC.into(),
                    Strip::new(false, true).into(),
                ]);
                let mut cuts: Vec<PreTokenizerWrapper> = Vec::new();
                if flag("split_by_punct", false) {
                    cuts.push(Punctuation::new(SplitDelimiterBehavior::Isolated).into());
                }
                cuts.push(metaspace(PrependScheme::First));
                tokenizer
                    .with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(steps))))?
                    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(PreSequence::new(cuts))));
            }
        }
        tokenizer.with_decoder(None::<DecoderWrapper>);
        Ok(())
    }

    /// Puts the class's special tokens around a pair.
    pub fn frame(self, tokenizer: &mut Tokenizer, config: &TokenizerConfig) -> Result<()> {
        let (open, close) = match self {
            Class::XlmRoberta | Class::Camembert => ("bos_token", "eos_token"),
            _ => ("cls_token", "sep_token"),
        };
        let template = match self {
            Class::Verbatim => return Ok(()),
            // These keep the file's own, if it has one.
            Class::Albert | Class::Qwen2 if tokenizer.get_post_processor().is_some() => {
                return Ok(());
            }
            Class::Qwen2 => "$A:0 $B:1",
            Class::Bert | Class::Albert | Class::DebertaV2 => "{0}:0 $A:0 {1}:0 $B:1 {1}:1",
            _ => "{0}:0 $A:0 {1}:0 {1}:0 $B:0 {1}:0",
        };
        let mut special = Vec::new();
        let mut pair = template.to_owned();
        if self != Class::Qwen2 {
            for (place, name) in [("{0}", open), ("{1}", close)] {
                let token = self
                    .token(name, config)
                    .map(|t| t.content)
                    .unwrap_or_default();
                let id = tokenizer
                    .token_to_id(&token)
                    .ok_or_else(|| format!("its vocabulary lacks the {name} {token:?}"))?;
                // Placeholders without colons or blanks: the template language has no quoting.
                pair = pair.replace(place, name);
                special.push((name.to_owned(), vec![id], vec![token]));
            }
        }
        let special = special
            .into_iter()
            .map(|(name, ids, tokens)| {
                tokenizers::processors::template::SpecialToken::new(name, ids, tokens)
            })
            .collect::<Result<Vec<_>>>()?;
        let single = pair.split(" $B").next().unwrap_or_default().to_owned();
        let processor = TemplateProcessing::builder()
            .try_single(single)
            .map_err(|e| e.to_string())?
            .try_pair(pair)
            .map_err(|e| e.to_string())?
            .special_tokens(special)
            .build()
            .map_err(|e| e.to_string())?;
        tokenizer.with_post_processor(Some(processor));
        Ok(())
    }

    /// The vocabulary of a sentencepiece model as the class arranges it, and its normalisation.
    pub fn arrange(
        self,
        file: SentencePiece,
        config: &TokenizerConfig,
    ) -> Result<(ModelWrapper, Option<Precompiled>)> {
        if !file.is_unigram {
            return Err("it is not a unigram model; convert it with transformers".into());
        }
        let charsmap = if file.charsmap.is_empty() {
            None
        } else {
            Some(Precompiled::from(&file.charsmap)?)
        };
        let of = |name| {
            self.token(name, config)
                .map_or_else(String::new, |t| t.content)
        };
        let pieces = |skip| {
            file.pieces
                .iter()
                .skip(skip)
                .map(|piece| (piece.text.clone(), f64::from(piece.score)))
        };
        let (vocabulary, unknown): (Vec<(String, f64)>, usize) = match self {
            Class::XlmRoberta => (
                ["bos_token", "pad_token", "eos_token", "unk_token"]
                    .into_iter()
                    .map(|name| (of(name), 0.0))
                    .chain(pieces(3))
                    .chain([(of("mask_token"), 0.0)])
                    .collect(),
                3,
            ),
            Class::Camembert => (
                [
                    ("<s>NOTUSED".to_owned(), 0.0),
                    (of("pad_token"), 0.0),
                    ("</s>NOTUSED".to_owned(), 0.0),
                    (of("unk_token"), 0.0),
                    ("<unk>NOTUSED".to_owned(), -100.0),
                ]
                .into_iter()
                .chain(pieces(1))
                .chain([(of("mask_token"), 0.0)])
                .collect(),
                3,
            ),
            Class::Albert => (pieces(0).collect(), 1),
            _ => {
                let vocabulary: Vec<(String, f64)> = pieces(0).collect();
                let unknown = (of("unk_token"), 0.0);
                let at = vocabulary.iter().position(|entry| *entry == unknown);
                (vocabulary, at.unwrap_or(file.unknown))
            }
        };
        let model = Unigram::from(vocabulary, Some(unknown), false)?;
        Ok((ModelWrapper::from(model), charsmap))
    }
}

/// The character table among the steps of a normalizer.
pub fn charsmap(normalizer: &NormalizerWrapper) -> Option<Precompiled> {
    match normalizer {
        NormalizerWrapper::Precompiled(table) => Some(table.clone()),
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().find_map(charsmap),
        _ => None,
    }
}
