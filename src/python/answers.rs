//! `_core.answers`: documents and scores as Python's lists of dicts.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// For each query, a dict of key and similarity for each of the documents found.
///
/// `ends` says where each query's answer ends; `keys` are those of all documents, by number.
#[pyfunction]
pub fn answers<'py>(
    py: Python<'py>,
    key: &Bound<'py, PyAny>,
    keys: &Bound<'py, PyList>,
    ends: PyReadonlyArray1<'py, i64>,
    numbers: PyReadonlyArray1<'py, u32>,
    scores: &Bound<'py, PyList>,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    let (ends, numbers) = (ends.as_slice()?, numbers.as_slice()?);
    if scores.len() != numbers.len() {
        return Err(PyValueError::new_err("one score per document is needed"));
    }
    let similarity = intern!(py, "similarity");
    let mut start = 0;
    let mut answers = Vec::with_capacity(ends.len());
    for &end in ends {
        let end = usize::try_from(end)
            .ok()
            .filter(|&end| end <= numbers.len());
        let end = end.filter(|&end| start <= end);
        let end = end.ok_or_else(|| PyValueError::new_err("ends must ascend"))?;
        let mut found = Vec::with_capacity(end - start);
        for place in start..end {
            let document = PyDict::new(py);
            document.set_item(key, keys.get_item(numbers[place] as usize)?)?;
            document.set_item(similarity, scores.get_item(place)?)?;
            found.push(document);
        }
        answers.push(PyList::new(py, found)?);
        start = end;
    }
    Ok(answers)
}
