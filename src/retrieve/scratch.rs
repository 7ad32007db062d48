//! Large arrays of plain data.

use super::buffer::Buffer;
use crate::error::{Error, Result};
use bytemuck::Pod;
use memmap2::MmapMut;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// From so many bytes on an array is mapped: less does not fill a large page.
const MAPPED: usize = 1 << 21;

/// Zeros. Large arrays are from the system, in large pages where it has some: it hands those out several
/// times as fast, and what is written in random order costs half as much there.
pub struct Scratch<T> {
    memory: Memory<T>,
    len: usize,
}

enum Memory<T> {
    Heap(Vec<T>),
    Map(MmapMut, PhantomData<T>),
}

impl<T: Pod> Scratch<T> {
    pub fn new(len: usize) -> Result<Self> {
        let bytes = len * size_of::<T>();
        if bytes < MAPPED {
            let memory = Memory::Heap(vec![T::zeroed(); len]);
            return Ok(Self { memory, len });
        }
        let map = MmapMut::map_anon(bytes).map_err(|error| {
            Error::Memory(format!(
                "no memory for {bytes} bytes while building: {error}"
            ))
        })?;
        // Advice: without it all works the same.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self {
            memory: Memory::Map(map, PhantomData),
            len,
        })
    }
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Heap(values) => values,
            Memory::Map(map, _) => bytemuck::cast_slice(&map[..self.len * size_of::<T>()]),
        }
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Heap(values) => values,
            Memory::Map(map, _) => bytemuck::cast_slice_mut(&mut map[..self.len * size_of::<T>()]),
        }
    }
}

impl<T: Pod> From<Scratch<T>> for Buffer<T> {
    fn from(scratch: Scratch<T>) -> Self {
        match scratch.memory {
            Memory::Heap(values) => values.into(),
            Memory::Map(map, _) => Buffer::of_map(map, scratch.len),
        }
    }
}
