//! The only place that knows Python: classes over the engine, the GIL, exceptions.

mod answers;
mod cross_encoder;
mod documents;
mod enter;
mod keys;
mod ngram_index;
mod prepare;
mod report;
mod sparse_index;
mod texts;

use pyo3::prelude::*;

#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("SUPPORTED_MODEL_TYPES", crate::models::config::SUPPORTED)?;
    m.add_class::<report::Report>()?;
    m.add_function(wrap_pyfunction!(ngram_index::normalize, m)?)?;
    m.add_function(wrap_pyfunction!(answers::answers, m)?)?;
    m.add_function(wrap_pyfunction!(documents::read_documents, m)?)?;
    m.add_class::<keys::StoredKeys>()?;
    m.add_class::<ngram_index::NgramIndex>()?;
    m.add_class::<sparse_index::SparseIndex>()?;
    m.add_class::<cross_encoder::CrossEncoder>()
}
