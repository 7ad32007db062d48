//! From hidden states to logits: which tokens count, and the layers behind them.

use super::layers::{Activation, Linear, Norm};
use super::packed::{Packed, Wanted, index};
use super::weights::Scope;
use crate::error::Result;
use tch::{Kind, Tensor};

/// The tokens of a sequence that the head reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The first token ([CLS]).
    First,
    /// The last token that is not this padding token; a text may spell it.
    Last { padding: Option<i64> },
    /// The mean over all tokens.
    Mean,
}

/// A layer behind the pooled vector.
pub enum Step {
    Dense(Linear, Activation),
    Norm(Norm),
}

impl Step {
    /// A dense layer whose bias is there if the checkpoint has one.
    pub fn dense(
        scope: &Scope<'_>,
        inputs: i64,
        outputs: i64,
        activation: Activation,
    ) -> Result<Self> {
        Ok(Step::Dense(
            Linear::load_float(scope, inputs, outputs, scope.has("bias"))?,
            activation,
        ))
    }
}

/// A pooled vector and a chain of layers; the last one gives the logits.
pub struct Head {
    pool: Pool,
    steps: Vec<Step>,
    labels: usize,
}

impl Head {
    pub fn new(pool: Pool, steps: Vec<Step>, labels: usize) -> Self {
        Head {
            pool,
            steps,
            labels,
        }
    }

    /// The common shape of heads: a dense layer with an activation, and a classifier.
    pub fn two_layers(
        dense: &Scope<'_>,
        activation: Activation,
        out: &Scope<'_>,
        width: i64,
        labels: usize,
    ) -> Result<Self> {
        let out = Step::Dense(
            Linear::load_float(out, width, labels as i64, true)?,
            Activation::Identity,
        );
        let dense = Step::Dense(Linear::load_float(dense, width, width, true)?, activation);
        Ok(Head::new(Pool::First, vec![dense, out], labels))
    }

    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Whether the head reads one row per sequence rather than all.
    pub fn reads_rows(&self) -> bool {
        self.pool != Pool::Mean
    }

    /// The rows of a batch that the head needs.
    pub fn wanted(&self, batch: &Packed) -> Wanted {
        match self.pool {
            Pool::First => Wanted::Rows(batch.first_rows()),
            Pool::Last { padding } => Wanted::Rows(batch.last_rows(padding)),
            Pool::Mean => Wanted::All,
        }
    }

    /// Hidden states of the wanted rows -> `[sequences, labels]`, f32.
    pub fn forward(&self, hidden_states: Tensor, batch: &Packed) -> Result<Tensor> {
        let mut x = match self.pool {
            Pool::First | Pool::Last { .. } => hidden_states,
            Pool::Mean => mean(&hidden_states, batch)?,
        };
        for step in &self.steps {
            x = match step {
                Step::Dense(linear, activation) => linear.forward_act(&x, *activation)?,
                Step::Norm(norm) => norm.forward(x)?,
            };
        }
        Ok(x.f_to_kind(Kind::Float)?)
    }
}

/// The mean row of each sequence.
fn mean(x: &Tensor, batch: &Packed) -> Result<Tensor> {
    let device = x.device();
    let lengths: Vec<i64> = batch
        .offsets
        .windows(2)
        .map(|w| (w[1] - w[0]) as i64)
        .collect();
    let owner: Vec<i64> = (0..)
        .zip(&lengths)
        .flat_map(|(s, &n)| vec![s; n as usize])
        .collect();
    let sums = Tensor::f_zeros([lengths.len() as i64, x.size()[1]], (Kind::Float, device))?
        .f_index_add(0, &index(&owner, device), &x.f_to_kind(Kind::Float)?)?;
    let means = sums.f_div(&index(&lengths, device).f_unsqueeze(1)?)?;
    Ok(means.f_to_kind(x.kind())?)
}
