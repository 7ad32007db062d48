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
    copy(parts, part, &mut all, |slot, value| *slot = value);
    Ok(all)
}

/// The same for a short time.
pub fn join_for_a_time<P: Sync, T: Copy + Send + Sync>(
    parts: &[P],
    part: impl Fn(&P) -> &[T] + Sync,
) -> Vec<T> {
    let total = total(parts, &part);
    let mut all = Vec::with_capacity(total);
    let slots = &mut all.spare_capacity_mut()[..total];
    copy(parts, part, slots, |slot: &mut MaybeUninit<T>, value| {
        slot.write(value);
    });
    // SAFETY: `copy` has written each of the first `total` slots.
    unsafe { all.set_len(total) };
    all
}

fn total<P, T>(parts: &[P], part: impl Fn(&P) -> &[T]) -> usize {
    parts.iter().map(|p| part(p).len()).sum()
}

/// Calls `write(slot, value)` for each value of each part, and the slot that it goes to.
///
/// # Panics
///
/// If there are more slots than values, or fewer.
fn copy<P: Sync, T: Copy + Sync, Slot: Send>(
    parts: &[P],
    part: impl Fn(&P) -> &[T] + Sync,
    mut slots: &mut [Slot],
    write: impl Fn(&mut Slot, T) + Sync,
) {
    let mut tasks = Vec::with_capacity(parts.len());
    for p in parts {
        let own;
        (own, slots) = slots.split_at_mut(part(p).len());
        tasks.push((own, part(p)));
    }
    assert!(slots.is_empty(), "slots without values");
    tasks.into_par_iter().for_each(|(own, part)| {
        for (slot, &value) in own.iter_mut().zip(part) {
            write(slot, value);
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
        assert_eq!(join_for_a_time(&parts, |part| part), expected);
    }
}
