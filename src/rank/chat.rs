//! Rerankers that read a pair as a chat: the tokenizer's template writes query and document into one text, which
//! ends where the model is to answer.

use super::directory::{Settings, json, read};
use super::plan::{Options, Pairs, Plan};
use super::tokenize::PairTokenizer;
use super::truncate::Truncation;
use super::windows::LongDocuments;
use crate::error::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value as Variable, context};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A chat template and what else it is rendered with.
pub struct Chat {
    template: Environment<'static>,
    /// Special tokens and the model's own settings, by name.
    variables: Map<String, Value>,
    /// Contents are lists of parts, not texts.
    structured: bool,
}

/// The name the template goes by.
const TEMPLATE: &str = "chat_template";

const SPECIAL_TOKENS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl Chat {
    /// Reads the chat template of a transformer's folder; None if there is none.
    pub fn read(folder: &Path, settings: &Settings) -> Result<Option<Self>> {
        let config: Map<String, Value> =
            json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let source = match read(&folder.join("chat_template.jinja"))? {
            Some(source) => source,
            None => match config.get("chat_template").and_then(default_template) {
                Some(source) => source,
                None => return Ok(None),
            },
        };
        let mut variables = Map::new();
        for name in SPECIAL_TOKENS {
            // Either the token itself, or a description of an added token.
            let token = config.get(name).map(|t| t.get("content").unwrap_or(t));
            if let Some(token @ Value::String(_)) = token {
                variables.insert(name.into(), token.clone());
            }
        }
        variables.insert("add_generation_prompt".into(), false.into());
        let mut own = settings.template_variables();
        own.remove("restore_suffix");
        variables.extend(own);
        let structured = settings
            .structured_messages()
            .unwrap_or_else(|| looks_structured(&source));
        let chat = Chat {
            template: environment(source)?,
            variables,
            structured,
        };
        chat.check()?;
        Ok(Some(chat))
    }

    /// The text the model reads for a pair, under a system prompt.
    fn render(&self, prompt: Option<&str>, query: &str, document: &str) -> Result<String> {
        let message = |role: &str, text: &str| {
            if self.structured {
                context! { role, content => [context! { type => "text", text }] }
            } else {
                context! { role, content => text }
            }
        };
        let mut messages = Vec::new();
        if let Some(prompt) = prompt.filter(|p| !p.is_empty()) {
            messages.push(message("system", prompt));
        }
        messages.push(message("query", query));
        messages.push(message("document", document));
        let variables = Variable::from(Serde(&self.variables));
        self.template
            .get_template(TEMPLATE)
            .and_then(|t| {
                t.render(context! { messages, tools => (), documents => (), ..variables })
            })
            .map_err(failed)
    }

    /// A template made for conversations may drop what it has no role for.
    fn check(&self) -> Result<()> {
        let base = self.render(None, "alpha", "bravo")?;
        for (role, query, document) in [
            ("query", "charlie", "bravo"),
            ("document", "alpha", "foxtrot"),
        ] {
            if self.render(None, query, document)? == base {
                return Err(Error::Tokenizer(format!(
                    "the chat template does not render messages of the role {role:?}, so a pair would be \
                     scored without its {role}; this model needs a template for rerankers"
                )));
            }
        }
        Ok(())
    }

    /// The tokens behind the contents, which truncation must not lose: the model answers after them.
    fn suffix(&self, tokenizer: &PairTokenizer, prompt: Option<&str>) -> Result<Vec<u32>> {
        let first = tokenizer.encode(&self.render(prompt, "0", "0")?)?;
        let second = tokenizer.encode(&self.render(prompt, "1 2 3 4", "1 2 3 4")?)?;
        let pairs = first.iter().rev().zip(second.iter().rev());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        let differ = shared < first.len().min(second.len());
        Ok(if differ {
            first[first.len() - shared..].to_vec()
        } else {
            Vec::new()
        })
    }

    /// The sequences to score: one for each distinct pair, its end kept where it is cut.
    pub fn plan(
        &self,
        pairs: &Pairs<'_>,
        tokenizer: &PairTokenizer,
        options: Options,
        cancel: &AtomicBool,
    ) -> Result<Plan> {
        if options.long_documents != LongDocuments::Truncate
            || options.truncation != Truncation::LongestFirst
        {
            return Err(Error::Input(
                "a pair written by a chat template is cut as a whole: only truncation=\"longest_first\" and \
                 long_documents=\"truncate\" are possible with this model"
                    .into(),
            ));
        }
        let mut number: HashMap<(u32, u32), u32> = HashMap::new();
        let mut rendered = Vec::new();
        let mut members = Vec::with_capacity(pairs.pairs.len());
        for &(a, b) in &pairs.pairs {
            let next = rendered.len() as u32;
            let at = *number.entry((a, b)).or_insert(next);
            if at == next {
                let (query, document) = (pairs.texts[a as usize], pairs.texts[b as usize]);
                rendered.push(self.render(pairs.prompt, query, document)?);
            }
            members.push(at);
        }
        let nothing = rendered.len() as u32;
        let chats = Pairs {
            texts: rendered.iter().map(String::as_str).chain([""]).collect(),
            pairs: members.into_iter().map(|at| (at, nothing)).collect(),
            prompt: None,
        };
        let mut plan = Plan::new(&chats, tokenizer, options, cancel)?;
        let suffix = self.suffix(tokenizer, pairs.prompt)?;
        for sequence in &plan.sequences {
            let text = &mut plan.texts[plan.pairs[sequence.pair].0 as usize];
            let kept = &mut text[sequence.span.first.clone()];
            let end = suffix.len().min(kept.len());
            if kept.len() >= options.max_length {
                let from = kept.len() - end;
                kept[from..].copy_from_slice(&suffix[suffix.len() - end..]);
            }
        }
        Ok(plan)
    }
}

