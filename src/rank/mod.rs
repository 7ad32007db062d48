//! Cross-encoder re-ranking: tokenise, batch, score.

pub mod batch;
mod chat;
pub mod cross_encoder;
pub mod directory;
pub mod plan;
mod sentencepiece;
pub mod tokenize;
mod tokenizer_class;
pub mod tokenizer_files;
pub mod truncate;
pub mod windows;
