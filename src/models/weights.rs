//! Checkpoint tensors by name: found, checked, converted, and accounted for.

use super::compute::Compute;
use crate::error::{Error, Result};
use crate::torch::Frozen;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Whatever owns the memory that tensors point into: a mapped file, or the caller's model.
pub type Owner = Arc<dyn Any + Send + Sync>;

/// The tensors of one checkpoint, before a model takes them.
pub struct Weights {
    tensors: HashMap<String, Tensor>,
    taken: RefCell<BTreeSet<String>>,
    compute: Compute,
    /// The tensors live in a model the caller keeps: use them where they are.
    shared: bool,
    owners: Vec<Owner>,
    /// Where they come from, for messages.
    origin: String,
}

/// A checkpoint under a prefix: `scope.at("encoder").at("layer.0")` reads like the checkpoint's names.
#[derive(Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
    /// Dense layers are to stay in floating point.
    fine: bool,
}

impl Weights {
    /// Maps safetensors files, each with what the names of its tensors are put below; nothing is read yet.
    pub fn map(files: &[(String, PathBuf)], origin: String, compute: Compute) -> Result<Self> {
        let mut tensors = HashMap::new();
        let mut owners = Vec::new();
        for (prefix, path) in files {
            owners.push(map_file(prefix, path, &mut tensors)?);
        }
        Ok(Self::new(tensors, owners, origin, compute, false))
    }

    /// Adds tensors that somebody else has read; `owner` keeps their memory alive.
    pub fn with(mut self, tensors: HashMap<String, Tensor>, owner: Owner) -> Self {
        let tensors = tensors.into_iter();
        self.tensors
            .extend(tensors.map(|(name, tensor)| (current_name(&name), tensor)));
        self.owners.push(owner);
        self
    }

    /// Tensors of a model the caller holds; `owner` keeps their memory alive.
    pub fn borrow(
        tensors: HashMap<String, Tensor>,
        owner: Owner,
        origin: String,
        compute: Compute,
    ) -> Self {
        Self::new(tensors, vec![owner], origin, compute, true)
    }

    fn new(
        tensors: HashMap<String, Tensor>,
        owners: Vec<Owner>,
        origin: String,
        compute: Compute,
        shared: bool,
    ) -> Self {
        let tensors = tensors
            .into_iter()
            .map(|(name, tensor)| (current_name(&name), tensor))
            .collect();
        Weights {
            tensors,
            taken: RefCell::default(),
            compute,
            shared,
            owners,
            origin,
        }
    }

    /// The size of all tensors as the checkpoint stores them.
    pub fn bytes(&self) -> usize {
        let size = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
        self.tensors.values().map(size).sum()
    }

    pub fn native_kernels(&self) -> bool {
        self.compute.native_kernels
    }

    pub fn uses_kernels(&self) -> bool {
        self.compute.uses_kernels()
    }

    pub fn root(&self) -> Scope<'_> {
        Scope {
            weights: self,
            prefix: String::new(),
            fine: false,
        }
    }

    /// The owners of the memory behind the tensors; the model keeps them.
    pub fn owners(&self) -> Vec<Owner> {
        self.owners.clone()
    }

    pub fn device(&self) -> Device {
        self.compute.device
    }

    /// The format activations and products have.
    pub fn dtype(&self) -> Kind {
        self.compute.dtype
    }

    pub fn shared(&self) -> bool {
        self.shared
    }

    /// An error if the checkpoint holds tensors that no part of the model took, other than buffers that
    /// `ignorable` names by their last components.
    pub fn check_all_taken(&self, ignorable: &[&str]) -> Result<()> {
        let taken = self.taken.borrow();
        let mut left: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !taken.contains(*name))
            .filter(|name| !ignorable.iter().any(|suffix| name.ends_with(suffix)))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        left.sort_unstable();
        let count = left.len();
        left.truncate(5);
        Err(Error::Weights(format!(
            "{}: {count} tensors of the checkpoint have no place in the architecture its config.json \
             names, among them {}; check that config.json belongs to these weights",
            self.origin,
            left.join(", ")
        )))
    }

    /// Names the first tensor with a value that is not finite, if any.
    pub fn first_not_finite(&self) -> Option<String> {
        let mut names: Vec<&String> = self.tensors.keys().collect();
        names.sort_unstable();
        names
            .into_iter()
            .find(|name| {
                let tensor = &self.tensors[*name];
                tensor.is_floating_point()
                    && !bool::try_from(tensor.isfinite().all()).unwrap_or(true)
            })
            .cloned()
    }
}

