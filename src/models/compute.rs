//! Where a forward pass runs, and in which number format.

use crate::cpu::multiplies_bfloat16;
use crate::error::{Error, Result};
use crate::torch::int8;
use tch::{Device, Kind};

/// Device and number formats of a model.
#[derive(Clone, Debug)]
pub struct Compute {
    pub device: Device,
    /// Format of activations and of the products that are not in 8 bits.
    pub dtype: Kind,
    /// Dense layers of the encoder run in 8-bit integers.
    pub int8: bool,
    /// Off, libtorch's operators do all the work also where `crate::kernels` could.
    pub native_kernels: bool,
    /// Why the format is not the one asked for, if so.
    pub note: Option<String>,
}

impl Compute {
    /// Whether `crate::kernels` compute what lies between the products, on rows without padding.
    pub fn uses_kernels(&self) -> bool {
        let known = matches!(self.dtype, Kind::Float | Kind::BFloat16);
        self.native_kernels && self.device == Device::Cpu && known
    }

    /// Resolves names such as `"cuda:1"` and `"bfloat16"`. A format this CPU has no instructions for is
    /// replaced by float32, which `note` then says.
    pub fn parse(device: &str, dtype: &str) -> Result<Self> {
        let device = parse_device(device)?;
        let on_cpu = device == Device::Cpu;
        let mut compute = Compute {
            device,
            dtype: Kind::Float,
            int8: false,
            native_kernels: true,
            note: None,
        };
        let mut instead = |what: &str| {
            compute.note = Some(format!(
                "this CPU has no instructions for {what}: float32 is used instead of {dtype}"
            ));
        };
        match dtype {
            "float32" => {}
            "float16" => compute.dtype = Kind::Half,
            "bfloat16" if on_cpu && !multiplies_bfloat16() => {
                instead("bfloat16 products (AVX512_BF16)")
            }
            "bfloat16" => compute.dtype = Kind::BFloat16,
            "int8" if !on_cpu => {
                return Err(Error::Config(
                    "dtype \"int8\" is for the CPU; use \"float16\" or \"bfloat16\" on a GPU"
                        .into(),
                ));
            }
            "int8" if !int8::exact() => instead("8-bit products (AVX512_VNNI or AVX_VNNI)"),
            "int8" => compute.int8 = true,
            "auto" if !on_cpu => compute.dtype = Kind::Half,
            "auto" if multiplies_bfloat16() => compute.dtype = Kind::BFloat16,
            "auto" => {}
            other => {
                return Err(Error::Config(format!(
                    "dtype {other:?} is not supported; use \"float32\", \"bfloat16\", \"float16\", \
                     \"int8\" or \"auto\""
                )));
            }
        }
        Ok(compute)
    }

    /// The format in use, by the name that asks for it.
    pub fn name(&self) -> &'static str {
        match self.dtype {
            _ if self.int8 => "int8",
            Kind::BFloat16 => "bfloat16",
            Kind::Half => "float16",
            _ => "float32",
        }
    }
}

fn parse_device(name: &str) -> Result<Device> {
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => {
            let index: usize = index.parse().map_err(|_| {
                Error::Config(format!("device {name:?}: {index:?} is not a number"))
            })?;
            let count = tch::Cuda::device_count();
            if index as i64 >= count {
                return Err(Error::Config(format!(
                    "device {name:?} does not exist: libtorch sees {count} CUDA devices; use device=\"cpu\""
                )));
            }
            Ok(Device::Cuda(index))
        }
        _ => Err(Error::Config(format!(
            "device {name:?} is not supported; use \"cpu\", \"cuda\" or \"cuda:N\""
        ))),
    }
}
