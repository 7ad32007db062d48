//! Models assembled from modules (sentence-transformers' modules.json): a transformer, and what turns its hidden
//! states into scores.

use super::head::{Head, Pool, Step};
use super::layers::{Activation, Linear, Norm};
use super::weights::Scope;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// How hidden states become scores.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// The head of the family's `…ForSequenceClassification`.
    Classifier,
    /// A language model's logit of one token, less that of another.
    Logits { yes: i64, no: Option<i64> },
    /// Modules one after the other, each below its own name.
    Chain(Vec<Module>),
}

/// One module behind the transformer.
#[derive(Clone, Debug)]
pub struct Module {
    /// Folder of the module, and prefix of its tensors.
    pub path: String,
    /// Name of its class.
    pub class: String,
    /// Its config.json.
    pub config: Value,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: i64,
    out_features: i64,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct LayerNormConfig {
    dimension: i64,
}

#[derive(Deserialize)]
struct LogitScoreConfig {
    true_token_id: i64,
    false_token_id: Option<i64>,
}

/// What a dense layer writes if it is the last one.
const SCORES: &str = "scores";
/// What pooling writes, and everything reads by default.
const EMBEDDING: &str = "sentence_embedding";

impl Recipe {
    /// The recipe of the modules behind a transformer.
    pub fn of(modules: Vec<Module>) -> Result<Self> {
        match modules.as_slice() {
            [] => Ok(Recipe::Classifier),
            [only] if only.class == "LogitScore" => {
                let LogitScoreConfig {
                    true_token_id: yes,
                    false_token_id: no,
                } = only.parse()?;
                Ok(Recipe::Logits { yes, no })
            }
            _ => Ok(Recipe::Chain(modules)),
        }
    }
}

impl Module {
    fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        serde_json::from_value(self.config.clone())
            .map_err(|e| Error::Config(format!("{}/config.json: {e}", self.path)))
    }

    fn refuse<T>(&self, what: &str) -> Result<T> {
        Err(Error::Config(format!(
            "{}: {what} is not supported in a cross-encoder's modules.json",
            self.path
        )))
    }

    fn pool(&self) -> Result<Pool> {
        let config = &self.config;
        let mut modes: Vec<&str> = match &config["pooling_mode"] {
            Value::String(mode) => vec![mode],
            Value::Array(modes) => modes.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if modes.is_empty() {
            // Before sentence-transformers 5.5: one flag per mode.
            modes = [
                ("pooling_mode_cls_token", "cls"),
                ("pooling_mode_max_tokens", "max"),
                ("pooling_mode_mean_tokens", "mean"),
                ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
                ("pooling_mode_weightedmean_tokens", "weightedmean"),
                ("pooling_mode_lasttoken", "lasttoken"),
            ]
            .into_iter()
            .filter(|(flag, _)| config[flag] == Value::Bool(true))
            .map(|(_, mode)| mode)
            .collect();
        }
        match modes.as_slice() {
            ["cls"] => Ok(Pool::First),
            ["mean"] | [] => Ok(Pool::Mean),
            ["lasttoken"] => Ok(Pool::Last { padding: None }),
            other => self.refuse(&format!("pooling by {}", other.join(" and "))),
        }
    }
}

/// The head that a chain of modules makes. `root` is the checkpoint.
pub fn chain_head(modules: &[Module], root: &Scope<'_>) -> Result<Head> {
    let Some((first, rest)) = modules.split_first() else {
        return Err(Error::Config(
            "modules.json lists no module with scores".into(),
        ));
    };
    if first.class != "Pooling" {
        return first.refuse(&format!("{} before pooling", first.class));
    }
    let pool = first.pool()?;
    let mut steps = Vec::new();
    let mut state = EMBEDDING.to_owned();
    let mut width = 0;
    for module in rest {
        let scope = root.at(&module.path);
        let input = match module.class.as_str() {
            "Dense" => {
                let config: DenseConfig = module.parse()?;
                if config.use_residual {
                    return module.refuse("use_residual");
                }
                let activation = activation(config.activation_function.as_deref())?;
                let scope = scope.at("linear");
                let linear = Linear::load_float(
                    &scope,
                    config.in_features,
                    config.out_features,
                    config.bias,
                )?;
                steps.push(Step::Dense(linear, activation));
                width = config.out_features;
                let input = config.module_input_name.unwrap_or_else(|| EMBEDDING.into());
                let output = config.module_output_name.unwrap_or_else(|| input.clone());
                (input, output)
            }
            "LayerNorm" => {
                let config: LayerNormConfig = module.parse()?;
                let norm = Norm::layer(&scope.at("norm"), config.dimension, 1e-5)?;
                steps.push(Step::Norm(norm));
                (EMBEDDING.into(), EMBEDDING.into())
            }
            "Dropout" => continue,
            other => return module.refuse(other),
        };
        if input.0 != state {
            return module.refuse(&format!("reading {:?}", input.0));
        }
        state = input.1;
    }
    if state != SCORES {
        return Err(Error::Config(
            "modules.json: no module gives scores: this is an embedding model, not a cross-encoder"
                .into(),
        ));
    }
    Ok(Head::new(pool, steps, width as usize))
}

/// A torch module by its full name, as Dense stores it.
fn activation(name: Option<&str>) -> Result<Activation> {
    let Some(name) = name else {
        return Ok(Activation::Tanh);
    };
    Ok(match name.rsplit('.').next().unwrap_or(name) {
        "Identity" => Activation::Identity,
        "Tanh" => Activation::Tanh,
        "GELU" => Activation::Gelu,
        "ReLU" => Activation::Relu,
        "SiLU" => Activation::Silu,
        "Mish" => Activation::Mish,
        _ => {
            return Err(Error::Config(format!(
                "activation_function {name:?} of a Dense module is not supported"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn module(class: &str, config: Value) -> Module {
        Module {
            path: "1_Test".into(),
            class: class.into(),
            config,
        }
    }

    #[test]
    fn pooling_is_read_in_both_spellings() {
        let pool = |config| module("Pooling", config).pool();
        assert_eq!(pool(json!({"pooling_mode": "cls"})).unwrap(), Pool::First);
        assert_eq!(pool(json!({"pooling_mode": ["mean"]})).unwrap(), Pool::Mean);
        let old = json!({"pooling_mode_cls_token": false, "pooling_mode_lasttoken": true});
        assert_eq!(pool(old).unwrap(), Pool::Last { padding: None });
        let both = pool(json!({"pooling_mode": ["cls", "max"]})).unwrap_err();
        assert!(both.to_string().contains("cls and max"));
    }

    #[test]
    fn a_lone_logit_score_is_a_language_model() {
        let score = module(
            "LogitScore",
            json!({"true_token_id": 7, "false_token_id": null}),
        );
        assert!(matches!(
            Recipe::of(vec![score]).unwrap(),
            Recipe::Logits { yes: 7, no: None }
        ));
    }
}
