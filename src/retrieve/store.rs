//! An index as named arrays, and back.

use super::archive::{Archive, Sections};
use super::counts::Counts;
use super::index::Index;
use super::ngrams::{Shape, Symbol, Texts};
use super::packed::Packed;
use super::repeats::Repeats;
use super::segment::{Bounds, Model, Segment};
use super::spelling::Spelling;
use super::table::Table;
use super::trie::{MARK_EVERY, Trie};
use super::weighting::Weighting;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// What is not an array.
#[derive(Serialize, Deserialize)]
struct Head {
    weighting: Weighting,
    fitted: u64,
    average_length: f64,
    largest_sum: f64,
    rounding: f64,
    segments: Vec<SegmentHead>,
}

#[derive(Serialize, Deserialize)]
struct SegmentHead {
    first: u32,
    table_bits: u32,
    fitted: bool,
}

impl<S: Symbol> Index<S> {
    pub fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        let head = Head {
            weighting: self.model.weighting,
            fitted: self.model.fitted,
            average_length: self.model.average_length,
            largest_sum: self.bounds.sum,
            rounding: self.bounds.rounding,
            segments: self
                .segments
                .iter()
                .map(|segment| SegmentHead {
                    first: segment.first,
                    table_bits: segment.trie.table_bits,
                    fitted: segment.df.is_some(),
                })
                .collect(),
        };
        sections.meta["index"] = serde_json::to_value(head).expect("the head is plain data");
        for (number, segment) in self.segments.iter().enumerate() {
            let name = |field: &str| format!("{number}.{field}");
            sections.push(name("symbols"), &segment.texts.symbols);
            sections.push(name("offsets"), &segment.texts.offsets);
            segment.trie.table.store(&name("table"), sections);
            segment.trie.spelling.store(&name("paths"), sections);
            sections.push(name("shared"), &segment.trie.shared);
            sections.push(name("fresh"), &segment.trie.fresh);
            sections.push(name("marks"), &segment.trie.marks);
            sections.push(name("starts"), segment.trie.starts.bytes());
            sections.push(name("docs"), &segment.docs);
            segment.repeats.store(&name("repeats"), sections);
            if let Some(df) = &segment.df {
                sections.push(name("df.small"), &df.small);
                sections.push(name("df.large_at"), &df.large_at);
                sections.push(name("df.large"), &df.large);
            }
            sections.push(name("factors"), &segment.factors);
            sections.push(name("penalties"), &segment.penalties);
        }
    }

    pub fn restore(shape: Shape, archive: &Archive) -> Result<Self> {
        let head: Head = serde_json::from_value(archive.meta()["index"].clone())
            .map_err(|_| archive.damaged("description"))?;
        let segment = |number: usize, head: &SegmentHead| -> Result<Segment<S>> {
            let name = |field: &str| format!("{number}.{field}");
            let df = match head.fitted {
                false => None,
                true => Some(Counts {
                    small: archive.get(&name("df.small"))?,
                    large_at: archive.get(&name("df.large_at"))?,
                    large: archive.get(&name("df.large"))?,
                }),
            };
            let segment = Segment {
                texts: Texts {
                    symbols: archive.get(&name("symbols"))?,
                    offsets: archive.get(&name("offsets"))?,
                },
                trie: Trie {
                    table: Table::restore(&name("table"), archive)?,
                    table_bits: head.table_bits,
                    spelling: Spelling::restore(&name("paths"), archive, &shape, head.table_bits)?,
                    shared: archive.get(&name("shared"))?,
                    fresh: archive.get(&name("fresh"))?,
                    marks: archive.get(&name("marks"))?,
                    starts: Packed::restore(&name("starts"), archive)?,
                },
                docs: archive.get(&name("docs"))?,
                repeats: Repeats::restore(&name("repeats"), archive, &shape)?,
                common: OnceLock::new(),
                codes: OnceLock::new(),
                df,
                // The one array that changes.
                factors: archive.get(&name("factors"))?.to_vec(),
                penalties: archive.get(&name("penalties"))?,
                first: head.first,
            };
            match sound(&segment, shape.longest) {
                true => Ok(segment),
                false => Err(archive.damaged(&format!("segment {number}"))),
            }
        };
        let segments = head.segments.iter().enumerate();
        let segments = segments
            .map(|(number, head)| segment(number, head))
            .collect::<Result<_>>()?;
        let bounds = Bounds {
            sum: head.largest_sum,
            rounding: head.rounding,
        };
        let model = Model::new(
            head.weighting.validated()?,
            head.fitted,
            head.average_length,
        );
        Ok(Self::new(shape, model, segments, bounds))
    }
}

/// Whether the arrays have the lengths they have in a segment.
fn sound<S: Symbol>(segment: &Segment<S>, longest: usize) -> bool {
    let Segment { texts, trie, .. } = segment;
    let paths = trie.len();
    texts.offsets.last().copied() == Some(texts.symbols.len() as u32)
        && (texts.len() == segment.len() || !trie.spelling.needs_texts() && texts.len() == 0)
        && trie.table_bits < 32
        && trie.table.sound(1 << trie.table_bits, paths)
        && [trie.shared.len(), trie.fresh.len()] == [paths; 2]
        && trie.marks.len() == paths / MARK_EVERY + 1
        && match &segment.df {
            Some(df) => trie.first_ngram(paths) == df.len(),
            None => trie.first_ngram(paths) <= paths * longest,
        }
        && trie.starts.len() == paths + 1
        && trie.starts.get(paths) == segment.docs.len() as u64
        && segment.repeats.sound(segment.docs.len())
        && (segment.repeats.is_empty() || segment.penalties.len() == segment.len())
}
