//! Layers that normalise before attention and before a gated feed-forward (Shazeer 2020), with rotary positions:
//! ModernBERT and today's decoders.

use super::rope::{Angles, Rope};
use super::{Activation, Attention, Linear, Norm};
use crate::error::Result;
use crate::kernels::attention::{NoBias, Span};
use crate::models::Watch;
use crate::models::packed::{Packed, Wanted};
use tch::Tensor;

/// One layer.
pub struct PreNorm {
    pub attention_norm: Option<Norm>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    /// Norms over each head of queries and keys.
    pub head_norms: Option<(Norm, Norm)>,
    pub head_dim: i64,
    pub attention: Attention,
    pub attention_out: Linear,
    pub feed_forward_norm: Norm,
    pub gate: Linear,
    pub activation: Activation,
    pub up: Linear,
    pub down: Linear,
    /// Which of the stack's rotary embeddings it uses.
    pub rope: usize,
}

/// Layers one after the other, and the norm behind them.
pub struct PreNormStack {
    pub layers: Vec<PreNorm>,
    pub ropes: Vec<Rope>,
    pub final_norm: Norm,
}

/// The rows one pass through a layer is about.
struct Rows<'a> {
    positions: &'a [i64],
    /// The rows whose output is wanted, and their positions.
    wanted: &'a Wanted,
    wanted_positions: &'a [i64],
    spans: &'a [Span],
}

impl PreNormStack {
    /// Final hidden states of the wanted rows; `x` holds the embeddings.
    pub fn forward(
        &self,
        mut x: Tensor,
        batch: &Packed,
        wanted: &Wanted,
        watch: &Watch<'_>,
    ) -> Result<Tensor> {
        let positions = batch.positions();
        let reach = positions.iter().max().map_or(0, |&p| p as usize + 1);
        let angles: Vec<Angles> = (self.ropes.iter())
            .map(|rope| rope.angles(reach))
            .collect::<Result<_>>()?;
        let spans = batch.spans();
        let all = Rows {
            positions: &positions,
            wanted: &Wanted::All,
            wanted_positions: &positions,
            spans: &spans,
        };
        let Some((last, layers)) = self.layers.split_last() else {
            return self.final_norm.forward_copy(&wanted.select(&x)?);
        };
        for layer in layers {
            watch.check()?;
            x = layer.forward(&x, &all, &angles[layer.rope])?;
        }
        watch.check()?;
        let wanted_positions = match wanted {
            Wanted::All => positions.clone(),
            Wanted::Rows(rows) => rows.iter().map(|&row| positions[row as usize]).collect(),
        };
        let some = Rows {
            wanted,
            wanted_positions: &wanted_positions,
            spans: &wanted.spans(batch),
            ..all
        };
        self.final_norm
            .forward(last.forward(&x, &some, &angles[last.rope])?)
    }
}

impl PreNorm {
    fn forward(&self, x: &Tensor, rows: &Rows<'_>, angles: &Angles) -> Result<Tensor> {
        let normed = match &self.attention_norm {
            Some(norm) => norm.forward_copy(x)?,
            None => x.shallow_clone(),
        };
        let heads = |norm: Option<&Norm>, x: Tensor, positions: &[i64]| {
            let x = match norm {
                Some(norm) => {
                    let shape = x.size();
                    (norm.forward(x.f_view([-1, self.head_dim])?)?).f_view(shape.as_slice())?
                }
                None => x,
            };
            angles.apply(x, positions)
        };
        let (query_norm, key_norm) = match &self.head_norms {
            Some((query, key)) => (Some(query), Some(key)),
            None => (None, None),
        };
        let projections = [&self.query, &self.key, &self.value];
        let [q, k, v] = match rows.wanted {
            Wanted::All => Linear::project(projections, &normed, &normed)?,
            some => Linear::project(projections, &some.select(&normed)?, &normed)?,
        };
        let q = heads(query_norm, q, rows.wanted_positions)?;
        let k = heads(key_norm, k, rows.positions)?;
        let context = self.attention.forward(&q, &k, &v, rows.spans, &NoBias)?;
        let x = (self.attention_out.forward(&context)?).f_add_(&rows.wanted.select(x)?)?;
        let normed = self.feed_forward_norm.forward_copy(&x)?;
        let gated = [
            (&self.gate, self.activation),
            (&self.up, Activation::Identity),
        ];
        let [mut inner, up] = Linear::forward_all(gated, &normed)?;
        let inner = inner.f_mul_(&up)?;
        Ok(self.down.forward(&inner)?.f_add_(&x)?)
    }
}
