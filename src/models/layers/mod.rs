//! The layers models are made of. Device, number format and kernels are chosen here and nowhere else.
//!
//! On the CPU, products go to oneDNN on packed weights and everything between them to `crate::kernels`;
//! elsewhere libtorch's own operators do the work.

mod activation;
mod attention;
mod distance;
mod embedding;
mod int8;
mod linear;
mod norm;
mod position;
mod post_norm;
mod pre_norm;
mod rope;

pub use activation::Activation;
pub use attention::{Attention, ScoreBias};
pub use distance::{DistanceBias, distances};
pub use embedding::Embedding;
pub use linear::Linear;
pub use norm::Norm;
pub use position::{PositionProducts, PositionTable, Positions};
pub use post_norm::{PostNorm, PostNormNames};
pub use pre_norm::{PreNorm, PreNormStack};
pub use rope::{Rope, RopeParameters};

use crate::kernels::element::Element;
use crate::models::weights::Weights;
use tch::{Device, Kind, Tensor};

/// Who computes what lies between the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// `crate::kernels`, on the memory of the tensors.
    Kernels,
    /// libtorch's operators: any device.
    Torch,
}

impl Path {
    /// The path of a model with these weights.
    pub fn of(weights: &Weights) -> Self {
        if weights.uses_kernels() {
            Path::Kernels
        } else {
            Path::Torch
        }
    }
}

/// The numbers of a contiguous CPU tensor.
fn view<T: Element>(tensor: &Tensor) -> &[T] {
    assert!(tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == Device::Cpu);
    // SAFETY: kind, device and layout are checked above; the borrow keeps the tensor alive.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The numbers of a contiguous CPU tensor that nobody else holds.
fn view_mut<T: Element>(tensor: &mut Tensor) -> &mut [T] {
    assert!(tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == Device::Cpu);
    // SAFETY: as for `view`; the exclusive borrow is the caller's word that no clone shares the memory.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The bytes of a contiguous CPU tensor that nobody else holds.
fn view_bytes_mut(tensor: &mut Tensor) -> &mut [u8] {
    assert!(tensor.is_contiguous() && tensor.kind() == Kind::Uint8);
    assert!(tensor.device() == Device::Cpu);
    // SAFETY: as for `view_mut`.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// Runs `$body` with `$T` as the Rust type of `$kind`, one of the formats the kernels handle.
macro_rules! with_element {
    ($kind:expr, $T:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $T = f32;
                $body
            }
            tch::Kind::BFloat16 => {
                type $T = half::bf16;
                $body
            }
            tch::Kind::Half => {
                type $T = half::f16;
                $body
            }
            other => unreachable!("activations are never {other:?}"),
        }
    };
}
use with_element;
