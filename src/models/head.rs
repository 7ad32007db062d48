//! Classification heads: the hidden state of one token per sequence -> logits.

use super::layers::{Activation, Linear};
use super::weights::Scope;
use crate::error::Result;
use tch::{Kind, Tensor};

/// The heads of transformers' `…ForSequenceClassification`, by their shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadKind {
    /// `pooler.dense`, tanh, `classifier` (BERT; the pooler belongs to the encoder's names).
    #[default]
    Pooler,
    /// `classifier.dense`, an activation, `classifier.out_proj` (RoBERTa, ELECTRA, MPNet).
    DenseOut(Activation),
    /// `pre_classifier`, ReLU, `classifier` (DistilBERT).
    PreClassifier,
}

/// Two dense layers with an activation between.
pub struct Head {
    dense: Linear,
    activation: Activation,
    out: Linear,
}

impl Head {
    /// `root` is the checkpoint, `encoder` the encoder's names in it.
    pub fn load(
        kind: HeadKind,
        root: &Scope<'_>,
        encoder: &Scope<'_>,
        width: i64,
        labels: usize,
    ) -> Result<Self> {
        let (dense, activation, out) = match kind {
            HeadKind::Pooler => (
                encoder.at("pooler.dense"),
                Activation::Tanh,
                root.at("classifier"),
            ),
            HeadKind::DenseOut(activation) => (
                root.at("classifier.dense"),
                activation,
                root.at("classifier.out_proj"),
            ),
            HeadKind::PreClassifier => (
                root.at("pre_classifier"),
                Activation::Relu,
                root.at("classifier"),
            ),
        };
        Ok(Head {
            // The head comes first so that a checkpoint without one says just that.
            out: Linear::load_with(&out, width, labels as i64, true)?,
            dense: Linear::load_with(&dense, width, width, true)?,
            activation,
        })
    }

    /// `[sequences, width]` -> `[sequences, labels]`, f32.
    pub fn forward(&self, hidden_states: &Tensor) -> Result<Tensor> {
        let pooled = self.dense.forward_act(hidden_states, self.activation)?;
        Ok(self.out.forward(&pooled)?.f_to_kind(Kind::Float)?)
    }
}
