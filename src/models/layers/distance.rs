//! Attention biases that depend on the distance between query and key.

use super::attention::ScoreBias;
use crate::error::{Error, Result};
use crate::kernels::attention::{Bias, Span};
use crate::models::packed::index;
use tch::{Device, Kind, Tensor};

/// One number per head and distance.
pub struct DistanceBias {
    /// `[heads, 2 * reach - 1]`: column `reach - 1 + key - query`.
    table: Vec<f32>,
    reach: usize,
}

impl DistanceBias {
    /// MPNet's bias: `rows` is `[buckets, heads]`, one row per bucket of distances; `reach` the longest
    /// sequence.
    pub fn mpnet(rows: &Tensor, reach: usize) -> Result<Self> {
        // Whatever the size of the table, transformers spreads distances over 32 buckets.
        let (buckets, heads) = rows.size2()?;
        if buckets < 32 {
            return Err(Error::Config(format!(
                "config.json: relative_attention_num_buckets {buckets} is not supported, at least 32"
            )));
        }
        let values = Vec::<f32>::try_from(rows.f_contiguous()?.f_view([-1])?)?;
        let reach = reach.max(1);
        let columns = 2 * reach - 1;
        let mut table = vec![0.0; heads as usize * columns];
        for (head, row) in table.chunks_exact_mut(columns).enumerate() {
            for (column, value) in row.iter_mut().enumerate() {
                let bucket = mpnet_bucket(column as i64 - (reach as i64 - 1));
                *value = values[bucket * heads as usize + head];
            }
        }
        Ok(DistanceBias { table, reach })
    }

    fn columns(&self) -> usize {
        2 * self.reach - 1
    }
}

/// The bucket of a distance (key - query): exact up to 7, then logarithmic up to 128; keys that come later
/// in the upper half.
fn mpnet_bucket(distance: i64) -> usize {
    const HALF: usize = 16;
    const EXACT: usize = 8;
    let later = if distance > 0 { HALF } else { 0 };
    let n = distance.unsigned_abs() as usize;
    let bucket = if n < EXACT {
        n
    } else {
        let scaled = (n as f32 / EXACT as f32).ln() / 16f64.ln() as f32 * (HALF - EXACT) as f32;
        (EXACT + scaled as usize).min(HALF - 1)
    };
    later + bucket
}

impl Bias for DistanceBias {
    #[inline(always)]
    fn add(&self, _: usize, head: usize, query: usize, scores: &mut [f32]) {
        let start = head * self.columns() + self.reach - 1 - query;
        for (score, bias) in scores.iter_mut().zip(&self.table[start..]) {
            *score += bias;
        }
    }
}

impl ScoreBias for DistanceBias {
    fn dense(&self, spans: &[Span], device: Device) -> Result<Option<Tensor>> {
        let distances = distances(spans);
        let columns = self.columns() as i64;
        let table = Tensor::f_from_slice(&self.table)?
            .f_to_device(device)?
            .f_view([-1, columns])?;
        // Padding lies beyond the longest sequence and is masked; any column will do.
        let column = distances
            .f_add_scalar(self.reach as i64 - 1)?
            .f_clamp(0, columns - 1)?
            .f_to_device(device)?;
        let (sets, queries, keys) = column.size3()?;
        let picked = table.f_index_select(1, &column.f_view([-1])?)?;
        Ok(Some(
            picked
                .f_view([-1, sets, queries, keys])?
                .f_transpose(0, 1)?
                .f_to_kind(Kind::Float)?,
        ))
    }
}

/// Key position less query position, `[sequences or 1, queries, keys]`, on the CPU: one set for all sequences
/// if their queries stand at the same positions.
pub fn distances(spans: &[Span]) -> Tensor {
    let queries = spans.iter().map(|s| s.queries.len()).max().unwrap_or(0) as i64;
    let keys = spans.iter().map(|s| s.keys.len()).max().unwrap_or(0) as i64;
    let mut firsts: Vec<i64> = spans.iter().map(|s| s.first_query as i64).collect();
    if firsts.windows(2).all(|w| w[0] == w[1]) {
        firsts.truncate(1);
    }
    let cpu = (Kind::Int64, Device::Cpu);
    let positions = index(&firsts, Device::Cpu).view([-1, 1, 1])
        + Tensor::arange(queries, cpu).view([1, -1, 1]);
    Tensor::arange(keys, cpu).view([1, 1, -1]) - positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_published_scheme() {
        let buckets: Vec<usize> = [0, -1, 1, -7, -8, -11, -12, -16, -128, -1000, 8, 1000]
            .map(mpnet_bucket)
            .to_vec();
        assert_eq!(buckets, [0, 1, 17, 7, 8, 8, 9, 10, 15, 15, 24, 31]);
    }
}
