//! Rotary position embedding (Su et al. 2021), in place.

use super::element::Element;
use super::multiversion;

multiversion! {
    /// Turns each pair (i, i + half) of every head of row `r` by the angles of position `positions[r]`.
    ///
    /// Rows have `width` numbers, heads `2 * half`; `cos` and `sin` are `[positions, half]`.
    pub fn rotate<T: Element>(x: &mut [T], cos: &[f32], sin: &[f32], positions: &[i64], width: usize, half: usize) = body
}

#[inline(always)]
fn body<T: Element>(
    x: &mut [T],
    cos: &[f32],
    sin: &[f32],
    positions: &[i64],
    width: usize,
    half: usize,
) {
    for (row, &position) in x.chunks_exact_mut(width).zip(positions) {
        let at = position as usize * half..(position as usize + 1) * half;
        let (cos, sin) = (&cos[at.clone()], &sin[at]);
        for head in row.chunks_exact_mut(2 * half) {
            let (low, high) = head.split_at_mut(half);
            for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y) = (a.to_f32(), b.to_f32());
                *a = T::from_f32(x * c - y * s);
                *b = T::from_f32(y * c + x * s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_pairs_by_the_angle_of_their_position() {
        let angles = [0.0f32, 0.0, 0.5, 0.1];
        let cos = angles.map(f32::cos);
        let sin = angles.map(f32::sin);
        // Two rows at positions 1 and 0, two heads of four.
        let mut x: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let before = x.clone();
        rotate(&mut x, &cos, &sin, &[1, 0], 8, 2);
        assert_eq!(x[8..], before[8..]);
        for head in [0, 4] {
            for (i, angle) in [0.5f32, 0.1].into_iter().enumerate() {
                let (a, b) = (before[head + i], before[head + i + 2]);
                let turned = (x[head + i], x[head + i + 2]);
                assert!((turned.0 - (a * angle.cos() - b * angle.sin())).abs() < 1e-6);
                assert!((turned.1 - (b * angle.cos() + a * angle.sin())).abs() < 1e-6);
            }
        }
    }
}
