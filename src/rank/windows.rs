//! Long documents: overlapping windows over their tokens, and one result from the results of the windows.
//!
//! MaxP and FirstP of Dai and Callan, "Deeper Text Understanding for IR with Contextual Neural Language
//! Modeling", SIGIR 2019, and their mean.

use std::iter;
use std::ops::Range;

/// What becomes of a document that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongDocuments {
    /// It loses the tokens over the limit.
    #[default]
    Truncate,
    /// It is scored in windows, of which neighbours share `overlap` tokens (a quarter of a window if None).
    Windows {
        aggregate: Aggregate,
        overlap: Option<usize>,
    },
}

/// How the logits of a document's windows become the document's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Max,
    Mean,
    /// Those of the first window: the others are not scored.
    First,
}

/// Cuts `length` tokens into windows of `size`. The last one is moved back so that it is full too. Neighbours
/// share at most half a window, whatever `overlap` asks for: more would score every token over and over.
pub fn windows(length: usize, size: usize, overlap: Option<usize>) -> Vec<Range<usize>> {
    if length <= size || size == 0 {
        return iter::once(0..length.min(size)).collect();
    }
    let step = size - overlap.unwrap_or(size / 4).min(size / 2);
    let last = length - size;
    (0..last)
        .step_by(step)
        .chain([last])
        .map(|start| start..start + size)
        .collect()
}

/// Combines rows of `labels` logits into one row.
pub fn combine(aggregate: Aggregate, rows: &[f32], labels: usize, into: &mut [f32]) {
    let count = rows.len() / labels;
    for (label, out) in into.iter_mut().enumerate() {
        let of_label = rows.iter().skip(label).step_by(labels);
        *out = match aggregate {
            Aggregate::First => rows[label],
            Aggregate::Max => of_label.copied().fold(f32::NEG_INFINITY, f32::max),
            Aggregate::Mean => (of_label.map(|&x| f64::from(x)).sum::<f64>() / count as f64) as f32,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_token_and_are_full() {
        for length in 0..60 {
            for size in 1..20 {
                for overlap in [None, Some(0), Some(3), Some(1000)] {
                    let cut = windows(length, size, overlap);
                    assert_eq!(cut[0].start, 0);
                    assert_eq!(cut.last().unwrap().end, length);
                    assert!(cut.iter().all(|w| w.len() == size.min(length)));
                    assert!(cut.windows(2).all(|w| w[0].start < w[1].start));
                    assert!(cut.windows(2).all(|w| w[1].start <= w[0].end));
                    assert!(cut.len() <= 1 + 2 * length / size);
                }
            }
        }
    }

    #[test]
    fn neighbours_share_what_was_asked_for() {
        assert_eq!(windows(10, 4, Some(1)), vec![0..4, 3..7, 6..10]);
        assert_eq!(windows(9, 4, Some(0)), vec![0..4, 4..8, 5..9]);
        assert_eq!(windows(8, 4, None), vec![0..4, 3..7, 4..8]);
        assert_eq!(windows(4, 4, None), vec![0..4]);
    }

    #[test]
    fn logits_are_combined_label_by_label() {
        let rows = [1.0, -2.0, 3.0, -8.0, 2.0, -2.0];
        let mut out = [0.0; 2];
        combine(Aggregate::Max, &rows, 2, &mut out);
        assert_eq!(out, [3.0, -2.0]);
        combine(Aggregate::Mean, &rows, 2, &mut out);
        assert_eq!(out, [2.0, -4.0]);
        combine(Aggregate::First, &rows, 2, &mut out);
        assert_eq!(out, [1.0, -2.0]);
    }
}
