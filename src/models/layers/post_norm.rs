//! What follows attention in encoders that normalise after each residual sum (Vaswani et al. 2017).

use super::{Activation, Linear, Norm};
use crate::error::Result;
use crate::models::weights::Scope;
use tch::Tensor;

/// How a family names the tensors of this half of a layer.
#[derive(Clone, Copy, Debug)]
pub struct PostNormNames {
    pub attention_out: &'static str,
    pub attention_norm: &'static str,
    pub inner: &'static str,
    pub outer: &'static str,
    pub outer_norm: &'static str,
}

impl PostNormNames {
    pub const BERT: PostNormNames = PostNormNames {
        attention_out: "attention.output.dense",
        attention_norm: "attention.output.LayerNorm",
        inner: "intermediate.dense",
        outer: "output.dense",
        outer_norm: "output.LayerNorm",
    };
}

/// Output projection, residual and norm; feed-forward, residual and norm.
pub struct PostNorm {
    attention_out: Linear,
    attention_norm: Norm,
    inner: Linear,
    activation: Activation,
    outer: Linear,
    outer_norm: Norm,
}

impl PostNorm {
    pub fn load(
        scope: &Scope<'_>,
        names: &PostNormNames,
        width: i64,
        inner_width: i64,
        activation: Activation,
        eps: f64,
    ) -> Result<Self> {
        let linear =
            |name: &str, inputs, outputs| Linear::load_with(&scope.at(name), inputs, outputs, true);
        let norm = |name: &str| Norm::layer(&scope.at(name), width, eps);
        Ok(PostNorm {
            attention_out: linear(names.attention_out, width, width)?,
            attention_norm: norm(names.attention_norm)?,
            inner: linear(names.inner, width, inner_width)?,
            activation,
            outer: linear(names.outer, inner_width, width)?,
            outer_norm: norm(names.outer_norm)?,
        })
    }

    /// `context` is what attention gives, `input` what the layer was given, for the same rows.
    pub fn forward(&self, context: &Tensor, input: &Tensor) -> Result<Tensor> {
        let attended = self
            .attention_norm
            .forward_residual(self.attention_out.forward(context)?, input)?;
        let layers = [&self.inner, &self.outer];
        let fed = Linear::feed_forward(layers, self.activation, &attended)?;
        self.outer_norm.forward_residual(fed, &attended)
    }
}
