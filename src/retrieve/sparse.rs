//! Retrieval over any sparse matrix of documents: for vectorizers that are not ours.

use super::top_k::{Hits, TopK};
use crate::error::{Error, Result};
use crate::pool::pool;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of a sparse matrix, compressed.
#[derive(Clone, Copy)]
pub struct Rows<'a, V> {
    starts: &'a [i64],
    columns: &'a [i32],
    values: &'a [V],
}

impl<'a, V: Copy> Rows<'a, V> {
    /// Checks that the arrays fit each other and `width` columns.
    pub fn new(
        starts: &'a [i64],
        columns: &'a [i32],
        values: &'a [V],
        width: usize,
    ) -> Result<Self> {
        let ascending = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = starts.first() == Some(&0) && starts.last() == Some(&(columns.len() as i64));
        let inside = columns
            .iter()
            .all(|&c| (0..width as i64).contains(&c.into()));
        if !ascending || !ends || columns.len() != values.len() || !inside {
            return Err(Error::Input(
                "the vectorizer gave a sparse matrix whose arrays do not fit each other".to_owned(),
            ));
        }
        Ok(Self {
            starts,
            columns,
            values,
        })
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (usize, V)> + 'a {
        let range = self.starts[row] as usize..self.starts[row + 1] as usize;
        let columns = self.columns[range.clone()].iter().map(|&c| c as usize);
        columns.zip(self.values[range].iter().copied())
    }
}

/// Documents of each column, with their weights, in parts that were added one after the other.
pub struct SparseIndex {
    width: usize,
    parts: Vec<Part>,
}

/// Documents that were added together, by column.
pub struct Part {
    first: u32,
    pub rows: usize,
    /// Where each column starts in the two others.
    pub starts: Vec<u64>,
    /// Counted from the part's first.
    pub docs: Vec<u32>,
    pub weights: Vec<f32>,
}

impl SparseIndex {
    /// An empty index over so many columns.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            parts: Vec::new(),
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.parts
            .last()
            .map_or(0, |last| last.first as usize + last.rows)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Adds a part that another index had.
    pub fn restore_part(
        &mut self,
        rows: usize,
        starts: Vec<u64>,
        docs: Vec<u32>,
        weights: Vec<f32>,
    ) -> Result<()> {
        let sound = starts.len() == self.width + 1
            && starts.is_sorted()
            && starts.last() == Some(&(docs.len() as u64))
            && docs.len() == weights.len()
            && docs.iter().all(|&doc| (doc as usize) < rows);
        if !sound {
            return Err(Error::Input(
                "the pickled index is damaged; build it again".to_owned(),
            ));
        }
        let first = self.len() as u32;
        self.parts.push(Part {
            first,
            rows,
            starts,
            docs,
            weights,
        });
        Ok(())
    }

    /// Adds documents: transposes their rows.
    pub fn add(&mut self, rows: Rows<'_, f32>) {
        let mut starts = vec![0u64; self.width + 1];
        for &column in rows.columns {
            starts[column as usize + 1] += 1;
        }
        for column in 0..self.width {
            starts[column + 1] += starts[column];
        }
        let mut cursor = starts.clone();
        let mut docs = vec![0; rows.columns.len()];
        let mut weights = vec![0.0; rows.columns.len()];
        for row in 0..rows.len() {
            for (column, value) in rows.row(row) {
                let place = cursor[column] as usize;
                docs[place] = row as u32;
                weights[place] = value;
                cursor[column] += 1;
            }
        }
        self.parts.push(Part {
            first: self.len() as u32,
            rows: rows.len(),
            starts,
            docs,
            weights,
        });
    }

    /// The best `k` documents of each query, by the dot product of rows, above zero. `allowed` says
    /// of each document whether it may be found.
    pub fn search(
        &self,
        queries: Rows<'_, f64>,
        k: usize,
        allowed: Option<&[bool]>,
        cancel: &AtomicBool,
    ) -> Result<Vec<Hits>> {
        let largest = self.parts.iter().map(|part| part.rows).max().unwrap_or(0);
        let zeros = || vec![0f64; largest];
        let one = |sums: &mut Vec<f64>, query: usize| {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let mut top = TopK::new(k);
            for part in &self.parts {
                for (column, value) in queries.row(query) {
                    let range = part.starts[column] as usize..part.starts[column + 1] as usize;
                    let postings = part.docs[range.clone()].iter().zip(&part.weights[range]);
                    for (&doc, &weight) in postings {
                        sums[doc as usize] += value * f64::from(weight);
                    }
                }
                for (doc, sum) in (part.first..).zip(&mut sums[..part.rows]) {
                    let score = std::mem::take(sum);
                    if score > 0.0 && allowed.is_none_or(|allowed| allowed[doc as usize]) {
                        top.offer(score, doc);
                    }
                }
            }
            Ok(top.into_hits())
        };
        let all = || {
            (0..queries.len())
                .into_par_iter()
                .with_min_len(8)
                .map_init(zeros, one)
                .collect()
        };
        pool()?.install(all)
    }
}
