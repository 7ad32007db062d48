//! Decoders as rerankers: Llama (Touvron et al. 2023), Qwen2, Qwen3 and Gemma. The last token, which has seen
//! all others, is scored.

use super::head::{Head, Pool, Step};
use super::layers::{
    Activation, Attention, Embedding, Linear, Norm, PreNorm, PreNormStack, Rope, RopeParameters,
};
use super::packed::{Packed, Wanted};
use super::weights::Scope;
use super::{Architecture, Body, Facts, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::Geometry;
use crate::torch::Frozen;
use serde::Deserialize;
use tch::Tensor;

/// The families of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Llama,
    Qwen2,
    Qwen3,
    Gemma,
}

/// config.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    #[serde(skip)]
    pub kind: Kind,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<i64>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    pad_token_id: Option<i64>,
    tie_word_embeddings: Option<bool>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<RopeParameters>,
    attention_bias: bool,
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    use_bidirectional_attention: Option<bool>,
}

impl DecoderConfig {
    fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::Config(format!("config.json: {what}")));
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads as i64),
        ] {
            if value <= 0 {
                return refuse(format!("{name} is missing"));
            }
        }
        let (heads, groups) = (self.num_attention_heads, self.kv_heads());
        if groups == 0 || heads % groups != 0 {
            return refuse(format!(
                "{groups} key-value heads do not divide {heads} attention heads"
            ));
        }
        let windowed = (self.layer_types.iter().flatten()).any(|kind| kind != "full_attention");
        let all_full = self.layer_types.is_none()
            && (self.max_window_layers).is_some_and(|n| n >= self.num_hidden_layers);
        if windowed || (self.use_sliding_window && self.layer_types.is_none() && !all_full) {
            return refuse("sliding-window attention (use_sliding_window) is not supported".into());
        }
        if self.use_bidirectional_attention == Some(true) {
            return refuse("use_bidirectional_attention: true is not supported".into());
        }
        Ok(())
    }

    fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i64 {
        self.head_dim.unwrap_or(match self.kind {
            Kind::Qwen3 => 128,
            Kind::Gemma => 256,
            Kind::Llama | Kind::Qwen2 => self.hidden_size / self.num_attention_heads as i64,
        })
    }

    fn activation(&self) -> Result<Activation> {
        let named = self.hidden_act.as_deref();
        if self.kind == Kind::Gemma {
            // "gelu" in old Gemma files means its tanh approximation.
            let named = named.or(self.hidden_activation.as_deref());
            return match named {
                None | Some("gelu") => Ok(Activation::GeluTanh),
                Some(name) => Activation::parse(name),
            };
        }
        Activation::parse(named.unwrap_or("silu"))
    }

    fn norm(&self, scope: &Scope<'_>, width: i64) -> Result<Norm> {
        let offset = if self.kind == Kind::Gemma { 1.0 } else { 0.0 };
        Norm::root_mean_square(scope, width, self.rms_norm_eps.unwrap_or(1e-6), offset)
    }

    fn rope(&self, scope: &Scope<'_>) -> Result<Rope> {
        let mut parameters = (self.rope_scaling.clone())
            .or_else(|| self.rope_parameters.clone())
            .unwrap_or_default();
        parameters.rope_theta = parameters.rope_theta.or(self.rope_theta);
        if parameters.original_max_position_embeddings.is_none() {
            parameters.original_max_position_embeddings =
                self.max_position_embeddings.map(|n| n as f64);
        }
        Rope::new(&parameters, self.head_dim(), scope.weights())
    }

    fn layer(&self, scope: &Scope<'_>, fine: bool) -> Result<PreNorm> {
        let (width, inner, head_dim) = (self.hidden_size, self.intermediate_size, self.head_dim());
        let q_width = self.num_attention_heads as i64 * head_dim;
        let kv_width = self.kv_heads() as i64 * head_dim;
        let attention = scope.at("self_attn");
        let rest = scope.fine_if(fine);
        let mlp = rest.at("mlp");
        let linear = |scope: &Scope<'_>, name: &str, outputs| {
            Linear::load_with(
                &scope.at(name),
                width,
                outputs,
                self.attention_bias || self.kind == Kind::Qwen2,
            )
        };
        let head_norm = |name: &str| self.norm(&attention.at(name), head_dim);
        Ok(PreNorm {
            attention_norm: Some(self.norm(&scope.at("input_layernorm"), width)?),
            query: linear(&attention.fine_if(fine), "q_proj", q_width)?,
            key: linear(&attention, "k_proj", kv_width)?,
            value: linear(&attention, "v_proj", kv_width)?,
            head_norms: (self.kind == Kind::Qwen3)
                .then(|| Ok::<_, Error>((head_norm("q_norm")?, head_norm("k_norm")?)))
                .transpose()?,
            head_dim,
            attention: Attention::new(
                Geometry {
                    heads: self.num_attention_heads,
                    kv_heads: self.kv_heads(),
                    head_dim: head_dim as usize,
                    scale: 1.0 / (head_dim as f32).sqrt(),
                    window: None,
                    causal: true,
                },
                scope.weights(),
            ),
            attention_out: Linear::load(&rest.at("self_attn.o_proj"), q_width, width)?,
            feed_forward_norm: self.norm(&scope.at("post_attention_layernorm"), width)?,
            gate: Linear::load(&mlp.at("gate_proj"), width, inner)?,
            activation: self.activation()?,
            up: Linear::load(&mlp.at("up_proj"), width, inner)?,
            down: Linear::load(&mlp.at("down_proj"), inner, width)?,
            rope: 0,
        })
    }

    /// Whether the output rows are the word embeddings.
    fn tied(&self) -> bool {
        self.tie_word_embeddings.unwrap_or(self.kind == Kind::Gemma)
    }
}

