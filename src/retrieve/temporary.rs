//! Files in the making.

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
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
            // Another one's file may have the name: containers that share a disk count alike.
            let file = match File::create_new(&own) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file.map_err(|error| Error::io(path, error))?,
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_process_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("cherche-rs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("index");
        // All names this process will think of next, held by others.
        let first = Temporary::new(&path).unwrap();
        let name = first.path.to_str().unwrap();
        let (start, count) = name.strip_suffix(".tmp").unwrap().rsplit_once('-').unwrap();
        let count: u64 = count.parse().unwrap();
        let others: Vec<(PathBuf, File)> = (count + 1..count + 4)
            .map(|count| {
                let other = PathBuf::from(format!("{start}-{count}.tmp"));
                fs::write(&other, "theirs").unwrap();
                let file = File::open(&other).unwrap();
                file.try_lock().unwrap();
                (other, file)
            })
            .collect();
        let second = Temporary::new(&path).unwrap();
        for (other, _) in &others {
            assert_ne!(*other, second.path);
            assert_eq!(fs::read(other).unwrap(), b"theirs");
        }
        drop(others);
        fs::remove_dir_all(&folder).unwrap();
    }
}
