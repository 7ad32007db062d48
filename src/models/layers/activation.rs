//! Element-wise activations by the names checkpoints use.

use crate::error::{Error, Result};
use tch::Tensor;

/// An activation function (`hidden_act` in a config.json).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x * Phi(x), exact (Hendrycks & Gimpel 2016).
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    Relu,
    /// x * sigmoid(x).
    Silu,
    Tanh,
    Mish,
    Identity,
}

impl Activation {
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => {
                Activation::GeluTanh
            }
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            "mish" => Activation::Mish,
            "linear" => Activation::Identity,
            other => {
                return Err(Error::Config(format!(
                    "config.json asks for the activation {other:?}; supported are gelu, gelu_new, \
                     gelu_pytorch_tanh, relu, silu, tanh and mish"
                )));
            }
        })
    }

    pub fn forward(self, x: Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::Gelu => x.f_gelu("none")?,
            Activation::GeluTanh => x.f_gelu("tanh")?,
            Activation::Relu => x.f_relu()?,
            Activation::Silu => x.f_silu()?,
            Activation::Tanh => x.f_tanh()?,
            Activation::Mish => x.f_mish()?,
            Activation::Identity => x,
        })
    }

    /// Name and algorithm of the same function as a oneDNN epilogue, if there is one.
    pub(super) fn epilogue(self) -> Option<(&'static str, &'static str)> {
        match self {
            Activation::Gelu => Some(("gelu", "none")),
            Activation::GeluTanh => Some(("gelu", "tanh")),
            Activation::Relu => Some(("relu", "")),
            Activation::Silu => Some(("swish", "")),
            Activation::Tanh => Some(("tanh", "")),
            Activation::Identity => Some(("none", "")),
            Activation::Mish => None,
        }
    }
}
