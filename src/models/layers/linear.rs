//! y = act(x W^T + b). Number formats of weights live here.

use super::Activation;
use super::int8::{Int8, Rows};
use crate::cpu::multiplies_bfloat16;
use crate::error::Result;
use crate::models::weights::{Scope, Weights};
use crate::torch::Frozen;
use crate::torch::dispatcher::{Argument, call};
use tch::{Device, Kind, Tensor};

/// A dense layer.
pub enum Linear {
    /// oneDNN, by way of an operator tch does not bind. The weight is packed into oneDNN's blocked
    /// layout unless it is shared with the caller's model: then it stays where it is, at a few percent
    /// of speed.
    OneDnn {
        weight: Frozen,
        bias: Option<Frozen>,
    },
    /// `aten::linear`.
    Torch {
        weight: Frozen,
        bias: Option<Frozen>,
    },
    Int8(Int8),
}

impl Linear {
    /// Reads `weight` `[outputs, inputs]` and, if there is one, `bias` `[outputs]`.
    pub fn load(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let bias = scope.has("bias");
        Self::load_with(scope, inputs, outputs, bias)
    }

    /// As [`Linear::load`], with the bias required or ruled out.
    pub fn load_with(scope: &Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        let (weight, bias) = read(scope, inputs, outputs, bias)?;
        Self::coarse(weight, bias, scope)
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
        Self::coarse(weight, bias, scope)
    }

    /// A layer in the format the model's dense layers are asked to have: 8 bits, or as [`Linear::new`].
    fn coarse(weight: Frozen, bias: Option<Frozen>, scope: &Scope<'_>) -> Result<Self> {
        if scope.int8() {
            return Ok(Linear::Int8(Int8::new(&weight, bias.as_deref())?));
        }
        Self::new(weight, bias, scope.weights())
    }

    /// As [`Linear::load_with`], never in 8 bits: for heads, where a few rows decide the score.
    pub fn load_float(scope: &Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        let (weight, bias) = read(scope, inputs, outputs, bias)?;
        Self::new(weight, bias, scope.weights())
    }

    /// A layer over tensors made from those of `weights`, in floating point.
    pub fn new(weight: Frozen, bias: Option<Frozen>, weights: &Weights) -> Result<Self> {
        let native = weight.device() == Device::Cpu && weights.native_kernels();
        if !native || !matches!(weight.kind(), Kind::Float | Kind::BFloat16) || !onednn() {
            return Ok(Linear::Torch { weight, bias });
        }
        let weight = if weights.shared() {
            weight
        } else {
            Frozen::new(call(
                c"mkldnn::_reorder_linear_weight",
                [Argument::tensor(&weight), Argument::none()],
            )?)
        };
        Ok(Linear::OneDnn { weight, bias })
    }

    /// `x` is `[rows, inputs]`; the result `[rows, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_act(x, Activation::Identity)
    }

    /// Several layers of the same rows, which are quantised once, each with its activation.
    pub fn forward_all<const N: usize>(
        layers: [(&Linear, Activation); N],
        x: &Tensor,
    ) -> Result<[Tensor; N]> {
        let mut rows = None;
        let mut results = Vec::with_capacity(N);
        for (layer, activation) in layers {
            results.push(match layer {
                Linear::Int8(int8) => {
                    if rows.is_none() {
                        rows = Some(Rows::new(x)?);
                    }
                    let rows = rows.as_ref().expect("made above");
                    int8.forward(rows, activation)?
                }
                layer => layer.forward_act(x, activation)?,
            });
        }
        Ok(results.try_into().expect("one result a layer"))
    }

    /// Queries of some rows, keys and values of all rows `x`.
    pub fn project(
        [query, key, value]: [&Linear; 3],
        queries: &Tensor,
        x: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let plain = |layer| (layer, Activation::Identity);
        if std::ptr::eq(queries, x) {
            return Self::forward_all([query, key, value].map(plain), x);
        }
        let [k, v] = Self::forward_all([key, value].map(plain), x)?;
        Ok([query.forward(queries)?, k, v])
    }

    /// As [`Linear::project`], for attention alone to read: 8-bit layers give bfloat16 where the CPU
    /// multiplies it, which is twice as fast.
    pub fn project_narrow(
        layers: [&Linear; 3],
        queries: &Tensor,
        x: &Tensor,
    ) -> Result<[Tensor; 3]> {
        if let [Linear::Int8(query), Linear::Int8(key), Linear::Int8(value)] = layers
            && std::ptr::eq(queries, x)
            && multiplies_bfloat16()
        {
            let rows = Rows::new(x)?;
            return Ok([
                query.forward_narrow(&rows)?,
                key.forward_narrow(&rows)?,
                value.forward_narrow(&rows)?,
            ]);
        }
        Self::project(layers, queries, x)
    }

    /// Two layers with an activation between; 8-bit ones hand codes on, and no floats lie between.
    pub fn feed_forward(
        [inner, outer]: [&Linear; 2],
        activation: Activation,
        x: &Tensor,
    ) -> Result<Tensor> {
        match (inner, outer, activation) {
            (Linear::Int8(inner), Linear::Int8(outer), Activation::Gelu) => {
                let rows = inner.forward_gelu_rows(&Rows::new(x)?)?;
                outer.forward(&rows, Activation::Identity)
            }
            _ => outer.forward(&inner.forward_act(x, activation)?),
        }
    }

    /// As [`Linear::forward`] with an activation, fused into the product where the library can.
    pub fn forward_act(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match self {
            Linear::OneDnn { weight, bias } => {
                let (name, algorithm) = activation.epilogue().unwrap_or(("none", ""));
                let y = call(
                    c"mkldnn::_linear_pointwise",
                    [
                        Argument::tensor(x),
                        Argument::tensor(weight),
                        Argument::optional_tensor(bias.as_deref()),
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
            Linear::Torch { weight, bias } => {
                activation.forward(x.f_linear(weight, bias.as_deref())?)
            }
            Linear::Int8(int8) => int8.forward(&Rows::new(x)?, activation),
        }
    }
}

fn read(
    scope: &Scope<'_>,
    inputs: i64,
    outputs: i64,
    bias: bool,
) -> Result<(Frozen, Option<Frozen>)> {
    let dtype = scope.weights().dtype();
    let weight = scope.get("weight", &[outputs, inputs], dtype)?;
    let bias = bias
        .then(|| scope.get("bias", &[outputs], dtype))
        .transpose()?;
    Ok((weight, bias))
}

/// Whether this libtorch has oneDNN.
fn onednn() -> bool {
    use std::sync::OnceLock;
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(tch::utils::has_mkldnn)
}
