//! Arrays that are either ours or a part of a memory-mapped file.

use bytemuck::Pod;
use memmap2::{Mmap, MmapMut};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A read-only array. Reading it costs the same whoever owns it.
pub struct Buffer<T: Pod> {
    start: *const T,
    len: usize,
    /// Keeps the values where they are.
    _owner: Owner<T>,
}

enum Owner<T> {
    Vec { _values: Vec<T> },
    Map { _map: MmapMut },
    File { _map: Arc<Mmap> },
}

// SAFETY: the values are only read, and `T` is plain data.
unsafe impl<T: Pod + Sync> Send for Buffer<T> {}
unsafe impl<T: Pod + Sync> Sync for Buffer<T> {}

impl<T: Pod> Buffer<T> {
    /// A part of a file.
    ///
    /// # Panics
    ///
    /// If these bytes are not in the file, or not aligned values.
    pub fn mapped(map: &Arc<Mmap>, range: Range<usize>) -> Self {
        let values: &[T] = bytemuck::cast_slice(&map[range]);
        Self {
            start: values.as_ptr(),
            len: values.len(),
            _owner: Owner::File {
                _map: Arc::clone(map),
            },
        }
    }
}

impl<T: Pod> Buffer<T> {
    /// The first values of an anonymous map.
    ///
    /// # Panics
    ///
    /// If it has not so many.
    pub fn of_map(map: MmapMut, len: usize) -> Self {
        let values: &[T] = bytemuck::cast_slice(&map[..len * size_of::<T>()]);
        Self {
            start: values.as_ptr(),
            len,
            _owner: Owner::Map { _map: map },
        }
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the slice was one when the buffer was made; a map, and what a vector holds, stay
        // where they are when their owner moves, and nobody else can change them.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T: Pod> From<Vec<T>> for Buffer<T> {
    fn from(mut values: Vec<T>) -> Self {
        values.shrink_to_fit();
        Self {
            start: values.as_ptr(),
            len: values.len(),
            _owner: Owner::Vec { _values: values },
        }
    }
}
