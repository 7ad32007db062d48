//! A batch of token sequences laid end to end: row `t` of every activation belongs to token `t`.

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

    /// Only the first token of each sequence looks: what a head on the first token needs of the last layer.
    pub fn first_token_spans(&self) -> Vec<Span> {
        self.row_spans(&self.first_rows())
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

    /// Row of the last token of each sequence.
    pub fn last_rows(&self) -> Vec<i64> {
        self.offsets[1..]
            .iter()
            .map(|&end| end as i64 - 1)
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

/// An index tensor on a device.
pub fn index(values: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_device(device)
}
