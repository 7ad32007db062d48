//! Arrays that are either ours or a part of a memory-mapped file.

use bytemuck::Pod;
use memmap2::Mmap;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A read-only array.
#[derive(Clone)]
pub enum Buffer<T: Pod> {
    Owned(Vec<T>),
    /// Bytes of a file, aligned for `T`.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Buffer::Owned(values) => values,
            // The range was checked for length and alignment when the archive was opened.
            Buffer::Mapped(map, range) => bytemuck::cast_slice(&map[range.clone()]),
        }
    }
}

impl<T: Pod> From<Vec<T>> for Buffer<T> {
    fn from(mut values: Vec<T>) -> Self {
        values.shrink_to_fit();
        Buffer::Owned(values)
    }
}

/// Fetches what will be read soon, without waiting for it.
pub fn prefetch<T>(_item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of x86-64, and changes nothing but the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *_item).cast()) };
    }
}
