//! The seam between Python and the engine: GIL released, panics caught, errors mapped, Ctrl-C seen.

use crate::error::{Error, Result};
use pyo3::exceptions::{
    PyFileNotFoundError, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError,
    PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often a long call looks for a pending signal.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::Config(_) | Error::Weights(_) | Error::Tokenizer(_) | Error::Input(_) => {
                PyValueError::new_err(message)
            }
            Error::Type(_) => PyTypeError::new_err(message),
            Error::NotFound(_) => PyFileNotFoundError::new_err(message),
            Error::Io { .. } => PyOSError::new_err(message),
            Error::Memory(_) => PyMemoryError::new_err(message),
            Error::Thread(_) | Error::Torch(_) => PyRuntimeError::new_err(message),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}

/// Runs `work` on this thread without the GIL. For calls that are short or cannot be stopped.
pub fn enter<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    Ok(py.detach(|| guarded(work))?)
}

/// Runs `work` on a helper thread without the GIL while this thread watches for signals.
///
/// `work` receives a flag that turns true when Python wants to raise (Ctrl-C): it should then return
/// [`Error::Interrupted`] soon. The Python exception, not `Interrupted`, reaches the caller.
pub fn enter_interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send,
) -> PyResult<T> {
    enter_watched(py, work, |_| Ok(()))
}

/// As [`enter_interruptible`], and calls `tick` with the GIL held while the work goes on, about every
/// [`SIGNAL_POLL`]. An error of `tick` stops the work and reaches the caller.
pub fn enter_watched<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    type Never = std::convert::Infallible;
    let work = |cancel: &_, _: &HandOver<Never>| work(cancel);
    watch(py, work, |py, _| tick(py))
}

/// Hands over a part of the result, on any thread.
pub type HandOver<'a, P> = dyn Fn(P) + Sync + 'a;

/// As [`enter_interruptible`], for work that hands over its result part by part: `take` gets each of
/// them, with the GIL held, while the work goes on.
pub fn enter_streaming<P: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool, &HandOver<P>) -> Result<()> + Send,
    mut take: impl FnMut(P) -> PyResult<()>,
) -> PyResult<()> {
    watch(py, work, |_, part| part.map_or(Ok(()), &mut take))
}

/// What the helper thread sends.
enum Message<P, T> {
    Part(P),
    End(Result<T>),
}

/// Runs `work` on a helper thread; `event` gets the parts it hands over and, about every
/// [`SIGNAL_POLL`] without one, nothing. After an error of `event`, or a signal, it is not called again.
fn watch<P: Send, T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool, &HandOver<P>) -> Result<T> + Send,
    mut event: impl FnMut(Python<'_>, Option<P>) -> PyResult<()>,
) -> PyResult<T> {
    let cancel = AtomicBool::new(false);
    let (sender, mut messages) = channel();
    std::thread::scope(|scope| {
        let cancel = &cancel;
        let run = move || {
            // The other end is there until it has seen the end.
            let hand_over = |part| drop(sender.send(Message::Part(part)));
            let outcome = guarded(|| work(cancel, &hand_over));
            let _ = sender.send(Message::End(outcome));
        };
        std::thread::Builder::new()
            .spawn_scoped(scope, run)
            .map_err(|error| Error::Thread(error.to_string()))?;
        let mut pending = None;
        loop {
            let part = match receive(py, &mut messages)? {
                Some(Message::End(outcome)) => return pending.map_or_else(|| Ok(outcome?), Err),
                Some(Message::Part(part)) => Some(part),
                None => None,
            };
            if pending.is_none()
                && let Err(raised) = py.check_signals().and_then(|()| event(py, part))
            {
                cancel.store(true, Ordering::Relaxed);
                pending = Some(raised);
            }
        }
    })
}

/// Waits for a message without the GIL; gives none after [`SIGNAL_POLL`], to look for signals.
///
/// The borrow is exclusive, as a Receiver may move between threads but not be shared.
pub fn receive<M: Send>(py: Python<'_>, messages: &mut Receiver<M>) -> PyResult<Option<M>> {
    match py.detach(move || messages.recv_timeout(SIGNAL_POLL)) {
        Ok(message) => Ok(Some(message)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            Err(PyRuntimeError::new_err("the worker thread vanished"))
        }
    }
}

/// The outcome of `work`, whose panics are errors.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown cause");
        Err(Error::Torch(format!(
            "internal error in cherche_rs, please report it: {what}"
        )))
    })
}
