//! Sixteen numbers at a time.

use super::Simd;
use std::arch::x86_64::*;

/// AVX-512 F.
pub struct Avx512;

impl Simd for Avx512 {
    const LANES: usize = 16;
    const WIDE: usize = 2;
    type V = __m512;
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn hadamard(a: __m512) -> __m512 {
        // At every step a number meets its partner: sum in the lower place, difference in the upper.
        unsafe {
            // Signs of the number itself.
            let (one, zero) = (_mm512_set1_ps(1.0), _mm512_setzero_ps());
            let odd = _mm512_mask_sub_ps(one, 0xaaaa, zero, one);
            let pairs = _mm512_mask_sub_ps(one, 0xcccc, zero, one);
            let quarters = _mm512_mask_sub_ps(one, 0xf0f0, zero, one);
            let upper = _mm512_mask_sub_ps(one, 0xff00, zero, one);
            let b = _mm512_permute_ps::<0xb1>(a);
            let a = _mm512_fmadd_ps(a, odd, b);
            let b = _mm512_permute_ps::<0x4e>(a);
            let a = _mm512_fmadd_ps(a, pairs, b);
            let b = _mm512_shuffle_f32x4::<0xb1>(a, a);
            let a = _mm512_fmadd_ps(a, quarters, b);
            let b = _mm512_shuffle_f32x4::<0x4e>(a, a);
            _mm512_fmadd_ps(a, upper, b)
        }
    }
    #[inline(always)]
    unsafe fn scale(a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // Neighbouring words, pairs and quarters change places in turn: afterwards quarter `l` of
        // `quads[4 * i + c]` holds column `4 * l + c` of the rows `4 * i ..`.
        unsafe {
            let mut quads = [_mm512_setzero_ps(); 16];
            for i in (0..16).step_by(4) {
                let a = _mm512_loadu_ps(from.add(i * from_stride));
                let b = _mm512_loadu_ps(from.add((i + 1) * from_stride));
                let c = _mm512_loadu_ps(from.add((i + 2) * from_stride));
                let d = _mm512_loadu_ps(from.add((i + 3) * from_stride));
                let (e, f) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (g, h) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let (e, f) = (_mm512_castps_pd(e), _mm512_castps_pd(f));
                let (g, h) = (_mm512_castps_pd(g), _mm512_castps_pd(h));
                quads[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(e, g));
                quads[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(e, g));
                quads[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(f, h));
                quads[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(f, h));
            }
            for c in 0..4 {
                let (a, b) = (quads[c], quads[c + 4]);
                let (d, e) = (quads[c + 8], quads[c + 12]);
                let even = _mm512_shuffle_f32x4::<0x88>(a, b);
                let odd = _mm512_shuffle_f32x4::<0xdd>(a, b);
                let even_after = _mm512_shuffle_f32x4::<0x88>(d, e);
                let odd_after = _mm512_shuffle_f32x4::<0xdd>(d, e);
                let column = |l: usize| to.add((4 * l + c) * to_stride);
                let at = _mm512_shuffle_f32x4::<0x88>(even, even_after);
                _mm512_storeu_ps(column(0), at);
                let at = _mm512_shuffle_f32x4::<0x88>(odd, odd_after);
                _mm512_storeu_ps(column(1), at);
                let at = _mm512_shuffle_f32x4::<0xdd>(even, even_after);
                _mm512_storeu_ps(column(2), at);
                let at = _mm512_shuffle_f32x4::<0xdd>(odd, odd_after);
                _mm512_storeu_ps(column(3), at);
            }
        }
    }
    #[inline(always)]
    unsafe fn largest(a: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(a) }
    }
    #[inline(always)]
    unsafe fn total(a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
}
