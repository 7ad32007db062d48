//! BERT (Devlin et al. 2019) and the encoders that differ from it in names, embeddings and head only:
//! RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, DistilBERT.

use super::head::{Head, HeadKind};
use super::layers::{Activation, Attention, Embedding, Linear, Norm};
use super::packed::{Packed, index};
use super::weights::{Scope, Weights};
use super::{Facts, Model, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::{Geometry, Span};
use tch::{Device, Tensor};

/// How a family names its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub family: &'static str,
    pub encoder: &'static str,
    layer: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attention_out: &'static str,
    attention_norm: &'static str,
    inner: &'static str,
    outer: &'static str,
    outer_norm: &'static str,
}

impl Names {
    pub const BERT: Names = Names {
        family: "BERT",
        encoder: "bert",
        layer: "encoder.layer",
        query: "attention.self.query",
        key: "attention.self.key",
        value: "attention.self.value",
        attention_out: "attention.output.dense",
        attention_norm: "attention.output.LayerNorm",
        inner: "intermediate.dense",
        outer: "output.dense",
        outer_norm: "output.LayerNorm",
    };
    pub const ROBERTA: Names = Names {
        family: "RoBERTa",
        encoder: "roberta",
        ..Names::BERT
    };
    pub const ELECTRA: Names = Names {
        family: "ELECTRA",
        encoder: "electra",
        ..Names::BERT
    };
    pub const DISTILBERT: Names = Names {
        family: "DistilBERT",
        encoder: "distilbert",
        layer: "transformer.layer",
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        attention_out: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        inner: "ffn.lin1",
        outer: "ffn.lin2",
        outer_norm: "output_layer_norm",
    };
}

impl Default for Names {
    fn default() -> Self {
        Names::BERT
    }
}

/// How a family numbers positions and segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Positions count the tokens that are not this one and start behind it (fairseq's convention);
    /// None counts from zero.
    pub positions_after: Option<i64>,
    /// The tokenizer's segment ids are used; otherwise every token is in segment 0.
    pub token_types: bool,
}

/// Everything that tells one encoder of this file from another.
#[derive(Clone, Debug)]
pub struct Plan {
    pub names: Names,
    pub head: HeadKind,
    pub layout: Layout,
    pub vocabulary: i64,
    pub width: i64,
    pub embedding_width: i64,
    pub layers: usize,
    pub heads: usize,
    pub inner_width: i64,
    pub activation: Activation,
    pub positions: i64,
    /// Segments; 0 for families without.
    pub types: i64,
    pub eps: f64,
    pub labels: usize,
}

pub struct Bert {
    plan: Plan,
    words: Embedding,
    positions: Embedding,
    types: Option<Embedding>,
    embedding_norm: Norm,
    projection: Option<Linear>,
    layers: Vec<Layer>,
    head: Head,
    device: Device,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention: Attention,
    attention_out: Linear,
    attention_norm: Norm,
    inner: Linear,
    activation: Activation,
    outer: Linear,
    outer_norm: Norm,
}

impl Bert {
    pub fn load(plan: &Plan, weights: &Weights) -> Result<Self> {
        if plan.heads == 0 || plan.width % plan.heads as i64 != 0 {
            return Err(Error::Config(format!(
                "config.json: {} attention heads do not divide a hidden size of {}",
                plan.heads, plan.width
            )));
        }
        let root = weights.root();
        let scope = root.at(plan.names.encoder);
        let head = Head::load(plan.head, &root, &scope, plan.width, plan.labels)?;
        let embeddings = scope.at("embeddings");
        let table = |name, rows| Embedding::load(&embeddings, name, rows, plan.embedding_width);
        let projection = (plan.embedding_width != plan.width)
            .then(|| {
                Linear::load(
                    &scope.at("embeddings_project"),
                    plan.embedding_width,
                    plan.width,
                )
            })
            .transpose()?;
        Ok(Bert {
            words: table("word_embeddings", plan.vocabulary)?,
            positions: table("position_embeddings", plan.positions)?,
            types: (plan.types > 0)
                .then(|| table("token_type_embeddings", plan.types))
                .transpose()?,
            embedding_norm: Norm::layer(
                &embeddings.at("LayerNorm"),
                plan.embedding_width,
                plan.eps,
            )?,
            projection,
            layers: (0..plan.layers)
                .map(|i| Layer::load(plan, &scope.at(plan.names.layer).at(i.to_string())))
                .collect::<Result<_>>()?,
            head,
            device: weights.device(),
            plan: plan.clone(),
        })
    }

