//! DeBERTa (He et al. 2021) and DeBERTa-v2/v3 (He et al. 2023): attention between contents, and between contents
//! and relative positions.

pub mod config;
mod convolution;

use super::layers::{
    Activation, Attention, Embedding, Linear, Norm, Path, PositionProducts, PositionTable,
    Positions, PostNorm, PostNormNames,
};
use super::packed::{Packed, Wanted};
use super::weights::Scope;
use super::{Body, Facts, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::{Geometry, NoBias, Span};
use crate::torch::Frozen;
use config::DebertaConfig;
use convolution::Convolution;
use tch::Tensor;

struct Deberta {
    facts: Facts,
    words: Embedding,
    positions: Option<Embedding>,
    types: Option<Embedding>,
    projection: Option<Linear>,
    embedding_norm: Norm,
    table: Option<PositionTable>,
    convolution: Option<Convolution>,
    layers: Vec<Layer>,
}

impl Deberta {
    fn load(config: &DebertaConfig, scope: &Scope<'_>, fine_end: bool) -> Result<Self> {
        let width = config.width();
        let embedding_width = config.embedding_size.unwrap_or(width);
        let embeddings = scope.at("embeddings");
        let table = |name, rows| Embedding::load(&embeddings, name, rows, embedding_width);
        let absolute = config.position_biased_input.unwrap_or(true);
        if !absolute {
            // Base models store a table that nothing reads.
            embeddings.skip("position_embeddings.weight");
        }
        let relative = config.table();
        let encoder = scope.at("encoder");
        let rows = (relative.as_ref())
            .map(|table| position_rows(config, table, &encoder))
            .transpose()?;
        let count = config.layers();
        let per_layer = 4 * width * width + 2 * width * config.inner_width();
        Ok(Deberta {
            facts: Facts {
                family: if config.first {
                    "DeBERTa"
                } else {
                    "DeBERTa-v2"
                },
                max_positions: Some(config.positions() as usize),
                token_types: config.type_vocab_size > 0,
                weights_per_token: count * per_layer as usize,
            },
            words: table(
                "word_embeddings",
                config
                    .vocab_size
                    .unwrap_or(if config.first { 50265 } else { 128_100 }),
            )?,
            positions: absolute
                .then(|| table("position_embeddings", config.positions()))
                .transpose()?,
            types: (config.type_vocab_size > 0)
                .then(|| table("token_type_embeddings", config.type_vocab_size))
                .transpose()?,
            projection: (embedding_width != width)
                .then(|| Linear::load(&embeddings.at("embed_proj"), embedding_width, width))
                .transpose()?,
            embedding_norm: Norm::layer(&embeddings.at("LayerNorm"), width, config.eps())?,
            table: relative,
            convolution: (config.conv_kernel_size > 0 && !config.first)
                .then(|| Convolution::load(config, &encoder.at("conv")))
                .transpose()?,
            layers: (0..count)
                .map(|i| {
                    let fine = fine_end && i + 1 == count;
                    let scope = encoder.at(format!("layer.{i}"));
                    Layer::load(config, &scope, rows.as_ref(), fine)
                })
                .collect::<Result<_>>()?,
        })
    }

    fn embed(&self, batch: &Packed) -> Result<Tensor> {
        let mut x = (self.words).add_to(self.words.zeros(batch.tokens()), &batch.ids)?;
        if let Some(positions) = &self.positions {
            x = positions.add_to(x, &batch.positions())?;
        }
        if let Some(types) = &self.types {
            x = types.add_to(x, &batch.type_ids)?;
        }
        if let Some(projection) = &self.projection {
            x = projection.forward(&x)?;
        }
        self.embedding_norm.forward(x)
    }
}

impl Body for Deberta {
    fn hidden_states(&self, batch: &Packed, wanted: &Wanted, watch: &Watch<'_>) -> Result<Tensor> {
        let embedded = self.embed(batch)?;
        let longest = (batch.offsets.windows(2))
            .map(|w| w[1] - w[0])
            .max()
            .unwrap_or(0);
        let positions = (self.table.as_ref())
            .map(|table| table.positions(longest))
            .transpose()?;
        let spans = batch.spans();
        let mut x = embedded.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            watch.check()?;
            let convolved = self.convolution.as_ref().filter(|_| i == 0);
            // The convolution behind the first layer reads neighbours.
            let last = i + 1 == self.layers.len() && convolved.is_none();
            x = if last {
                let queries = wanted.select(&x)?;
                return layer.forward(&queries, &x, &wanted.spans(batch), positions.as_ref());
            } else {
                layer.forward(&x, &x, &spans, positions.as_ref())?
            };
            if let Some(convolution) = convolved {
                x = convolution.forward(&embedded, &x, batch)?;
            }
        }
        wanted.select(&x)
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}

/// The table of relative positions as the layers use it, `[2 * span, width]`.
fn position_rows(
    config: &DebertaConfig,
    table: &PositionTable,
    encoder: &Scope<'_>,
) -> Result<Tensor> {
    let dtype = encoder.weights().dtype();
    let shape = [2 * table.span, config.width()];
    let rows = encoder.at("rel_embeddings").get("weight", &shape, dtype)?;
    let normed = (config.norm_rel_ebd.as_deref().unwrap_or("none"))
        .to_lowercase()
        .split('|')
        .any(|part| part.trim() == "layer_norm");
    if normed && !config.first {
        let norm = Norm::layer(&encoder.at("LayerNorm"), config.width(), config.eps())?;
        norm.forward(rows.copy())
    } else {
        Ok(rows.shallow_clone())
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    /// `[heads, head_dim, 2 * span]`, scaled.
    position_keys: Option<Frozen>,
    position_queries: Option<Frozen>,
    attention: Attention,
    path: Path,
    rest: PostNorm,
}

impl Layer {
    fn load(
        config: &DebertaConfig,
        scope: &Scope<'_>,
        rows: Option<&Tensor>,
        fine: bool,
    ) -> Result<Self> {
        let (width, heads) = (config.width(), config.heads());
        let head_dim = width / heads;
        let scale = 1.0 / ((head_dim as usize * config.scale_factor()) as f32).sqrt();
        let attention = scope.at("attention.self");
        let linear = |scope: &Scope<'_>, name: &str, bias| {
            Linear::load_with(&scope.at(name), width, width, bias)
        };
        let [query, key, value] = if config.first {
            fused(&attention, width, heads)?
        } else {
            [
                linear(&attention.fine_if(fine), "query_proj", true)?,
                linear(&attention, "key_proj", true)?,
                linear(&attention, "value_proj", true)?,
            ]
        };
        let terms = config.terms();
        let projected = |term: &str, own: &Linear, name: &str, bias: bool| match rows {
            Some(rows) if terms.iter().any(|t| t == term) => {
                let rows = if config.share_att_key && !config.first {
                    own.forward(rows)?
                } else {
                    linear(&attention, name, bias)?.forward(rows)?
                };
                let table = rows
                    .f_view([-1, heads, head_dim])?
                    .f_permute([1, 2, 0])?
                    .f_mul_scalar(f64::from(scale))?;
                Ok(Some(Frozen::new(table.f_contiguous()?)))
            }
            _ => Ok::<_, Error>(None),
        };
        let names = if config.first {
            ("pos_proj", "pos_q_proj")
        } else {
            ("pos_key_proj", "pos_query_proj")
        };
        Ok(Layer {
            position_keys: projected("c2p", &key, names.0, !config.first)?,
            position_queries: projected("p2c", &query, names.1, true)?,
            query,
            key,
            value,
            attention: Attention::new(
                Geometry {
                    heads: heads as usize,
                    kv_heads: heads as usize,
                    head_dim: head_dim as usize,
                    scale,
                    window: None,
                    causal: false,
                },
                scope.weights(),
            ),
            path: Path::of(scope.weights()),
            rest: PostNorm::load(
                &scope.fine_if(fine),
                &PostNormNames::BERT,
                width,
                config.inner_width(),
                Activation::parse(config.hidden_act.as_deref().unwrap_or("gelu"))?,
                config.eps(),
            )?,
        })
    }

    /// `queries` are the rows whose output is wanted, `x` all rows of the batch.
    fn forward(
        &self,
        queries: &Tensor,
        x: &Tensor,
        spans: &[Span],
        positions: Option<&Positions>,
    ) -> Result<Tensor> {
        let [q, k, v] = Linear::project([&self.query, &self.key, &self.value], queries, x)?;
        let context = match positions {
            None => self.attention.forward(&q, &k, &v, spans, &NoBias)?,
            Some(positions) => {
                let products = PositionProducts::new(
                    (&q, self.position_keys.as_ref()),
                    (&k, self.position_queries.as_ref()),
                    positions,
                    self.path,
                )?;
                let bias = products.bias(positions, spans);
                self.attention.forward(&q, &k, &v, spans, &bias)?
            }
        };
        self.rest.forward(&context, queries)
    }
}

/// Query, key and value of DeBERTa v1: one matrix whose rows go by head, and no bias on the keys.
fn fused(scope: &Scope<'_>, width: i64, heads: i64) -> Result<[Linear; 3]> {
    let weights = scope.weights();
    let dtype = weights.dtype();
    let fused = (scope
        .at("in_proj")
        .get("weight", &[3 * width, width], dtype)?)
    .f_view([heads, 3, width / heads, width])?;
    let part = |i: i64, bias: Option<&str>| {
        let weight = fused.f_select(1, i)?.f_reshape([width, width])?;
        let bias = bias
            .map(|name| scope.get(name, &[width], dtype))
            .transpose()?;
        Linear::new(Frozen::new(weight), bias, weights)
    };
    Ok([
        part(0, Some("q_bias"))?,
        part(1, None)?,
        part(2, Some("v_bias"))?,
    ])
}
