//! BERT (Devlin et al. 2019) and the encoders that differ from it in names, embeddings and head only:
//! RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, DistilBERT; MPNet (Song et al. 2020), which biases attention by
//! distance; ALBERT (Lan et al. 2020), which applies the same layers again and again.

pub mod config;

use super::layers::{Attention, DistanceBias, Embedding, Linear, Norm, PostNorm};
use super::packed::{Packed, Wanted};
use super::weights::Scope;
use super::{Body, Facts, Watch};
use crate::error::{Error, Result};
use crate::kernels::attention::{Geometry, NoBias, Span};
use config::Plan;
use tch::{Kind, Tensor};

pub struct Bert {
    plan: Plan,
    words: Embedding,
    positions: Embedding,
    types: Option<Embedding>,
    embedding_norm: Norm,
    projection: Option<Linear>,
    bias: Option<DistanceBias>,
    layers: Vec<Layer>,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention: Attention,
    rest: PostNorm,
}

impl Bert {
    pub fn load(plan: Plan, scope: &Scope<'_>, fine_end: bool) -> Result<Self> {
        if plan.heads == 0 || plan.width % plan.heads as i64 != 0 {
            return Err(Error::Config(format!(
                "config.json: {} attention heads do not divide a hidden size of {}",
                plan.heads, plan.width
            )));
        }
        let embeddings = scope.at("embeddings");
        let table = |name, rows| Embedding::load(&embeddings, name, rows, plan.embedding_width);
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
            projection: (plan.projection)
                .map(|name| Linear::load(&scope.at(name), plan.embedding_width, plan.width))
                .transpose()?,
            bias: (plan.distance_buckets)
                .map(|buckets| {
                    let table = scope.at("encoder.relative_attention_bias").get(
                        "weight",
                        &[buckets, plan.heads as i64],
                        Kind::Float,
                    )?;
                    DistanceBias::mpnet(&table, plan.positions as usize)
                })
                .transpose()?,
            layers: (plan.layers.iter().enumerate())
                .map(|(i, name)| {
                    // A layer that is applied more than once also works on all rows.
                    let at_end = plan.order.last() == Some(&i);
                    let once = plan.order.iter().filter(|&&layer| layer == i).count() == 1;
                    Layer::load(&plan, &scope.at(name), fine_end && at_end && once)
                })
                .collect::<Result<_>>()?,
            plan,
        })
    }

    fn embed(&self, batch: &Packed) -> Result<Tensor> {
        let mut x = self
            .words
            .add_to(self.words.zeros(batch.tokens()), &batch.ids)?;
        x = self.positions.add_to(x, &self.position_ids(batch))?;
        if let Some(types) = &self.types {
            x = if self.plan.token_types && types.rows() > 1 {
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
        let Some(padding) = self.plan.positions_after else {
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

impl Body for Bert {
    fn hidden_states(&self, batch: &Packed, wanted: &Wanted, watch: &Watch<'_>) -> Result<Tensor> {
        let mut x = self.embed(batch)?;
        let spans = batch.spans();
        let Some((last, order)) = self.plan.order.split_last() else {
            return wanted.select(&x);
        };
        for &layer in order {
            watch.check()?;
            x = self.layers[layer].forward(&x, &x, &spans, self.bias.as_ref())?;
        }
        watch.check()?;
        let queries = wanted.select(&x)?;
        self.layers[*last].forward(&queries, &x, &wanted.spans(batch), self.bias.as_ref())
    }

    fn facts(&self) -> Facts {
        let plan = &self.plan;
        let per_layer = 4 * plan.width * plan.width + 2 * plan.width * plan.inner_width;
        let reserved = plan.positions_after.map_or(0, |padding| padding + 1);
        Facts {
            family: plan.names.family,
            max_positions: Some((plan.positions - reserved) as usize),
            token_types: plan.token_types,
            weights_per_token: plan.order.len() * per_layer as usize,
        }
    }
}

impl Layer {
    fn load(plan: &Plan, scope: &Scope<'_>, fine: bool) -> Result<Self> {
        let names = &plan.names;
        let linear = |scope: &Scope<'_>, name: &str| {
            Linear::load_with(&scope.at(name), plan.width, plan.width, true)
        };
        let head_dim = plan.width as usize / plan.heads;
        Ok(Layer {
            query: linear(&scope.fine_if(fine), names.query)?,
            key: linear(scope, names.key)?,
            value: linear(scope, names.value)?,
            attention: Attention::new(
                Geometry {
                    heads: plan.heads,
                    kv_heads: plan.heads,
                    head_dim,
                    scale: 1.0 / (head_dim as f32).sqrt(),
                    window: None,
                    causal: false,
                },
                scope.weights(),
            ),
            rest: PostNorm::load(
                &scope.fine_if(fine),
                &names.rest,
                plan.width,
                plan.inner_width,
                plan.activation,
                plan.eps,
            )?,
        })
    }

    /// `queries` are the rows whose output is wanted, `x` all rows of the batch.
    fn forward(
        &self,
        queries: &Tensor,
        x: &Tensor,
        spans: &[Span],
        bias: Option<&DistanceBias>,
    ) -> Result<Tensor> {
        let layers = [&self.query, &self.key, &self.value];
        let [q, k, v] = Linear::project_narrow(layers, queries, x)?;
        let context = match bias {
            Some(bias) => self.attention.forward(&q, &k, &v, spans, bias)?,
            None => self.attention.forward(&q, &k, &v, spans, &NoBias)?,
        };
        self.rest.forward(&context, queries)
    }
}
