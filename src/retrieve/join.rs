//! One array of many parts, copied by all threads.

use super::scratch::Scratch;
use crate::error::Result;
use bytemuck::Pod;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// The parts' arrays one after the other, in memory that lasts.
pub fn join<P: Sync, T: Pod + Send + Sync>(
    parts: &[P],
    part: impl Fn(&P) -> &[T] + Sync,
) -> Result<Scratch<T>> {
    let mut all = Scratch::new(total(parts, &part))?;
    copy(parts, part, &mut all, |slot, _, value| *slot = value);
    Ok(all)
}

/// The same for a short time. `change(number, value)` is what becomes of a value of part `number`.
pub fn join_changed<P: Sync, T: Copy + Send + Sync>(
    parts: &[P],
    part: impl Fn(&P) -> &[T] + Sync,
    change: impl Fn(usize, T) -> T + Sync,
) -> Vec<T> {
    let total = total(parts, &part);
    let mut all = Vec::with_capacity(total);
    let slots = &mut all.spare_capacity_mut()[..total];
    copy(
        parts,
        part,
        slots,
        |slot: &mut MaybeUninit<T>, number, value| {
            slot.write(change(number, value));
        },
    );
    // SAFETY: `copy` has written each of the first `total` slots.
    unsafe { all.set_len(total) };
    all
}

fn total<P, T>(parts: &[P], part: impl Fn(&P) -> &[T]) -> usize {
    parts.iter().map(|p| part(p).len()).sum()
}

/// Calls `write(slot, number, value)` for each value of each part, and the slot that it goes to.
///
/// # Panics
///
/// If there are more slots than values, or fewer.
fn copy<P: Sync, T: Copy + Sync, Slot: Send>(
    parts: &[P],
    part: impl Fn(&P) -> &[T] + Sync,
    mut slots: &mut [Slot],
    write: impl Fn(&mut Slot, usize, T) + Sync,
) {
    let mut tasks = Vec::with_capacity(parts.len());
    for (number, p) in parts.iter().enumerate() {
        let own;
        (own, slots) = slots.split_at_mut(part(p).len());
        tasks.push((number, own, part(p)));
    }
    assert!(slots.is_empty(), "slots without values");
    tasks.into_par_iter().for_each(|(number, own, part)| {
        for (slot, &value) in own.iter_mut().zip(part) {
            write(slot, number, value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_order() {
        let parts = [vec![1u32, 2], vec![], vec![3; 40]];
        let mut expected = vec![1, 2];
        expected.resize(42, 3);
        assert_eq!(join(&parts, |part| part).unwrap()[..], expected);
        let changed = join_changed(&parts, |part| part, |number, value| value + number as u32);
        expected[2..].fill(5);
        assert_eq!(changed, expected);
    }
}
