//! ModernBERT (Warner et al. 2024): rotary positions, gated feed-forward, attention that is local in two layers
//! out of three.

use super::head::{Head, Pool, Step};
use super::layers::{
    Activation, Attention, Embedding, Linear, Norm, PreNorm, PreNormStack, Rope, RopeParameters,
};
use super::packed::{Packed, Wanted};
use super::weights::Scope;
use super::{Architecture, Body, Facts, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::Geometry;
use serde::Deserialize;
use tch::Tensor;

/// config.json.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ModernBertConfig {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_activation: String,
    max_position_embeddings: usize,
    norm_eps: f64,
    layer_types: Option<Vec<String>>,
    global_attn_every_n_layers: usize,
    rope_parameters: Option<LayerRopes>,
    rope_scaling: Option<serde_json::Value>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    local_attention: usize,
    classifier_pooling: String,
    classifier_activation: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LayerRopes {
    full_attention: Option<RopeParameters>,
    sliding_attention: Option<RopeParameters>,
}

impl Default for ModernBertConfig {
    fn default() -> Self {
        ModernBertConfig {
            vocab_size: 50368,
            hidden_size: 768,
            intermediate_size: 1152,
            num_hidden_layers: 22,
            num_attention_heads: 12,
            hidden_activation: "gelu".into(),
            max_position_embeddings: 8192,
            norm_eps: 1e-5,
            layer_types: None,
            global_attn_every_n_layers: 3,
            rope_parameters: None,
            rope_scaling: None,
            global_rope_theta: None,
            local_rope_theta: None,
            local_attention: 128,
            classifier_pooling: "cls".into(),
            classifier_activation: "gelu".into(),
        }
    }
}

/// Places of the two rotary embeddings in the stack.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

impl ModernBertConfig {
    /// For every layer, which of the two kinds it is.
    fn kinds(&self) -> Result<Vec<usize>> {
        let Some(types) = &self.layer_types else {
            let every = self.global_attn_every_n_layers.max(1);
            return Ok((0..self.num_hidden_layers)
                .map(|i| if i % every == 0 { GLOBAL } else { LOCAL })
                .collect());
        };
        if types.len() != self.num_hidden_layers {
            return Err(Error::Config(format!(
                "config.json: layer_types has {} entries for {} layers",
                types.len(),
                self.num_hidden_layers
            )));
        }
        (types.iter())
            .map(|kind| match kind.as_str() {
                "full_attention" => Ok(GLOBAL),
                "sliding_attention" => Ok(LOCAL),
                other => Err(Error::Config(format!(
                    "config.json: layer_types: {other:?} is not supported"
                ))),
            })
            .collect()
    }

    /// Global and local rotary embeddings.
    fn ropes(&self, head_dim: i64, scope: &Scope<'_>) -> Result<Vec<Rope>> {
        if self.rope_scaling.as_ref().is_some_and(|v| !v.is_null()) {
            return Err(Error::Config(
                "config.json: rope_scaling is not supported for ModernBERT".into(),
            ));
        }
        let LayerRopes {
            full_attention,
            sliding_attention,
        } = self.rope_parameters.clone().unwrap_or_default();
        let rope = |parameters: Option<RopeParameters>, theta: f64| {
            let mut parameters = parameters.unwrap_or_default();
            parameters.rope_theta.get_or_insert(theta);
            Rope::new(&parameters, head_dim, scope.weights())
        };
        Ok(vec![
            rope(full_attention, self.global_rope_theta.unwrap_or(160_000.0))?,
            rope(sliding_attention, self.local_rope_theta.unwrap_or(10_000.0))?,
        ])
    }

    fn layer(
        &self,
        number: usize,
        kind: usize,
        head_dim: i64,
        scope: &Scope<'_>,
        fine: bool,
    ) -> Result<PreNorm> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let norm = |name: &str| Norm::layer(&scope.at(name), width, self.norm_eps);
        let qkv = scope.at("attn.Wqkv");
        let rest = scope.fine_if(fine);
        let gated = rest.at("mlp.Wi");
        Ok(PreNorm {
            // The embeddings are normed already.
            attention_norm: (number > 0).then(|| norm("attn_norm")).transpose()?,
            query: Linear::load_part(&qkv.fine_if(fine), width, width, (0, 3))?,
            key: Linear::load_part(&qkv, width, width, (1, 3))?,
            value: Linear::load_part(&qkv, width, width, (2, 3))?,
            head_norms: None,
            head_dim,
            attention: Attention::new(
                Geometry {
                    heads: self.num_attention_heads,
                    kv_heads: self.num_attention_heads,
                    head_dim: head_dim as usize,
                    scale: 1.0 / (head_dim as f32).sqrt(),
                    window: (kind == LOCAL).then_some(self.local_attention / 2),
                    causal: false,
                },
                scope.weights(),
            ),
            attention_out: Linear::load(&rest.at("attn.Wo"), width, width)?,
            feed_forward_norm: norm("mlp_norm")?,
            gate: Linear::load_part(&gated, width, inner, (0, 2))?,
            activation: Activation::parse(&self.hidden_activation)?,
            up: Linear::load_part(&gated, width, inner, (1, 2))?,
            down: Linear::load(&rest.at("mlp.Wo"), inner, width)?,
            rope: kind,
        })
    }
}

