//! Sums of rows gathered from embedding tables.

use super::element::Element;
use super::multiversion;

multiversion! {
    /// `out[i] += table[ids[i]]` for rows of `width` numbers. The ids must be in range.
    pub fn gather_add<S: Element, T: Element>(out: &mut [T], table: &[S], ids: &[i64], width: usize) = body
}

#[inline(always)]
fn body<S: Element, T: Element>(out: &mut [T], table: &[S], ids: &[i64], width: usize) {
    for (row, &id) in out.chunks_exact_mut(width).zip(ids) {
        let source = &table[id as usize * width..(id as usize + 1) * width];
        for (x, y) in row.iter_mut().zip(source) {
            *x = T::from_f32(x.to_f32() + y.to_f32());
        }
    }
}
