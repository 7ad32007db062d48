//! What tells one encoder of the BERT family from another, read off its config.json.

use super::Bert;
use crate::error::{Error, Result};
use crate::models::head::Head;
use crate::models::layers::{Activation, PostNormNames};
use crate::models::weights::Scope;
use crate::models::{Architecture, Body};
use serde::Deserialize;

/// How a family names its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub family: &'static str,
    pub encoder: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub rest: PostNormNames,
}

const BERT: Names = Names {
    family: "BERT",
    encoder: "bert",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    rest: PostNormNames::BERT,
};
const MPNET: Names = Names {
    family: "MPNet",
    encoder: "mpnet",
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    rest: PostNormNames {
        attention_out: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        ..PostNormNames::BERT
    },
};
const ALBERT: Names = Names {
    family: "ALBERT",
    encoder: "albert",
    query: "attention.query",
    key: "attention.key",
    value: "attention.value",
    rest: PostNormNames {
        attention_out: "attention.dense",
        attention_norm: "attention.LayerNorm",
        inner: "ffn",
        outer: "ffn_output",
        outer_norm: "full_layer_layer_norm",
    },
};
const DISTILBERT: Names = Names {
    family: "DistilBERT",
    encoder: "distilbert",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    rest: PostNormNames {
        attention_out: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        inner: "ffn.lin1",
        outer: "ffn.lin2",
        outer_norm: "output_layer_norm",
    },
};

/// Everything the forward pass needs to know of a family and its sizes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub names: Names,
    pub vocabulary: i64,
    pub width: i64,
    pub embedding_width: i64,
    /// Name of the layer between the embeddings and the encoder, where there is one.
    pub projection: Option<&'static str>,
    /// The layers of the checkpoint by name.
    pub layers: Vec<String>,
    /// The order they are applied in; ALBERT applies one many times.
    pub order: Vec<usize>,
    pub heads: usize,
    pub inner_width: i64,
    pub activation: Activation,
    pub positions: i64,
    /// Positions count the tokens that are not this one and start behind it (fairseq's convention);
    /// None counts from zero.
    pub positions_after: Option<i64>,
    /// Segments; 0 for families without.
    pub types: i64,
    /// The tokenizer's segment ids are used; otherwise every token is in segment 0.
    pub token_types: bool,
    /// Rows of MPNet's table of attention biases by distance.
    pub distance_buckets: Option<i64>,
    pub eps: f64,
}

/// The families that share BERT's config.json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Bert,
    Roberta,
    Electra,
    Mpnet,
    Albert,
}

/// config.json of BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, MPNet and ALBERT. What is absent has the
/// family's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    #[serde(skip)]
    pub kind: Kind,
    vocab_size: Option<i64>,
    hidden_size: Option<i64>,
    embedding_size: Option<i64>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<i64>,
    hidden_act: Option<String>,
    max_position_embeddings: Option<i64>,
    type_vocab_size: Option<i64>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<i64>,
    position_embedding_type: Option<String>,
    is_decoder: bool,
    relative_attention_num_buckets: Option<i64>,
    num_hidden_groups: Option<usize>,
    inner_group_num: Option<usize>,
}

