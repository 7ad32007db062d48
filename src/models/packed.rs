//! A batch of token sequences laid end to end: row `t` of every activation belongs to token `t`.

use crate::error::Result;
use crate::kernels::attention::Span;
use tch::{Device, Tensor};

/// Sequences without padding.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Token ids, `[tokens]`.
    pub ids: Vec<i64>,
    /// Segment of each token, `[tokens]`: 0 for the query, 1 for the document.
    pub type_ids: Vec<i64>,
    /// Where each sequence starts, and the end: `[sequences + 1]`.
    pub offsets: Vec<usize>,
}

impl Packed {
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Every token looks at every token of its sequence.
    pub fn spans(&self) -> Vec<Span> {
        self.offsets
            .windows(2)
            .map(|w| Span {
                queries: w[0]..w[1],
                keys: w[0]..w[1],
                first_query: 0,
            })
            .collect()
    }

    /// One chosen row per sequence looks at its whole sequence.
    pub fn row_spans(&self, rows: &[i64]) -> Vec<Span> {
        (self.offsets.windows(2).zip(rows).enumerate())
            .map(|(index, (w, &row))| Span {
                queries: index..index + 1,
                keys: w[0]..w[1],
                first_query: row as usize - w[0],
            })
            .collect()
    }

    /// Row of the first token of each sequence.
    pub fn first_rows(&self) -> Vec<i64> {
        self.offsets[..self.sequences()]
            .iter()
            .map(|&start| start as i64)
            .collect()
    }

    /// Row of the last token of each sequence that is not `padding`; the first row if all are.
    pub fn last_rows(&self, padding: Option<i64>) -> Vec<i64> {
        (self.offsets.windows(2))
            .map(|w| {
                let tokens = &self.ids[w[0]..w[1]];
                let last = tokens.iter().rposition(|&id| Some(id) != padding);
                (w[0] + last.unwrap_or(0)) as i64
            })
            .collect()
    }

    /// Position of each token in its sequence, counted from zero.
    pub fn positions(&self) -> Vec<i64> {
        self.offsets
            .windows(2)
            .flat_map(|w| 0..(w[1] - w[0]) as i64)
            .collect()
    }
}

/// The rows whose final hidden states a head reads: nothing else of the last layer is computed but its keys
/// and values.
#[derive(Clone, Debug)]
pub enum Wanted {
    All,
    /// One row per sequence.
    Rows(Vec<i64>),
}

impl Wanted {
    /// The wanted rows of `x`, in memory of their own unless they are all.
    pub fn select(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Wanted::All => Ok(x.shallow_clone()),
            Wanted::Rows(rows) => Ok(x.f_index_select(0, &index(rows, x.device()))?),
        }
    }

    /// Who looks at whom in the last layer.
    pub fn spans(&self, batch: &Packed) -> Vec<Span> {
        match self {
            Wanted::All => batch.spans(),
            Wanted::Rows(rows) => batch.row_spans(rows),
        }
    }
}

/// An index tensor on a device.
pub fn index(values: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_device(device)
}
