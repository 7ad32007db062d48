//! Repeats as queries read them: with what they are worth, eight at a time where the CPU can.

use super::build::MAX_DOCS;
use super::sum::Sum;
use crate::cpu::{Isa, isa};

/// For each length, counted from the shortest less one, the value of a path's n-grams up to it.
pub type OfLength = [f64; u8::MAX as usize + 1];

/// A document has the n-grams of a path that are longer than `before`, and as long as `to` or shorter,
/// `tf` times. Lengths are counted from the shortest less one.
#[derive(Clone, Copy)]
pub struct Counted {
    pub doc: u16,
    pub tf: u32,
    /// The weight of `tf`, in units of the weight of a frequency of one.
    pub relative: f32,
    pub before: u8,
    pub to: u8,
}

impl Counted {
    /// What it adds to the sum of its document, which has `tf` times what a frequency of one is worth.
    ///
    /// It is a difference of what is rounded: as much for each n-gram, whatever is left out, and zero
    /// for n-grams that the query has not.
    #[inline]
    fn worth<T: Sum>(self, of_length: &[f64]) -> T {
        let excess = f64::from(self.relative) - f64::from(self.tf);
        let to = T::rounded(excess * of_length[usize::from(self.to)]);
        let before = T::rounded(excess * of_length[usize::from(self.before)]);
        to.minus(before)
    }

    /// Adds what it is worth.
    #[inline]
    pub fn add<T: Sum>(self, sums: &mut [T; MAX_DOCS], of_length: &[f64]) {
        let sum = &mut sums[usize::from(self.doc)];
        *sum = sum.plus(self.worth(of_length));
    }
}

/// The same in eight bytes. From the lowest bit on: the relative weight, 16 bits of the document, 8 of the
/// frequency, 4 of `before`, 4 of `to`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Weighed(u64);

/// Lengths that there may be at most.
pub const MOST_LENGTHS: usize = 15;
/// Stands for frequencies that have no room.
const MANY: u8 = 0;
/// Numbers of a vector. So many lengths with none before the shortest can be looked up in one.
const EIGHT: usize = 8;

/// Values below this, times a frequency of eight bits, are integers of 64. Those of longer n-grams are the
/// largest.
const FITS: f64 = (1u64 << 55) as f64;

impl Weighed {
    pub fn new(repeat: Counted) -> Self {
        let tf = u8::try_from(repeat.tf).unwrap_or(MANY);
        Self(
            u64::from(repeat.relative.to_bits())
                | u64::from(repeat.doc) << 32
                | u64::from(tf) << 48
                | u64::from(repeat.before) << 56
                | u64::from(repeat.to) << 60,
        )
    }

