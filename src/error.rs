//! The one error type of the engine. `python` maps each variant to a Python exception.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What went wrong, where, and what to do about it: every message says all three.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option or a configuration file asks for something impossible or unknown.
    #[error("{0}")]
    Config(String),
    /// A checkpoint does not fit its architecture, or is damaged.
    #[error("{0}")]
    Weights(String),
    /// A tokenizer cannot be built, or fails on a text.
    #[error("{0}")]
    Tokenizer(String),
    /// The caller's data has a value we cannot work with.
    #[error("{0}")]
    Input(String),
    /// The caller's data has the wrong type.
    #[error("{0}")]
    Type(String),
    /// A file that should be there is not.
    #[error("{0}")]
    NotFound(String),
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// No memory left, on the host or the device.
    #[error("{0}")]
    Memory(String),
    /// The operating system starts no thread.
    #[error("cannot start a thread: {0}; see the limits on processes and memory (ulimit -a)")]
    Thread(String),
    /// libtorch failed.
    #[error("{0}")]
    Torch(String),
    /// The caller asked us to stop (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An I/O error that names its file; a missing file becomes [`Error::NotFound`], and want of
    /// memory, which maps of files need too, [`Error::Memory`].
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            ErrorKind::NotFound => Error::NotFound(format!("{}: no such file", path.display())),
            ErrorKind::OutOfMemory => Error::Memory(format!("{}: {source}", path.display())),
            _ => Error::Io {
                path: path.to_path_buf(),
                source,
            },
        }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        // libtorch appends a C++ stack trace; its first line is what a person can use.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or("libtorch failed").to_owned();
        if text.contains("out of memory") || text.contains("can't allocate memory") {
            Error::Memory(format!(
                "{first} (score fewer or shorter pairs at once, or lower batch_tokens)"
            ))
        } else {
            Error::Torch(first)
        }
    }
}
