//! Dense layers in 8-bit integers: weights per output, activations per row, exact sums between.

use super::{Activation, with_element};
use crate::error::Result;
use crate::kernels::quantize::{
    CodesMut, dequantize_rows, dequantize_rows_gelu, dequantize_rows_to, quantize_rows,
    requantize_rows_gelu,
};
use crate::kernels::rotate::rotate_rows;
use crate::torch::Frozen;
use crate::torch::int8::{pack, product};
use half::bf16;
use tch::{Device, Kind, Tensor};

/// A weight in 8 bits, packed for oneDNN.
pub struct Int8 {
    weight: Frozen,
    /// One step of each output's weights, f32 `[outputs]`.
    scales: Frozen,
    /// The zero point of each output's weights: none, i32 `[outputs]`.
    zero_points: Frozen,
    /// Sum of each output's weights as the integers stand for them, `[outputs]`.
    sums: Vec<f32>,
    bias: Vec<f32>,
}

/// Activations in 8 bits, with what takes each row back. Several layers may read the same rows.
pub struct Rows {
    codes: Tensor,
    scales: Vec<f32>,
    lows: Vec<f32>,
}

impl Rows {
    /// `x` is f32 or bfloat16 `[rows, inputs]`.
    pub fn new(x: &Tensor) -> Result<Self> {
        let (rows, inputs) = x.size2()?;
        let mut new = Rows::empty(rows, inputs)?;
        let out = new.parts();
        with_element!(x.kind(), T => {
            quantize_rows(super::view::<T>(x), inputs as usize, out.codes, out.scales, out.lows)
        });
        Ok(new)
    }

    fn empty(rows: i64, inputs: i64) -> Result<Self> {
        Ok(Rows {
            codes: Tensor::f_empty([rows, inputs], (Kind::Uint8, Device::Cpu))?,
            scales: vec![0.0; rows as usize],
            lows: vec![0.0; rows as usize],
        })
    }

    fn parts(&mut self) -> CodesMut<'_> {
        CodesMut {
            codes: super::view_bytes_mut(&mut self.codes),
            scales: &mut self.scales,
            lows: &mut self.lows,
        }
    }
}

impl Int8 {
    /// Quantises `weight` `[outputs, inputs]`, each output by its largest weight.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let mut weight = weight
            .f_to_dtype(Kind::Float, false, true)?
            .f_contiguous()?;
        let (outputs, inputs) = weight.size2()?;
        // As the activations are: the product stays the same.
        rotate_rows(super::view_mut::<f32>(&mut weight), inputs as usize);
        let largest = weight.f_abs()?.f_amax([1], true)?;
        // An output without weights has any scale.
        let scales = largest.f_clamp_min(1e-30)?.f_div_scalar(127.0)?;
        let codes = weight.f_div(&scales)?.f_round()?;
        let sums = codes
            .f_mul(&scales)?
            .f_sum_dim_intlist(&[1i64][..], false, Kind::Float)?;
        let packed = pack(&codes.f_to_kind(Kind::Int8)?)?;
        let bias = match bias {
            Some(bias) => vector(&bias.f_to_kind(Kind::Float)?)?,
            None => vec![0.0; outputs as usize],
        };
        Ok(Int8 {
            weight: Frozen::new(packed),
            scales: Frozen::new(scales.f_reshape([outputs])?.f_contiguous()?),
            zero_points: Frozen::new(Tensor::zeros([outputs], (Kind::Int, Device::Cpu))),
            sums: vector(&sums)?,
            bias,
        })
    }

    /// The result for rows of `inputs` numbers, f32 `[rows, outputs]`.
    pub fn forward(&self, rows: &Rows, activation: Activation) -> Result<Tensor> {
        let mut y = self.product(rows)?;
        let values = super::view_mut::<f32>(&mut y);
        if activation == Activation::Gelu {
            dequantize_rows_gelu(values, &rows.scales, &rows.lows, &self.sums, &self.bias);
            Ok(y)
        } else {
            dequantize_rows(values, &rows.scales, &rows.lows, &self.sums, &self.bias);
            activation.forward(y)
        }
    }

    /// As [`Int8::forward`], rounded to bfloat16: half the memory, and little beside the rounding to 8 bits.
    pub fn forward_narrow(&self, rows: &Rows) -> Result<Tensor> {
        let product = self.product(rows)?;
        let mut y = Tensor::f_empty(product.size(), (Kind::BFloat16, Device::Cpu))?;
        dequantize_rows_to(
            super::view::<f32>(&product),
            super::view_mut::<bf16>(&mut y),
            &rows.scales,
            &rows.lows,
            &self.sums,
            &self.bias,
        );
        Ok(y)
    }

    /// As [`Int8::forward`] with GELU, as rows for another such layer.
    pub fn forward_gelu_rows(&self, rows: &Rows) -> Result<Rows> {
        let product = self.product(rows)?;
        let (count, outputs) = product.size2()?;
        let mut new = Rows::empty(count, outputs)?;
        requantize_rows_gelu(
            super::view::<f32>(&product),
            &rows.scales,
            &rows.lows,
            &self.sums,
            &self.bias,
            new.parts(),
        );
        Ok(new)
    }

    /// The product of the codes, f32; what rows stand for is not in it yet.
    fn product(&self, rows: &Rows) -> Result<Tensor> {
        product(&rows.codes, &self.weight, &self.scales, &self.zero_points)
    }
}

fn vector(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(super::view::<f32>(&tensor.f_contiguous()?).to_vec())
}
