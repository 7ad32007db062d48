//! Repeats as queries read them: with what they are worth, eight at a time where the CPU can.

use super::build::MAX_DOCS;
use super::sum::Sum;
use super::weighting::Excess;
use crate::cpu::{Isa, isa};

/// The document has the prefixes that are longer than `before`, and as long as `to` or shorter, more
/// than once, and this is what that is worth beyond one by one.
///
/// From the lowest bit on: the excess, 16 bits of the document, 8 of `before`, 8 of `to`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Weighed(u64);

/// For each length, the value of the n-grams up to it.
pub type OfLength = [f64; u8::MAX as usize + 1];

/// Lengths that a vector of eight numbers has.
const FEW: usize = 8;

impl Weighed {
    pub fn new(excess: Excess, doc: u16, before: u8, to: u8) -> Self {
        let lengths = u64::from(before) << 48 | u64::from(to) << 56;
        Self(u64::from(excess.to_bits()) | u64::from(doc) << 32 | lengths)
    }

    fn excess(self) -> Excess {
        Excess::from_bits(self.0 as u32)
    }

    pub fn doc(self) -> u16 {
        (self.0 >> 32) as u16
    }

    fn before(self) -> u8 {
        (self.0 >> 48) as u8
    }

    fn to(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// What it adds to the sum of its document. `large` gives the excess if it is not rounded.
    ///
    /// It is a difference of what is rounded: as much for each n-gram, whatever is left out, and zero
    /// for n-grams that the query has not.
    #[inline]
    fn worth<T: Sum>(self, of_length: &OfLength, large: impl FnOnce() -> f64) -> T {
        let excess = self.excess().get(large);
        let here = T::rounded(excess * of_length[usize::from(self.to())]);
        let before = T::rounded(excess * of_length[usize::from(self.before())]);
        here.minus(before)
    }

    /// Adds what it is worth.
    #[inline]
    pub fn add<T: Sum>(
        self,
        sums: &mut [T; MAX_DOCS],
        of_length: &OfLength,
        large: impl FnOnce() -> f64,
    ) {
        let sum = &mut sums[usize::from(self.doc())];
        *sum = sum.plus(self.worth(of_length, large));
    }
}

/// Adds what repeats are worth; none has longer n-grams than `longest`. `large` gives the excess of
/// those where it is not rounded.
pub fn add_all<T: Sum>(
    repeats: &[Weighed],
    sums: &mut [T; MAX_DOCS],
    of_length: &OfLength,
    longest: usize,
    large: impl Fn(usize) -> f64,
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sums) = T::narrow(sums)
        && let Some(of_length) = of_length.first_chunk()
        && longest < FEW
        && isa() == Isa::Avx512
    {
        // SAFETY: the instruction set was detected.
        return unsafe { add_all_avx512(repeats, sums, of_length, &large) };
    }
    for (place, repeat) in repeats.iter().enumerate() {
        repeat.add(sums, of_length, || large(place));
    }
}

/// The same arithmetic, product by product. What is rounded has a small excess, and no n-gram's value is
/// more than a sum can be: so all products are far below 2^51, see `Sum::rounded`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
fn add_all_avx512(
    repeats: &[Weighed],
    sums: &mut [u32; MAX_DOCS],
    of_length: &[f64; FEW],
    large: &dyn Fn(usize) -> f64,
) {
    use super::sum::BESIDE;
    use std::arch::x86_64::*;

    // SAFETY: eight numbers are read.
    let of_length_here = unsafe { _mm512_loadu_pd(of_length.as_ptr()) };
    let beside = _mm512_set1_pd(BESIDE);
    for (number, eight) in repeats.chunks(FEW).enumerate() {
        let mask = u8::MAX >> (FEW - eight.len());
        // SAFETY: as many numbers are read as there are.
        let bits = unsafe { _mm512_maskz_loadu_epi64(mask, eight.as_ptr().cast()) };
        let excess = _mm256_castsi256_ps(_mm512_cvtepi64_epi32(bits));
        let excess = _mm512_cvtps_pd(excess);
        // A place among eight is the lowest three bits.
        let to = _mm512_permutexvar_pd(_mm512_srli_epi64::<56>(bits), of_length_here);
        let before = _mm512_permutexvar_pd(_mm512_srli_epi64::<48>(bits), of_length_here);
        let rounded = |value| {
            let rounded = _mm512_add_pd(_mm512_mul_pd(excess, value), beside);
            _mm512_castpd_si512(rounded)
        };
        let worth = _mm512_cvtepi64_epi32(_mm512_sub_epi64(rounded(to), rounded(before)));
        let mut worths = [0u32; FEW];
        // SAFETY: eight numbers are written.
        unsafe { _mm256_storeu_si256(worths.as_mut_ptr().cast(), worth) };
        let mut not_rounded = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(excess, excess);
        while not_rounded != 0 {
            let lane = not_rounded.trailing_zeros() as usize;
            not_rounded &= not_rounded - 1;
            let mut all = [0.0; u8::MAX as usize + 1];
            all[..FEW].copy_from_slice(of_length);
            worths[lane] = eight[lane].worth(&all, || large(number * FEW + lane));
        }
        for (repeat, worth) in eight.iter().zip(worths) {
            let sum = &mut sums[usize::from(repeat.doc())];
            *sum = sum.plus(worth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::weighting::Weighting;
    use super::*;

    #[test]
    fn vectors_add_what_a_plain_loop_adds() {
        let weighting = Weighting::Bm25 {
            k1: 1.5,
            b: 0.7,
            epsilon: 0.1,
        };
        for count in [0, 1, 7, 8, 9, 1000] {
            let tf = |number| {
                if number % 11 == 5 {
                    1000
                } else {
                    2 + number % 3
                }
            };
            let penalty = |number| 0.3 + number as f32 * 0.01;
            let repeat = |number: u32| {
                let excess = Excess::new(weighting, tf(number), penalty(number));
                let before = (number % 6) as u8;
                Weighed::new(excess, (number * 977) as u16, before, before + 1)
            };
            let repeats: Vec<Weighed> = (0..count).map(repeat).collect();
            let large = |place: usize| {
                let number = place as u32;
                assert_eq!(tf(number), 1000);
                weighting.excess(1000, penalty(number).into())
            };
            let of_length = std::array::from_fn(|length| (length * length) as f64 * 1e8);
            let mut sums = Box::new([7u32; MAX_DOCS]);
            let mut expected = sums.clone();
            add_all(&repeats, &mut sums, &of_length, 7, large);
            for (place, repeat) in repeats.iter().enumerate() {
                repeat.add(&mut expected, &of_length, || large(place));
            }
            assert!(sums == expected);
            // Nothing is added beside these.
            let touched = sums.iter().filter(|&&sum| sum != 7).count();
            assert_eq!(touched, count as usize);
        }
    }
}
