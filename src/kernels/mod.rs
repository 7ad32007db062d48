//! CPU kernels for what lies between the matrix products: attention, norms, gathers.
//!
//! Rust over slices, compiled once per instruction set and chosen at run time: simple loops by
//! `multiversion`, which leaves their vectors to the compiler, matrix kernels on `simd`'s explicit ones.

pub mod attention;
pub mod element;
pub mod embed;
pub mod gelu;
pub mod norm;
pub mod position;
pub mod quantize;
pub mod rope;
pub mod rotate;
pub mod simd;

/// Lanes of the widest vector register we compile for (f32 in AVX-512).
pub const LANES: usize = 16;

/// Calls `$body(args)`, an `#[inline(always)]` function, compiled for the CPU at hand.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($gen:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) = $body:path) => {
        $(#[$meta])*
        $vis fn $name $(<$($gen: $bound),*>)? ($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512 $(<$($gen: $bound),*>)? ($($arg: $ty),*) { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$($gen: $bound),*>)? ($($arg: $ty),*) { $body($($arg),*) }
                match $crate::cpu::isa() {
                    // SAFETY: the features were detected.
                    $crate::cpu::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::cpu::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::Isa::Baseline => {}
                }
            }
            $body($($arg),*)
        }
    };
}
pub(crate) use multiversion;
