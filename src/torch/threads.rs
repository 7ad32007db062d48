//! How many threads libtorch uses inside one operator, set for the calling thread only.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

type SetNumThreads = unsafe extern "C" fn(c_int);

/// `omp_set_num_threads` of the OpenMP runtime libtorch is linked to, whichever it is.
fn set_num_threads() -> Option<SetNumThreads> {
    static FOUND: OnceLock<Option<SetNumThreads>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: a look-up by name among libtorch's own dependencies; the signature is OpenMP's.
        unsafe {
            let torch = dlopen(c"libtorch_cpu.so".as_ptr(), RTLD_LAZY | RTLD_NOLOAD);
            if torch.is_null() {
                return None;
            }
            let symbol = dlsym(torch, c"omp_set_num_threads".as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut c_void, SetNumThreads>(symbol))
        }
    })
}

/// Makes operators called from this thread use `threads` threads.
///
/// `at::set_num_threads` would also change the default of the whole process, which is the user's.
pub fn use_threads_here(threads: usize) {
    // Makes libtorch apply its process-wide default to this thread first: it does so once per thread,
    // at the first parallel operator, and would otherwise overwrite what we set.
    let _ = tch::get_num_threads();
    if let Some(set) = set_num_threads() {
        // SAFETY: any positive count is valid.
        unsafe { set(threads.max(1) as c_int) }
    }
}
