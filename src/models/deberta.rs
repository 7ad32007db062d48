//! DeBERTa (He et al. 2021) and DeBERTa-v2/v3 (He et al. 2023): attention between contents, and between contents
//! and relative positions.

use super::head::Head;
use super::layers::{
    Activation, Attention, Embedding, Linear, Norm, Path, PositionProducts, PositionTable,
    Positions, PostNorm, PostNormNames,
};
use super::packed::{Packed, Wanted, index};
use super::weights::Scope;
use super::{Architecture, Body, Facts, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::{Geometry, NoBias, Span};
use crate::torch::Frozen;
use serde::Deserialize;
use tch::Tensor;

/// config.json of DeBERTa (`first`) and DeBERTa-v2. What is absent has the version's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DebertaConfig {
    #[serde(skip)]
    pub first: bool,
    vocab_size: Option<i64>,
    hidden_size: Option<i64>,
    embedding_size: Option<i64>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    attention_head_size: Option<i64>,
    intermediate_size: Option<i64>,
    hidden_act: Option<String>,
    max_position_embeddings: Option<i64>,
    type_vocab_size: i64,
    layer_norm_eps: Option<f64>,
    relative_attention: bool,
    max_relative_positions: Option<i64>,
    position_buckets: Option<i64>,
    norm_rel_ebd: Option<String>,
    share_att_key: bool,
    pos_att_type: Option<PositionTerms>,
    position_biased_input: Option<bool>,
    pooler_hidden_size: Option<i64>,
    pooler_hidden_act: Option<String>,
    talking_head: bool,
    conv_kernel_size: i64,
    conv_groups: Option<i64>,
    conv_act: Option<String>,
}

/// `["c2p", "p2c"]`, or "c2p|p2c" in old files.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PositionTerms {
    List(Vec<String>),
    Joined(String),
}

impl DebertaConfig {
    fn width(&self) -> i64 {
        self.hidden_size
            .unwrap_or(if self.first { 768 } else { 1536 })
    }

    fn layers(&self) -> usize {
        self.num_hidden_layers
            .unwrap_or(if self.first { 12 } else { 24 })
    }

    fn inner_width(&self) -> i64 {
        self.intermediate_size
            .unwrap_or(if self.first { 3072 } else { 6144 })
    }

    fn heads(&self) -> i64 {
        self.num_attention_heads
            .unwrap_or(if self.first { 12 } else { 24 }) as i64
    }

    fn positions(&self) -> i64 {
        self.max_position_embeddings.unwrap_or(512)
    }

    fn eps(&self) -> f64 {
        self.layer_norm_eps.unwrap_or(1e-7)
    }

    fn terms(&self) -> Vec<String> {
        match &self.pos_att_type {
            None => Vec::new(),
            Some(PositionTerms::List(terms)) => terms.clone(),
            Some(PositionTerms::Joined(terms)) => (terms.to_lowercase().split('|'))
                .map(|t| t.trim().to_owned())
                .collect(),
        }
    }

    /// Score terms the scale is shared between.
    fn scale_factor(&self) -> usize {
        let known = |t: &&String| self.first || ["c2p", "p2c"].contains(&t.as_str());
        1 + self.terms().iter().filter(known).count()
    }

    fn table(&self) -> Option<PositionTable> {
        let furthest = match self.max_relative_positions {
            Some(n) if n >= 1 => n,
            _ => self.positions(),
        };
        let buckets = self.position_buckets.filter(|&n| n > 0 && !self.first);
        self.relative_attention.then_some(PositionTable {
            span: buckets.unwrap_or(furthest),
            log_up_to: buckets.map(|_| furthest),
        })
    }

    fn check(&self) -> Result<()> {
        let width = self.width();
        let heads = self.heads();
        let refuse = |what: String| Err(Error::Config(format!("config.json: {what}")));
        if heads == 0 || width % heads != 0 {
            return refuse(format!(
                "{heads} attention heads do not divide a hidden size of {width}"
            ));
        }
        if self.attention_head_size.is_some_and(|n| n != width / heads) {
            return refuse(
                "attention_head_size other than hidden_size / num_attention_heads is not supported"
                    .into(),
            );
        }
        if self.pooler_hidden_size.is_some_and(|n| n != width) {
            return refuse("pooler_hidden_size other than hidden_size is not supported".into());
        }
        if self.talking_head && self.first {
            return refuse("talking_head: true is not supported".into());
        }
        if self.conv_kernel_size > 0
            && (self.conv_kernel_size % 2 == 0 || self.conv_groups.unwrap_or(1) != 1)
        {
            return refuse("a convolution with an even conv_kernel_size, or conv_groups other than 1, is not supported".into());
        }
        Ok(())
    }
}