impl Architecture for ModernBertConfig {
    fn prefix(&self) -> &'static str {
        "model"
    }

    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads as i64);
        if heads == 0 || width % heads != 0 {
            return Err(Error::Config(format!(
                "config.json: {heads} attention heads do not divide a hidden size of {width}"
            )));
        }
        let head_dim = width / heads;
        let embeddings = encoder.at("embeddings");
        let layers = (0..).zip(self.kinds()?);
        let per_layer = 4 * width * width + 3 * width * self.intermediate_size;
        Ok(Box::new(ModernBert {
            facts: Facts {
                family: "ModernBERT",
                max_positions: Some(self.max_position_embeddings),
                token_types: false,
                weights_per_token: self.num_hidden_layers * per_layer as usize,
            },
            words: Embedding::load(&embeddings, "tok_embeddings", self.vocab_size, width)?,
            norm: Norm::layer(&embeddings.at("norm"), width, self.norm_eps)?,
            stack: PreNormStack {
                layers: layers
                    .map(|(i, kind)| {
                        let fine = fine_end && i + 1 == self.num_hidden_layers;
                        let scope = encoder.at(format!("layers.{i}"));
                        self.layer(i, kind, head_dim, &scope, fine)
                    })
                    .collect::<Result<_>>()?,
                ropes: self.ropes(head_dim, encoder)?,
                final_norm: Norm::layer(&encoder.at("final_norm"), width, self.norm_eps)?,
            },
        }))
    }

    fn head(&self, root: &Scope<'_>, _: &Scope<'_>, labels: usize) -> Result<Head> {
        let width = self.hidden_size;
        let pool = match self.classifier_pooling.as_str() {
            "cls" => Pool::First,
            "mean" => Pool::Mean,
            other => {
                return Err(Error::Config(format!(
                    "config.json: classifier_pooling {other:?} is not supported, only \"cls\" and \"mean\""
                )));
            }
        };
        let classifier = root.at("classifier");
        let out = Linear::load_float(&classifier, width, labels as i64, true)?;
        let activation = Activation::parse(&self.classifier_activation)?;
        let steps = vec![
            Step::dense(&root.at("head.dense"), width, width, activation)?,
            Step::Norm(Norm::layer(&root.at("head.norm"), width, self.norm_eps)?),
            Step::Dense(out, Activation::Identity),
        ];
        Ok(Head::new(pool, steps, labels))
    }
}

struct ModernBert {
    facts: Facts,
    words: Embedding,
    norm: Norm,
    stack: PreNormStack,
}

impl Body for ModernBert {
    fn hidden_states(&self, batch: &Packed, wanted: &Wanted, watch: &Watch<'_>) -> Result<Tensor> {
        let words = (self.words).add_to(self.words.zeros(batch.tokens()), &batch.ids)?;
        let x = self.norm.forward(words)?;
        self.stack.forward(x, batch, wanted, watch)
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}
