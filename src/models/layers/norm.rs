//! LayerNorm and RMSNorm.

use super::{Path, view, view_mut, with_element};
use crate::error::Result;
use crate::kernels::norm::{Affine, Statistic, norm_in_place};
use crate::models::weights::Scope;
use crate::torch::Frozen;
use tch::{Kind, Tensor};

/// A normalisation over the last dimension. Scale and shift are kept in f32.
pub struct Norm {
    weight: Frozen,
    bias: Option<Frozen>,
    eps: f64,
    statistic: Statistic,
    path: Path,
}

impl Norm {
    /// LayerNorm with `weight` and, where the checkpoint has one, `bias`, `[width]` each.
    pub fn layer(scope: &Scope<'_>, width: i64, eps: f64) -> Result<Self> {
        let bias = scope
            .has("bias")
            .then(|| scope.get("bias", &[width], Kind::Float))
            .transpose()?;
        Self::new(scope, width, eps, bias, Statistic::Layer)
    }

    /// RMSNorm with `weight` `[width]`, stored less `offset` (Gemma: 1).
    pub fn root_mean_square(scope: &Scope<'_>, width: i64, eps: f64, offset: f64) -> Result<Self> {
        let mut norm = Self::new(scope, width, eps, None, Statistic::RootMeanSquare)?;
        if offset != 0.0 {
            norm.weight = Frozen::new(norm.weight.f_add_scalar(offset)?);
        }
        Ok(norm)
    }

    fn new(
        scope: &Scope<'_>,
        width: i64,
        eps: f64,
        bias: Option<Frozen>,
        statistic: Statistic,
    ) -> Result<Self> {
        Ok(Norm {
            weight: scope.get("weight", &[width], Kind::Float)?,
            bias,
            eps,
            statistic,
            path: Path::of(scope.weights()),
        })
    }

    /// The norm of `x`, computed in its memory.
    pub fn forward(&self, x: Tensor) -> Result<Tensor> {
        self.forward_sum(x, None)
    }

    /// The norm of `x`, which is kept.
    pub fn forward_copy(&self, x: &Tensor) -> Result<Tensor> {
        match self.path {
            Path::Kernels => self.forward(x.f_alias_copy()?),
            Path::Torch => self.forward(x.shallow_clone()),
        }
    }

    /// The norm of `x + residual`, computed in the memory of `x`.
    pub fn forward_residual(&self, x: Tensor, residual: &Tensor) -> Result<Tensor> {
        self.forward_sum(x, Some(residual))
    }

    fn forward_sum(&self, mut x: Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        match self.path {
            Path::Kernels => {
                let affine = Affine {
                    weight: view::<f32>(&self.weight),
                    bias: self.bias.as_deref().map(view::<f32>),
                    eps: self.eps as f32,
                    statistic: self.statistic,
                };
                with_element!(x.kind(), T => {
                    norm_in_place(view_mut::<T>(&mut x), residual.map(view::<T>), affine);
                });
                Ok(x)
            }
            Path::Torch => {
                let kind = x.kind();
                let sum = match residual {
                    Some(residual) => x.f_add_(residual)?,
                    None => x,
                };
                let wide = sum.f_to_kind(Kind::Float)?;
                let y = match self.statistic {
                    Statistic::Layer => wide.f_layer_norm(
                        self.weight.size(),
                        Some(&*self.weight),
                        self.bias.as_deref(),
                        self.eps,
                        false,
                    )?,
                    Statistic::RootMeanSquare => {
                        let power = wide.f_square()?.f_mean_dim(-1, true, Kind::Float)?;
                        wide.f_mul(&power.f_add_scalar(self.eps)?.f_rsqrt()?)?
                            .f_mul(&self.weight)?
                    }
                };
                Ok(y.f_to_kind(kind)?)
            }
        }
    }
}
