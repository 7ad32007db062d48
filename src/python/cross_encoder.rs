//! `_core.CrossEncoder`: the engine's cross-encoder as a Python class.

use super::enter::{enter, enter_watched};
use super::report::Report;
use super::texts::Texts;
use crate::models::compute::Compute;
use crate::models::weights::{Owner, borrowed};
use crate::rank::cross_encoder::{CrossEncoder as Engine, Progress};
use crate::rank::plan::Options;
use crate::rank::truncate::Truncation;
use crate::rank::windows::{Aggregate, LongDocuments};
use numpy::{PyArray2, PyArrayMethods, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tch::{Device, Kind, Tensor};

/// A cross-encoder whose forward pass runs in Rust on libtorch.
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct CrossEncoder {
    engine: Engine,
}

/// Logits `[pairs, labels]`, and what was done and lost.
type Scored<'py> = (Bound<'py, PyArray2<f32>>, Report);

/// Tensors in the memory of Python objects: name to address, shape and dtype.
type Described = HashMap<String, (usize, Vec<i64>, String)>;

#[pymethods]
impl CrossEncoder {
    #[new]
    #[pyo3(signature = (directory, device = "cpu", dtype = "float32", native_kernels = true, tokenizer_overrides = None, tensors = None, owner = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        device: &str,
        dtype: &str,
        native_kernels: bool,
        tokenizer_overrides: Option<&str>,
        tensors: Option<Described>,
        owner: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let mut compute = Compute::parse(device, dtype)?;
        compute.native_kernels = native_kernels;
        // SAFETY: the shim reads these off tensors it has just read, and passes them along as the owner.
        let given = (tensors.map(|tensors| unsafe { views(tensors, Device::Cpu) })).transpose()?;
        let given = given.map(|views| (views, Arc::new(owner) as Owner));
        let engine = enter(py, || {
            Engine::open(&directory, compute, tokenizer_overrides, given)
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
        tensors: Described,
        owner: Py<PyAny>,
        origin: &str,
        device: &str,
        dtype: &str,
    ) -> PyResult<Self> {
        let compute = Compute::parse(device, dtype)?;
        // SAFETY: the shim reads these off live torch tensors and passes their owner along.
        let views = unsafe { views(tensors, compute.device)? };
        let owner = Arc::new(owner);
        let engine = enter(py, || {
            Engine::borrow(
                config,
                tokenizer,
                tokenizer_config,
                views,
                owner,
                origin,
                compute,
            )
        })?;
        Ok(CrossEncoder { engine })
    }

    /// Logits of a list of (query, document) pairs.
    #[pyo3(signature = (pairs, max_length, truncation = "longest_first", long_documents = "truncate", stride = None, prompt = None, progress = None))]
    #[allow(clippy::too_many_arguments)]
    fn score<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyList>,
        max_length: usize,
        truncation: &str,
        long_documents: &str,
        stride: Option<usize>,
        prompt: Option<&str>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Scored<'py>> {
        let options = options(max_length, truncation, long_documents, stride)?;
        let texts = Texts::new(pairs)?;
        let pairs = texts.pairs(prompt)?;
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
        Ok((logits, Report(scores.report)))
    }

    /// What `score` would do and lose, without doing it.
    #[pyo3(signature = (pairs, max_length, truncation = "longest_first", long_documents = "truncate", stride = None, prompt = None))]
    #[allow(clippy::too_many_arguments)]
    fn report(
        &self,
        py: Python<'_>,
        pairs: &Bound<'_, PyList>,
        max_length: usize,
        truncation: &str,
        long_documents: &str,
        stride: Option<usize>,
        prompt: Option<&str>,
    ) -> PyResult<Report> {
        let options = options(max_length, truncation, long_documents, stride)?;
        let texts = Texts::new(pairs)?;
        let pairs = texts.pairs(prompt)?;
        Ok(Report(enter(py, || self.engine.report(&pairs, options))?))
    }

    /// Token ids of the sequences of each pair: one, or one for each window.
    #[pyo3(signature = (pairs, max_length, truncation = "longest_first", long_documents = "truncate", stride = None, prompt = None))]
    #[allow(clippy::too_many_arguments)]
    fn token_ids(
        &self,
        py: Python<'_>,
        pairs: &Bound<'_, PyList>,
        max_length: usize,
        truncation: &str,
        long_documents: &str,
        stride: Option<usize>,
        prompt: Option<&str>,
    ) -> PyResult<Vec<Vec<Vec<i64>>>> {
        let options = options(max_length, truncation, long_documents, stride)?;
        let texts = Texts::new(pairs)?;
        let pairs = texts.pairs(prompt)?;
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

    /// Special tokens around a pair.
    #[getter]
    fn special_tokens(&self) -> usize {
        self.engine.special_tokens()
    }

    /// The number format in use.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.engine.compute().name()
    }

    /// Why the number format is not the one asked for; None if it is.
    #[getter]
    fn note(&self) -> Option<String> {
        self.engine.compute().note.clone()
    }

    /// Whether pairs are written as messages, and a prompt is one of them.
    #[getter]
    fn takes_messages(&self) -> bool {
        self.engine.takes_messages()
    }

    /// The architecture's name.
    #[getter]
    fn family(&self) -> &'static str {
        self.engine.facts().family
    }
}

fn options(
    max_length: usize,
    truncation: &str,
    long_documents: &str,
    stride: Option<usize>,
) -> PyResult<Options> {
    let unknown = |name: &str, value: &str, known: &str| {
        PyValueError::new_err(format!("{name}={value:?} is not known; use {known}"))
    };
    let truncation = match truncation {
        "longest_first" => Truncation::LongestFirst,
        "only_second" => Truncation::OnlySecond,
        other => {
            return Err(unknown(
                "truncation",
                other,
                "\"longest_first\" or \"only_second\"",
            ));
        }
    };
    let windows = |aggregate| LongDocuments::Windows {
        aggregate,
        overlap: stride,
    };
    let long_documents = match long_documents {
        "truncate" => LongDocuments::Truncate,
        "max" => windows(Aggregate::Max),
        "mean" => windows(Aggregate::Mean),
        "first" => windows(Aggregate::First),
        other => {
            return Err(unknown(
                "long_documents",
                other,
                "\"truncate\", \"max\", \"mean\" or \"first\"",
            ));
        }
    };
    Ok(Options {
        max_length,
        truncation,
        long_documents,
    })
}

/// Tensors over memory of Python's. Dtypes that no model has are left out.
///
/// # Safety
/// The descriptions must be true for as long as the tensors live.
unsafe fn views(described: Described, device: Device) -> PyResult<HashMap<String, Tensor>> {
    let mut views = HashMap::with_capacity(described.len());
    for (name, (address, shape, kind)) in described {
        if let Some(kind) = stored_kind(&kind) {
            // SAFETY: the caller's promise.
            let view = unsafe { borrowed(address as *const u8, &shape, kind, device)? };
            views.insert(name, view);
        }
    }
    Ok(views)
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
