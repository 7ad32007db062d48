//! Documents and scores as Python's lists of dicts.

use super::documents::prefetch_item;
use super::keys::StoredKeys;
use crate::retrieve::Hits;
use numpy::npyffi::PY_ARRAY_API;
use numpy::{Element, PyArrayDescr, PyArrayDescrMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Where the keys of documents come from.
enum KeysByNumber<'a, 'py> {
    List(&'a Bound<'py, PyList>),
    Stored(&'a StoredKeys),
}

impl<'a, 'py> KeysByNumber<'a, 'py> {
    fn of(keys: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        match keys.cast::<PyList>() {
            Ok(keys) => Ok(Self::List(keys)),
            Err(_) => Ok(Self::Stored(keys.cast::<StoredKeys>()?.get())),
        }
    }

    /// Fetches keys that `get` will read.
    fn prefetch(&self, numbers: &[u32]) {
        if let Self::List(keys) = self {
            for &number in numbers {
                prefetch_item(keys, number as usize, 1);
            }
        }
    }

    fn get(&self, py: Python<'py>, number: u32) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::List(keys) => keys.get_item(number as usize),
            Self::Stored(keys) => keys.get(py, number as usize),
        }
    }
}

/// What the dicts of an answer hold.
pub struct Documents<'a, 'py> {
    key: &'a Bound<'py, PyAny>,
    keys: KeysByNumber<'a, 'py>,
    dtype: Bound<'py, PyArrayDescr>,
    single: bool,
}

impl<'a, 'py> Documents<'a, 'py> {
    pub fn new(
        py: Python<'py>,
        key: &'a Bound<'py, PyAny>,
        keys: &'a Bound<'py, PyAny>,
        single: bool,
    ) -> PyResult<Self> {
        let dtype = match single {
            true => f32::get_dtype(py),
            false => f64::get_dtype(py),
        };
        Ok(Self {
            key,
            keys: KeysByNumber::of(keys)?,
            dtype,
            single,
        })
    }

    pub fn answer(&self, hits: &Hits) -> PyResult<Bound<'py, PyList>> {
        let py = self.key.py();
        self.keys.prefetch(&hits.docs);
        // All keys before any dict, so that their waits for memory overlap.
        let keys = hits.docs.iter().map(|&doc| self.keys.get(py, doc));
        let keys = keys.collect::<PyResult<Vec<_>>>()?;
        let found = keys.into_iter().zip(&hits.scores).map(|(key, &score)| {
            let score = match self.single {
                true => self.scalar(score as f32)?,
                false => self.scalar(score)?,
            };
            document(self.key, key, &score)
        });
        PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)
    }

    /// A scalar of numpy; the type of the number must be that of `dtype`.
    fn scalar<T>(&self, mut number: T) -> PyResult<Bound<'py, PyAny>> {
        let py = self.key.py();
        let data = (&raw mut number).cast();
        // SAFETY: numpy reads one item of the dtype, which the number is, and steals nothing.
        unsafe {
            let dtype = self.dtype.as_dtype_ptr();
            let scalar = PY_ARRAY_API.PyArray_Scalar(py, data, dtype, std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, scalar)
        }
    }
}

fn document<'py>(
    key: &Bound<'py, PyAny>,
    value: Bound<'py, PyAny>,
    score: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let document = PyDict::new(key.py());
    document.set_item(key, value)?;
    document.set_item(intern!(key.py(), "similarity"), score)?;
    Ok(document)
}

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
    let mut start = 0;
    let mut answers = Vec::with_capacity(ends.len());
    for &end in ends {
        let end = usize::try_from(end)
            .ok()
            .filter(|&end| end <= numbers.len());
        let end = end.filter(|&end| start <= end);
        let end = end.ok_or_else(|| PyValueError::new_err("ends must ascend"))?;
        let mut found = Vec::with_capacity(end - start);
        for (place, &number) in (start..end).zip(&numbers[start..end]) {
            let value = keys.get_item(number as usize)?;
            found.push(document(key, value, &scores.get_item(place)?)?);
        }
        answers.push(PyList::new(py, found)?);
        start = end;
    }
    Ok(answers)
}
