//! The retriever as one piece: text in, document numbers out.

use super::alphabet::Alphabet;
use super::analyzer::Analyzer;
use super::archive::{Archive, Sections};
use super::index::Index;
use super::ngrams::Shape;
use super::parcels::{Parcels, Part};
use super::progress::Progress;
use super::texts::{TextBlock, encode};
use super::top_k::Hits;
use super::weighting::Weighting;
use crate::error::Result;
use crate::pool::on_pool;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

/// Analyzer, alphabet and index.
pub struct Engine {
    analyzer: Arc<Analyzer>,
    alphabet: Alphabet,
    index: AnyIndex,
}

/// Small alphabets, as that of normalised text, take a quarter of the memory.
enum AnyIndex {
    Narrow(Index<u8>),
    Wide(Index<u32>),
}

/// Runs one expression over an index of either width.
macro_rules! with {
    ($any:expr, $index:ident => $work:expr) => {
        match $any {
            AnyIndex::Narrow($index) => $work,
            AnyIndex::Wide($index) => $work,
        }
    };
}

impl Engine {
    /// Learns alphabet, frequencies and lengths from texts that the analyzer has prepared, and indexes
    /// them.
    pub fn fit(
        analyzer: Analyzer,
        weighting: Weighting,
        prepared: Vec<TextBlock>,
        progress: Progress,
    ) -> Result<Self> {
        let analyzer = Arc::new(analyzer.validated()?);
        let weighting = weighting.validated()?;
        on_pool(|| {
            let alphabet = Alphabet::of(analyzer.unit, &prepared);
            let shape = Shape {
                bits: alphabet.bits(),
                shortest: analyzer.shortest,
                longest: analyzer.longest,
            };
            let index = if alphabet.unknown() <= u8::MAX.into() {
                let texts = encode(&alphabet, prepared, progress)?;
                AnyIndex::Narrow(Index::fit(shape, weighting, texts, progress)?)
            } else {
                let texts = encode(&alphabet, prepared, progress)?;
                AnyIndex::Wide(Index::fit(shape, weighting, texts, progress)?)
            };
            Ok(Self {
                analyzer,
                alphabet,
                index,
            })
        })
    }

    /// Documents ever added, removed ones included.
    pub fn len(&self) -> usize {
        with!(&self.index, index => index.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        with!(&self.index, index => index.segments.len())
    }

    pub fn weighting(&self) -> Weighting {
        with!(&self.index, index => index.model.weighting)
    }

    /// Adds prepared texts; what was learned stays as it is. On failure nothing is added.
    pub fn add(&mut self, prepared: Vec<TextBlock>, progress: Progress) -> Result<()> {
        let Self {
            alphabet, index, ..
        } = self;
        on_pool(
            || with!(index, index => index.add(encode(alphabet, prepared, progress)?, progress)),
        )
    }

    /// What prepares its texts.
    pub fn analyzer(&self) -> Arc<Analyzer> {
        Arc::clone(&self.analyzer)
    }

    /// Removes documents by their numbers.
    pub fn remove(&mut self, numbers: &[u32]) {
        with!(&mut self.index, index => index.remove(numbers));
    }

    /// The best `k` documents of each query, among `allowed` ones if given.
    pub fn search(
        &self,
        queries: &[String],
        k: usize,
        allowed: Option<&[u32]>,
        cancel: &AtomicBool,
    ) -> Result<Vec<Hits>> {
        let all = Mutex::new(Vec::new());
        self.search_in_parcels(queries, k, allowed, cancel, &|parts| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(parts);
        })?;
        let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.sort_unstable_by_key(|&(first, _)| first);
        Ok(all.into_iter().flat_map(|(_, hits)| hits).collect())
    }

    /// The same, but hands over answers while it looks for others: on any thread, in any order.
    pub fn search_in_parcels(
        &self,
        queries: &[String],
        k: usize,
        allowed: Option<&[u32]>,
        cancel: &AtomicBool,
        hand_over: &(dyn Fn(Vec<Part>) + Sync),
    ) -> Result<()> {
        let all = || {
            with!(&self.index, index => {
                let filter = allowed.map(|numbers| index.filter(numbers));
                let query = |number: usize, out: &mut Vec<_>| {
                    let mut prepared = Vec::new();
                    self.analyzer.prepare(&queries[number], &mut prepared);
                    let text = std::str::from_utf8(&prepared).expect("prepared text is UTF-8");
                    self.alphabet.encode(text, out);
                };
                let parcels = Parcels::new(queries.len());
                let found = |first, hits| {
                    let parcel = parcels.add(first, hits);
                    parcel.into_iter().for_each(hand_over);
                };
                index.search(queries.len(), query, k, filter.as_ref(), cancel, found)
            })
        };
        // Waking other threads for one query takes longer than some queries do.
        let divided = with!(&self.index, index => index.divides_queries());
        if queries.len() == 1 && !divided {
            all()
        } else {
            on_pool(all)
        }
    }

    /// Adds the engine to an archive.
    pub fn sections(&self, extra: serde_json::Value) -> Sections<'_> {
        let meta = serde_json::json!({
            "analyzer": *self.analyzer,
            "alphabet": self.alphabet.to_text(),
            "wide": matches!(self.index, AnyIndex::Wide(_)),
            "extra": extra,
        });
        let mut sections = Sections::new(meta);
        with!(&self.index, index => index.store(&mut sections));
        sections
    }

    /// Reads an engine, and what was stored along with it.
    pub fn restore(archive: &Archive) -> Result<(Self, serde_json::Value)> {
        let field = |name: &str| archive.meta()[name].clone();
        let damaged = |what: &'static str| move |_| archive.damaged(what);
        let analyzer: Analyzer =
            serde_json::from_value(field("analyzer")).map_err(damaged("analyzer"))?;
        let analyzer = Arc::new(analyzer.validated()?);
        let text: String =
            serde_json::from_value(field("alphabet")).map_err(damaged("alphabet"))?;
        let wide: bool = serde_json::from_value(field("wide")).map_err(damaged("width"))?;
        let alphabet = Alphabet::from_text(analyzer.unit, &text);
        let shape = Shape {
            bits: alphabet.bits(),
            shortest: analyzer.shortest,
            longest: analyzer.longest,
        };
        let index = if wide {
            AnyIndex::Wide(Index::restore(shape, archive)?)
        } else {
            AnyIndex::Narrow(Index::restore(shape, archive)?)
        };
        let engine = Self {
            analyzer,
            alphabet,
            index,
        };
        Ok((engine, field("extra")))
    }
}
