//! Vectors of f32 for kernels whose inner loops are too important to leave to auto-vectorisation.
//!
//! A kernel body is generic over [`Simd`], `#[inline(always)]`, and compiled once per instruction set by
//! [`simd_dispatch`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;

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
