//! Transformer architectures as forward passes over packed tokens.
//!
//! One file per architecture, one variant of [`Config`] per `model_type`; [`load`] is the only place that
//! knows them all.

pub mod bert;
pub mod config;
pub mod head;
pub mod layers;
pub mod packed;
pub mod weights;

use crate::error::{Error, Result};
use config::Config;
use packed::Packed;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Tensor;
use weights::{Owner, Weights};

/// A loaded cross-encoder: token sequences in, logits out.
pub trait Model: Send + Sync {
    /// Logits `[sequences, labels]`, f32, on the model's device.
    fn logits(&self, batch: &Packed, watch: &Watch<'_>) -> Result<Tensor>;

    fn facts(&self) -> Facts;
}

/// What the rest of the engine needs to know of a model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The family's name in messages.
    pub family: &'static str,
    pub labels: usize,
    /// The longest sequence its positions allow, special tokens included.
    pub max_positions: Option<usize>,
    /// Whether the tokenizer's segment ids mean something to it.
    pub token_types: bool,
    /// Multiplications a token costs in the dense layers; sizes batches.
    pub weights_per_token: usize,
}

/// Lets a long forward pass stop early.
pub struct Watch<'a>(pub &'a AtomicBool);

impl Watch<'_> {
    /// Called once a layer.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// A model and the owners of the memory its weights lie in.
pub struct Loaded {
    pub model: Box<dyn Model>,
    _owners: Vec<Owner>,
}

/// Builds the model that `config` describes from its weights. Every tensor must be used.
pub fn load(config: &Config, weights: &Weights) -> Result<Loaded> {
    let model: Box<dyn Model> = match config {
        Config::Bert(c) => Box::new(bert::Bert::load(&c.plan()?, weights)?),
        Config::Roberta(c) | Config::XlmRoberta(c) | Config::Camembert(c) => {
            Box::new(bert::Bert::load(&c.plan()?, weights)?)
        }
        Config::Electra(c) => Box::new(bert::Bert::load(&c.plan()?, weights)?),
        Config::Distilbert(c) => Box::new(bert::Bert::load(&c.plan()?, weights)?),
    };
    // Buffers that older releases of transformers saved next to the weights.
    weights.check_all_taken(&["position_ids", "embeddings.token_type_ids"])?;
    Ok(Loaded {
        model,
        _owners: weights.owners(),
    })
}
