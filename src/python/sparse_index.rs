//! `_core.SparseIndex`: retrieval over the sparse matrices of other vectorizers.

use super::enter::{enter, enter_interruptible};
use super::ngram_index::{Found, found};
use crate::retrieve::{Rows, SparseIndex as Index};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::{PoisonError, RwLock};

/// Documents as sparse rows, found by the dot product with sparse queries.
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct SparseIndex {
    index: RwLock<Index>,
}

type PartArrays<'py> = (
    usize,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<f32>>,
);
type PartVectors<'py> = (
    usize,
    PyReadonlyArray1<'py, u64>,
    PyReadonlyArray1<'py, u32>,
    PyReadonlyArray1<'py, f32>,
);

#[pymethods]
impl SparseIndex {
    /// An empty index over rows of `width` columns.
    #[new]
    fn new(width: usize) -> Self {
        Self {
            index: RwLock::new(Index::new(width)),
        }
    }

    /// Adds the rows of a CSR matrix.
    fn add(
        &self,
        py: Python<'_>,
        starts: PyReadonlyArray1<'_, i64>,
        columns: PyReadonlyArray1<'_, i32>,
        values: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<()> {
        let (starts, columns, values) =
            (starts.as_slice()?, columns.as_slice()?, values.as_slice()?);
        enter(py, || {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            let rows = Rows::new(starts, columns, values, index.width())?;
            index.add(rows);
            Ok(())
        })
    }

    /// The best `k` documents of each row of a CSR matrix, of those that are `allowed` if given.
    #[pyo3(signature = (starts, columns, values, k, allowed = None))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        starts: PyReadonlyArray1<'py, i64>,
        columns: PyReadonlyArray1<'py, i32>,
        values: PyReadonlyArray1<'py, f64>,
        k: usize,
        allowed: Option<PyReadonlyArray1<'py, bool>>,
    ) -> PyResult<Found<'py>> {
        let (starts, columns, values) =
            (starts.as_slice()?, columns.as_slice()?, values.as_slice()?);
        let allowed = allowed
            .as_ref()
            .map(|allowed| allowed.as_slice())
            .transpose()?;
        if allowed.is_some_and(|allowed| allowed.len() != self.len()) {
            return Err(PyValueError::new_err(
                "allowed must have one value per document",
            ));
        }
        let search = |cancel: &_| {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.search(
                Rows::new(starts, columns, values, index.width())?,
                k,
                allowed,
                cancel,
            )
        };
        let hits = if starts.len() == 2 {
            enter(py, || search(&Default::default()))?
        } else {
            enter_interruptible(py, search)?
        };
        Ok(found(py, &hits))
    }

    /// The content, for `from_parts`: for each part its first document, number of documents, starts
    /// of columns, documents, weights.
    fn parts<'py>(&self, py: Python<'py>) -> (usize, Vec<PartArrays<'py>>) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let parts = index.parts().iter().map(|part| {
            (
                part.rows,
                part.starts.to_pyarray(py),
                part.docs.to_pyarray(py),
                part.weights.to_pyarray(py),
            )
        });
        (index.width(), parts.collect())
    }

    /// Takes what `parts` gave.
    #[staticmethod]
    fn from_parts(parts: (usize, Vec<PartVectors<'_>>)) -> PyResult<Self> {
        let mut index = Index::new(parts.0);
        for (rows, starts, docs, weights) in parts.1 {
            let (starts, docs, weights) = (starts.to_vec()?, docs.to_vec()?, weights.to_vec()?);
            index.restore_part(rows, starts, docs, weights)?;
        }
        Ok(Self {
            index: RwLock::new(index),
        })
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        self.len()
    }
}

impl SparseIndex {
    fn len(&self) -> usize {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
