//! A file of named arrays: written whole or not at all, checked when opened, memory-mapped.
//!
//! ```text
//! magic  version  checksum of the rest  length of the directory  directory (JSON)  arrays
//! ```
//!
//! Numbers are little-endian; the directory and each array start at a multiple of 64 bytes.

use super::buffer::Buffer;
use super::checksum::{self, BLOCK as ALIGNMENT, CHUNK, Checksum};
use super::temporary::Temporary;
use crate::error::{Error, Result};
use crate::pool::on_pool;
use bytemuck::Pod;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"CHERCHRS";
const VERSION: u64 = 3;

#[derive(Serialize, Deserialize)]
struct Directory {
    meta: serde_json::Value,
    /// Place, from the first array on, and length in bytes.
    arrays: BTreeMap<String, (usize, usize)>,
}

/// What goes into an archive.
pub struct Sections<'a> {
    pub meta: serde_json::Value,
    arrays: Vec<(String, &'a [u8])>,
}

impl<'a> Sections<'a> {
    pub fn new(meta: serde_json::Value) -> Self {
        Self {
            meta,
            arrays: Vec::new(),
        }
    }

    pub fn push<T: Pod>(&mut self, name: impl Into<String>, values: &'a [T]) {
        self.arrays
            .push((name.into(), bytemuck::cast_slice(values)));
    }

    /// Calls `write` for each part of the archive in order.
    fn parts(&self, mut write: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        let mut arrays = BTreeMap::new();
        let mut place = 0;
        for (name, bytes) in &self.arrays {
            arrays.insert(name.clone(), (place, bytes.len()));
            place += bytes.len().next_multiple_of(ALIGNMENT);
        }
        let meta = self.meta.clone();
        let directory = serde_json::to_vec(&Directory { meta, arrays })?;
        let mut body = [(directory.len() as u64).to_le_bytes().to_vec(), directory];
        body[0].resize(ALIGNMENT, 0);
        let all = || {
            let arrays = self.arrays.iter().map(|(_, bytes)| *bytes);
            body.iter().map(Vec::as_slice).chain(arrays)
        };
        let mut checksum = Checksum::default();
        all().for_each(|part| checksum.add(part));
        let mut head = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        head.extend(checksum.value().to_le_bytes());
        head.resize(ALIGNMENT, 0);
        write(&head)?;
        for part in all() {
            write(part)?;
            write(&[0; ALIGNMENT][..part.len().next_multiple_of(ALIGNMENT) - part.len()])?;
        }
        Ok(())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.parts(|part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .expect("writing to memory does not fail");
        bytes
    }

    /// Writes a temporary file beside `path` and renames it: `path` is the old file or the new
    /// one, whatever happens.
    pub fn save(&self, path: &Path) -> Result<()> {
        let temporary = Temporary::new(path)?;
        let written = (|| {
            let mut file = BufWriter::with_capacity(1 << 20, &temporary.file);
            self.parts(|part| file.write_all(part))?;
            file.flush()?;
            temporary.file.sync_all()?;
            fs::rename(&temporary.path, path)
        })();
        written.map_err(|error| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&temporary.path);
            Error::io(path, error)
        })
    }
}

/// An opened archive.
pub struct Archive {
    name: String,
    bytes: Bytes,
    directory: Directory,
    /// Place of the first array.
    arrays: usize,
}

enum Bytes {
    Owned(Vec<u8>),
    Mapped(Arc<Mmap>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }

    /// Maps the pages of the chunk that begins here at once: a fault for every few is slower.
    fn populate(&self, place: usize) {
        #[cfg(target_os = "linux")]
        if let Bytes::Mapped(map) = self {
            let length = CHUNK.min(map.len() - place);
            // Advice: old kernels do not know it.
            let _ = map.advise_range(memmap2::Advice::PopulateRead, place, length);
        }
    }
}

impl Archive {
    /// Opens a file, and checks it unless it is mapped and `verify` is false.
    pub fn open(path: &Path, mmap: bool, verify: bool) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let bytes = if mmap {
            let file = File::open(path).map_err(io)?;
            // SAFETY: the file must not be changed while it is mapped; `save` never writes to an
            // existing file, and the documentation of `load` says the rest.
            Bytes::Mapped(Arc::new(unsafe { Mmap::map(&file) }.map_err(io)?))
        } else {
            Bytes::Owned(fs::read(path).map_err(io)?)
        };
        Self::check(path.display().to_string(), bytes, verify || !mmap)
    }

    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::check("the pickled index".to_owned(), Bytes::Owned(bytes), true)
    }

    fn check(name: String, bytes: Bytes, verify: bool) -> Result<Self> {
        let content = bytes.get();
        let number = |at: usize| {
            let bytes = content.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        if !content.starts_with(&MAGIC) {
            return Err(Error::Input(format!("{name}: not an index of cherche_rs")));
        }
        let version = number(8);
        if version != Some(VERSION) {
            return Err(Error::Input(format!(
                "{name}: an index of format version {}, this version of cherche_rs reads {VERSION}; \
                 build the index again",
                version.unwrap_or(0)
            )));
        }
        let damaged = || Error::Input(format!("{name}: the index is damaged; build it again"));
        let body = content.get(ALIGNMENT..).ok_or_else(damaged)?;
        if verify {
            let ready = |place| bytes.populate(ALIGNMENT + place);
            // Other threads are not worth waking for a small file.
            let checksum = match body.len() > 4 * CHUNK {
                true => on_pool(|| Ok(checksum::of(body, ready)))?,
                false => {
                    let mut checksum = Checksum::default();
                    checksum.add(body);
                    checksum.value()
                }
            };
            if Some(checksum) != number(16) {
                return Err(damaged());
            }
        }
        let length = number(ALIGNMENT).ok_or_else(damaged)? as usize;
        let json = body.get(ALIGNMENT..).and_then(|rest| rest.get(..length));
        let directory: Directory =
            serde_json::from_slice(json.ok_or_else(damaged)?).map_err(|_| damaged())?;
        let arrays = 2 * ALIGNMENT + length.next_multiple_of(ALIGNMENT);
        let inside = |&(place, length): &(usize, usize)| {
            let end = place
                .checked_add(length)
                .and_then(|end| end.checked_add(arrays));
            end.is_some_and(|end| end <= content.len())
        };
        if !directory.arrays.values().all(inside) {
            return Err(damaged());
        }
        Ok(Self {
            name,
            directory,
            arrays,
            bytes,
        })
    }

    pub fn meta(&self) -> &serde_json::Value {
        &self.directory.meta
    }

    pub fn has(&self, name: &str) -> bool {
        self.directory.arrays.contains_key(name)
    }

    /// The error for an archive that lacks something.
    pub fn damaged(&self, what: &str) -> Error {
        Error::Input(format!(
            "{}: the index has no sound {what}; build it again",
            self.name
        ))
    }

    /// An array, mapped where the archive is.
    pub fn get<T: Pod>(&self, name: &str) -> Result<Buffer<T>> {
        let place = self.directory.arrays.get(name);
        let &(place, length) = place.ok_or_else(|| self.damaged(name))?;
        let start = self.arrays + place;
        let range = start..start + length;
        if !length.is_multiple_of(size_of::<T>()) || !start.is_multiple_of(ALIGNMENT) {
            return Err(self.damaged(name));
        }
        Ok(match &self.bytes {
            Bytes::Mapped(map) => Buffer::mapped(map, range),
            Bytes::Owned(bytes) => bytemuck::allocation::pod_collect_to_vec(&bytes[range]).into(),
        })
    }
}
