//! Load a cross-encoder; pairs of texts -> logits, in the order of the pairs.

use super::batch;
use super::chat::Chat;
use super::directory::ModelDirectory;
use super::plan::{Options, Pairs, Plan, Report};
use super::tokenize::PairTokenizer;
use super::tokenizer_files::TokenizerConfig;
use crate::error::{Error, Result};
use crate::models::compute::Compute;
use crate::models::config::Config;
use crate::models::modules::Recipe;
use crate::models::packed::Packed;
use crate::models::weights::{Owner, Weights};
use crate::models::{Facts, Model, Watch};
use crate::pool;
use crate::torch::threads::use_threads_here;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tch::{Device, Kind, Tensor};

/// Bytes of weights from which on all threads pack them.
const LARGE: usize = 256 << 20;

/// A cross-encoder ready to score. Read-only: many threads may use one.
pub struct CrossEncoder {
    model: Model,
    tokenizer: PairTokenizer,
    /// How a pair is written, where it is not simply framed by special tokens.
    chat: Option<Chat>,
    weights: Mutex<Weights>,
    facts: Facts,
    compute: Compute,
}

/// What a call is doing, readable from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Pairs scored so far.
    pub pairs: AtomicUsize,
}

/// What scoring gives back.
pub struct Scores {
    /// Row-major `[pairs, labels]`.
    pub logits: Vec<f32>,
    pub report: Report,
}

impl CrossEncoder {
    /// Loads what transformers or sentence-transformers saved in a local directory.
    ///
    /// `given` are tensors somebody else read (pytorch_model.bin), named as a safetensors file would, with their
    /// module's folder in front.
    pub fn open(
        directory: &Path,
        compute: Compute,
        tokenizer_overrides: Option<&str>,
        given: Option<(HashMap<String, Tensor>, Owner)>,
    ) -> Result<Self> {
        let files = ModelDirectory::read(directory)?;
        let overrides = files.settings.tokenizer_overrides(tokenizer_overrides)?;
        let read_texts = || -> Result<(PairTokenizer, Option<Chat>)> {
            let tokenizer =
                PairTokenizer::from_directory(&files.transformer, overrides.as_deref())?;
            if files.settings.takes_messages()
                && let Some(chat) = Chat::read(&files.transformer, &files.settings)?
            {
                return Ok((tokenizer.without_specials(), Some(chat)));
            }
            Ok((tokenizer, None))
        };
        let given = given.unwrap_or_else(|| (HashMap::new(), Arc::new(())));
        let weights = Weights::map(
            &files.weight_files(given.0.keys())?,
            directory.display().to_string(),
            compute.clone(),
        )?
        .with(given.0, given.1);
        let pool = pool::pool()?;
        let (texts, model) = match &files.recipe {
            // The tokenizer is read while the weights are packed.
            Some(recipe) => {
                pool.install(|| rayon::join(read_texts, || build(&files.config, recipe, weights)))
            }
            None => {
                let texts = read_texts()?;
                let recipe = texts.0.yes_no()?;
                let model = pool.install(|| build(&files.config, &recipe, weights));
                (Ok(texts), model)
            }
        };
        let (tokenizer, chat) = texts?;
        let (model, weights) = model?;
        Ok(Self::new(model, weights, tokenizer, chat, compute))
    }

    /// Uses the tensors of a model that is already in memory.
    #[allow(clippy::too_many_arguments)]
    pub fn borrow(
        config: &str,
        tokenizer: &str,
        tokenizer_config: &str,
        tensors: HashMap<String, Tensor>,
        owner: Owner,
        origin: &str,
        compute: Compute,
    ) -> Result<Self> {
        let config = Config::parse(config, origin)?;
        let tokenizer_config = TokenizerConfig::parse(tokenizer_config, None, origin)?;
        let tokenizer = PairTokenizer::from_json(tokenizer, &tokenizer_config, origin)?;
        let weights = Weights::borrow(tensors, owner, origin.to_owned(), compute.clone());
        let (model, weights) =
            pool::pool()?.install(|| build(&config, &Recipe::Classifier, weights))?;
        Ok(Self::new(model, weights, tokenizer, None, compute))
    }

