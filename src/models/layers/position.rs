//! Disentangled attention (He et al. 2021, "DeBERTa"): scores between content and relative positions.

use super::attention::{ScoreBias, padded_rows};
use super::{Path, distances, view};
use crate::error::Result;
use crate::kernels::attention::{Bias, Span};
use crate::kernels::position::PositionScores;
use crate::models::packed::index;
use crate::torch::Frozen;
use tch::{Device, Kind, Tensor};

/// How distances become rows of the table of position embeddings.
#[derive(Clone, Copy, Debug)]
pub struct PositionTable {
    /// Half of its rows: row `span + distance`, cut off at the ends.
    pub span: i64,
    /// Distances beyond half of the span grow logarithmically up to this one (DeBERTa-v2).
    pub log_up_to: Option<i64>,
}

impl PositionTable {
    /// The row of each query position less key position.
    fn rows(&self, distances: &Tensor) -> Result<Tensor> {
        let rows = match self.log_up_to {
            None => distances.shallow_clone(),
            Some(furthest) => {
                // In the operators of the reference: rounding decides which bucket a distance falls in.
                let middle = self.span / 2;
                let size = distances.f_abs()?;
                let base = Tensor::from(((furthest - 1) as f64 / middle as f64) as f32).f_log()?;
                let growth = size
                    .f_clamp_min(middle - 1)?
                    .f_to_kind(Kind::Float)?
                    .f_div_scalar(middle)?
                    .f_log()?
                    .f_div(&base)?
                    .f_mul_scalar(middle - 1)?;
                let far = growth
                    .f_ceil()?
                    .f_add_scalar(middle)?
                    .f_mul(&distances.f_sign()?)?
                    .f_to_kind(Kind::Int64)?;
                distances.f_where_self(&size.f_le(middle)?, &far)?
            }
        };
        Ok(rows
            .f_add_scalar(self.span)?
            .f_clamp(0, 2 * self.span - 1)?)
    }

    /// The part of the table that sequences of up to `reach` tokens need.
    pub fn positions(&self, reach: usize) -> Result<Positions> {
        let reach = reach.max(1);
        let furthest = reach as i64 - 1;
        let cpu = (Kind::Int64, Device::Cpu);
        // Key less query ascends, as scores do; the table goes by query less key.
        let rows = self.rows(&Tensor::f_arange_start(-furthest, furthest + 1, cpu)?.f_neg()?)?;
        let rows = Vec::<i64>::try_from(rows)?;
        let first = rows.iter().copied().min().unwrap_or(0);
        let last = rows.iter().copied().max().unwrap_or(0);
        Ok(Positions {
            column_of: rows.iter().map(|row| (row - first) as u32).collect(),
            first,
            count: last - first + 1,
            reach,
        })
    }
}

/// The rows of the position table that a batch needs.
pub struct Positions {
    column_of: Vec<u32>,
    first: i64,
    count: i64,
    reach: usize,
}

/// Products of content with positions in one layer and batch, `[heads, rows, columns]`, f32.
pub struct PositionProducts {
    content_to_position: Option<Frozen>,
    position_to_content: Option<Frozen>,
    path: Path,
}

impl PositionProducts {
    /// `q` and `k` are `[rows, heads * head_dim]`; the position tables `[heads, head_dim, 2 * span]`, scaled as
    /// the scores are.
    pub fn new(
        (q, position_keys): (&Tensor, Option<&Frozen>),
        (k, position_queries): (&Tensor, Option<&Frozen>),
        positions: &Positions,
        path: Path,
    ) -> Result<Self> {
        let product = |x: &Tensor, table: &Frozen| -> Result<Frozen> {
            let (heads, head_dim, _) = table.size3()?;
            let x = x.f_view([-1, heads, head_dim])?.f_transpose(0, 1)?;
            let table = table.f_narrow(2, positions.first, positions.count)?;
            let products = x.f_bmm(&table)?.f_to_kind(Kind::Float)?;
            Ok(Frozen::new(products.f_contiguous()?))
        };
        Ok(PositionProducts {
            content_to_position: position_keys.map(|t| product(q, t)).transpose()?,
            position_to_content: position_queries.map(|t| product(k, t)).transpose()?,
            path,
        })
    }

