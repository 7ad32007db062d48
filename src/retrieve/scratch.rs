//! Large arrays of plain data.

use super::buffer::Buffer;
use crate::error::{Error, Result};
use bytemuck::Pod;
use memmap2::MmapMut;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Zeros from the system, in large pages where it has some: the system hands those out several
/// times as fast, and what is written in random order costs half as much there.
pub struct Scratch<T> {
    map: MmapMut,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Pod> Scratch<T> {
    pub fn new(len: usize) -> Result<Self> {
        let bytes = (len * size_of::<T>()).max(1);
        let map = MmapMut::map_anon(bytes).map_err(|error| {
            Error::Memory(format!(
                "no memory for {bytes} bytes while building: {error}"
            ))
        })?;
        // Advice: without it all works the same.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self {
            map,
            len,
            values: PhantomData,
        })
    }
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> From<Scratch<T>> for Buffer<T> {
    fn from(scratch: Scratch<T>) -> Self {
        Buffer::of_map(scratch.map, scratch.len)
    }
}
