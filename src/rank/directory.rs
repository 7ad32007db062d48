//! What lies in a model's directory: configuration, modules and weights.

use crate::error::{Error, Result};
use crate::models::config::Config;
use crate::models::modules::{Module, Recipe};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A directory as transformers or sentence-transformers saved it.
pub struct ModelDirectory {
    pub config: Config,
    /// How scores come about; None if it takes the tokenizer to know (a bare language model).
    pub recipe: Option<Recipe>,
    /// Folder of the transformer: its config, tokenizer and weights.
    pub transformer: PathBuf,
    pub settings: Settings,
    directory: PathBuf,
}

/// sentence_bert_config.json, next to a transformer in modules.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub max_seq_length: Option<usize>,
    do_lower_case: bool,
    modality_config: HashMap<String, Value>,
    processing_kwargs: HashMap<String, HashMap<String, Value>>,
}

/// config_sentence_transformers.json.
#[derive(Deserialize)]
struct Saved {
    model_type: Option<String>,
}

/// One line of modules.json.
#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl ModelDirectory {
    pub fn read(directory: &Path) -> Result<Self> {
        if !directory.is_dir() {
            return Err(Error::NotFound(format!(
                "{}: no such directory",
                directory.display()
            )));
        }
        // The modules of an embedding model say nothing about scoring pairs.
        let saved: Option<Saved> = json(&directory.join("config_sentence_transformers.json"))?;
        let modular = saved.is_some_and(|s| s.model_type.as_deref() == Some("CrossEncoder"));
        let entries: Vec<Entry> = if modular {
            json(&directory.join("modules.json"))?.unwrap_or_default()
        } else {
            Vec::new()
        };
        let (folder, modules) = match entries.split_first() {
            None => (String::new(), Vec::new()),
            Some((first, rest)) => {
                if last_part(&first.class) != "Transformer" {
                    return Err(Error::Config(format!(
                        "{}: modules.json starts with a {}, only a Transformer is supported",
                        directory.display(),
                        last_part(&first.class)
                    )));
                }
                (
                    first.path.clone(),
                    rest.iter()
                        .map(|e| e.read(directory))
                        .collect::<Result<_>>()?,
                )
            }
        };
        let transformer = directory.join(&folder);
        let origin = transformer.display().to_string();
        let path = transformer.join("config.json");
        let Some(text) = read(&path)? else {
            return Err(Error::NotFound(format!(
                "{origin}: no config.json; is this the directory of a saved model?"
            )));
        };
        let config = Config::parse(&text, &origin)?;
        let bare_language_model = entries.is_empty() && config.is_language_model();
        let settings: Settings = if entries.is_empty() {
            Settings::default()
        } else {
            json(&transformer.join("sentence_bert_config.json"))?.unwrap_or_default()
        };
        settings.check(&origin)?;
        Ok(ModelDirectory {
            recipe: if bare_language_model {
                None
            } else {
                Some(Recipe::of(modules)?)
            },
            config,
            transformer,
            settings,
            directory: directory.to_path_buf(),
        })
    }

    /// The safetensors files, each with what its tensors' names are put below. Folders whose tensors are `given`
    /// need none.
    pub fn weight_files<'a>(
        &self,
        given: impl Iterator<Item = &'a String>,
    ) -> Result<Vec<(String, PathBuf)>> {
        let modules: &[Module] = match &self.recipe {
            Some(Recipe::Chain(modules)) => modules,
            _ => &[],
        };
        let folder_of = |name: &String| {
            let of = |m: &&Module| {
                name.strip_prefix(&m.path)
                    .is_some_and(|r| r.starts_with('.'))
            };
            modules.iter().find(of).map_or("", |m| m.path.as_str())
        };
        let given: HashSet<&str> = given.map(folder_of).collect();
        let mut files = Vec::new();
        if !given.contains("") {
            let found = shards(&self.transformer)?.ok_or_else(|| {
                Error::NotFound(format!(
                    "{}: no weights: neither model.safetensors nor model.safetensors.index.json",
                    self.transformer.display()
                ))
            })?;
            files.extend(found.into_iter().map(|file| (String::new(), file)));
        }
        for module in modules.iter().filter(|m| !given.contains(m.path.as_str())) {
            let found = shards(&self.directory.join(&module.path))?.unwrap_or_default();
            files.extend(found.into_iter().map(|file| (module.path.clone(), file)));
        }
        Ok(files)
    }
}

impl Entry {
    fn read(&self, directory: &Path) -> Result<Module> {
        let config = json(&directory.join(&self.path).join("config.json"))?;
        Ok(Module {
            path: self.path.clone(),
            class: last_part(&self.class).to_owned(),
            config: config.unwrap_or(Value::Null),
        })
    }
}

impl Settings {
    fn check(&self, origin: &str) -> Result<()> {
        let refuse = |what: &str| {
            Err(Error::Config(format!(
                "{origin}: sentence_bert_config.json: {what} is not supported"
            )))
        };
        if self.do_lower_case {
            return refuse("do_lower_case: true");
        }
        for (kind, options) in &self.processing_kwargs {
            if kind != "chat_template" && !options.is_empty() {
                return refuse(&format!("processing_kwargs[{kind:?}]"));
            }
        }
        Ok(())
    }

    /// tokenizer_config.json's entries to replace: those `asked` for, and the longest sequence stated here.
    pub fn tokenizer_overrides(&self, asked: Option<&str>) -> Result<Option<String>> {
        let Some(length) = self.max_seq_length else {
            return Ok(asked.map(str::to_owned));
        };
        let mut entries: Map<String, Value> = serde_json::from_str(asked.unwrap_or("{}"))
            .map_err(|e| Error::Tokenizer(format!("tokenizer overrides: {e}")))?;
        entries
            .entry("model_max_length")
            .or_insert_with(|| length.into());
        Ok(Some(Value::Object(entries).to_string()))
    }

    /// Whether pairs are written as messages where the tokenizer has a chat template.
    pub fn takes_messages(&self) -> bool {
        self.modality_config.is_empty() || self.modality_config.contains_key("message")
    }

    /// Whether a message's content is a list of parts, or the text itself; None if not said.
    pub fn structured_messages(&self) -> Option<bool> {
        let format = self
            .modality_config
            .get("message")?
            .get("format")?
            .as_str()?;
        match format {
            "flat" => Some(false),
            "structured" => Some(true),
            _ => None,
        }
    }

    /// Variables for the chat template.
    pub fn template_variables(&self) -> HashMap<String, Value> {
        self.processing_kwargs
            .get("chat_template")
            .cloned()
            .unwrap_or_default()
    }
}

/// The safetensors files of a folder: one, or the shards its index names.
fn shards(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(Some(vec![single]));
    }
    let index: Option<Index> = json(&folder.join("model.safetensors.index.json"))?;
    Ok(index.map(|index| {
        let mut files: Vec<PathBuf> = index.weight_map.values().map(|f| folder.join(f)).collect();
        files.sort_unstable();
        files.dedup();
        files
    }))
}

fn last_part(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// A text file, None if there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// A JSON file, None if there is none.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    read(path)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|e| {
                Error::Config(format!("{}: not what it should be: {e}", path.display()))
            })
        })
        .transpose()
}