impl<'a> Scope<'a> {
    /// The names below `name`.
    pub fn at(&self, name: impl AsRef<str>) -> Scope<'a> {
        Scope {
            weights: self.weights,
            prefix: self.full(name.as_ref()),
            fine: self.fine,
        }
    }

    /// The same names, if `fine` for layers that stay in floating point: those that work on a few rows only,
    /// where 8 bits would cost accuracy and save nothing.
    pub fn fine_if(&self, fine: bool) -> Scope<'a> {
        Scope {
            fine: self.fine || fine,
            ..self.clone()
        }
    }

    /// Whether dense layers run in 8-bit integers.
    pub fn int8(&self) -> bool {
        self.weights.compute.int8 && !self.fine
    }

    fn full(&self, name: &str) -> String {
        match (self.prefix.as_str(), name) {
            ("", name) => name.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, name) => format!("{prefix}.{name}"),
        }
    }

    pub fn weights(&self) -> &'a Weights {
        self.weights
    }

    /// The names of an encoder: below `name`, or bare where it was saved without a head.
    pub fn base(&self, name: &str) -> Scope<'a> {
        let below = self.full(name) + ".";
        if (self.weights.tensors.keys()).any(|name| name.starts_with(&below)) {
            self.at(name)
        } else {
            self.clone()
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.tensors.contains_key(&self.full(name))
    }

    /// The tensor in the checkpoint's own format and place, its shape checked.
    pub fn raw(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let full = self.full(name);
        let origin = &self.weights.origin;
        let Some(tensor) = self.weights.tensors.get(&full) else {
            return Err(Error::Weights(format!(
                "{origin}: the checkpoint has no tensor {full}, which its architecture needs{}",
                if full.contains("classifier") || full.contains("score") || full.contains("pooler")
                {
                    " to score pairs; was it saved as a cross-encoder (…ForSequenceClassification)?"
                } else {
                    "; check that config.json belongs to these weights"
                }
            )));
        };
        if tensor.size() != shape {
            return Err(Error::Weights(format!(
                "{origin}: tensor {full} has shape {:?} where its config.json says {shape:?}; \
                 check that config.json belongs to these weights",
                tensor.size()
            )));
        }
        self.weights.taken.borrow_mut().insert(full);
        Ok(tensor.shallow_clone())
    }

    /// The tensor on the device, in `kind`; the same memory where nothing has to change.
    pub fn get(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Frozen> {
        let tensor = self.raw(name, shape)?;
        Ok(Frozen::new(tensor.f_to_device_(
            self.weights.compute.device,
            kind,
            false,
            false,
        )?))
    }

    /// Marks all tensors below `name` as accounted for without using them.
    pub fn skip_below(&self, name: &str) {
        let below = self.full(name) + ".";
        let names = self.weights.tensors.keys();
        let skipped = names.filter(|name| name.starts_with(&below)).cloned();
        self.weights.taken.borrow_mut().extend(skipped);
    }

    /// Marks a tensor as accounted for without using it.
    pub fn skip(&self, name: &str) {
        self.weights.taken.borrow_mut().insert(self.full(name));
    }
}

fn map_file(prefix: &str, path: &Path, tensors: &mut HashMap<String, Tensor>) -> Result<Owner> {
    let handle = File::open(path).map_err(|e| Error::io(path, e))?;
    // SAFETY: the map is private to us; that nobody truncates the file meanwhile is the same promise every
    // reader of mapped checkpoints asks for.
    let map = Arc::new(unsafe { Mmap::map(&handle) }.map_err(|e| Error::io(path, e))?);
    let views = SafeTensors::deserialize(&map).map_err(|e| {
        Error::Weights(format!(
            "{}: not a complete safetensors file ({e}); download it again",
            path.display()
        ))
    })?;
    for (name, view) in views.tensors() {
        let Some(kind) = kind_of(view.dtype()) else {
            return Err(Error::Weights(format!(
                "{}: tensor {name} has dtype {:?}, which is not supported",
                path.display(),
                view.dtype()
            )));
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        // SAFETY: the bytes were checked against shape and dtype by `deserialize`, and the map outlives the
        // tensor through the owners. Frozen tensors are never written.
        let tensor = unsafe { borrowed(view.data().as_ptr(), &shape, kind, Device::Cpu)? };
        let name = match prefix {
            "" => name,
            prefix => format!("{prefix}.{name}"),
        };
        tensors.insert(name, tensor);
    }
    Ok(map)
}

/// Names of norms in checkpoints from before 2019 (`gamma`, `beta`), as they are called now.
fn current_name(name: &str) -> String {
    for (old, new) in [
        ("LayerNorm.gamma", "LayerNorm.weight"),
        ("LayerNorm.beta", "LayerNorm.bias"),
    ] {
        if let Some(stem) = name.strip_suffix(old) {
            return format!("{stem}{new}");
        }
    }
    name.to_owned()
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

/// A tensor over memory that somebody else owns, contiguous.
///
/// # Safety
/// `data` must hold a contiguous tensor of that shape and kind on that device, for as long as the tensor
/// or a view of it lives.
pub unsafe fn borrowed(
    data: *const u8,
    shape: &[i64],
    kind: Kind,
    device: Device,
) -> Result<Tensor> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { Tensor::f_from_blob(data, shape, &strides, kind, device)? })
}
