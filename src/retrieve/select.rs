//! The best of the scores of a segment, `sum * factor * cosine`.
//!
//! Two passes in f32: the maximum of each chunk of documents; then those documents that reach a bar.
//! Where k chunks have a maximum of at least x, k documents have a score of at least x: the bar is
//! the k-th best maximum. Only what reaches it, little more than k documents, is compared in f64.

use super::scan::Sum;
use super::top_k::TopK;
use crate::cpu::{Isa, isa};

/// Documents of a chunk: bits of a mask.
const CHUNK: usize = 64;
/// Nothing may fall through the rounding of f32.
const MARGIN: f64 = 1.0 - 1e-6;

/// Memory of a selection.
#[derive(Default)]
pub struct Selector {
    maxima: Vec<f32>,
    sorted: Vec<f32>,
}

impl Selector {
    /// Offers the documents, numbered from `first` on, that may be among the best.
    pub fn offer<T: Sum>(
        &mut self,
        sums: &[T],
        factors: &[f32],
        cosine: f64,
        first: u32,
        top: &mut TopK,
    ) {
        self.maxima.clear();
        maxima(sums, factors, &mut self.maxima);
        let mut floor = 0.0;
        if (1..=self.maxima.len()).contains(&top.k()) {
            self.sorted.clone_from(&self.maxima);
            let last = top.k() - 1;
            let (_, best, _) = self
                .sorted
                .select_nth_unstable_by(last, |a, b| b.total_cmp(a));
            floor = f64::from(*best);
        }
        for (number, &maximum) in self.maxima.iter().enumerate() {
            let bar = (floor.max(top.threshold() / cosine) * MARGIN) as f32;
            if maximum > 0.0 && maximum >= bar {
                let start = number * CHUNK;
                let end = sums.len().min(start + CHUNK);
                let (sums, factors) = (&sums[start..end], &factors[start..end]);
                let mut mask = reaching(sums, factors, bar);
                while mask != 0 {
                    let lane = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let score = sums[lane].to_f64() * f64::from(factors[lane]) * cosine;
                    top.offer(score, first + (start + lane) as u32);
                }
            }
        }
    }
}

/// Defines `$name` as `$body` compiled for the instructions that the CPU has.
macro_rules! compiled_for_the_cpu {
    (fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $body:ident) => {
        fn $name<T: Sum>($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512<T: Sum>($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: Sum>($($arg: $ty),*) $(-> $out)? {
                    $body($($arg),*)
                }
                // SAFETY: each version runs only where its instruction set was detected.
                match isa() {
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Baseline => {}
                }
            }
            $body($($arg),*)
        }
    };
}

compiled_for_the_cpu! { fn maxima(sums: &[T], factors: &[f32], out: &mut Vec<f32>) = maxima_body }
compiled_for_the_cpu! { fn reaching(sums: &[T], factors: &[f32], bar: f32) -> u64 = reaching_body }

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn maxima_body<T: Sum>(sums: &[T], factors: &[f32], out: &mut Vec<f32>) {
    let (chunks, factor_chunks) = (sums.chunks_exact(CHUNK), factors.chunks_exact(CHUNK));
    let rest = chunks.remainder().iter().zip(factor_chunks.remainder());
    for (sums, factors) in chunks.zip(factor_chunks) {
        // Arrays of a fixed size, halved again and again: this becomes a few vector instructions.
        let sums: &[T; CHUNK] = sums.try_into().expect("the chunk is exact");
        let factors: &[f32; CHUNK] = factors.try_into().expect("the chunk is exact");
        let mut scores: [f32; CHUNK] = std::array::from_fn(|i| sums[i].to_f32() * factors[i]);
        let mut half = CHUNK / 2;
        while half > 0 {
            for lane in 0..half {
                scores[lane] = larger(scores[lane], scores[lane + half]);
            }
            half /= 2;
        }
        out.push(scores[0]);
    }
    if rest.len() > 0 {
        out.push(rest.fold(0.0, |best, (sum, factor)| {
            larger(sum.to_f32() * factor, best)
        }));
    }
}

/// Which documents of a chunk have a score above zero and not below `bar`.
#[inline(always)]
fn reaching_body<T: Sum>(sums: &[T], factors: &[f32], bar: f32) -> u64 {
    let mut mask = 0;
    for (lane, (sum, factor)) in sums.iter().zip(factors).enumerate() {
        let score = sum.to_f32() * factor;
        mask |= u64::from(score >= bar && score > 0.0) << lane;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_a_plain_loop_offers() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 12
        };
        for count in [0, 1, 63, 64, 65, 1000, 4096] {
            // Few different scores, so that many are equal; some documents cannot be found.
            let sums: Vec<u32> = (0..count).map(|_| next() % 500 * 100_000).collect();
            let factors: Vec<f32> = (0..count).map(|_| (next() % 4) as f32 * 0.25).collect();
            let cases = [0, 1, 7, 64, 100, usize::MAX].map(|k| [(k, 1), (k, 2)]);
            for (k, segments) in cases.concat() {
                let (mut top, mut plain) = (TopK::new(k), TopK::new(k));
                for first in (0..segments).map(|segment| segment * 10_000) {
                    let selector = &mut Selector::default();
                    selector.offer(&sums, &factors, 1e-9, first, &mut top);
                    for (doc, (&sum, &factor)) in (first..).zip(sums.iter().zip(&factors)) {
                        plain.offer(f64::from(sum) * f64::from(factor) * 1e-9, doc);
                    }
                }
                assert_eq!(top.into_hits(), plain.into_hits());
            }
        }
    }
}
