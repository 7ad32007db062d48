//! The weights of n-grams, as LeNLP computes them.
//!
//! tf-idf: Salton & Buckley 1988, with scikit-learn's smoothed idf. BM25: Robertson & Zaragoza 2009,
//! except that documents and queries are weighted alike and compared by their cosine.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Weight of an n-gram in a text: saturation(tf) * idf, texts compared by their cosine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Weighting {
    TfIdf,
    Bm25 { k1: f64, b: f64, epsilon: f64 },
}

impl Weighting {
    /// Checks the parameters.
    pub fn validated(self) -> Result<Self> {
        if let Weighting::Bm25 { k1, b, epsilon } = self {
            // Larger ones mean nothing more, and penalties of long texts would overflow float32.
            let sound = |value: f64| (0.0..=1e20).contains(&value);
            if !sound(k1) || !sound(epsilon) || !(0.0..=1.0).contains(&b) {
                return Err(Error::Config(format!(
                    "BM25 needs 0 <= k1 <= 1e20, 0 <= b <= 1 and 0 <= epsilon <= 1e20, got k1={k1}, b={b}, epsilon={epsilon}"
                )));
            }
        }
        Ok(self)
    }

    /// Inverse document frequency of an n-gram that `df` of the `fitted` documents have; zero for
    /// n-grams that none has, which leaves them out of everything.
    pub fn idf(&self, df: u32, fitted: u64) -> f64 {
        if df == 0 {
            return 0.0;
        }
        let (df, fitted) = (f64::from(df), fitted as f64);
        match self {
            Weighting::TfIdf => ((fitted + 1.0) / (df + 1.0)).ln() + 1.0,
            Weighting::Bm25 { .. } => ((fitted - df + 0.5) / (df + 0.5) + 1.0).ln(),
        }
    }

    /// BM25's penalty of a text with `length` known n-grams; not used by tf-idf.
    pub fn penalty(&self, length: u64, average_length: f64) -> f64 {
        match self {
            Weighting::TfIdf => 0.0,
            Weighting::Bm25 { k1, b, .. } => {
                // A corpus without n-grams has no average; then no text has a weight either.
                let relative = if average_length > 0.0 {
                    length as f64 / average_length
                } else {
                    0.0
                };
                k1 * ((1.0 - b) + b * relative)
            }
        }
    }

    /// Weight of a term frequency before idf, in a text with this penalty.
    pub fn saturation(&self, tf: u32, penalty: f64) -> f64 {
        let tf = f64::from(tf);
        match self {
            Weighting::TfIdf => tf,
            Weighting::Bm25 { k1, epsilon, .. } => tf * (k1 + 1.0) / (tf + penalty) + epsilon,
        }
    }

    /// Weight of a term frequency, in units of the weight of a frequency of one.
    pub fn relative(&self, tf: u32, penalty: f64) -> f64 {
        let tf = f64::from(tf);
        match self {
            Weighting::TfIdf => tf,
            // What the general formula comes to, of which queries ask for thousands.
            Weighting::Bm25 { epsilon: 0.0, .. } => tf * (1.0 + penalty) / (tf + penalty),
            Weighting::Bm25 { k1, epsilon, .. } => {
                // The quotient of two saturations, with one division: queries ask for many.
                let (one, own) = (1.0 + penalty, tf + penalty);
                let weight = (tf * (k1 + 1.0) + epsilon * own) * one;
                weight / ((k1 + 1.0 + epsilon * one) * own)
            }
        }
    }
}

/// Squares of idf, tabulated for the frequencies that most n-grams have.
pub struct IdfSquares {
    weighting: Weighting,
    fitted: u64,
    table: Vec<f64>,
}

impl IdfSquares {
    pub fn new(weighting: Weighting, fitted: u64) -> Self {
        let square = |df| weighting.idf(df, fitted).powi(2);
        Self {
            weighting,
            fitted,
            table: (0..fitted.min(4096) as u32 + 1).map(square).collect(),
        }
    }

    #[inline]
    pub fn get(&self, df: u32) -> f64 {
        match self.table.get(df as usize) {
            Some(&square) => square,
            None => self.weighting.idf(df, self.fitted).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_weight_is_what_the_saturations_say() {
        for (k1, epsilon) in [(1.5, 0.0), (0.0, 0.3), (0.0, 0.0), (2.5, 0.7)] {
            let b = 0.7;
            for weighting in [Weighting::Bm25 { k1, b, epsilon }, Weighting::TfIdf] {
                for length in [1, 40, 100_000] {
                    let penalty = weighting.penalty(length, 50.0);
                    for tf in [1, 2, 3, 70, 100_000] {
                        let expected =
                            weighting.saturation(tf, penalty) / weighting.saturation(1, penalty);
                        let error = weighting.relative(tf, penalty) - expected;
                        assert!(error.abs() <= 1e-14 * expected);
                    }
                }
            }
        }
    }
}