    fn doc(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// What it was made of. `many` gives a frequency that had no room.
    fn counted(self, many: impl FnOnce() -> u32) -> Counted {
        Counted {
            doc: self.doc(),
            tf: match (self.0 >> 48) as u8 {
                MANY => many(),
                tf => tf.into(),
            },
            relative: f32::from_bits(self.0 as u32),
            before: (self.0 >> 56) as u8 & 0xF,
            to: (self.0 >> 60) as u8,
        }
    }
}

/// Adds what repeats are worth, where there are so many lengths. `many` gives the frequencies that had no
/// room, by place.
pub fn add_all<T: Sum>(
    repeats: &[Weighed],
    sums: &mut [T; MAX_DOCS],
    of_length: &OfLength,
    lengths: usize,
    many: impl Fn(usize) -> u32,
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(of_length) = of_length.first_chunk()
        && lengths < EIGHT
        && of_length[lengths] < FITS
        && isa() == Isa::Avx512
    {
        // SAFETY: the instruction set was detected.
        return unsafe { add_all_avx512(repeats, sums, of_length, &many) };
    }
    for (place, repeat) in repeats.iter().enumerate() {
        repeat.counted(|| many(place)).add(sums, of_length);
    }
}

/// The same arithmetic, where values are below `FITS`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
fn add_all_avx512<T: Sum>(
    repeats: &[Weighed],
    sums: &mut [T; MAX_DOCS],
    of_length: &[f64; EIGHT],
    many: &dyn Fn(usize) -> u32,
) {
    use std::arch::x86_64::*;

    // SAFETY: eight numbers are read.
    let of_lengths = unsafe { _mm512_loadu_pd(of_length.as_ptr()) };
    for (number, eight) in repeats.chunks(EIGHT).enumerate() {
        let there = u8::MAX >> (EIGHT - eight.len());
        // SAFETY: as many numbers are read as there are.
        let bits = unsafe { _mm512_maskz_loadu_epi64(there, eight.as_ptr().cast()) };
        let relative = _mm512_cvtps_pd(_mm256_castsi256_ps(_mm512_cvtepi64_epi32(bits)));
        let byte = _mm512_set1_epi64(0xFF);
        let tf = _mm512_and_si512(_mm512_srli_epi64::<48>(bits), byte);
        let excess = _mm512_sub_pd(relative, _mm512_cvtepi64_pd(tf));
        // A place among eight is the lowest three bits.
        let to = _mm512_permutexvar_pd(_mm512_srli_epi64::<60>(bits), of_lengths);
        let before = _mm512_permutexvar_pd(_mm512_srli_epi64::<56>(bits), of_lengths);
        let rounded = |value| _mm512_cvtpd_epi64(_mm512_mul_pd(excess, value));
        let worth = _mm512_sub_epi64(rounded(to), rounded(before));
        let mut worths = [0; EIGHT];
        // SAFETY: eight numbers are written.
        unsafe { _mm512_storeu_epi64(worths.as_mut_ptr(), worth) };
        let mut without_tf = _mm512_mask_testn_epi64_mask(there, tf, tf);
        while without_tf != 0 {
            let lane = without_tf.trailing_zeros() as usize;
            without_tf &= without_tf - 1;
            let repeat = eight[lane].counted(|| many(number * EIGHT + lane));
            // The lower bits are those of any other sum.
            worths[lane] = repeat.worth::<u64>(of_length) as i64;
        }
        for (repeat, worth) in eight.iter().zip(worths) {
            let sum = &mut sums[usize::from(repeat.doc())];
            *sum = sum.plus(T::wrapped(worth as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_add_what_a_plain_loop_adds() {
        for count in [0, 1, 7, 8, 9, 1000] {
            let repeat = |number: u32| Counted {
                doc: (number * 977) as u16,
                tf: match number % 11 {
                    5 => 255 + number,
                    _ => 2 + number % 3,
                },
                relative: 1.0 + number as f32 * 1e-3,
                before: (number % 6) as u8,
                to: (number % 6 + 1 + number % 2) as u8,
            };
            let repeats: Vec<Counted> = (0..count).map(repeat).collect();
            let weighed: Vec<Weighed> = repeats.iter().copied().map(Weighed::new).collect();
            let many = |place: usize| {
                assert!(repeats[place].tf > 255);
                repeats[place].tf
            };
            for unit in [1e8, 5e14, 1e17] {
                let of_length = std::array::from_fn(|length| (length * length) as f64 * unit);
                let mut expected = Box::new([7; MAX_DOCS]);
                for repeat in &repeats {
                    repeat.add(&mut expected, &of_length);
                }
                // Nothing is added beside these.
                let touched = expected.iter().filter(|&&sum| sum != 7).count();
                assert_eq!(touched, count as usize);
                // With more lengths than a vector has places, one at a time.
                for lengths in [7, 8] {
                    let (mut narrow, mut wide) = (Box::new([7; MAX_DOCS]), Box::new([7; MAX_DOCS]));
                    add_all::<u32>(&weighed, &mut narrow, &of_length, lengths, many);
                    add_all::<u64>(&weighed, &mut wide, &of_length, lengths, many);
                    assert!(wide == expected);
                    assert!(narrow.iter().zip(&*expected).all(|(&a, &b)| a == b as u32));
                }
            }
        }
    }
}
