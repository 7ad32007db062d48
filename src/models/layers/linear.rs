//! y = act(x W^T + b). Number formats of weights live here.

use super::Activation;
use crate::error::Result;
use crate::models::weights::{Scope, Weights};
use crate::torch::Frozen;
use crate::torch::dispatcher::{Argument, call};
use tch::{Device, Kind, Tensor};

/// A dense layer.
pub struct Linear {
    weight: Frozen,
    bias: Option<Frozen>,
    product: Product,
}

#[derive(Clone, Copy)]
enum Product {
    /// oneDNN, by way of an operator tch does not bind. The weight is packed into oneDNN's blocked
    /// layout unless it is shared with the caller's model: then it stays where it is, at a few percent
    /// of speed.
    OneDnn,
    /// `aten::linear`.
    Torch,
}

impl Linear {
    /// Reads `weight` `[outputs, inputs]` and, if there is one, `bias` `[outputs]`.
    pub fn load(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let bias = scope.has("bias");
        Self::load_with(scope, inputs, outputs, bias)
    }

    /// As [`Linear::load`], with the bias required or ruled out.
    pub fn load_with(scope: &Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        let dtype = scope.weights().dtype();
        let weight = scope.get("weight", &[outputs, inputs], dtype)?;
        let bias = bias
            .then(|| scope.get("bias", &[outputs], dtype))
            .transpose()?;
        Self::new(weight, bias, scope.weights())
    }

    /// Part of a fused layer of `parts * outputs` outputs: those from `part * outputs` on.
    pub fn load_part(
        scope: &Scope<'_>,
        inputs: i64,
        outputs: i64,
        (part, parts): (i64, i64),
    ) -> Result<Self> {
        let weights = scope.weights();
        let rows = |name: &str, shape: &[i64]| -> Result<Frozen> {
            let fused = scope.get(name, shape, weights.dtype())?;
            Ok(Frozen::new(fused.f_narrow(0, part * outputs, outputs)?))
        };
        let weight = rows("weight", &[parts * outputs, inputs])?;
        let bias = (scope.has("bias"))
            .then(|| rows("bias", &[parts * outputs]))
            .transpose()?;
        Self::new(weight, bias, weights)
    }

    /// A layer over tensors made from those of `weights`.
    pub fn new(weight: Frozen, bias: Option<Frozen>, weights: &Weights) -> Result<Self> {
        let native = weight.device() == Device::Cpu && weights.native_kernels();
        if !native || !matches!(weight.kind(), Kind::Float | Kind::BFloat16) || !onednn() {
            return Ok(Linear {
                weight,
                bias,
                product: Product::Torch,
            });
        }
        let weight = if weights.shared() {
            weight
        } else {
            Frozen::new(call(
                c"mkldnn::_reorder_linear_weight",
                [Argument::tensor(&weight), Argument::none()],
            )?)
        };
        Ok(Linear {
            weight,
            bias,
            product: Product::OneDnn,
        })
    }

    /// `x` is `[rows, inputs]`; the result `[rows, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_act(x, Activation::Identity)
    }

    /// The same with an activation, fused into the product where the library can.
    pub fn forward_act(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match self.product {
            Product::OneDnn => {
                let (name, algorithm) = activation.epilogue().unwrap_or(("none", ""));
                let y = call(
                    c"mkldnn::_linear_pointwise",
                    [
                        Argument::tensor(x),
                        Argument::tensor(&self.weight),
                        Argument::optional_tensor(self.bias.as_deref()),
                        Argument::string(name),
                        Argument::empty_list(),
                        Argument::some(Argument::string(algorithm)),
                    ],
                )?;
                if activation.epilogue().is_some() {
                    Ok(y)
                } else {
                    activation.forward(y)
                }
            }
            Product::Torch => activation.forward(x.f_linear(&*self.weight, self.bias.as_deref())?),
        }
    }
}

/// Whether this libtorch has oneDNN.
fn onednn() -> bool {
    use std::sync::OnceLock;
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| tch::utils::has_mkldnn())
}
