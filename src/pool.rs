//! The process's worker threads, rebuilt after a fork.

use crate::error::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, PoisonError};

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Threads to use: `RAYON_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores this process may run on.
pub fn threads() -> usize {
    let from = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text: String| text.trim().parse().ok())
            .filter(|&count: &usize| count > 0)
    };
    from("RAYON_NUM_THREADS")
        .or_else(|| from("OMP_NUM_THREADS"))
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
}

/// The shared pool. Threads do not survive a fork, so a child process gets a pool of its own.
pub fn pool() -> Result<Arc<ThreadPool>> {
    let pid = std::process::id();
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, pool)) = slot.as_ref() {
        if *owner == pid {
            return Ok(Arc::clone(pool));
        }
        // Dropping the parent's pool would wait for threads that do not exist here.
        std::mem::forget(slot.take());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads())
        .thread_name(|index| format!("cherche-{index}"))
        .build()
        .map_err(|error| Error::Thread(error.to_string()))?;
    let pool = Arc::new(pool);
    *slot = Some((pid, Arc::clone(&pool)));
    Ok(pool)
}

/// Runs `work` on the worker threads, or on those it is already on.
pub fn on_pool<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match rayon::current_thread_index() {
        Some(_) => work(),
        None => pool()?.install(work),
    }
}
