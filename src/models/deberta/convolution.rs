//! The convolution that DeBERTa-v2 may have next to its first layer.

use super::config::DebertaConfig;
use crate::error::Result;
use crate::models::layers::{Activation, Linear, Norm};
use crate::models::packed::{Packed, index};
use crate::models::weights::Scope;
use crate::torch::Frozen;
use tch::Tensor;

/// The convolution of DeBERTa-v2 over the embeddings, added behind the first layer.
pub struct Convolution {
    taps: Linear,
    count: i64,
    activation: Activation,
    norm: Norm,
}

impl Convolution {
    pub fn load(config: &DebertaConfig, scope: &Scope<'_>) -> Result<Self> {
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

    pub fn forward(&self, embedded: &Tensor, x: &Tensor, batch: &Packed) -> Result<Tensor> {
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
