//! Integers that sums are made in.

/// An integer that sums are made in. Numbers wrap: only the last sum must fit, not what is added
/// for a repeated n-gram and then taken off again.
pub trait Sum: Copy + Default + PartialEq {
    const BITS: i32;
    /// Rounds to the nearest integer, ties to even.
    fn rounded(units: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, count: u32) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    /// The same numbers, if they are those that vectors are made of.
    fn narrow<const COUNT: usize>(_numbers: &mut [Self; COUNT]) -> Option<&mut [u32; COUNT]> {
        None
    }
}

/// Beside this number the mantissa of a float64 holds integers, negative ones as their complements.
pub const BESIDE: f64 = 1.5 * (1u64 << 52) as f64;

impl Sum for u32 {
    const BITS: i32 = 32;
    #[inline]
    fn rounded(units: f64) -> Self {
        match units.abs() < (1u64 << 51) as f64 {
            true => (units + BESIDE).to_bits() as u32,
            false => units.round_ties_even() as i64 as u32,
        }
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
        self as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn narrow<const COUNT: usize>(numbers: &mut [Self; COUNT]) -> Option<&mut [u32; COUNT]> {
        Some(numbers)
    }
}

impl Sum for u64 {
    const BITS: i32 = 62;
    fn rounded(units: f64) -> Self {
        units.round_ties_even() as i128 as i64 as u64
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
        self as f32
    }
    fn to_f64(self) -> f64 {
        self as f64
    }
}
