//! config.json: which architecture, how many labels.

use super::Architecture;
use super::bert::config::{BertConfig, DistilBertConfig, Kind};
use super::deberta::config::DebertaConfig;
use super::decoder::{self, DecoderConfig};
use super::modernbert::ModernBertConfig;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// Every architecture, by the `model_type` its config.json states.
#[derive(Debug, Deserialize)]
#[serde(tag = "model_type", rename_all = "kebab-case")]
pub enum Family {
    Bert(BertConfig),
    Roberta(BertConfig),
    XlmRoberta(BertConfig),
    Camembert(BertConfig),
    Electra(BertConfig),
    Distilbert(DistilBertConfig),
    Mpnet(BertConfig),
    Albert(BertConfig),
    Deberta(DebertaConfig),
    DebertaV2(DebertaConfig),
    Modernbert(ModernBertConfig),
    Llama(DecoderConfig),
    Qwen2(DecoderConfig),
    Qwen3(DecoderConfig),
    Gemma(DecoderConfig),
}

/// The `model_type` values [`Family`] understands, for messages.
pub const SUPPORTED: &[&str] = &[
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "distilbert",
    "mpnet",
    "albert",
    "deberta",
    "deberta-v2",
    "modernbert",
    "llama",
    "qwen2",
    "qwen3",
    "gemma",
];

impl Family {
    pub fn architecture(&self) -> &dyn Architecture {
        match self {
            Family::Bert(c)
            | Family::Roberta(c)
            | Family::XlmRoberta(c)
            | Family::Camembert(c)
            | Family::Electra(c)
            | Family::Mpnet(c)
            | Family::Albert(c) => c,
            Family::Distilbert(c) => c,
            Family::Deberta(c) | Family::DebertaV2(c) => c,
            Family::Modernbert(c) => c,
            Family::Llama(c) | Family::Qwen2(c) | Family::Qwen3(c) | Family::Gemma(c) => c,
        }
    }

    /// Tells configurations that look alike which family they are.
    fn name(mut self) -> Self {
        match &mut self {
            Family::Roberta(c) | Family::XlmRoberta(c) | Family::Camembert(c) => {
                c.kind = Kind::Roberta;
            }
            Family::Electra(c) => c.kind = Kind::Electra,
            Family::Mpnet(c) => c.kind = Kind::Mpnet,
            Family::Albert(c) => c.kind = Kind::Albert,
            Family::Deberta(c) => c.first = true,
            Family::Llama(c) => c.kind = decoder::Kind::Llama,
            Family::Qwen2(c) => c.kind = decoder::Kind::Qwen2,
            Family::Qwen3(c) => c.kind = decoder::Kind::Qwen3,
            Family::Gemma(c) => c.kind = decoder::Kind::Gemma,
            Family::Bert(_)
            | Family::Distilbert(_)
            | Family::DebertaV2(_)
            | Family::Modernbert(_) => {}
        }
        self
    }
}

/// What a config.json says.
#[derive(Debug)]
pub struct Config {
    pub family: Family,
    pub labels: usize,
    /// Class of the saved model.
    class: Option<String>,
    /// What to say if the model does not fit its architecture because it brings code of its own.
    remote: Option<String>,
}

impl Config {
    /// Reads a config.json. `origin` says where it comes from.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Error::Config(format!("{origin}: config.json is not valid JSON: {e}")))?;
        let Some(kind) = value
            .get("model_type")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return Err(Error::Config(format!(
                "{origin}: config.json names no model_type; is this a transformers model?"
            )));
        };
        let remote = remote_code(&value, &kind);
        if !SUPPORTED.contains(&kind.as_str()) {
            return Err(Error::Config(match remote {
                Some(remote) => {
                    format!("{origin}: the architecture {kind:?} is not supported: {remote}")
                }
                None => format!(
                    "{origin}: the architecture {kind:?} is not supported natively; supported are {}. \
                     A sentence_transformers.CrossEncoder, or any function of pairs, can be used in its place",
                    SUPPORTED.join(", ")
                ),
            }));
        }
        let labels = labels(&value);
        let class = value["architectures"][0].as_str().map(str::to_owned);
        let family: Family = serde_json::from_value(value)
            .map_err(|e| Error::Config(format!("{origin}: config.json of a {kind} model: {e}")))?;
        Ok(Config {
            family: family.name(),
            labels,
            class,
            remote,
        })
    }

    /// Says of a failure to load that the model was meant to run code from its repository.
    pub fn explain(&self, error: Error) -> Error {
        match (&self.remote, error) {
            (Some(remote), Error::Config(why)) => Error::Config(format!("{why}; {remote}")),
            (Some(remote), Error::Weights(why)) => Error::Weights(format!("{why}; {remote}")),
            (_, error) => error,
        }
    }

    /// Whether the checkpoint is a language model with its output layer.
    pub fn is_language_model(&self) -> bool {
        (self.class.as_deref()).is_some_and(|class| class.ends_with("ForCausalLM"))
    }
}

/// Why a model with code of its own cannot run here, and which model can.
fn remote_code(value: &Value, kind: &str) -> Option<String> {
    let classes = value.get("auto_map")?.as_object()?;
    if !classes.keys().any(|class| class.starts_with("AutoModel")) {
        return None;
    }
    let nearest = match kind {
        // jina-reranker-v1
        "bert" => "cross-encoder/ms-marco-MiniLM-L6-v2 or mixedbread-ai/mxbai-rerank-base-v1",
        // gte-multilingual-reranker, jina-reranker-v2
        "new" | "xlm-roberta" | "xlm-roberta-flash" => {
            "BAAI/bge-reranker-v2-m3 (multilingual) or Alibaba-NLP/gte-reranker-modernbert-base (English)"
        }
        _ => "BAAI/bge-reranker-v2-m3 or Alibaba-NLP/gte-reranker-modernbert-base",
    };
    Some(format!(
        "its config.json (auto_map) runs Python code from the model's repository, and cherche_rs never executes \
         downloaded code; the nearest model it does run is {nearest}"
    ))
}

/// Labels as transformers counts them: `id2label`, else `num_labels`, else 2 for classifiers and 1 for others.
fn labels(value: &Value) -> usize {
    if let Some(map) = value.get("id2label").and_then(Value::as_object) {
        return map.len();
    }
    if let Some(count) = value.get("num_labels").and_then(Value::as_u64) {
        return count as usize;
    }
    let classifier = value
        .get("architectures")
        .and_then(Value::as_array)
        .is_some_and(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .any(|n| n.ends_with("ForSequenceClassification"))
        });
    if classifier { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_code_is_refused_with_a_way_out() {
        let new = r#"{"model_type": "new", "auto_map": {"AutoModel": "a/b--modeling.NewModel"}}"#;
        let message = Config::parse(new, "here").unwrap_err().to_string();
        assert!(message.contains("never executes"), "{message}");
        assert!(message.contains("bge-reranker-v2-m3"), "{message}");
        let jina = r#"{"model_type": "bert", "auto_map": {"AutoModel": "modeling_bert.JinaBert"}}"#;
        let config = Config::parse(jina, "here").unwrap();
        let explained = config
            .explain(Error::Weights("no tensor x".into()))
            .to_string();
        assert!(
            explained.contains("no tensor x; its config.json"),
            "{explained}"
        );
    }
}
