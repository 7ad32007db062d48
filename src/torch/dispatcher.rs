//! Calls operators by name through libtorch's C interface for stable extensions.
//!
//! tch binds the generated `aten` API only. The oneDNN operators on packed weights live in another
//! namespace and are reached through `torch_call_dispatcher`, which every libtorch since 2.10 exports:
//! arguments and results are a stack of 64-bit values
//! (`torch/csrc/stable/stableivalue_conversions.h` says how each type is laid out).

use crate::error::{Error, Result};
use std::ffi::{CStr, c_char, c_void};
use tch::Tensor;

/// The libtorch the extension is compiled against: 2.11.0, as `TORCH_ABI_VERSION` spells it.
const BUILD_VERSION: u64 = (2 << 56) | (11 << 48);

unsafe extern "C" {
    fn torch_call_dispatcher(
        name: *const c_char,
        overload: *const c_char,
        stack: *mut u64,
        build_version: u64,
    ) -> i32;
    fn torch_new_string_handle(data: *const c_char, length: usize, out: *mut *mut c_void) -> i32;
    fn torch_new_list_reserve_size(size: usize, out: *mut *mut c_void) -> i32;
    /// C++ `operator new(size_t)`: libtorch frees what it is handed with `operator delete`.
    fn _Znwm(size: usize) -> *mut c_void;
}

/// An argument of an operator; libtorch takes ownership of what it points to.
pub struct Argument(u64);

impl Argument {
    pub fn tensor(tensor: &Tensor) -> Self {
        let mut handle = tensor.shallow_clone();
        let pointer = handle.as_mut_ptr();
        std::mem::forget(handle);
        Argument(pointer as u64)
    }

    pub fn none() -> Self {
        Argument(0)
    }

    /// A present value for an optional parameter.
    pub fn some(inner: Argument) -> Self {
        // SAFETY: eight fresh bytes, written once, then owned by libtorch.
        unsafe {
            let cell = _Znwm(size_of::<u64>()).cast::<u64>();
            cell.write(inner.0);
            Argument(cell as u64)
        }
    }

    pub fn optional_tensor(tensor: Option<&Tensor>) -> Self {
        tensor.map_or_else(Argument::none, |t| Argument::some(Argument::tensor(t)))
    }

    pub fn float(value: f64) -> Self {
        Argument(value.to_bits())
    }

    pub fn int(value: i64) -> Self {
        Argument(value as u64)
    }

    pub fn string(text: &str) -> Self {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the text is copied; the handle is owned by the stack it is put on.
        let code =
            unsafe { torch_new_string_handle(text.as_ptr().cast(), text.len(), &mut handle) };
        assert_eq!(code, 0, "libtorch could not make a string");
        Argument(handle as u64)
    }

    pub fn empty_list() -> Self {
        let mut handle = std::ptr::null_mut();
        // SAFETY: as for `string`.
        let code = unsafe { torch_new_list_reserve_size(0, &mut handle) };
        assert_eq!(code, 0, "libtorch could not make a list");
        Argument(handle as u64)
    }
}

/// Calls an operator that returns one tensor.
pub fn call<const N: usize>(name: &CStr, arguments: [Argument; N]) -> Result<Tensor> {
    const { assert!(N > 0, "the result replaces the first argument on the stack") };
    let mut stack = arguments.map(|argument| argument.0);
    // SAFETY: the stack matches the operator's schema (the caller's duty, covered by tests); the
    // operator consumes the arguments and leaves one owned tensor handle, an `at::Tensor*`.
    unsafe {
        let code = torch_call_dispatcher(
            name.as_ptr(),
            c"".as_ptr(),
            stack.as_mut_ptr(),
            BUILD_VERSION,
        );
        if code != 0 {
            return Err(Error::Torch(format!(
                "the libtorch operator {} failed (its message is on stderr)",
                name.to_string_lossy()
            )));
        }
        Ok(Tensor::from_ptr(stack[0] as *mut _))
    }
}
