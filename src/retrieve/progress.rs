//! Whether long work should go on, and how far it is.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Looked at by all threads of a build, every few milliseconds.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    cancel: &'a AtomicBool,
    done: Option<&'a AtomicU64>,
}

impl<'a> Progress<'a> {
    /// How often each document of a build is counted: prepared (before), counted by bucket, scattered,
    /// read off.
    pub const PHASES: u64 = 4;

    /// Work that `cancel` stops.
    pub fn new(cancel: &'a AtomicBool) -> Self {
        Self { cancel, done: None }
    }

    /// Work that `cancel` stops, and that counts the documents of each phase.
    pub fn counted(cancel: &'a AtomicBool, done: &'a AtomicU64) -> Self {
        let done = Some(done);
        Self { cancel, done }
    }

    /// Fails if the work should stop.
    pub fn check(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Counts documents, and fails if the work should stop.
    pub fn advance(&self, documents: usize) -> Result<()> {
        if let Some(done) = self.done {
            done.fetch_add(documents as u64, Ordering::Relaxed);
        }
        self.check()
    }
}
