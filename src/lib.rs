//! The engine of cherche-rs, in layers that import downward only:
//!
//! ```text
//! python      the only place that knows Python: classes, the GIL, exceptions
//! retrieve    n-gram retrieval (knows neither torch nor the rankers)
//! rank        cross-encoder re-ranking: tokenise, batch, score
//! models      transformer architectures as forward passes over packed tokens
//! kernels     what lies between the matrix products, on the CPU
//! torch       what tch leaves out of libtorch
//! pool        the worker threads
//! cpu         what this CPU can do
//! error       one typed error
//! ```

pub mod cpu;
pub mod error;
pub mod kernels;
pub mod models;
pub mod pool;
#[cfg(feature = "python")]
mod python;
pub mod rank;
pub mod retrieve;
pub mod torch;
