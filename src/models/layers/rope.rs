//! Rotary position embedding: frequencies by the conventions of config.json, and their application.

use super::{Path, view, view_mut, with_element};
use crate::error::{Error, Result};
use crate::kernels::rope::rotate;
use crate::models::packed::index;
use crate::models::weights::Weights;
use crate::torch::Frozen;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// `rope_parameters` (or, before transformers 5, `rope_scaling`) of a config.json.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RopeParameters {
    pub rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    pub original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

/// The frequencies of one kind of layer.
pub struct Rope {
    /// `[head_dim / 2]`, f32, on the CPU.
    frequencies: Frozen,
    path: Path,
    device: Device,
}

impl Rope {
    /// Computed with the operators of the reference: far positions magnify every rounding.
    pub fn new(parameters: &RopeParameters, head_dim: i64, weights: &Weights) -> Result<Self> {
        let missing =
            |key: &str| Error::Config(format!("config.json: the RoPE parameters lack {key}"));
        if parameters.partial_rotary_factor.is_some_and(|f| f != 1.0) || head_dim % 2 != 0 {
            return Err(Error::Config(
                "config.json: rotating a part of each head (partial_rotary_factor) is not supported"
                    .into(),
            ));
        }
        let theta = parameters.rope_theta.unwrap_or(10_000.0);
        let exponents = Tensor::f_arange_start_step(0, head_dim, 2, (Kind::Float, Device::Cpu))?
            .f_div_scalar(head_dim as f64)?;
        let plain = Tensor::f_pow_scalar(theta, &exponents)?.f_reciprocal()?;
        let frequencies = match parameters.rope_type.as_deref().unwrap_or("default") {
            "default" => plain,
            "linear" => plain.f_div_scalar(parameters.factor.ok_or_else(|| missing("factor"))?)?,
            "llama3" => {
                let factor = parameters.factor.ok_or_else(|| missing("factor"))?;
                let low = (parameters.low_freq_factor).ok_or_else(|| missing("low_freq_factor"))?;
                let high =
                    (parameters.high_freq_factor).ok_or_else(|| missing("high_freq_factor"))?;
                let context = (parameters.original_max_position_embeddings)
                    .ok_or_else(|| missing("original_max_position_embeddings"))?;
                let wavelength = plain
                    .f_reciprocal()?
                    .f_mul_scalar(2.0 * std::f64::consts::PI)?;
                let slowed = plain.f_div_scalar(factor)?;
                let share = (wavelength.f_reciprocal()?.f_mul_scalar(context)?)
                    .f_sub_scalar(low)?
                    .f_div_scalar(high - low)?;
                let between = (share.f_neg()?.f_add_scalar(1)?.f_mul(&plain)?)
                    .f_div_scalar(factor)?
                    .f_add(&share.f_mul(&plain)?)?;
                let long = slowed.f_where_self(&wavelength.f_gt(context / low)?, &between)?;
                plain.f_where_self(&wavelength.f_lt(context / high)?, &long)?
            }
            other => {
                return Err(Error::Config(format!(
                    "config.json: rope_type {other:?} is not supported; supported are default, linear and llama3"
                )));
            }
        };
        Ok(Rope {
            frequencies: Frozen::new(frequencies),
            path: Path::of(weights),
            device: weights.device(),
        })
    }

    /// The angles of all positions below `reach`.
    pub fn angles(&self, reach: usize) -> Result<Angles> {
        let angles = Tensor::f_arange(reach as i64, (Kind::Float, Device::Cpu))?
            .f_unsqueeze(1)?
            .f_mul(&self.frequencies)?;
        Ok(Angles {
            cos: angles.f_cos()?.f_to_device(self.device)?,
            sin: angles.f_sin()?.f_to_device(self.device)?,
            path: self.path,
        })
    }
}

/// Cosines and sines, `[positions, head_dim / 2]`.
pub struct Angles {
    cos: Tensor,
    sin: Tensor,
    path: Path,
}

impl Angles {
    /// Rotates every head of `x` `[rows, heads * head_dim]`, in its memory where possible.
    pub fn apply(&self, mut x: Tensor, positions: &[i64]) -> Result<Tensor> {
        let (rows, width) = x.size2()?;
        let half = self.cos.size()[1];
        match self.path {
            Path::Kernels => {
                with_element!(x.kind(), T => rotate(
                    view_mut::<T>(&mut x),
                    view::<f32>(&self.cos),
                    view::<f32>(&self.sin),
                    positions,
                    width as usize,
                    half as usize,
                ));
                Ok(x)
            }
            Path::Torch => {
                let at = index(positions, x.device());
                let cos = self.cos.f_index_select(0, &at)?.f_unsqueeze(1)?;
                let sin = self.sin.f_index_select(0, &at)?.f_unsqueeze(1)?;
                let heads = x.f_view([rows, -1, 2, half])?.f_to_kind(Kind::Float)?;
                let (a, b) = (heads.f_select(2, 0)?, heads.f_select(2, 1)?);
                let low = a.f_mul(&cos)?.f_sub(&b.f_mul(&sin)?)?;
                let high = b.f_mul(&cos)?.f_add(&a.f_mul(&sin)?)?;
                Ok(Tensor::f_stack(&[low, high], 2)?
                    .f_view([rows, width])?
                    .f_to_kind(x.kind())?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::compute::Compute;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn frequencies(json: &str) -> Result<Vec<f32>> {
        let weights = Weights::borrow(
            HashMap::new(),
            Arc::new(()),
            String::new(),
            Compute::parse("cpu", "float32")?,
        );
        let rope = Rope::new(&serde_json::from_str(json).unwrap(), 8, &weights)?;
        Ok(Vec::<f32>::try_from(rope.frequencies.shallow_clone())?)
    }

    #[test]
    fn scalings_slow_the_frequencies_they_should() {
        let plain = frequencies(r#"{"rope_theta": 10000.0}"#).unwrap();
        assert_eq!(plain, [1.0, 0.1, 0.01, 0.001]);
        let linear = frequencies(r#"{"rope_type": "linear", "factor": 4.0}"#).unwrap();
        assert!((linear[1] - 0.025).abs() < 1e-7);
        // Wavelengths are 6.3, 63, 628 and 6283: kept, blended, slowed, slowed.
        let llama = frequencies(
            r#"{"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 200}"#,
        )
        .unwrap();
        let share = (200.0 / (std::f32::consts::TAU / 0.1) - 1.0) / 3.0;
        let blended = (1.0 - share) * 0.1 / 8.0 + share * 0.1;
        for (got, want) in llama.iter().zip([1.0, blended, 0.01 / 8.0, 0.001 / 8.0]) {
            assert!((got - want).abs() < 1e-7, "{llama:?}");
        }
        assert!(
            frequencies(r#"{"rope_type": "yarn"}"#)
                .unwrap_err()
                .to_string()
                .contains("yarn")
        );
    }
}