    fn new(
        model: Model,
        weights: Weights,
        tokenizer: PairTokenizer,
        chat: Option<Chat>,
        compute: Compute,
    ) -> Self {
        CrossEncoder {
            facts: model.facts(),
            model,
            tokenizer,
            chat,
            weights: Mutex::new(weights),
            compute,
        }
    }

    /// Number of logits per pair.
    pub fn labels(&self) -> usize {
        self.model.labels()
    }

    /// Special tokens around a pair.
    pub fn special_tokens(&self) -> usize {
        self.tokenizer.specials()
    }

    /// Where it runs, and in which number format.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The longest sequence that makes sense: what the tokenizer claims, within what the model has
    /// positions for.
    pub fn max_length(&self) -> Option<usize> {
        match (self.tokenizer.max_length(), self.facts.max_positions) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Token ids of every pair as the model sees them: one sequence, or one for each window.
    pub fn token_ids(&self, pairs: &Pairs<'_>, options: Options) -> Result<Vec<Vec<Vec<i64>>>> {
        let plan = self.plan(pairs, options, &AtomicBool::new(false))?;
        Ok(plan
            .sequences_of_each()
            .map(|sequences| {
                sequences
                    .iter()
                    .map(|sequence| self.batch(&plan, [sequence]).ids)
                    .collect()
            })
            .collect())
    }

    /// What scoring the pairs would take, and what they would lose.
    pub fn report(&self, pairs: &Pairs<'_>, options: Options) -> Result<Report> {
        let plan = self.plan(pairs, options, &AtomicBool::new(false))?;
        Ok(plan.report(self.tokenizer.specials()))
    }

    /// Whether pairs are written as messages, and a prompt is one of them.
    pub fn takes_messages(&self) -> bool {
        self.chat.is_some()
    }

    fn plan(&self, pairs: &Pairs<'_>, options: Options, cancel: &AtomicBool) -> Result<Plan> {
        match &self.chat {
            Some(chat) => chat.plan(pairs, &self.tokenizer, options, cancel),
            None => Plan::new(pairs, &self.tokenizer, options, cancel),
        }
    }

    /// Logits of every pair.
    pub fn score(
        &self,
        pairs: &Pairs<'_>,
        options: Options,
        cancel: &AtomicBool,
        progress: &Progress,
    ) -> Result<Scores> {
        let limit = self.facts.max_positions.unwrap_or(usize::MAX);
        if options.max_length > limit {
            return Err(Error::Input(format!(
                "max_length={} exceeds the {limit} positions this {} model has",
                options.max_length, self.facts.family
            )));
        }
        let plan = self.plan(pairs, options, cancel)?;
        let lengths = plan.lengths(self.tokenizer.specials());
        if lengths.contains(&0) {
            return Err(Error::Input(format!(
                "a pair of two empty texts cannot be scored: the tokenizer of this {} model puts no special \
                 tokens around a pair, so there is nothing to read",
                self.facts.family
            )));
        }
        let workers = if self.compute.device == Device::Cpu {
            pool::threads()
        } else {
            1
        };
        let padded = !self.compute.uses_kernels();
        let batches = batch::divide(&lengths, self.facts.weights_per_token, workers, padded);
        let finished = plan.finished_by();

        let run = |members: &Vec<usize>, threads: usize| -> Result<Vec<f32>> {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let batch = self.batch(&plan, members.iter().map(|&at| &plan.sequences[at]));
            let logits = self.forward(&batch, threads, cancel)?;
            progress.pairs.fetch_add(
                members.iter().map(|&at| finished[at]).sum(),
                Ordering::Relaxed,
            );
            Ok(logits)
        };
        let tokens = lengths.iter().sum();
        let threads =
            batch::threads_inside(batches.len(), tokens, self.facts.weights_per_token, workers);
        let results = run_batches(&batches, workers, &|members| run(members, threads))?;

        let labels = self.labels();
        let mut scored = vec![0f32; plan.sequences.len() * labels];
        for (members, logits) in batches.iter().zip(&results) {
            for (row, &at) in members.iter().enumerate() {
                scored[at * labels..][..labels].copy_from_slice(&logits[row * labels..][..labels]);
            }
        }
        if scored.iter().any(|x| !x.is_finite()) {
            return Err(self.not_finite());
        }
        Ok(Scores {
            logits: plan.gather(&scored, labels),
            report: plan.report(self.tokenizer.specials()),
        })
    }

    /// Sequences side by side, framed by their special tokens.
    fn batch<'a>(
        &self,
        plan: &Plan,
        sequences: impl IntoIterator<Item = &'a super::plan::Sequence>,
    ) -> Packed {
        let mut batch = Packed {
            ids: Vec::new(),
            type_ids: Vec::new(),
            offsets: vec![0],
        };
        for sequence in sequences {
            let (first, second) = plan.texts_of(sequence.pair);
            self.tokenizer.frame(
                &first[sequence.span.first.clone()],
                &second[sequence.span.second.clone()],
                &mut batch.ids,
                &mut batch.type_ids,
            );
            batch.offsets.push(batch.ids.len());
        }
        batch
    }