impl Architecture for DecoderConfig {
    fn prefix(&self) -> &'static str {
        "model"
    }

    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>> {
        self.check()?;
        let width = self.hidden_size;
        let widths = 2 * (self.num_attention_heads + self.kv_heads()) as i64 * self.head_dim();
        let per_layer = width * (widths + 3 * self.intermediate_size);
        Ok(Box::new(Decoder {
            facts: Facts {
                family: match self.kind {
                    Kind::Llama => "Llama",
                    Kind::Qwen2 => "Qwen2",
                    Kind::Qwen3 => "Qwen3",
                    Kind::Gemma => "Gemma",
                },
                max_positions: Some(self.max_position_embeddings.unwrap_or(match self.kind {
                    Kind::Llama => 2048,
                    Kind::Gemma => 8192,
                    Kind::Qwen2 | Kind::Qwen3 => 32768,
                })),
                token_types: false,
                weights_per_token: self.num_hidden_layers * per_layer as usize,
            },
            words: Embedding::load(encoder, "embed_tokens", self.vocab_size, width)?,
            scale: (self.kind == Kind::Gemma).then(|| (width as f64).sqrt()),
            stack: PreNormStack {
                layers: (0..self.num_hidden_layers)
                    .map(|i| {
                        let fine = fine_end && i + 1 == self.num_hidden_layers;
                        self.layer(&encoder.at(format!("layers.{i}")), fine)
                    })
                    .collect::<Result<_>>()?,
                ropes: vec![self.rope(encoder)?],
                final_norm: self.norm(&encoder.at("norm"), width)?,
            },
        }))
    }

    fn head(&self, root: &Scope<'_>, _: &Scope<'_>, labels: usize) -> Result<Head> {
        let score = Linear::load_float(&root.at("score"), self.hidden_size, labels as i64, false)?;
        let pool = Pool::Last {
            padding: self.pad_token_id,
        };
        let steps = vec![Step::Dense(score, Activation::Identity)];
        Ok(Head::new(pool, steps, labels))
    }

    fn logit_head(
        &self,
        root: &Scope<'_>,
        encoder: &Scope<'_>,
        yes: i64,
        no: Option<i64>,
    ) -> Result<Head> {
        let shape = [self.vocab_size, self.hidden_size];
        let table = if self.tied() {
            root.skip("lm_head.weight");
            encoder.raw("embed_tokens.weight", &shape)?
        } else {
            root.raw("lm_head.weight", &shape)?
        };
        let row = |id: i64| -> Result<Tensor> {
            if !(0..self.vocab_size).contains(&id) {
                return Err(Error::Config(format!(
                    "LogitScore: token {id} is outside the vocabulary of {}",
                    self.vocab_size
                )));
            }
            Ok(table.f_narrow(0, id, 1)?.f_to_kind(tch::Kind::Float)?)
        };
        // A difference of logits is a product with the difference of their rows.
        let difference = match no {
            Some(no) => row(yes)?.f_sub(&row(no)?)?,
            None => row(yes)?,
        };
        let weights = root.weights();
        let weight = difference.f_to_device_(weights.device(), weights.dtype(), false, false)?;
        let score = Linear::new(Frozen::new(weight), None, weights)?;
        let pool = Pool::Last { padding: None };
        Ok(Head::new(
            pool,
            vec![Step::Dense(score, Activation::Identity)],
            1,
        ))
    }
}

struct Decoder {
    facts: Facts,
    words: Embedding,
    /// Factor on the embeddings.
    scale: Option<f64>,
    stack: PreNormStack,
}

impl Body for Decoder {
    fn hidden_states(&self, batch: &Packed, wanted: &Wanted, watch: &Watch<'_>) -> Result<Tensor> {
        let mut x = (self.words).add_to(self.words.zeros(batch.tokens()), &batch.ids)?;
        if let Some(scale) = self.scale {
            x = x.f_mul_scalar_(scale)?;
        }
        self.stack.forward(x, batch, wanted, watch)
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}
