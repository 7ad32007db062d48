//! Multi-head attention over packed sequences.

use super::{Path, view, view_mut, with_element};
use crate::error::Result;
use crate::kernels::attention::{Bias, Geometry, NoBias, Rows, Span, attention};
use crate::models::packed::index;
use crate::models::weights::Weights;
use tch::{Device, Tensor};

/// Something added to the scores, on either path.
pub trait ScoreBias: Bias {
    /// The bias as `[sequences or 1, heads, queries, keys]`, padded to the longest sequence.
    fn dense(&self, spans: &[Span], device: Device) -> Result<Option<Tensor>>;
}

impl ScoreBias for NoBias {
    fn dense(&self, _: &[Span], _: Device) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// Rows of every sequence, `count` each: padding repeats the last row of its sequence, and is masked.
pub(super) fn padded_rows(
    spans: &[Span],
    count: usize,
    of: impl Fn(&Span) -> std::ops::Range<usize>,
) -> Vec<i64> {
    (spans.iter())
        .flat_map(|span| {
            let range = of(span);
            let last = range.end.saturating_sub(1);
            (0..count).map(move |i| (range.start + i).min(last) as i64)
        })
        .collect()
}

/// Attention of one layer, on the path of its activations.
pub struct Attention {
    geometry: Geometry,
    path: Path,
}

impl Attention {
    pub fn new(geometry: Geometry, weights: &Weights) -> Self {
        Attention {
            geometry,
            path: Path::of(weights),
        }
    }

    /// `q` is `[query rows, heads * head_dim]`, `k` and `v` `[key rows, kv_heads * head_dim]`; the result
    /// has the shape of `q`.
    pub fn forward<B: ScoreBias>(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        spans: &[Span],
        bias: &B,
    ) -> Result<Tensor> {
        match self.path {
            Path::Kernels => {
                let mut out = q.f_empty_like()?;
                let kv_width = self.geometry.kv_heads * self.geometry.head_dim;
                let width = self.geometry.heads * self.geometry.head_dim;
                with_element!(q.kind(), T => attention(
                    Rows { data: view::<T>(q), stride: width },
                    Rows { data: view::<T>(k), stride: kv_width },
                    Rows { data: view::<T>(v), stride: kv_width },
                    view_mut::<T>(&mut out),
                    spans,
                    self.geometry,
                    bias,
                ));
                Ok(out)
            }
            Path::Torch => {
                let dense = bias.dense(spans, q.device())?;
                self.padded(q, k, v, spans, dense.as_ref())
            }
        }
    }

    /// libtorch's fused attention on padded batches. Batches are of similar lengths, so little is padded.
    fn padded(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        spans: &[Span],
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let Geometry {
            heads,
            kv_heads,
            head_dim,
            scale,
            window,
            causal,
        } = self.geometry;
        let (device, kind) = (q.device(), q.kind());
        let batch = spans.len() as i64;
        let queries = spans.iter().map(|s| s.queries.len()).max().unwrap_or(0);
        let keys = spans.iter().map(|s| s.keys.len()).max().unwrap_or(0);

        let gather = |rows: &Tensor,
                      heads: usize,
                      count: usize,
                      of: &dyn Fn(&Span) -> std::ops::Range<usize>| {
            let at = padded_rows(spans, count, of);
            rows.f_index_select(0, &index(&at, device))?
                .f_view([batch, count as i64, heads as i64, head_dim as i64])?
                .f_transpose(1, 2)
        };
        let q = gather(q, heads, queries, &|s| s.queries.clone())?;
        let mut k = gather(k, kv_heads, keys, &|s| s.keys.clone())?;
        let mut v = gather(v, kv_heads, keys, &|s| s.keys.clone())?;
        if kv_heads != heads {
            let group = (heads / kv_heads) as i64;
            k = k.f_repeat_interleave_self_int(group, 1, None)?;
            v = v.f_repeat_interleave_self_int(group, 1, None)?;
        }

        let plain = window.is_none() && !causal;
        let even = spans.iter().all(|s| s.keys.len() == keys);
        let mask = if plain && even {
            None
        } else {
            let mut seen = vec![false; spans.len() * queries * keys];
            for (b, span) in spans.iter().enumerate() {
                for i in 0..queries {
                    let position = span.first_query + i.min(span.queries.len().saturating_sub(1));
                    for j in 0..span.keys.len() {
                        seen[(b * queries + i) * keys + j] = window
                            .is_none_or(|w| position.abs_diff(j) <= w)
                            && (!causal || j <= position);
                    }
                }
            }
            Some(Tensor::from_slice(&seen).to_device(device).f_view([
                batch,
                1,
                queries as i64,
                keys as i64,
            ])?)
        };
        let additive = match (bias, mask) {
            (None, mask) => mask,
            (Some(bias), None) => Some(bias.f_to_kind(kind)?),
            (Some(bias), Some(mask)) => Some(
                bias.f_to_kind(kind)?
                    .f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?,
            ),
        };
        let out = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            additive,
            0.0,
            false,
            f64::from(scale),
            false,
        )?;
        let flat = out
            .f_transpose(1, 2)?
            .f_reshape([batch * queries as i64, (heads * head_dim) as i64])?;
        let rows: Vec<i64> = spans
            .iter()
            .enumerate()
            .flat_map(|(b, s)| (0..s.queries.len()).map(move |i| (b * queries + i) as i64))
            .collect();
        Ok(flat.f_index_select(0, &index(&rows, device))?)
    }
}
