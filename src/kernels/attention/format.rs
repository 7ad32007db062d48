//! What the tiles of [`super::tile`] multiply: 32-bit words that hold one f32 or two bfloat16.

use super::super::element::Element;
use super::super::simd::Simd;

/// A layout of rows, values and weights in words. Word `w` of a row holds its numbers from `w * PER_WORD` on.
pub trait Format<S: Simd, T: Element> {
    /// Numbers in a word.
    const PER_WORD: usize;

    /// A row of queries or keys as words. Words past the row's last keep what they hold.
    fn row(from: &[T], to: &mut [f32]);

    /// Rows of values that stand under one word of the weights, `PER_WORD` of them or, at the end, fewer.
    fn value<'a>(rows: impl Iterator<Item = &'a [T]>, to: &mut [f32])
    where
        T: 'a;

    /// f32 weights as words; `to` is `from.len() / PER_WORD` long.
    fn weights(from: &[f32], to: &mut [f32]);

    /// `c` plus, lane by lane, the products of the numbers of `a` and `b`.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn multiply_add(a: S::V, b: S::V, c: S::V) -> S::V;
}

/// A number a word.
pub struct Single;

impl<S: Simd, T: Element> Format<S, T> for Single {
    const PER_WORD: usize = 1;

    #[inline(always)]
    fn row(from: &[T], to: &mut [f32]) {
        for (x, y) in to.iter_mut().zip(from) {
            *x = y.to_f32();
        }
    }

    #[inline(always)]
    fn value<'a>(rows: impl Iterator<Item = &'a [T]>, to: &mut [f32])
    where
        T: 'a,
    {
        for row in rows {
            <Self as Format<S, T>>::row(row, to);
        }
    }

    #[inline(always)]
    fn weights(from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
    }

    #[inline(always)]
    unsafe fn multiply_add(a: S::V, b: S::V, c: S::V) -> S::V {
        unsafe { S::fma(a, b, c) }
    }
}

#[cfg(target_arch = "x86_64")]
pub use pairs::{Pairs, pairs_supported};

#[cfg(target_arch = "x86_64")]
mod pairs {
    use super::{Element, Format};
    use crate::cpu::multiplies_bfloat16;
    use crate::kernels::simd::Avx512;
    use half::bf16;
    use std::arch::x86_64::*;
    use tch::Kind;

    /// Two bfloat16 a word, multiplied and summed in one instruction (AVX512_BF16).
    pub struct Pairs;

    /// Whether numbers of this type can be multiplied in pairs.
    pub fn pairs_supported<T: Element>() -> bool {
        T::KIND == Kind::BFloat16 && multiplies_bfloat16()
    }

    /// The bits of numbers that are bfloat16.
    #[inline(always)]
    fn bits<T: Element>(row: &[T]) -> &[u16] {
        assert!(T::KIND == Kind::BFloat16 && size_of::<T>() == 2 && align_of::<T>() == 2);
        // SAFETY: bf16 is a transparent u16, and the only Element of this kind.
        unsafe { std::slice::from_raw_parts(row.as_ptr().cast(), row.len()) }
    }

    impl<T: Element> Format<Avx512, T> for Pairs {
        const PER_WORD: usize = 2;

        #[inline(always)]
        fn row(from: &[T], to: &mut [f32]) {
            let halves: &mut [u16] = bytemuck::cast_slice_mut(to);
            let from = bits(from);
            halves[..from.len()].copy_from_slice(from);
            if from.len() % 2 == 1 {
                halves[from.len()] = 0;
            }
        }

        #[inline(always)]
        fn value<'a>(mut rows: impl Iterator<Item = &'a [T]>, to: &mut [f32])
        where
            T: 'a,
        {
            let words: &mut [u32] = bytemuck::cast_slice_mut(to);
            let lower = rows.next().map_or(&[][..], bits);
            match rows.next().map(bits) {
                Some(upper) => {
                    for ((word, x), y) in words.iter_mut().zip(lower).zip(upper) {
                        *word = u32::from(*x) | (u32::from(*y) << 16);
                    }
                }
                None => {
                    for (word, x) in words.iter_mut().zip(lower) {
                        *word = u32::from(*x);
                    }
                }
            }
        }

        #[inline(always)]
        fn weights(from: &[f32], to: &mut [f32]) {
            let halves: &mut [u16] = bytemuck::cast_slice_mut(to);
            for (half, x) in halves.iter_mut().zip(from) {
                *half = <bf16 as Element>::from_f32(*x).to_bits();
            }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: the caller's promise; the types are the same 512 bits.
            unsafe {
                let (a, b) = std::mem::transmute::<(__m512, __m512), (__m512bh, __m512bh)>((a, b));
                _mm512_dpbf16_ps(c, a, b)
            }
        }
    }
}
