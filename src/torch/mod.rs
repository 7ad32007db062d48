//! What tch leaves out of libtorch: operators outside its generated API, and per-thread settings.

pub mod dispatcher;
pub mod int8;
pub mod threads;

use tch::Tensor;

/// A tensor that is only ever read, and may therefore be read from many threads.
///
/// tch makes `Tensor` `Send` but not `Sync`, because in-place operators take `&self` in libtorch.
/// Weights are never written after loading.
#[derive(Debug)]
pub struct Frozen(Tensor);

// SAFETY: concurrent reads of a libtorch tensor are safe (its reference count is atomic), and nothing
// in this crate writes through a `Frozen`.
unsafe impl Sync for Frozen {}

impl Frozen {
    pub fn new(tensor: Tensor) -> Self {
        Frozen(tensor)
    }
}

impl std::ops::Deref for Frozen {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}