    fn embed(&self, batch: &Packed) -> Result<Tensor> {
        let mut x = self
            .words
            .add_to(self.words.zeros(batch.tokens()), &batch.ids)?;
        x = self.positions.add_to(x, &self.position_ids(batch))?;
        if let Some(types) = &self.types {
            x = if self.plan.layout.token_types && types.rows() > 1 {
                types.add_to(x, &batch.type_ids)?
            } else {
                types.add_to(x, &vec![0; batch.tokens()])?
            };
        }
        let x = self.embedding_norm.forward(x)?;
        match &self.projection {
            Some(projection) => projection.forward(&x),
            None => Ok(x),
        }
    }

    fn position_ids(&self, batch: &Packed) -> Vec<i64> {
        let Some(padding) = self.plan.layout.positions_after else {
            return batch.positions();
        };
        // A text may spell the padding token: it keeps the padding position and is not counted.
        let mut positions = Vec::with_capacity(batch.tokens());
        for w in batch.offsets.windows(2) {
            let mut next = padding;
            for &id in &batch.ids[w[0]..w[1]] {
                positions.push(if id == padding {
                    padding
                } else {
                    next += 1;
                    next
                });
            }
        }
        positions
    }
}

impl Model for Bert {
    fn logits(&self, batch: &Packed, watch: &Watch<'_>) -> Result<Tensor> {
        let mut x = self.embed(batch)?;
        let spans = batch.spans();
        if let Some((last, layers)) = self.layers.split_last() {
            for layer in layers {
                watch.check()?;
                x = layer.forward(&x, &x, &spans)?;
            }
            watch.check()?;
            // The head reads the first token only: nothing else of the last layer is needed but its
            // keys and values.
            let first = x.f_index_select(0, &index(&batch.first_rows(), self.device))?;
            x = last.forward(&first, &x, &batch.first_token_spans())?;
        } else {
            x = x.f_index_select(0, &index(&batch.first_rows(), self.device))?;
        }
        self.head.forward(&x)
    }

    fn facts(&self) -> Facts {
        let plan = &self.plan;
        let per_layer = 4 * plan.width * plan.width + 2 * plan.width * plan.inner_width;
        Facts {
            family: plan.names.family,
            labels: plan.labels,
            max_positions: Some(
                (plan.positions - plan.layout.positions_after.map_or(0, |padding| padding + 1))
                    as usize,
            ),
            token_types: plan.layout.token_types,
            weights_per_token: plan.layers * per_layer as usize,
        }
    }
}

impl Layer {
    fn load(plan: &Plan, scope: &Scope<'_>) -> Result<Self> {
        let names = &plan.names;
        let weights = scope.weights();
        let linear =
            |name: &str, inputs, outputs| Linear::load_with(&scope.at(name), inputs, outputs, true);
        let norm = |name: &str| Norm::layer(&scope.at(name), plan.width, plan.eps);
        let head_dim = plan.width as usize / plan.heads;
        Ok(Layer {
            query: linear(names.query, plan.width, plan.width)?,
            key: linear(names.key, plan.width, plan.width)?,
            value: linear(names.value, plan.width, plan.width)?,
            attention: Attention::new(
                Geometry {
                    heads: plan.heads,
                    kv_heads: plan.heads,
                    head_dim,
                    scale: 1.0 / (head_dim as f32).sqrt(),
                    window: None,
                    causal: false,
                },
                weights.device(),
                weights.dtype(),
            ),
            attention_out: linear(names.attention_out, plan.width, plan.width)?,
            attention_norm: norm(names.attention_norm)?,
            inner: linear(names.inner, plan.width, plan.inner_width)?,
            activation: plan.activation,
            outer: linear(names.outer, plan.inner_width, plan.width)?,
            outer_norm: norm(names.outer_norm)?,
        })
    }

    /// `queries` are the rows whose output is wanted, `x` all rows of the batch.
    fn forward(&self, queries: &Tensor, x: &Tensor, spans: &[Span]) -> Result<Tensor> {
        let q = self.query.forward(queries)?;
        let k = self.key.forward(x)?;
        let v = self.value.forward(x)?;
        let context = self.attention.forward(&q, &k, &v, spans)?;
        let attended = self
            .attention_norm
            .forward_residual(self.attention_out.forward(&context)?, queries)?;
        let inner = self.inner.forward_act(&attended, self.activation)?;
        self.outer_norm
            .forward_residual(self.outer.forward(&inner)?, &attended)
    }
}
