//! `_core.NgramIndex`: the n-gram engine as a Python class. Documents stay in Python.

use super::answers::Documents;
use super::enter::{HandOver, enter, enter_interruptible, enter_streaming, enter_watched};
use super::keys::StoredKeys;
use super::prepare::{prepared, string};
use super::texts::utf8;
use crate::error::{Error, Result};
use crate::retrieve::{Analyzer, Archive, Engine, Hits, Keys, Part, Progress, Unit, Weighting};
use numpy::{PyArray1, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An exact n-gram index over documents numbered 0, 1, ...
#[pyclass(frozen, module = "cherche_rs._core")]
pub struct NgramIndex {
    engine: RwLock<Engine>,
    /// The engine's.
    analyzer: Arc<Analyzer>,
}

/// Queries that are searched before whoever changes the index gets his turn.
const AT_ONCE: usize = 1024;

/// Queries that are answered without a helper thread.
const FEW: usize = 8;

/// N-grams of texts that take so long to add, or to look up, that somebody may want to stop it.
const WATCHED: usize = 5 << 18;

/// Where each query's answer ends, document numbers, scores.
pub type Found<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<f64>>,
);

#[pymethods]
impl NgramIndex {
    /// Fits an index to texts. `bm25` is (k1, b, epsilon); without it the weights are tf-idf's.
    /// `progress` is called with the number of texts done, several times a second.
    #[staticmethod]
    #[pyo3(signature = (texts, analyzer, ngram_range, normalize, stop_words = None, bm25 = None, progress = None))]
    #[allow(clippy::too_many_arguments)] // Python's keyword arguments
    fn fit(
        py: Python<'_>,
        texts: &Bound<'_, PyList>,
        analyzer: &str,
        ngram_range: (usize, usize),
        normalize: bool,
        stop_words: Option<Vec<String>>,
        bm25: Option<(f64, f64, f64)>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let unit = match analyzer {
            "word" => Unit::Word,
            "char" | "char_wb" => Unit::Char,
            other => {
                return Err(PyValueError::new_err(format!(
                    "analyzer must be 'word', 'char' or 'char_wb', got {other:?}"
                )));
            }
        };
        let analyzer = Analyzer {
            unit,
            normalize,
            stop_words: stop_words.map(|words| words.into_iter().collect()),
            shortest: ngram_range.0,
            longest: ngram_range.1,
        };
        let weighting = match bm25 {
            None => Weighting::TfIdf,
            Some((k1, b, epsilon)) => Weighting::Bm25 { k1, b, epsilon },
        };
        let (analyzer, weighting) = (analyzer.validated()?, weighting.validated()?);
        let blocks = prepared(&analyzer, texts)?;
        let count = texts.len() as u64;
        let done = AtomicU64::new(count);
        let fit = |cancel: &_| {
            let progress = Progress::counted(cancel, &done);
            Engine::fit(analyzer, weighting, blocks, progress)
        };
        let tick = |_: Python<'_>| match &progress {
            Some(report) => {
                let texts_done = done.load(Ordering::Relaxed) / Progress::PHASES;
                report.call1((texts_done.min(count),)).map(drop)
            }
            None => Ok(()),
        };
        Ok(Self::new(enter_watched(py, fit, tick)?))
    }

    /// Adds documents without fitting again.
    fn add(&self, py: Python<'_>, texts: &Bound<'_, PyList>) -> PyResult<()> {
        let blocks = prepared(&self.analyzer, texts)?;
        let bytes: usize = blocks.iter().filter_map(|block| block.ends().last()).sum();
        let short = bytes * self.analyzer.lengths() < WATCHED;
        let add = |cancel: &_| self.write().add(blocks, Progress::new(cancel));
        match short {
            true => enter(py, || add(&Default::default())),
            false => enter_interruptible(py, add),
        }
    }

    /// Removes documents by number; the numbers of the others stay.
    fn remove(&self, py: Python<'_>, numbers: Vec<u32>) -> PyResult<()> {
        enter(py, || {
            let mut engine = self.write();
            check_numbers(&engine, &numbers)?;
            engine.remove(&numbers);
            Ok(())
        })
    }

    /// The best `k` documents of each query, among the `allowed` numbers if given: dicts of a field
    /// `key`, taken from `keys` (a list or `StoredKeys`), and of the similarity, float32 if `single`, else float64.
    #[pyo3(signature = (queries, k, key, keys, single, allowed = None))]
    #[allow(clippy::too_many_arguments)]
    fn answers<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyList>,
        k: usize,
        key: &Bound<'py, PyAny>,
        keys: &Bound<'py, PyAny>,
        single: bool,
        allowed: Option<Vec<u32>>,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let queries: Vec<String> = queries
            .iter()
            .enumerate()
            .map(|(index, query)| {
                let query = string(query, "query", index)?;
                Ok(utf8(&query, || format!("query {index}"))?.to_owned())
            })
            .collect::<PyResult<_>>()?;
        let documents = Documents::new(py, key, keys, single)?;
        let allowed = allowed.as_deref();
        let engine = || -> Result<_> {
            let engine = self.read();
            check_numbers(&engine, allowed.unwrap_or_default())?;
            Ok(engine)
        };
        let bytes: usize = queries.iter().map(String::len).sum();
        if queries.len() <= FEW && bytes * self.analyzer.lengths() < WATCHED {
            // A helper thread would take as long as the search.
            let search = || engine()?.search(&queries, k, allowed, &Default::default());
            let hits = enter(py, search)?;
            return hits.iter().map(|hits| documents.answer(hits)).collect();
        }
        // The first answers become dicts while the next queries are searched.
        let work = |cancel: &_, hand_over: &HandOver<(usize, Vec<Part>)>| {
            for (turn, queries) in queries.chunks(AT_ONCE).enumerate() {
                let hand_over = |parts| hand_over((turn * AT_ONCE, parts));
                engine()?.search_in_parcels(queries, k, allowed, cancel, &hand_over)?;
            }
            Ok(())
        };
        let mut answers: Vec<_> = queries.iter().map(|_| None).collect();
        enter_streaming(py, work, |(before, parts)| {
            for (first, hits) in parts {
                let answers = &mut answers[before + first..];
                for (answer, hits) in answers.iter_mut().zip(&hits) {
                    *answer = Some(documents.answer(hits)?);
                }
            }
            Ok(())
        })?;
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.expect("every query is answered"))
            .collect())
    }

    /// Writes the index, and a text and keys kept for the caller, to a file: whole or not at all.
    #[pyo3(signature = (path, extra, keys = None))]
    fn save(
        &self,
        py: Python<'_>,
        path: PathBuf,
        extra: &str,
        keys: Option<&Bound<'_, StoredKeys>>,
    ) -> PyResult<()> {
        let keys = keys.map(|keys| &keys.get().keys);
        enter(py, || {
            let engine = self.read();
            let mut sections = engine.sections(extra.into());
            if let Some(keys) = keys {
                keys.store(&mut sections);
            }
            sections.save(&path)
        })
    }

    /// Reads what `save` wrote.
    #[staticmethod]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        mmap: bool,
        verify: bool,
    ) -> PyResult<(Self, String, Option<StoredKeys>)> {
        enter(py, || {
            let archive = Archive::open(&path, mmap, verify)?;
            let (index, extra) = restore(&archive)?;
            let keys = Keys::restore(&archive)?;
            if keys
                .as_ref()
                .is_some_and(|keys| keys.count() != index.read().len())
            {
                return Err(archive.damaged("keys"));
            }
            Ok((index, extra, keys.map(StoredKeys::new)))
        })
    }

    /// The content of the file that `save` would write.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = enter(py, || Ok(self.read().sections("".into()).to_bytes()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Reads what `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, content: &[u8]) -> PyResult<Self> {
        let content = content.to_vec();
        Ok(enter(py, || restore(&Archive::from_bytes(content)?))?.0)
    }

    /// Documents ever added, removed ones included.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        enter(py, || Ok(self.read().len()))
    }

    /// Number of segments that the documents are in.
    #[getter]
    fn segments(&self, py: Python<'_>) -> PyResult<usize> {
        enter(py, || Ok(self.read().segments()))
    }
}

