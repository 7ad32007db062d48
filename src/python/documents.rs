//! Keys and texts of Python's documents.

use crate::cpu::prefetch;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// Cache lines that hold a string's first characters, if it is ASCII.
pub const TEXT_LINES: usize = 3;
/// Documents that are read together. What they hold lies anywhere in memory, and is asked for before any
/// of it is read.
const TOGETHER: usize = 64;

/// The keys of documents, and their texts: the strings of some fields, joined by a blank, empty ones
/// for fields that a document lacks. None if a document is not plainly a dict of a key and strings.
#[pyfunction]
pub fn read_documents<'py>(
    documents: &Bound<'py, PyList>,
    key: &Bound<'py, PyAny>,
    fields: Vec<Bound<'py, PyString>>,
) -> PyResult<Option<(Bound<'py, PyList>, Bound<'py, PyList>)>> {
    let py = documents.py();
    let Ok(key) = key.cast_exact::<PyString>() else {
        return Ok(None);
    };
    let empty = PyString::new(py, "");
    let count = documents.len();
    let mut keys = Vec::with_capacity(count);
    let mut texts = Vec::with_capacity(count);
    for start in (0..count).step_by(TOGETHER) {
        let together = start..count.min(start + TOGETHER);
        for index in together.clone() {
            let document = documents.get_item(index)?;
            prefetch_value(&document, key)?;
            for field in &fields {
                prefetch_value(&document, field)?;
            }
        }
        for index in together {
            let document = documents.get_item(index)?;
            let Ok(document) = document.cast_exact::<PyDict>() else {
                return Ok(None);
            };
            let Some(own) = document.get_item(key)? else {
                return Ok(None);
            };
            keys.push(own);
            let string = |field| match document.get_item(field)? {
                Some(value) => PyResult::Ok(value.cast_into_exact::<PyString>().ok()),
                None => Ok(Some(empty.clone())),
            };
            let text = match &fields[..] {
                [field] => string(field)?,
                _ => joined(py, fields.iter().map(string))?,
            };
            match text {
                Some(text) => texts.push(text),
                None => return Ok(None),
            }
        }
    }
    Ok(Some((PyList::new(py, keys)?, PyList::new(py, texts)?)))
}

fn joined<'py>(
    py: Python<'py>,
    strings: impl Iterator<Item = PyResult<Option<Bound<'py, PyString>>>>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let mut text = String::new();
    for (number, string) in strings.enumerate() {
        let Some(string) = string? else {
            return Ok(None);
        };
        if number > 0 {
            text.push(' ');
        }
        // A lone surrogate: whoever takes the text tells where it is.
        let Ok(string) = string.to_str() else {
            return Ok(None);
        };
        text.push_str(string);
    }
    Ok(Some(PyString::new(py, &text)))
}

/// Fetches the first lines of what a dict holds for a string.
fn prefetch_value(document: &Bound<'_, PyAny>, key: &Bound<'_, PyString>) -> PyResult<()> {
    if document.is_exact_instance_of::<PyDict>() {
        // SAFETY: a look-up in a dict, whose result may be gone at once, as its address is but a hint.
        let value = unsafe { pyo3::ffi::PyDict_GetItemWithError(document.as_ptr(), key.as_ptr()) };
        if value.is_null() {
            // Nothing is there, or a key could not be compared.
            return PyErr::take(document.py()).map_or(Ok(()), Err);
        }
        prefetch_object(value, TEXT_LINES);
    }
    Ok(())
}

/// Fetches the first lines of an item, if the list is so long.
pub fn prefetch_item(list: &Bound<'_, PyList>, index: usize, lines: usize) {
    if index < list.len() {
        // SAFETY: as above; the index is one of the list's.
        let item = unsafe { pyo3::ffi::PyList_GetItem(list.as_ptr(), index as isize) };
        prefetch_object(item, lines);
    }
}

fn prefetch_object(object: *const pyo3::ffi::PyObject, lines: usize) {
    let address: *const u8 = object.cast();
    for line in 0..lines {
        prefetch(address.wrapping_add(64 * line));
    }
}
