//! Eight numbers at a time.

use super::Simd;
use std::arch::x86_64::*;

/// AVX2 with FMA.
pub struct Avx2;

impl Simd for Avx2 {
    const LANES: usize = 8;
    const WIDE: usize = 1;
    type V = __m256;
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn hadamard(a: __m256) -> __m256 {
        unsafe {
            let zero = _mm256_setzero_ps();
            let a = _mm256_add_ps(
                _mm256_blend_ps::<0xaa>(a, _mm256_sub_ps(zero, a)),
                _mm256_permute_ps::<0xb1>(a),
            );
            let a = _mm256_add_ps(
                _mm256_blend_ps::<0xcc>(a, _mm256_sub_ps(zero, a)),
                _mm256_permute_ps::<0x4e>(a),
            );
            _mm256_add_ps(
                _mm256_blend_ps::<0xf0>(a, _mm256_sub_ps(zero, a)),
                _mm256_permute2f128_ps::<0x01>(a, a),
            )
        }
    }
    #[inline(always)]
    unsafe fn scale(a: __m256, n: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // As for AVX-512, with halves in place of quarters.
        unsafe {
            let mut quads = [_mm256_setzero_ps(); 8];
            for i in (0..8).step_by(4) {
                let a = _mm256_loadu_ps(from.add(i * from_stride));
                let b = _mm256_loadu_ps(from.add((i + 1) * from_stride));
                let c = _mm256_loadu_ps(from.add((i + 2) * from_stride));
                let d = _mm256_loadu_ps(from.add((i + 3) * from_stride));
                let (e, f) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (g, h) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                let (e, f) = (_mm256_castps_pd(e), _mm256_castps_pd(f));
                let (g, h) = (_mm256_castps_pd(g), _mm256_castps_pd(h));
                quads[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(e, g));
                quads[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(e, g));
                quads[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(f, h));
                quads[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(f, h));
            }
            for c in 0..4 {
                let (a, b) = (quads[c], quads[c + 4]);
                let (lower, upper) = (to.add(c * to_stride), to.add((c + 4) * to_stride));
                _mm256_storeu_ps(lower, _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(upper, _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
    #[inline(always)]
    unsafe fn largest(a: __m256) -> f32 {
        unsafe { super::fold::<Self>(a, f32::max) }
    }
    #[inline(always)]
    unsafe fn total(a: __m256) -> f32 {
        unsafe { super::fold::<Self>(a, |x, y| x + y) }
    }
}