impl NgramIndex {
    fn new(engine: Engine) -> Self {
        Self {
            analyzer: engine.analyzer(),
            engine: RwLock::new(engine),
        }
    }

    // A panic cannot leave the engine half-changed: it changes in one step, after the work.
    fn read(&self) -> RwLockReadGuard<'_, Engine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Engine> {
        self.engine.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn restore(archive: &Archive) -> Result<(NgramIndex, String)> {
    let (engine, extra) = Engine::restore(archive)?;
    let extra = extra.as_str().unwrap_or_default().to_owned();
    Ok((NgramIndex::new(engine), extra))
}

fn check_numbers(engine: &Engine, numbers: &[u32]) -> Result<()> {
    match numbers.iter().find(|&&n| n as usize >= engine.len()) {
        None => Ok(()),
        Some(number) => Err(Error::Input(format!(
            "there is no document number {number}: the index has {}",
            engine.len()
        ))),
    }
}

/// Normalises a text as LeNLP does: to ASCII, lowercase, without punctuation, trimmed.
#[pyfunction]
pub fn normalize(text: &str) -> PyResult<String> {
    let mut out = Vec::new();
    crate::retrieve::normalize(text, &mut out);
    Ok(String::from_utf8(out)?)
}

/// Answers as arrays.
pub fn found<'py>(py: Python<'py>, hits: &[Hits]) -> Found<'py> {
    let mut ends = Vec::with_capacity(hits.len());
    let (mut docs, mut scores) = (Vec::new(), Vec::new());
    for hits in hits {
        docs.extend_from_slice(&hits.docs);
        scores.extend_from_slice(&hits.scores);
        ends.push(docs.len() as i64);
    }
    (
        ends.to_pyarray(py),
        docs.to_pyarray(py),
        scores.to_pyarray(py),
    )
}
