//! Cross-encoder re-ranking: tokenise, batch, score.

pub mod batch;
pub mod cross_encoder;
pub mod directory;
pub mod plan;
mod rebuild;
pub mod tokenize;
pub mod truncate;
pub mod windows;
