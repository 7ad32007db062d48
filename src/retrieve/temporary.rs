//! Files in the making.

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A hidden file beside another one, locked while it is written.
pub struct Temporary {
    pub path: PathBuf,
    pub file: File,
}

impl Temporary {
    /// Creates the file, and removes those of saves to `path` that were killed.
    pub fn new(path: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path
            .file_name()
            .map(OsStr::to_string_lossy)
            .ok_or_else(|| Error::Input(format!("{}: not the name of a file", path.display())))?;
        remove_abandoned(path, &name);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let own = format!(".{name}.{}-{count}.tmp", std::process::id());
            let own = path.with_file_name(own);
            let file = File::create(&own).map_err(|error| Error::io(path, error))?;
            // Between its creation and the lock it looks abandoned to others: one who holds the lock
            // is about to remove it, or already has. A file system without locks is no hindrance:
            // nothing is removed there either.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if !taken && own.exists() {
                return Ok(Self { path: own, file });
            }
        }
    }
}

/// Removes temporary files that no process holds a lock on.
fn remove_abandoned(path: &Path, name: &str) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let prefix = format!(".{name}.");
    // What cannot be looked at is left where it is.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let other = entry.file_name();
        let ours = other.to_str().and_then(|other| {
            let middle = other.strip_prefix(&prefix)?.strip_suffix(".tmp")?;
            let (process, count) = middle.split_once('-')?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            (digits(process) && digits(count)).then_some(())
        });
        if ours.is_some()
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
