//! A large array of integers for a short time.

use crate::error::{Error, Result};
use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// Zeros from the system, in large pages where it has some: what is written in random order costs
/// half as much there.
pub struct Scratch(MmapMut);

impl Scratch {
    pub fn new(len: usize) -> Result<Self> {
        let bytes = (len * size_of::<u64>()).max(1);
        let map = MmapMut::map_anon(bytes).map_err(|error| {
            Error::Memory(format!(
                "no memory for {bytes} bytes while building: {error}"
            ))
        })?;
        // Advice: without it all works the same.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(map))
    }
}

impl Deref for Scratch {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        let bytes = &self.0[..self.0.len() / size_of::<u64>() * size_of::<u64>()];
        bytemuck::cast_slice(bytes)
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u64] {
        let whole = self.0.len() / size_of::<u64>() * size_of::<u64>();
        bytemuck::cast_slice_mut(&mut self.0[..whole])
    }
}