    pub fn bias<'a>(&'a self, positions: &'a Positions, spans: &'a [Span]) -> PositionBias<'a> {
        let slice = |products: &'a Option<Frozen>| match self.path {
            Path::Kernels => products.as_deref().map(view::<f32>),
            Path::Torch => None,
        };
        let rows = |products: &Option<Frozen>| products.as_deref().map_or(0, |p| p.size()[1]);
        PositionBias {
            products: self,
            positions,
            scores: PositionScores {
                content_to_position: slice(&self.content_to_position),
                position_to_content: slice(&self.position_to_content),
                column_of: &positions.column_of,
                columns: positions.count as usize,
                reach: positions.reach,
                spans,
                query_rows: rows(&self.content_to_position) as usize,
                key_rows: rows(&self.position_to_content) as usize,
            },
        }
    }
}

/// The position terms as a bias on the scores.
pub struct PositionBias<'a> {
    products: &'a PositionProducts,
    positions: &'a Positions,
    scores: PositionScores<'a>,
}

impl Bias for PositionBias<'_> {
    #[inline(always)]
    fn add(&self, sequence: usize, head: usize, query: usize, scores: &mut [f32]) {
        self.scores.add(sequence, head, query, scores);
    }
}

impl ScoreBias for PositionBias<'_> {
    fn dense(&self, spans: &[Span], device: Device) -> Result<Option<Tensor>> {
        let Positions {
            column_of, reach, ..
        } = self.positions;
        let columns: Vec<i64> = column_of.iter().map(|&c| i64::from(c)).collect();
        let distances = distances(spans);
        let (sets, queries, keys) = distances.size3()?;
        // Padding lies beyond the table and is masked; any column will do.
        let at = distances
            .f_add_scalar(*reach as i64 - 1)?
            .f_clamp(0, columns.len() as i64 - 1)?;
        let column = index(&columns, Device::Cpu)
            .f_index_select(0, &at.f_view([-1])?)?
            .f_view([1, sets, queries, keys])?
            .f_to_device(device)?;
        let batch = spans.len() as i64;
        let padded = |products: &Tensor, rows: Vec<i64>, count: i64| -> Result<Tensor> {
            let (heads, _, columns) = products.size3()?;
            Ok(products
                .f_index_select(1, &index(&rows, device))?
                .f_view([heads, batch, count, columns])?)
        };
        let content_to_position = match self.products.content_to_position.as_deref() {
            None => None,
            Some(products) => {
                let rows = padded_rows(spans, queries as usize, |s| s.queries.clone());
                let products = padded(products, rows, queries)?;
                let column = column.f_expand([products.size()[0], batch, queries, keys], false)?;
                Some(products.f_gather(3, &column, false)?)
            }
        };
        let position_to_content = match self.products.position_to_content.as_deref() {
            None => None,
            Some(products) => {
                let rows = padded_rows(spans, keys as usize, |s| s.keys.clone());
                let products = padded(products, rows, keys)?;
                let column = column
                    .f_transpose(2, 3)?
                    .f_expand([products.size()[0], batch, keys, queries], false)?;
                Some(products.f_gather(3, &column, false)?.f_transpose(2, 3)?)
            }
        };
        let sum = match (content_to_position, position_to_content) {
            (Some(a), Some(b)) => Some(a.f_add(&b)?),
            (a, b) => a.or(b),
        };
        Ok(sum.map(|bias| bias.f_transpose(0, 1)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_the_published_buckets() {
        // DeBERTa-v3: 256 buckets, exact up to 128, 512 in the last but one.
        let table = PositionTable {
            span: 256,
            log_up_to: Some(512),
        };
        let distances =
            Tensor::from_slice(&[0i64, 1, -1, 127, 128, 129, 200, 511, 600, -511, -600]);
        let rows = Vec::<i64>::try_from(table.rows(&distances).unwrap()).unwrap();
        assert_eq!(rows, [256, 257, 255, 383, 384, 385, 425, 511, 511, 1, 0]);
        let positions = table.positions(3).unwrap();
        assert_eq!(positions.column_of, [4, 3, 2, 1, 0]);
        assert_eq!((positions.first, positions.count), (254, 5));
    }
}