/// The template itself, or the one named "default" of several.
fn default_template(value: &Value) -> Option<String> {
    match value {
        Value::String(source) => Some(source.clone()),
        Value::Array(named) => named
            .iter()
            .find(|t| t["name"] == "default")
            .and_then(|t| t["template"].as_str())
            .map(str::to_owned),
        _ => None,
    }
}

/// Whether a template takes contents apart, by sentence-transformers' rule.
fn looks_structured(source: &str) -> bool {
    [
        "content[0]",
        ".type",
        "'type'",
        "\"type\"",
        "message.content[",
    ]
    .iter()
    .any(|pattern| source.contains(pattern))
}

/// Jinja as transformers sets it up.
fn environment(source: String) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(failed)?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| {
        Err::<Variable, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment
        .add_template_owned(TEMPLATE, source)
        .map_err(failed)?;
    Ok(environment)
}

fn failed(error: minijinja::Error) -> Error {
    Error::Tokenizer(format!("the chat template of the tokenizer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(source: &str) -> Result<Chat> {
        let chat = Chat {
            template: environment(source.to_owned())?,
            variables: Map::new(),
            structured: looks_structured(source),
        };
        chat.check()?;
        Ok(chat)
    }

    #[test]
    fn writes_both_roles_and_the_prompt() {
        let source =
            "{%- for m in messages %}\n<{{ m.role }}>{{ m['content'].strip() }}\n{%- endfor %}";
        let text = chat(source)
            .unwrap()
            .render(Some("judge"), " q ", "d")
            .unwrap();
        assert_eq!(text, "<system>judge<query>q<document>d");
        let source = "{% for m in messages %}{{ m.content[0].text }};{% endfor %}";
        assert_eq!(
            chat(source).unwrap().render(None, "q", "d").unwrap(),
            "q;d;"
        );
    }

    #[test]
    fn a_template_that_drops_a_role_is_refused() {
        let source = "{% for m in messages if m.role == 'query' %}{{ m.content }}{% endfor %}";
        let message = chat(source).err().unwrap().to_string();
        assert!(message.contains("document"), "{message}");
        let source = "{{ raise_exception('only users') }}";
        assert!(
            chat(source)
                .err()
                .unwrap()
                .to_string()
                .contains("only users")
        );
    }
}
