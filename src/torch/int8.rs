//! oneDNN's product of 8-bit integers, and whether it is exact on this CPU.

use super::dispatcher::{Argument, call};
use crate::cpu::multiplies_int8;
use crate::error::Result;
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor};

/// libtorch's code for f32, as operators take it.
const FLOAT: i64 = 6;

/// Weights `[outputs, inputs]`, i8, in oneDNN's blocked layout.
pub fn pack(codes: &Tensor) -> Result<Tensor> {
    call(
        c"onednn::qlinear_prepack",
        [Argument::tensor(codes), Argument::none()],
    )
}

/// `y[m][n] = scales[n] * sum over k of rows[m][k] * weight[n][k]`, f32, of rows in u8 and packed weights.
///
/// `scales` (f32) and `zero_points` (i32, all zero) are `[outputs]`. Scales of rows and offsets are the
/// caller's: the operator knows one scale for all rows only.
pub fn product(
    rows: &Tensor,
    weight: &Tensor,
    scales: &Tensor,
    zero_points: &Tensor,
) -> Result<Tensor> {
    call(
        c"onednn::qlinear_pointwise",
        [
            Argument::tensor(rows),
            Argument::float(1.0),
            Argument::int(0),
            Argument::tensor(weight),
            Argument::tensor(scales),
            Argument::tensor(zero_points),
            Argument::none(),
            Argument::float(1.0),
            Argument::int(0),
            Argument::some(Argument::int(FLOAT)),
            Argument::string("none"),
            Argument::empty_list(),
            Argument::string(""),
        ],
    )
}

/// Whether products of 8-bit integers are fast and exact here.
///
/// Without VNNI, oneDNN adds pairs of products in 16 bits, which silently saturate. The CPU's word is
/// therefore tried once on the largest sums there are.
pub fn exact() -> bool {
    static EXACT: OnceLock<bool> = OnceLock::new();
    *EXACT.get_or_init(|| multiplies_int8() && largest_sums_are_right().unwrap_or(false))
}

fn largest_sums_are_right() -> Result<bool> {
    // As large as layers are, so that the same code runs.
    let (rows, inputs, outputs) = (64, 384, 64);
    let full =
        |shape: [i64; 2], value: i64, kind| Tensor::f_full(shape, value, (kind, Device::Cpu));
    let ones = Tensor::f_ones([outputs], (Kind::Float, Device::Cpu))?;
    let zeros = Tensor::f_zeros([outputs], (Kind::Int, Device::Cpu))?;
    for weight in [127, -127] {
        let packed = pack(&full([outputs, inputs], weight, Kind::Int8)?)?;
        let found = product(
            &full([rows, inputs], 255, Kind::Uint8)?,
            &packed,
            &ones,
            &zeros,
        )?;
        let wanted = full([rows, outputs], 255 * weight * inputs, Kind::Float)?;
        if !found.f_equal(&wanted)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Isa, isa};

    #[test]
    fn sums_are_right_where_the_cpu_says_so() {
        // Under other caps oneDNN may lack the instructions although the CPU has them.
        if isa() == Isa::Avx512 {
            assert_eq!(exact(), multiplies_int8());
            assert_eq!(largest_sums_are_right().unwrap(), multiplies_int8());
        }
    }
}
