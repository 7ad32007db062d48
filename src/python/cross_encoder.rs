//! `_core.CrossEncoder`: the engine's cross-encoder as a Python class.

use super::enter::{enter, enter_watched};
use crate::error::Error;
use crate::models::weights::borrowed;
use crate::rank::cross_encoder::{CrossEncoder as Engine, Options, Pairs, Progress};
use crate::rank::truncate::Truncation;
use numpy::{PyArray2, PyArrayMethods, ToPyArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tch::{Device, Kind};

/// A cross-encoder whose forward pass runs in Rust on libtorch.
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct CrossEncoder {
    engine: Engine,
}

/// Logits `[pairs, labels]`, pairs truncated, tokens truncated.
type Scored<'py> = (Bound<'py, PyArray2<f32>>, usize, usize);

#[pymethods]
impl CrossEncoder {
    #[new]
    #[pyo3(signature = (directory, device = "cpu", dtype = "float32", native_kernels = true))]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        device: &str,
        dtype: &str,
        native_kernels: bool,
    ) -> PyResult<Self> {
        let (device, dtype) = (parse_device(device)?, parse_dtype(dtype)?);
        let engine = enter(py, || {
            Engine::open(&directory, device, dtype, native_kernels)
        })?;
        Ok(CrossEncoder { engine })
    }

    /// Runs on tensors that a Python model holds: `tensors` maps names to (address, shape, dtype), contiguous
    /// and on `device`; `owner` keeps them alive.
    #[staticmethod]
    #[pyo3(signature = (config, tokenizer, tokenizer_config, tensors, owner, origin, device = "cpu", dtype = "float32"))]
    #[allow(clippy::too_many_arguments)]
    fn from_memory(
        py: Python<'_>,
        config: &str,
        tokenizer: &str,
        tokenizer_config: &str,
        tensors: HashMap<String, (usize, Vec<i64>, String)>,
        owner: Py<PyAny>,
        origin: &str,
        device: &str,
        dtype: &str,
    ) -> PyResult<Self> {
        let (device, dtype) = (parse_device(device)?, parse_dtype(dtype)?);
        let mut views = HashMap::with_capacity(tensors.len());
        for (name, (address, shape, kind)) in tensors {
            let Some(kind) = stored_kind(&kind) else {
                continue;
            };
            // SAFETY: the shim reads these off live torch tensors and passes their owner along.
            let view = unsafe { borrowed(address as *const u8, &shape, kind, device)? };
            views.insert(name, view);
        }
        let owner = Arc::new(owner);
        let engine = enter(py, || {
            Engine::borrow(
                config,
                tokenizer,
                tokenizer_config,
                views,
                owner,
                origin,
                device,
                dtype,
            )
        })?;
        Ok(CrossEncoder { engine })
    }

    /// Logits of a list of (query, document) pairs.
    #[pyo3(signature = (pairs, max_length, truncation = "longest_first", progress = None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyList>,
        max_length: usize,
        truncation: &str,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Scored<'py>> {
        let options = options(max_length, truncation)?;
        let texts = Texts::new(pairs)?;
        let pairs = texts.pairs()?;
        let count = pairs.pairs.len();
        let state = Progress::default();
        let tick = |_: Python<'_>| match &progress {
            Some(report) => report
                .call1((state.pairs.load(Ordering::Relaxed),))
                .map(drop),
            None => Ok(()),
        };
        let scores = enter_watched(
            py,
            |cancel| self.engine.score(&pairs, options, cancel, &state),
            tick,
        )?;
        if let Some(report) = &progress {
            report.call1((count,))?;
        }
        let logits = scores
            .logits
            .to_pyarray(py)
            .reshape([count, self.engine.labels()])?;
        Ok((logits, scores.truncated_pairs, scores.truncated_tokens))
    }

    /// Token ids of each pair as the model sees them.
    #[pyo3(signature = (pairs, max_length, truncation = "longest_first"))]
    fn token_ids<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyList>,
        max_length: usize,
        truncation: &str,
    ) -> PyResult<Vec<Vec<i64>>> {
        let options = options(max_length, truncation)?;
        let texts = Texts::new(pairs)?;
        let pairs = texts.pairs()?;
        enter(py, || self.engine.token_ids(&pairs, options))
    }

    /// Number of outputs per pair.
    #[getter]
    fn num_labels(&self) -> usize {
        self.engine.labels()
    }

    /// The longest sequence tokenizer and positions allow; None without a limit.
    #[getter]
    fn max_length(&self) -> Option<usize> {
        self.engine.max_length()
    }

    /// The longest sequence the model has positions for; None without a limit.
    #[getter]
    fn max_positions(&self) -> Option<usize> {
        self.engine.facts().max_positions
    }

    /// The architecture's name.
    #[getter]
    fn family(&self) -> &'static str {
        self.engine.facts().family
    }
}

