//! config.json: which architecture, and its sizes. Defaults are those of transformers.

use super::bert::{Layout, Names, Plan};
use super::head::HeadKind;
use super::layers::Activation;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// Every architecture, by the `model_type` its config.json states.
#[derive(Debug, Deserialize)]
#[serde(tag = "model_type", rename_all = "kebab-case")]
pub enum Config {
    Bert(BertConfig),
    Roberta(BertConfig),
    XlmRoberta(BertConfig),
    Camembert(BertConfig),
    Electra(BertConfig),
    Distilbert(DistilBertConfig),
}

/// The `model_type` values [`Config`] understands, for messages.
pub const SUPPORTED: &[&str] = &[
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "distilbert",
];

impl Config {
    /// Reads a config.json. `origin` says where it comes from.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Error::Config(format!("{origin}: config.json is not valid JSON: {e}")))?;
        let Some(kind) = value
            .get("model_type")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return Err(Error::Config(format!(
                "{origin}: config.json names no model_type; is this a transformers model?"
            )));
        };
        if !SUPPORTED.contains(&kind.as_str()) {
            let code = if value.get("auto_map").is_some() {
                ", which runs Python code from its repository (cherche_rs never executes downloaded code)"
            } else {
                ""
            };
            return Err(Error::Config(format!(
                "{origin}: the architecture {kind:?}{code} is not supported natively; supported are {}. \
                 A sentence_transformers.CrossEncoder, or any function of pairs, can be used in its place",
                SUPPORTED.join(", ")
            )));
        }
        let labels = labels(&value);
        let mut config: Config = serde_json::from_value(value)
            .map_err(|e| Error::Config(format!("{origin}: config.json of a {kind} model: {e}")))?;
        config.finish(labels);
        Ok(config)
    }

    fn finish(&mut self, labels: usize) {
        match self {
            Config::Bert(c) => {
                c.labels = labels;
                c.names = Names::BERT;
                c.head = HeadKind::Pooler;
            }
            Config::Roberta(c) | Config::XlmRoberta(c) | Config::Camembert(c) => {
                c.labels = labels;
                c.names = Names::ROBERTA;
                c.head = HeadKind::DenseOut(Activation::Tanh);
                // Positions of real tokens start behind the padding index.
                c.layout = Layout {
                    positions_after: Some(c.pad_token_id.unwrap_or(1)),
                    token_types: false,
                };
            }
            Config::Electra(c) => {
                c.labels = labels;
                c.names = Names::ELECTRA;
                c.head = HeadKind::DenseOut(Activation::Gelu);
            }
            Config::Distilbert(c) => c.labels = labels,
        }
    }
}

/// Labels as transformers counts them: `id2label`, else `num_labels`, else 2 for classifiers and 1 for others.
fn labels(value: &Value) -> usize {
    if let Some(map) = value.get("id2label").and_then(Value::as_object) {
        return map.len();
    }
    if let Some(count) = value.get("num_labels").and_then(Value::as_u64) {
        return count as usize;
    }
    let classifier = value
        .get("architectures")
        .and_then(Value::as_array)
        .is_some_and(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .any(|n| n.ends_with("ForSequenceClassification"))
        });
    if classifier { 2 } else { 1 }
}

/// BERT and what shares its config.json: RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    vocab_size: i64,
    hidden_size: i64,
    embedding_size: Option<i64>,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: i64,
    hidden_act: String,
    max_position_embeddings: i64,
    type_vocab_size: i64,
    layer_norm_eps: f64,
    pad_token_id: Option<i64>,
    position_embedding_type: Option<String>,
    is_decoder: bool,
    #[serde(skip)]
    labels: usize,
    #[serde(skip)]
    names: Names,
    #[serde(skip)]
    head: HeadKind,
    #[serde(skip)]
    layout: Layout,
}

impl Default for BertConfig {
    fn default() -> Self {
        BertConfig {
            vocab_size: 30522,
            hidden_size: 768,
            embedding_size: None,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: None,
            position_embedding_type: None,
            is_decoder: false,
            labels: 1,
            names: Names::BERT,
            head: HeadKind::Pooler,
            layout: Layout {
                positions_after: None,
                token_types: true,
            },
        }
    }
}

impl BertConfig {
    pub fn plan(&self) -> Result<Plan> {
        if self
            .position_embedding_type
            .as_deref()
            .is_some_and(|kind| kind != "absolute")
        {
            return Err(Error::Config(format!(
                "position_embedding_type {:?} is not supported, only \"absolute\"",
                self.position_embedding_type.as_deref().unwrap_or_default()
            )));
        }
        if self.is_decoder {
            return Err(Error::Config(
                "is_decoder: true is not supported for an encoder".into(),
            ));
        }
        Ok(Plan {
            names: self.names,
            head: self.head,
            layout: self.layout,
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            embedding_width: self.embedding_size.unwrap_or(self.hidden_size),
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            inner_width: self.intermediate_size,
            activation: Activation::parse(&self.hidden_act)?,
            positions: self.max_position_embeddings,
            types: self.type_vocab_size,
            eps: self.layer_norm_eps,
            labels: self.labels,
        })
    }
}

/// DistilBERT spells its sizes differently and has no segments.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct DistilBertConfig {
    vocab_size: i64,
    dim: i64,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: i64,
    activation: String,
    max_position_embeddings: i64,
    #[serde(skip)]
    labels: usize,
}

impl Default for DistilBertConfig {
    fn default() -> Self {
        DistilBertConfig {
            vocab_size: 30522,
            dim: 768,
            n_layers: 6,
            n_heads: 12,
            hidden_dim: 3072,
            activation: "gelu".into(),
            max_position_embeddings: 512,
            labels: 1,
        }
    }
}

impl DistilBertConfig {
    pub fn plan(&self) -> Result<Plan> {
        Ok(Plan {
            names: Names::DISTILBERT,
            head: HeadKind::PreClassifier,
            layout: Layout {
                positions_after: None,
                token_types: false,
            },
            vocabulary: self.vocab_size,
            width: self.dim,
            embedding_width: self.dim,
            layers: self.n_layers,
            heads: self.n_heads,
            inner_width: self.hidden_dim,
            activation: Activation::parse(&self.activation)?,
            positions: self.max_position_embeddings,
            types: 0,
            eps: 1e-12,
            labels: self.labels,
        })
    }
}
