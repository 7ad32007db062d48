//! The engine of cherche-rs, in layers that import downward only:
//!
//! ```text
//! python      the only place that knows Python: classes, the GIL, exceptions
//! retrieve    n-gram retrieval (knows neither torch nor the rankers)
//! rank        cross-encoder re-ranking: tokenise, batch, score
//! models      transformer architectures as forward passes over packed tokens
//! error       one typed error
//! ```

pub mod error;
#[cfg(feature = "python")]
mod python;
