//! Transformer architectures as forward passes over packed tokens.
//!
//! An architecture is a file with its configuration, its encoder ([`Body`]) and the classification head that
//! transformers puts on it; [`config::Family`] is the only place that knows them all.

pub mod bert;
pub mod compute;
pub mod config;
pub mod deberta;
pub mod decoder;
pub mod head;
pub mod layers;
pub mod modernbert;
pub mod modules;
pub mod packed;
pub mod weights;

use crate::error::{Error, Result};
use config::Config;
use head::Head;
use modules::{Recipe, chain_head};
use packed::{Packed, Wanted};
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Tensor;
use weights::{Owner, Scope, Weights};

/// An encoder: token sequences in, hidden states out.
pub trait Body: Send + Sync {
    /// Final hidden states of the wanted rows, `[rows, width]`.
    fn hidden_states(&self, batch: &Packed, wanted: &Wanted, watch: &Watch<'_>) -> Result<Tensor>;

    fn facts(&self) -> Facts;
}

/// How the configuration of a family becomes a model.
pub trait Architecture {
    /// What the names of the encoder's tensors start with in a checkpoint that has a head.
    fn prefix(&self) -> &'static str;

    /// The encoder. `fine_end`: of the last layer only the rows a head reads are computed, so that whatever
    /// works on these alone stays in floating point ([`Scope::fine_if`]).
    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>>;

    /// The head of the family's `…ForSequenceClassification`. `root` is the checkpoint, `encoder` the encoder's
    /// names in it.
    fn head(&self, root: &Scope<'_>, encoder: &Scope<'_>, labels: usize) -> Result<Head>;

    /// The head that scores a pair by the logit of token `yes`, less that of token `no`.
    fn logit_head(
        &self,
        _root: &Scope<'_>,
        _encoder: &Scope<'_>,
        _yes: i64,
        _no: Option<i64>,
    ) -> Result<Head> {
        Err(Error::Config(
            "scoring by the logits of tokens (LogitScore) is supported for decoders only".into(),
        ))
    }
}

/// What the rest of the engine needs to know of a model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The family's name in messages.
    pub family: &'static str,
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

/// A loaded cross-encoder, and the owners of the memory its weights lie in.
pub struct Model {
    body: Box<dyn Body>,
    head: Head,
    _owners: Vec<Owner>,
}

impl Model {
    /// Builds the model that `config` describes from its weights. Every tensor must be used.
    pub fn load(config: &Config, recipe: &Recipe, weights: &Weights) -> Result<Self> {
        Self::build(config, recipe, weights).map_err(|error| config.explain(error))
    }

    fn build(config: &Config, recipe: &Recipe, weights: &Weights) -> Result<Self> {
        let family = config.family.architecture();
        let root = weights.root();
        let encoder = root.base(family.prefix());
        // The head comes first so that a checkpoint without one says just that.
        let head = match recipe {
            Recipe::Classifier => family.head(&root, &encoder, config.labels)?,
            Recipe::Logits { yes, no } => family.logit_head(&root, &encoder, *yes, *no)?,
            Recipe::Chain(modules) => {
                // Base models store a pooler that nothing reads here.
                encoder.skip_below("pooler");
                chain_head(modules, &root)?
            }
        };
        let body = family.body(&encoder, head.reads_rows())?;
        // Buffers that older releases of transformers saved next to the weights.
        weights.check_all_taken(&[
            "position_ids",
            "embeddings.token_type_ids",
            "rotary_emb.inv_freq",
        ])?;
        Ok(Model {
            body,
            head,
            _owners: weights.owners(),
        })
    }

    /// Logits `[sequences, labels]`, f32, on the model's device.
    pub fn logits(&self, batch: &Packed, watch: &Watch<'_>) -> Result<Tensor> {
        let wanted = self.head.wanted(batch);
        let hidden_states = self.body.hidden_states(batch, &wanted, watch)?;
        self.head.forward(hidden_states, batch)
    }

    pub fn facts(&self) -> Facts {
        self.body.facts()
    }

    /// Number of logits per sequence.
    pub fn labels(&self) -> usize {
        self.head.labels()
    }
}