impl BertConfig {
    fn plan(&self) -> Result<Plan> {
        if let Some(kind) = &self.position_embedding_type
            && kind != "absolute"
        {
            return Err(Error::Config(format!(
                "config.json: position_embedding_type {kind:?} is not supported, only \"absolute\""
            )));
        }
        if self.is_decoder {
            return Err(Error::Config(
                "config.json: is_decoder: true is not supported for an encoder".into(),
            ));
        }
        let kind = self.kind;
        let albert = kind == Kind::Albert;
        // ALBERT's defaults are its largest model, those of the others BERT's base size.
        let width = self.hidden_size.unwrap_or(if albert { 4096 } else { 768 });
        let count = self.num_hidden_layers.unwrap_or(12);
        let (layers, order) = if albert {
            let groups = self.num_hidden_groups.unwrap_or(1).max(1);
            let inner = self.inner_group_num.unwrap_or(1);
            let names = (0..groups)
                .flat_map(|g| (0..inner).map(move |j| (g, j)))
                .map(|(g, j)| format!("encoder.albert_layer_groups.{g}.albert_layers.{j}"))
                .collect();
            let order = (0..count)
                .map(|i| i * groups / count)
                .flat_map(|g| g * inner..(g + 1) * inner)
                .collect();
            (names, order)
        } else {
            numbered("encoder.layer", count)
        };
        let embedding_width = self.embedding_size.unwrap_or(match kind {
            Kind::Electra | Kind::Albert => 128,
            _ => width,
        });
        Ok(Plan {
            names: match kind {
                Kind::Bert => BERT,
                Kind::Roberta => Names {
                    family: "RoBERTa",
                    encoder: "roberta",
                    ..BERT
                },
                Kind::Electra => Names {
                    family: "ELECTRA",
                    encoder: "electra",
                    ..BERT
                },
                Kind::Mpnet => MPNET,
                Kind::Albert => ALBERT,
            },
            vocabulary: self.vocab_size.unwrap_or(match kind {
                Kind::Roberta => 50265,
                Kind::Mpnet => 30527,
                Kind::Albert => 30000,
                _ => 30522,
            }),
            width,
            embedding_width,
            projection: match kind {
                Kind::Albert => Some("encoder.embedding_hidden_mapping_in"),
                Kind::Electra if embedding_width != width => Some("embeddings_project"),
                _ => None,
            },
            layers,
            order,
            heads: (self.num_attention_heads).unwrap_or(if albert { 64 } else { 12 }),
            inner_width: (self.intermediate_size).unwrap_or(if albert { 16384 } else { 3072 }),
            activation: Activation::parse(self.hidden_act.as_deref().unwrap_or(if albert {
                "gelu_new"
            } else {
                "gelu"
            }))?,
            positions: self.max_position_embeddings.unwrap_or(512),
            // Positions of real tokens start behind the padding index.
            positions_after: match kind {
                Kind::Roberta => Some(self.pad_token_id.unwrap_or(1)),
                Kind::Mpnet => Some(1),
                _ => None,
            },
            types: match kind {
                Kind::Mpnet => 0,
                _ => self.type_vocab_size.unwrap_or(2),
            },
            token_types: matches!(kind, Kind::Bert | Kind::Electra),
            distance_buckets: (kind == Kind::Mpnet)
                .then(|| self.relative_attention_num_buckets.unwrap_or(32)),
            eps: self.layer_norm_eps.unwrap_or(1e-12),
        })
    }
}

impl Architecture for BertConfig {
    fn prefix(&self) -> &'static str {
        match self.kind {
            Kind::Bert => "bert",
            Kind::Roberta => "roberta",
            Kind::Electra => "electra",
            Kind::Mpnet => "mpnet",
            Kind::Albert => "albert",
        }
    }

    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>> {
        Ok(Box::new(Bert::load(self.plan()?, encoder, fine_end)?))
    }

    fn head(&self, root: &Scope<'_>, encoder: &Scope<'_>, labels: usize) -> Result<Head> {
        let width = self.plan()?.width;
        let classifier = root.at("classifier");
        let (dense, activation, out) = match self.kind {
            Kind::Bert => (encoder.at("pooler.dense"), Activation::Tanh, classifier),
            Kind::Albert => (encoder.at("pooler"), Activation::Tanh, classifier),
            Kind::Roberta | Kind::Mpnet | Kind::Electra => {
                let activation = if self.kind == Kind::Electra {
                    Activation::Gelu
                } else {
                    Activation::Tanh
                };
                (
                    classifier.at("dense"),
                    activation,
                    classifier.at("out_proj"),
                )
            }
        };
        Head::two_layers(&dense, activation, &out, width, labels)
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
        }
    }
}

impl Architecture for DistilBertConfig {
    fn prefix(&self) -> &'static str {
        "distilbert"
    }

    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>> {
        let (layers, order) = numbered("transformer.layer", self.n_layers);
        let plan = Plan {
            names: DISTILBERT,
            vocabulary: self.vocab_size,
            width: self.dim,
            embedding_width: self.dim,
            projection: None,
            layers,
            order,
            heads: self.n_heads,
            inner_width: self.hidden_dim,
            activation: Activation::parse(&self.activation)?,
            positions: self.max_position_embeddings,
            positions_after: None,
            types: 0,
            token_types: false,
            distance_buckets: None,
            eps: 1e-12,
        };
        Ok(Box::new(Bert::load(plan, encoder, fine_end)?))
    }

    fn head(&self, root: &Scope<'_>, _: &Scope<'_>, labels: usize) -> Result<Head> {
        let (dense, out) = (root.at("pre_classifier"), root.at("classifier"));
        Head::two_layers(&dense, Activation::Relu, &out, self.dim, labels)
    }
}

/// Layers with a number each, applied in order.
fn numbered(name: &str, count: usize) -> (Vec<String>, Vec<usize>) {
    let names = (0..count).map(|i| format!("{name}.{i}")).collect();
    (names, (0..count).collect())
}
