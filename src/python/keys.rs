//! `_core.StoredKeys`: the keys of a saved retriever, which become Python's only when asked for.

use crate::retrieve::{Key, Keys};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList, PyString};

/// Keys of documents by number, all integers or all strings.
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct StoredKeys {
    pub keys: Keys,
    list: PyOnceLock<Py<PyList>>,
}

#[pymethods]
impl StoredKeys {
    /// Takes integers of 64 bits, or strings.
    #[new]
    fn of(keys: &Bound<'_, PyList>) -> PyResult<Self> {
        let texts = keys.iter().next();
        let keys = if texts.is_some_and(|key| key.is_exact_instance_of::<PyString>()) {
            let texts: Vec<Bound<'_, PyString>> = keys.extract()?;
            let texts: Vec<&str> = texts.iter().map(|t| t.to_str()).collect::<PyResult<_>>()?;
            Keys::of_texts(texts.into_iter())
        } else {
            Keys::of_integers(keys.extract()?)
        };
        Ok(Self::new(keys))
    }

    /// All keys as a list, the same one each time.
    fn to_list<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyList>> {
        let make = || -> PyResult<Py<PyList>> {
            let keys: Vec<_> = (0..self.keys.count())
                .map(|number| self.get(py, number))
                .collect::<PyResult<_>>()?;
            Ok(PyList::new(py, keys)?.unbind())
        };
        Ok(self.list.get_or_try_init(py, make)?.bind(py))
    }

    fn __len__(&self) -> usize {
        self.keys.count()
    }
}

impl StoredKeys {
    pub fn new(keys: Keys) -> Self {
        let list = PyOnceLock::new();
        Self { keys, list }
    }

    pub fn get<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyAny>> {
        match self.keys.get(number) {
            Some(Key::Integer(key)) => Ok(PyInt::new(py, key).into_any()),
            Some(Key::Text(key)) => Ok(PyString::new(py, key).into_any()),
            None => Err(PyValueError::new_err(format!(
                "the index has no sound key of document {number}; build it again"
            ))),
        }
    }
}
