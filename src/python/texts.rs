//! Python's strings, borrowed.

use crate::rank::plan::Pairs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// The strings of a list of pairs, held while the engine borrows their UTF-8.
pub struct Texts<'py>(Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>);

impl<'py> Texts<'py> {
    pub fn new(pairs: &Bound<'py, PyList>) -> PyResult<Self> {
        let mut texts = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            texts.push(text_pair(&pair, index)?);
        }
        Ok(Texts(texts))
    }

    pub fn pairs<'a>(&'a self, prompt: Option<&'a str>) -> PyResult<Pairs<'a>> {
        let mut views = Vec::with_capacity(self.0.len());
        for (index, (a, b)) in self.0.iter().enumerate() {
            let text = |text| utf8(text, || format!("pair {index}"));
            views.push((text(a)?, text(b)?));
        }
        Ok(Pairs {
            prompt,
            ..Pairs::new(views)
        })
    }
}

/// A string's UTF-8; `place` says in an error which string it is.
pub fn utf8<'a>(
    text: &'a Bound<'_, PyString>,
    place: impl FnOnce() -> String,
) -> PyResult<&'a str> {
    text.to_str().map_err(|_| {
        PyValueError::new_err(format!(
            "{}: a text holds half of a surrogate pair, which is not valid Unicode; clean it with \
             text.encode('utf-8', 'replace').decode()",
            place()
        ))
    })
}

fn text_pair<'py>(
    pair: &Bound<'py, PyAny>,
    index: usize,
) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyString>)> {
    let items = if let Ok(tuple) = pair.cast::<PyTuple>() {
        (tuple.len() == 2).then(|| (tuple.get_item(0), tuple.get_item(1)))
    } else if let Ok(list) = pair.cast::<PyList>() {
        (list.len() == 2).then(|| (list.get_item(0), list.get_item(1)))
    } else {
        None
    };
    let Some((first, second)) = items else {
        return Err(PyValueError::new_err(format!(
            "pair {index} is {}, expected two texts: (query, document)",
            pair.repr().map_or_else(
                |_| "unreadable".into(),
                |r| r.to_string().chars().take(80).collect::<String>()
            )
        )));
    };
    let text = |item: PyResult<Bound<'py, PyAny>>, part: &str| {
        let item = item?;
        item.cast_into::<PyString>().map_err(|error| {
            let found = error.into_inner();
            let kind = found
                .get_type()
                .name()
                .map_or_else(|_| "?".into(), |n| n.to_string());
            PyValueError::new_err(format!(
                "pair {index}: the {part} is a {kind}, expected a str"
            ))
        })
    };
    Ok((text(first, "query")?, text(second, "document")?))
}
