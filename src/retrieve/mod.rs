//! N-gram retrieval: cosine of tf-idf or BM25 weights, exact, one posting per text position.
//!
//! Two n-grams of lengths 3 and 7 that start at the same place are prefixes of one path. So each
//! position of each text is stored once, under its longest n-gram, in a sorted list of paths (a trie
//! laid flat), and every shorter n-gram is a contiguous range of that list. With v(g) the weight of
//! n-gram g in the query times its weight in any document,
//!
//! ```text
//! <q, d> = sum over positions of d of V(path),   V(path) = sum of v(g) over the prefixes g of path
//! ```
//!
//! and V is constant over ranges of the list: a query adds one number to each document of a few
//! disjoint ranges. Postings carry neither weights nor frequencies. docs/retriever.md tells the rest.
//!
//! ```text
//! engine      text in, ranked document numbers out; any alphabet
//! index       segments of documents: fit, add, remove, search
//! plan        a query's n-grams, found in each segment (find), as ranges with values (ranges)
//! scan        ranges with values -> sums -> scores -> top k (select)
//! common, left_out  n-grams that most documents have: looked at for the best documents only
//! parcels     answers on their way to the thread that waits for them
//! segment     postings of up to 65,536 documents and their scale factors
//! build       texts -> sorted paths, in parallel (scatter, records, radix, paths)
//! trie        sorted paths and what they begin with (spelling, table, packed)
//! repeats     n-grams that a document has more than once, for BM25 (weighed), and what they add to
//!             sums (corrections)
//! lookup, codes  the df of n-grams of added texts
//! weighting   idf, tf-idf, BM25: the formulas
//! analyzer    text -> symbols (characters or words)
//! ```

mod again;
mod alphabet;
mod analyzer;
mod archive;
mod buffer;
mod build;
mod checksum;
mod codes;
mod common;
mod corrections;
mod counts;
mod engine;
mod find;
mod index;
mod join;
mod keys;
mod left_out;
mod lookup;
mod ngrams;
mod normalize;
mod norms;
mod packed;
mod parcels;
mod paths;
mod plan;
mod progress;
mod radix;
mod ranges;
mod records;
mod repeats;
mod scan;
mod scatter;
mod scratch;
mod segment;
mod select;
mod sparse;
mod spelling;
mod store;
mod sum;
mod table;
mod temporary;
mod texts;
mod top_k;
mod trie;
mod vocabulary;
mod weighed;
mod weighting;

#[cfg(test)]
mod oracle_tests;

pub use analyzer::{Analyzer, Unit};
pub use archive::{Archive, Sections};
pub use engine::Engine;
pub use keys::{Key, Keys};
pub use normalize::normalize;
pub use parcels::Part;
pub use progress::Progress;
pub use sparse::{Rows, SparseIndex};
pub use texts::TextBlock;
pub use top_k::Hits;
pub use weighting::Weighting;