impl Architecture for DebertaConfig {
    fn prefix(&self) -> &'static str {
        "deberta"
    }

    fn body(&self, encoder: &Scope<'_>) -> Result<Box<dyn Body>> {
        self.check()?;
        Ok(Box::new(Deberta::load(self, encoder)?))
    }

    fn head(&self, root: &Scope<'_>, _: &Scope<'_>, labels: usize) -> Result<Head> {
        let activation = Activation::parse(self.pooler_hidden_act.as_deref().unwrap_or("gelu"))?;
        let (dense, out) = (root.at("pooler.dense"), root.at("classifier"));
        Head::two_layers(&dense, activation, &out, self.width(), labels)
    }
}

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
    fn load(config: &DebertaConfig, scope: &Scope<'_>) -> Result<Self> {
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
                .map(|i| Layer::load(config, &encoder.at(format!("layer.{i}")), rows.as_ref()))
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
    fn load(config: &DebertaConfig, scope: &Scope<'_>, rows: Option<&Tensor>) -> Result<Self> {
        let (width, heads) = (config.width(), config.heads());
        let head_dim = width / heads;
        let scale = 1.0 / ((head_dim as usize * config.scale_factor()) as f32).sqrt();
        let attention = scope.at("attention.self");
        let linear = |name: &str, bias| Linear::load_with(&attention.at(name), width, width, bias);
        let [query, key, value] = if config.first {
            fused(&attention, width, heads)?
        } else {
            [
                linear("query_proj", true)?,
                linear("key_proj", true)?,
                linear("value_proj", true)?,
            ]
        };
        let terms = config.terms();
        let projected = |term: &str, own: &Linear, name: &str, bias: bool| match rows {
            Some(rows) if terms.iter().any(|t| t == term) => {
                let rows = if config.share_att_key && !config.first {
                    own.forward(rows)?
                } else {
                    linear(name, bias)?.forward(rows)?
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
                scope,
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

/// The convolution of DeBERTa-v2 over the embeddings, added behind the first layer.
struct Convolution {
    taps: Linear,
    count: i64,
    activation: Activation,
    norm: Norm,
}

impl Convolution {
    fn load(config: &DebertaConfig, scope: &Scope<'_>) -> Result<Self> {
        let (width, count) = (config.width(), config.conv_kernel_size);
        let weights = scope.weights();
        let conv = scope.at("conv");
        // [outputs, inputs, taps] as one product with the neighbouring rows side by side.
        let weight = (conv.get("weight", &[width, width, count], weights.dtype())?)
            .f_permute([0, 2, 1])?
            .f_reshape([width, count * width])?;
        let bias = conv.get("bias", &[width], weights.dtype())?;
        Ok(Convolution {
            taps: Linear::new(Frozen::new(weight), Some(bias), weights)?,
            count,
            activation: Activation::parse(config.conv_act.as_deref().unwrap_or("tanh"))?,
            norm: Norm::layer(&scope.at("LayerNorm"), width, config.eps())?,
        })
    }

    fn forward(&self, embedded: &Tensor, x: &Tensor, batch: &Packed) -> Result<Tensor> {
        let zero = embedded.f_narrow(0, 0, 1)?.f_zeros_like()?;
        let outside = batch.tokens() as i64;
        let half = self.count / 2;
        let mut rows = Vec::with_capacity(batch.tokens() * self.count as usize);
        for w in batch.offsets.windows(2) {
            let (start, end) = (w[0] as i64, w[1] as i64);
            for row in start..end {
                for tap in row - half..=row + half {
                    rows.push(if (start..end).contains(&tap) {
                        tap
                    } else {
                        outside
                    });
                }
            }
        }
        let neighbours = Tensor::f_cat(&[embedded, &zero], 0)?
            .f_index_select(0, &index(&rows, embedded.device()))?
            .f_view([outside, -1])?;
        let convolved = self.taps.forward_act(&neighbours, self.activation)?;
        self.norm.forward_residual(convolved, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_support_are_named() {
        for (json, name) in [
            (r#"{"conv_kernel_size": 2}"#, "conv_kernel_size"),
            (r#"{"num_attention_heads": 7}"#, "7 attention heads"),
            (r#"{"pooler_hidden_size": 5}"#, "pooler_hidden_size"),
        ] {
            let config: DebertaConfig = serde_json::from_str(json).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
