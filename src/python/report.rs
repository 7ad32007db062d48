//! `_core.Report`: what a call has to do and what it loses.

use crate::rank::plan;
use numpy::{PyArray1, ToPyArray};
use pyo3::prelude::*;

/// What scoring pairs takes, and what they lose to `max_length`.
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct Report(pub plan::Report);

#[pymethods]
impl Report {
    /// Number of pairs.
    #[getter]
    fn pairs(&self) -> usize {
        self.0.lost.len()
    }

    /// Distinct texts, each of which is tokenised once.
    #[getter]
    fn texts(&self) -> usize {
        self.0.texts
    }

    /// Sequences the model reads: one for each distinct pair, or for each window of one.
    #[getter]
    fn sequences(&self) -> usize {
        self.0.sequences
    }

    /// Tokens the model reads, special tokens included.
    #[getter]
    fn tokens(&self) -> usize {
        self.0.tokens
    }

    /// Tokens of each pair that the model does not read, int64 of shape (n_pairs,).
    #[getter]
    fn lost_tokens<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let lost: Vec<i64> = self.0.lost.iter().map(|&n| n as i64).collect();
        lost.to_pyarray(py)
    }

    /// Number of pairs that lose tokens.
    #[getter]
    fn truncated_pairs(&self) -> usize {
        self.0.lost.iter().filter(|&&lost| lost > 0).count()
    }

    /// Number of tokens all pairs lose together.
    #[getter]
    fn truncated_tokens(&self) -> usize {
        self.0.lost.iter().sum()
    }

    fn __repr__(&self) -> String {
        format!(
            "Report(pairs={}, texts={}, sequences={}, tokens={}, truncated_pairs={}, truncated_tokens={})",
            self.pairs(),
            self.0.texts,
            self.0.sequences,
            self.0.tokens,
            self.truncated_pairs(),
            self.truncated_tokens()
        )
    }
}
