//! Integers that sums are made in.

use crate::cpu::{Isa, isa};

/// Values for each bit of a word.
pub type OfWord<T> = [T; u64::BITS as usize];

/// An integer that sums are made in. Numbers wrap: only the last sum must fit, not what is added
/// for a repeated n-gram and then taken off again. Sums that lack something may be a little below zero,
/// as what a repeat adds is rounded: they are read as zero.
pub trait Sum: Copy + Default + PartialEq {
    /// Bits of the largest sum.
    const BITS: i32;
    /// The lower bits of a number.
    fn wrapped(bits: u64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, count: u32) -> Self;
    /// Of a sum that may lack something.
    fn to_f32(self) -> f32;
    /// Of a complete sum.
    fn to_f64(self) -> f64;
    /// Adds up the values whose bits are set, the lowest bit of a word being its first value's.
    fn sum_of_chosen(bits: &[u64], values: &[OfWord<Self>]) -> Self;

    /// Rounds to the nearest integer, ties to even.
    #[inline]
    fn rounded(units: f64) -> Self {
        Self::wrapped(nearest(units))
    }
}

/// `Sum::sum_of_chosen` for any CPU.
fn one_by_one<T: Sum>(bits: &[u64], values: &[OfWord<T>]) -> T {
    let mut sum = T::default();
    for (&bits, values) in bits.iter().zip(values) {
        let mut bits = bits;
        while bits != 0 {
            sum = sum.plus(values[bits.trailing_zeros() as usize]);
            bits &= bits - 1;
        }
    }
    sum
}

/// `Sum::sum_of_chosen` for AVX-512.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::OfWord;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub fn sum_of_u32(bits: &[u64], values: &[OfWord<u32>]) -> u32 {
        let mut sum = _mm512_setzero_si512();
        for (bits, values) in bits.iter().zip(values) {
            for (part, values) in values.as_chunks::<16>().0.iter().enumerate() {
                // SAFETY: there are as many numbers as are read.
                let values = unsafe { _mm512_loadu_epi32(values.as_ptr().cast()) };
                sum = _mm512_mask_add_epi32(sum, (bits >> (16 * part)) as u16, sum, values);
            }
        }
        _mm512_reduce_add_epi32(sum) as u32
    }

    #[target_feature(enable = "avx512f")]
    pub fn sum_of_u64(bits: &[u64], values: &[OfWord<u64>]) -> u64 {
        let mut sum = _mm512_setzero_si512();
        for (bits, values) in bits.iter().zip(values) {
            for (part, values) in values.as_chunks::<8>().0.iter().enumerate() {
                // SAFETY: there are as many numbers as are read.
                let values = unsafe { _mm512_loadu_epi64(values.as_ptr().cast()) };
                sum = _mm512_mask_add_epi64(sum, (bits >> (8 * part)) as u8, sum, values);
            }
        }
        _mm512_reduce_add_epi64(sum) as u64
    }
}

/// The nearest integer, ties to even, modulo 2^64.
#[inline]
fn nearest(units: f64) -> u64 {
    // One instruction that every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    if units.abs() < 2f64.powi(63) {
        use std::arch::x86_64::{_mm_cvtsd_si64, _mm_set_sd};
        // SAFETY: see above.
        return unsafe { _mm_cvtsd_si64(_mm_set_sd(units)) } as u64;
    }
    units.round_ties_even() as i128 as u64
}

impl Sum for u32 {
    const BITS: i32 = 32;
    fn wrapped(bits: u64) -> Self {
        bits as u32
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn times(self, count: u32) -> Self {
        self.wrapping_mul(count)
    }
    fn to_f32(self) -> f32 {
        // Sums up to here leave room for what is rounded, see `capacity` in `scan.rs`.
        const LARGEST: u32 = u32::MAX - (1 << 21);
        if self <= LARGEST { self as f32 } else { 0.0 }
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn sum_of_chosen(bits: &[u64], values: &[OfWord<Self>]) -> Self {
        match isa() {
            // SAFETY: the instruction set was detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::sum_of_u32(bits, values) },
            _ => one_by_one(bits, values),
        }
    }
}

impl Sum for u64 {
    const BITS: i32 = 62;
    fn wrapped(bits: u64) -> Self {
        bits
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn times(self, count: u32) -> Self {
        self.wrapping_mul(count.into())
    }
    fn to_f32(self) -> f32 {
        (self as i64).max(0) as f32
    }
    fn to_f64(self) -> f64 {
        self as f64
    }
    fn sum_of_chosen(bits: &[u64], values: &[OfWord<Self>]) -> Self {
        match isa() {
            // SAFETY: the instruction set was detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::sum_of_u64(bits, values) },
            _ => one_by_one(bits, values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_whatever_the_size() {
        let small = [
            0.0,
            0.5,
            1.5,
            -0.5,
            -2.5,
            7.49,
            -7.51,
            4503599627370497.0,
            -9e18,
        ];
        for units in small {
            assert_eq!(nearest(units), units.round_ties_even() as i64 as u64);
        }
        for (units, expected) in [(2f64.powi(63), 1 << 63), (-(2f64.powi(70)), 0)] {
            assert_eq!(nearest(units), expected);
        }
        assert_eq!(
            nearest(-(2f64.powi(66)) - 2f64.powi(20)),
            0u64.wrapping_sub(1 << 20)
        );
        assert_eq!(
            (u32::rounded(-1.5), u64::rounded(-1.5)),
            (u32::MAX - 1, u64::MAX - 1)
        );
    }

    #[test]
    fn adds_up_what_is_chosen() {
        fn check<T: Sum + std::fmt::Debug>() {
            let value = |number: u64| T::wrapped(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let values: [OfWord<T>; 3] = std::array::from_fn(|word| {
                std::array::from_fn(|bit| value((word * 64 + bit) as u64))
            });
            for seed in 0..200u64 {
                let bits = [1, 2, 3].map(|word| match seed {
                    0 => u64::MAX,
                    _ => seed
                        .wrapping_mul(0xD134_2543_DE82_EF95 * word)
                        .rotate_left(17),
                });
                let mut expected = T::default();
                for number in (0..192).filter(|number| bits[number / 64] >> (number % 64) & 1 == 1)
                {
                    expected = expected.plus(value(number as u64));
                }
                assert_eq!(T::sum_of_chosen(&bits, &values), expected);
                assert_eq!(one_by_one(&bits, &values), expected);
            }
        }
        check::<u32>();
        check::<u64>();
    }
}
