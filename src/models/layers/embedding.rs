//! Embedding tables, kept in the checkpoint's own format: only the rows a batch needs are converted.

use super::{Path, view, view_mut, with_element};
use crate::error::{Error, Result};
use crate::kernels::embed::gather_add;
use crate::models::packed::index;
use crate::models::weights::Scope;
use crate::torch::Frozen;
use tch::{Device, Kind, Tensor};

/// A table of `rows` vectors.
pub struct Embedding {
    table: Frozen,
    name: String,
    rows: i64,
    width: i64,
    dtype: Kind,
    path: Path,
}

impl Embedding {
    /// Reads `weight` `[rows, width]` below `name`.
    pub fn load(scope: &Scope<'_>, name: &str, rows: i64, width: i64) -> Result<Self> {
        let weights = scope.weights();
        let raw = scope.at(name).raw("weight", &[rows, width])?;
        let floats = matches!(raw.kind(), Kind::Float | Kind::BFloat16 | Kind::Half);
        let kind = if floats { raw.kind() } else { Kind::Float };
        Ok(Embedding {
            table: scope.at(name).get("weight", &[rows, width], kind)?,
            name: name.to_owned(),
            rows,
            width,
            dtype: weights.dtype(),
            path: Path::of(weights),
        })
    }

    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// Zeros to add embeddings to, `[tokens, width]`.
    pub fn zeros(&self, tokens: usize) -> Tensor {
        Tensor::zeros(
            [tokens as i64, self.width],
            (self.dtype, self.table.device()),
        )
    }

    /// `out[t] += table[ids[t]]`.
    pub fn add_to(&self, out: Tensor, ids: &[i64]) -> Result<Tensor> {
        if let Some(id) = ids.iter().find(|id| !(0..self.rows).contains(*id)) {
            return Err(Error::Input(format!(
                "index {id} is outside the {} rows of {}: the tokenizer or max_length does not fit \
                 the model",
                self.rows, self.name
            )));
        }
        match self.path {
            Path::Kernels => {
                let mut out = out;
                with_element!(self.table.kind(), S => with_element!(out.kind(), T => {
                    gather_add(view_mut::<T>(&mut out), view::<S>(&self.table), ids, self.width as usize);
                }));
                Ok(out)
            }
            Path::Torch => {
                let rows = self.table.f_index_select(0, &index(ids, self.device()))?;
                Ok(out.f_add(&rows.f_to_kind(self.dtype)?)?)
            }
        }
    }

    fn device(&self) -> Device {
        self.table.device()
    }
}
