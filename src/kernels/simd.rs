//! Vectors of f32 for kernels whose inner loops are too important to leave to auto-vectorisation.
//!
//! A kernel body is generic over [`Simd`], `#[inline(always)]`, and compiled once per instruction set by
//! [`simd_dispatch`].

/// Operations on one vector register.
///
/// # Safety
/// Methods may only run where the CPU has the instruction set; pointers must be valid for
/// [`Simd::LANES`] numbers.
#[allow(clippy::missing_safety_doc)] // said once, above
pub trait Simd {
    /// Numbers in a vector; divides [`super::LANES`].
    const LANES: usize;
    /// Vectors side by side in the matrix kernels: as many as registers allow with eight rows.
    const WIDE: usize;
    type V: Copy;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` where one of them is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` where one of them is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The Walsh-Hadamard transform of the numbers of a vector, unscaled.
    unsafe fn hadamard(a: Self::V) -> Self::V;
    /// `a * 2^n` for integral `n` between -126 and 127.
    unsafe fn scale(a: Self::V, n: Self::V) -> Self::V;
    /// `to[j * to_stride + i] = from[i * from_stride + j]` for a square of [`Simd::LANES`] 32-bit words.
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);
    /// The largest of the numbers.
    unsafe fn largest(a: Self::V) -> f32;
    /// The sum of the numbers.
    unsafe fn total(a: Self::V) -> f32;
}

/// Any CPU.
pub struct Portable;

impl Simd for Portable {
    const LANES: usize = 4;
    const WIDE: usize = 1;
    type V = [f32; 4];
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Two roundings: a fused operation without the instruction would be a slow library call.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn hadamard([a, b, c, d]: Self::V) -> Self::V {
        let (e, f, g, h) = (a + b, a - b, c + d, c - d);
        [e + g, f + h, e - g, f - h]
    }
    #[inline(always)]
    unsafe fn scale(a: Self::V, n: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * f32::from_bits(((n[i] as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
            }
        }
    }
    #[inline(always)]
    unsafe fn largest([a, b, c, d]: Self::V) -> f32 {
        a.max(b).max(c.max(d))
    }
    #[inline(always)]
    unsafe fn total([a, b, c, d]: Self::V) -> f32 {
        (a + b) + (c + d)
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
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
}

/// `e^x` to about 1 ulp; anything below -87 gives 1.6e-38.
///
/// Range reduction by powers of two and a degree-6 polynomial (Cephes `expf` coefficients,
/// S. Moshier 1984).
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    unsafe {
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
        let round = S::splat(12_582_912.0);
        // In this order the CPU passes NaN on, so that a damaged model shows.
        let x = S::max(S::splat(-87.0), x);
        let n = S::sub(S::fma(x, S::splat(std::f32::consts::LOG2_E), round), round);
        let r = S::fma(n, S::splat(-0.693_359_4), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        for coefficient in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            0.166_666_65,
            0.5,
        ] {
            p = S::fma(p, r, S::splat(coefficient));
        }
        let value = S::add(S::fma(p, S::mul(r, r), r), S::splat(1.0));
        S::scale(value, n)
    }
}

/// The numbers of a vector folded into one.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub unsafe fn fold<S: Simd>(v: S::V, with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; super::LANES];
    unsafe { S::store(lanes.as_mut_ptr(), v) };
    lanes[..S::LANES]
        .iter()
        .copied()
        .reduce(with)
        .unwrap_or(0.0)
}

/// Bytes the memory hands out at once.
pub const CACHE_LINE: usize = 64;

/// Defines `$name` to call `$body::<S>`, `#[inline(always)]` and unsafe, with the best instruction set `S` of the CPU.
macro_rules! simd_dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($gen:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($gen: $bound),*>)? ($($arg: $ty),*) {
            // SAFETY: each version runs only where its instruction set was detected.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                {
                    #[allow(clippy::too_many_arguments)]
                    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                    fn avx512 $(<$($gen: $bound),*>)? ($($arg: $ty),*) {
                        unsafe { $body::<$crate::kernels::simd::Avx512 $(, $($gen),*)?>($($arg),*) }
                    }
                    #[allow(clippy::too_many_arguments)]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2 $(<$($gen: $bound),*>)? ($($arg: $ty),*) {
                        unsafe { $body::<$crate::kernels::simd::Avx2 $(, $($gen),*)?>($($arg),*) }
                    }
                    match $crate::cpu::isa() {
                        $crate::cpu::Isa::Avx512 => return avx512($($arg),*),
                        $crate::cpu::Isa::Avx2 => return avx2($($arg),*),
                        $crate::cpu::Isa::Baseline => {}
                    }
                }
                $body::<$crate::kernels::simd::Portable $(, $($gen),*)?>($($arg),*)
            }
        }
    };
}
pub(crate) use simd_dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    fn exps<S: Simd>(x: &[f32]) -> Vec<f32> {
        let mut out = vec![0f32; x.len()];
        for at in (0..x.len()).step_by(S::LANES) {
            unsafe { S::store(out[at..].as_mut_ptr(), exp::<S>(S::load(x[at..].as_ptr()))) }
        }
        out
    }

    fn check<S: Simd>() {
        let x: Vec<f32> = (-870_000..=0).step_by(7).map(|i| i as f32 * 1e-4).collect();
        let x = &x[..x.len() / 16 * 16];
        for (x, y) in x.iter().zip(exps::<S>(x)) {
            let exact = f64::from(*x).exp();
            let error = (f64::from(y) - exact).abs() / exact;
            assert!(error < 3e-7, "exp({x}) is off by {error:e}");
        }
        let edge = exps::<S>(&[f32::NEG_INFINITY; 16]);
        assert!(edge.iter().all(|&y| (0.0..2e-38).contains(&y)));
    }

    #[test]
    fn exp_is_within_three_ulps() {
        check::<Portable>();
        #[cfg(target_arch = "x86_64")]
        {
            use crate::cpu::{Isa, isa};
            if isa() == Isa::Avx512 {
                check::<Avx512>();
            }
            if isa() != Isa::Baseline {
                check::<Avx2>();
            }
        }
    }
}