/// The strings of a list of pairs, held while the engine borrows their UTF-8.
struct Texts<'py>(Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>);

impl<'py> Texts<'py> {
    fn new(pairs: &Bound<'py, PyList>) -> PyResult<Self> {
        let mut texts = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            texts.push(text_pair(&pair, index)?);
        }
        Ok(Texts(texts))
    }

    fn pairs(&self) -> PyResult<Pairs<'_>> {
        let mut views = Vec::with_capacity(self.0.len());
        for (index, (a, b)) in self.0.iter().enumerate() {
            let utf8 = |text: &'_ Bound<'py, PyString>| {
                text.to_str().map(|s| s as *const str).map_err(|_| {
                    PyValueError::new_err(format!(
                        "pair {index}: a text holds half of a surrogate pair, which is not valid Unicode; \
                         clean it with text.encode('utf-8', 'replace').decode()"
                    ))
                })
            };
            let (a, b) = (utf8(a)?, utf8(b)?);
            // SAFETY: CPython caches a string's UTF-8 inside the string, which `self` holds.
            views.push(unsafe { (&*a, &*b) });
        }
        Ok(Pairs::new(views))
    }
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

fn options(max_length: usize, truncation: &str) -> PyResult<Options> {
    let truncation = match truncation {
        "longest_first" => Truncation::LongestFirst,
        "only_second" => Truncation::OnlySecond,
        other => {
            return Err(PyValueError::new_err(format!(
                "truncation={other:?} is not known; use \"longest_first\" or \"only_second\""
            )));
        }
    };
    Ok(Options {
        max_length,
        truncation,
    })
}

fn parse_device(name: &str) -> PyResult<Device> {
    let unknown = |why: String| -> PyErr { Error::Config(why).into() };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => {
            let index: usize = index
                .parse()
                .map_err(|_| unknown(format!("device {name:?}: {index:?} is not a number")))?;
            let count = tch::Cuda::device_count();
            if index as i64 >= count {
                return Err(unknown(format!(
                    "device {name:?} does not exist: libtorch sees {count} CUDA devices; use device=\"cpu\""
                )));
            }
            Ok(Device::Cuda(index))
        }
        _ => Err(unknown(format!(
            "device {name:?} is not supported; use \"cpu\", \"cuda\" or \"cuda:N\""
        ))),
    }
}

/// The formats a forward pass may run in.
fn parse_dtype(name: &str) -> PyResult<Kind> {
    match name {
        "float32" => Ok(Kind::Float),
        "bfloat16" => Ok(Kind::BFloat16),
        "float16" => Ok(Kind::Half),
        other => Err(PyTypeError::new_err(format!(
            "dtype {other:?} is not supported; use \"float32\", \"bfloat16\" or \"float16\""
        ))),
    }
}

/// The formats a checkpoint tensor may have.
fn stored_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "float64" => Kind::Double,
        "float32" => Kind::Float,
        "float16" => Kind::Half,
        "bfloat16" => Kind::BFloat16,
        "int64" => Kind::Int64,
        "int32" => Kind::Int,
        "bool" => Kind::Bool,
        _ => return None,
    })
}
