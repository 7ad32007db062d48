//! The position terms of disentangled attention (DeBERTa), added to the scores of one query.

use super::attention::{Bias, Span};

/// Products of content with relative positions, looked up by distance.
pub struct PositionScores<'a> {
    /// Products of each query row with the position keys, `[heads, query rows, columns]`.
    pub content_to_position: Option<&'a [f32]>,
    /// Products of each key row with the position queries, `[heads, key rows, columns]`.
    pub position_to_content: Option<&'a [f32]>,
    /// The column of each distance: entry `reach - 1 + key - query`.
    pub column_of: &'a [u32],
    pub columns: usize,
    /// The longest sequence `column_of` covers.
    pub reach: usize,
    pub spans: &'a [Span],
    pub query_rows: usize,
    pub key_rows: usize,
}

impl Bias for PositionScores<'_> {
    #[inline(always)]
    fn add(&self, sequence: usize, head: usize, query: usize, scores: &mut [f32]) {
        let span = &self.spans[sequence];
        let column_of = &self.column_of[self.reach - 1 - query..][..scores.len()];
        if let Some(products) = self.content_to_position {
            let row = span.queries.start + query - span.first_query;
            let products =
                &products[(head * self.query_rows + row) * self.columns..][..self.columns];
            for (score, &column) in scores.iter_mut().zip(column_of) {
                *score += products[column as usize];
            }
        }
        if let Some(products) = self.position_to_content {
            let first = (head * self.key_rows + span.keys.start) * self.columns;
            let products = &products[first..][..scores.len() * self.columns];
            let rows = products.chunks_exact(self.columns);
            for ((score, &column), row) in scores.iter_mut().zip(column_of).zip(rows) {
                *score += row[column as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_both_products_by_distance() {
        // Two sequences of 3 and 2 tokens, one head, one column per distance -2..=2.
        let spans = [
            Span {
                queries: 0..3,
                keys: 0..3,
                first_query: 0,
            },
            Span {
                queries: 3..5,
                keys: 3..5,
                first_query: 0,
            },
        ];
        let c2p: Vec<f32> = (0..25).map(|i| i as f32).collect();
        let p2c: Vec<f32> = (0..25).map(|i| 100.0 * i as f32).collect();
        let scores_of = |sequence: usize, query: usize, length: usize| {
            let mut scores = vec![0.5; length];
            PositionScores {
                content_to_position: Some(&c2p),
                position_to_content: Some(&p2c),
                column_of: &[0, 1, 2, 3, 4],
                columns: 5,
                reach: 3,
                spans: &spans,
                query_rows: 5,
                key_rows: 5,
            }
            .add(sequence, 0, query, &mut scores);
            scores
        };
        let want = |row: usize, key_row: usize, distance: i64| {
            let column = (2 + distance) as usize;
            0.5 + c2p[row * 5 + column] + p2c[key_row * 5 + column]
        };
        assert_eq!(
            scores_of(0, 2, 3),
            [want(2, 0, -2), want(2, 1, -1), want(2, 2, 0)]
        );
        assert_eq!(scores_of(1, 0, 2), [want(3, 3, 0), want(3, 4, 1)]);
    }
}