    fn forward(&self, batch: &Packed, threads: usize, cancel: &AtomicBool) -> Result<Vec<f32>> {
        if self.compute.device == Device::Cpu {
            ensure_threads(threads);
        }
        let _no_grad = tch::no_grad_guard();
        let logits = self.model.logits(batch, &Watch(cancel))?;
        let logits = logits
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Float)?
            .f_contiguous()?;
        let mut out = vec![0f32; logits.numel()];
        let count = out.len();
        logits.f_copy_data(&mut out, count)?;
        Ok(out)
    }

    /// The error for scores that are not numbers, naming the weights at fault if they are.
    fn not_finite(&self) -> Error {
        let weights = self
            .weights
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match weights.first_not_finite() {
            Some(name) => Error::Weights(format!(
                "the scores are not finite because tensor {name} of the checkpoint holds NaN or infinite \
                 values; the file is damaged or was saved from a diverged training"
            )),
            None => Error::Torch(
                "the scores are not finite although the weights are: the model overflows in this number \
                 format; load it with dtype=\"float32\""
                    .into(),
            ),
        }
    }
}

/// Runs every batch: on the CPU one batch per thread at a time, each with one thread inside libtorch, which
/// beats one batch at a time on all threads since nothing waits between operators.
fn run_batches(
    batches: &[Vec<usize>],
    workers: usize,
    run: &(impl Fn(&Vec<usize>) -> Result<Vec<f32>> + Sync),
) -> Result<Vec<Vec<f32>>> {
    if workers <= 1 || batches.is_empty() {
        return batches.iter().map(run).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let shares = pool::pool()?.broadcast(|_| {
        let mut mine = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(members) = batches.get(at) else {
                break;
            };
            match run(members) {
                Ok(logits) => mine.push((at, logits)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(mine)
    });
    let mut results = vec![Vec::new(); batches.len()];
    for share in shares {
        for (at, logits) in share? {
            results[at] = logits;
        }
    }
    Ok(results)
}

/// Makes a model of its weights, on a worker of the pool.
fn build(config: &Config, recipe: &Recipe, weights: Weights) -> Result<(Model, Weights)> {
    // Packing a small model takes less time than waking threads for it.
    let alone = weights.bytes() < LARGE;
    ensure_threads(if alone { 1 } else { pool::threads() });
    let _no_grad = tch::no_grad_guard();
    let model = Model::load(config, recipe, &weights)?;
    Ok((model, weights))
}

/// Sets the threads libtorch uses on this worker, once per change.
fn ensure_threads(threads: usize) {
    thread_local!(static CURRENT: Cell<usize> = const { Cell::new(0) });
    CURRENT.with(|current| {
        if current.replace(threads) != threads {
            use_threads_here(threads);
        }
    });
}
