//! config.json of the DeBERTa family.

use super::Deberta;
use crate::error::{Error, Result};
use crate::models::head::Head;
use crate::models::layers::{Activation, PositionTable};
use crate::models::weights::Scope;
use crate::models::{Architecture, Body};
use serde::Deserialize;

/// config.json of DeBERTa (`first`) and DeBERTa-v2. What is absent has the version's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DebertaConfig {
    #[serde(skip)]
    pub first: bool,
    pub vocab_size: Option<i64>,
    hidden_size: Option<i64>,
    pub embedding_size: Option<i64>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    attention_head_size: Option<i64>,
    intermediate_size: Option<i64>,
    pub hidden_act: Option<String>,
    max_position_embeddings: Option<i64>,
    pub type_vocab_size: i64,
    layer_norm_eps: Option<f64>,
    relative_attention: bool,
    max_relative_positions: Option<i64>,
    position_buckets: Option<i64>,
    pub norm_rel_ebd: Option<String>,
    pub share_att_key: bool,
    pos_att_type: Option<PositionTerms>,
    pub position_biased_input: Option<bool>,
    pooler_hidden_size: Option<i64>,
    pooler_hidden_act: Option<String>,
    talking_head: bool,
    pub conv_kernel_size: i64,
    conv_groups: Option<i64>,
    pub conv_act: Option<String>,
}

/// `["c2p", "p2c"]`, or "c2p|p2c" in old files.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PositionTerms {
    List(Vec<String>),
    Joined(String),
}

impl DebertaConfig {
    pub fn width(&self) -> i64 {
        self.hidden_size
            .unwrap_or(if self.first { 768 } else { 1536 })
    }

    pub fn layers(&self) -> usize {
        self.num_hidden_layers
            .unwrap_or(if self.first { 12 } else { 24 })
    }

    pub fn inner_width(&self) -> i64 {
        self.intermediate_size
            .unwrap_or(if self.first { 3072 } else { 6144 })
    }

    pub fn heads(&self) -> i64 {
        self.num_attention_heads
            .unwrap_or(if self.first { 12 } else { 24 }) as i64
    }

    pub fn positions(&self) -> i64 {
        self.max_position_embeddings.unwrap_or(512)
    }

    pub fn eps(&self) -> f64 {
        self.layer_norm_eps.unwrap_or(1e-7)
    }

    pub fn terms(&self) -> Vec<String> {
        match &self.pos_att_type {
            None => Vec::new(),
            Some(PositionTerms::List(terms)) => terms.clone(),
            Some(PositionTerms::Joined(terms)) => (terms.to_lowercase().split('|'))
                .map(|t| t.trim().to_owned())
                .collect(),
        }
    }

    /// Score terms the scale is shared between.
    pub fn scale_factor(&self) -> usize {
        let known = |t: &&String| self.first || ["c2p", "p2c"].contains(&t.as_str());
        1 + self.terms().iter().filter(known).count()
    }

    pub fn table(&self) -> Option<PositionTable> {
        let furthest = match self.max_relative_positions {
            Some(n) if n >= 1 => n,
            _ => self.positions(),
        };
        let buckets = self.position_buckets.filter(|&n| n > 0 && !self.first);
        self.relative_attention.then_some(PositionTable {
            span: buckets.unwrap_or(furthest),
            log_up_to: buckets.map(|_| furthest),
        })
    }

    pub fn check(&self) -> Result<()> {
        let width = self.width();
        let heads = self.heads();
        let refuse = |what: String| Err(Error::Config(format!("config.json: {what}")));
        if heads == 0 || width % heads != 0 {
            return refuse(format!(
                "{heads} attention heads do not divide a hidden size of {width}"
            ));
        }
        if self.attention_head_size.is_some_and(|n| n != width / heads) {
            return refuse(
                "attention_head_size other than hidden_size / num_attention_heads is not supported"
                    .into(),
            );
        }
        if self.pooler_hidden_size.is_some_and(|n| n != width) {
            return refuse("pooler_hidden_size other than hidden_size is not supported".into());
        }
        if self.talking_head && self.first {
            return refuse("talking_head: true is not supported".into());
        }
        if self.conv_kernel_size > 0
            && (self.conv_kernel_size % 2 == 0 || self.conv_groups.unwrap_or(1) != 1)
        {
            return refuse("a convolution with an even conv_kernel_size, or conv_groups other than 1, is not supported".into());
        }
        Ok(())
    }
}

impl Architecture for DebertaConfig {
    fn prefix(&self) -> &'static str {
        "deberta"
    }

    fn body(&self, encoder: &Scope<'_>, fine_end: bool) -> Result<Box<dyn Body>> {
        self.check()?;
        Ok(Box::new(Deberta::load(self, encoder, fine_end)?))
    }

    fn head(&self, root: &Scope<'_>, _: &Scope<'_>, labels: usize) -> Result<Head> {
        let activation = Activation::parse(self.pooler_hidden_act.as_deref().unwrap_or("gelu"))?;
        let (dense, out) = (root.at("pooler.dense"), root.at("classifier"));
        Head::two_layers(&dense, activation, &out, self.width(), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_support_are_named() {
        for (json, name) in [
            (r#"{"conv_kernel_size": 2}"#, "conv_kernel_size"),
            (r#"{"num_attention_heads": 7}"#, "7 attention heads"),
            (r#"{"pooler_hidden_size": 5}"#, "pooler_hidden_size"),
        ] {
            let config: DebertaConfig = serde_json::from_str(json).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
