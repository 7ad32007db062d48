//! Keys of documents in an archive: read one at a time, since an answer needs few of them.

use super::archive::{Archive, Sections};
use super::buffer::Buffer;
use crate::error::Result;

/// The keys of all documents by number, of one type.
pub enum Keys {
    Integers(Buffer<i64>),
    Texts {
        /// UTF-8, one after the other.
        bytes: Buffer<u8>,
        ends: Buffer<u64>,
    },
}

/// One key.
pub enum Key<'a> {
    Integer(i64),
    Text(&'a str),
}

impl Keys {
    pub fn of_integers(keys: Vec<i64>) -> Self {
        Self::Integers(keys.into())
    }

    pub fn of_texts<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for key in keys {
            bytes.extend_from_slice(key.as_bytes());
            ends.push(bytes.len() as u64);
        }
        Self::Texts {
            bytes: bytes.into(),
            ends: ends.into(),
        }
    }

    /// Number of keys.
    pub fn count(&self) -> usize {
        match self {
            Self::Integers(keys) => keys.len(),
            Self::Texts { ends, .. } => ends.len(),
        }
    }

    /// A key; none if there is no such document, or the archive is not sound.
    pub fn get(&self, number: usize) -> Option<Key<'_>> {
        Some(match self {
            Self::Integers(keys) => Key::Integer(*keys.get(number)?),
            Self::Texts { bytes, ends } => {
                let end = *ends.get(number)?;
                let start = number.checked_sub(1).map_or(0, |before| ends[before]);
                let range = start as usize..end as usize;
                Key::Text(std::str::from_utf8(bytes.get(range)?).ok()?)
            }
        })
    }

    pub fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        match self {
            Self::Integers(keys) => sections.push("keys.integers", keys),
            Self::Texts { bytes, ends } => {
                sections.push("keys.bytes", bytes);
                sections.push("keys.ends", ends);
            }
        }
    }

    /// The keys that an archive has, if any.
    pub fn restore(archive: &Archive) -> Result<Option<Self>> {
        Ok(if archive.has("keys.integers") {
            Some(Self::Integers(archive.get("keys.integers")?))
        } else if archive.has("keys.ends") {
            Some(Self::Texts {
                bytes: archive.get("keys.bytes")?,
                ends: archive.get("keys.ends")?,
            })
        } else {
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_round_trip() {
        for (keys, expected) in [
            (
                Keys::of_integers(vec![5, -1, i64::MAX]),
                ["5", "-1", "9223372036854775807"],
            ),
            (
                Keys::of_texts(["b", "", "é\n"].into_iter()),
                ["b", "", "é\n"],
            ),
        ] {
            let mut sections = Sections::new(serde_json::Value::Null);
            keys.store(&mut sections);
            let archive = Archive::from_bytes(sections.to_bytes()).unwrap();
            let restored = Keys::restore(&archive).unwrap().unwrap();
            assert_eq!(restored.count(), 3);
            for (number, expected) in expected.into_iter().enumerate() {
                let found = match restored.get(number).unwrap() {
                    Key::Integer(key) => key.to_string(),
                    Key::Text(key) => key.to_owned(),
                };
                assert_eq!(found, expected);
            }
            assert!(restored.get(3).is_none());
        }
        let nothing = Sections::new(serde_json::Value::Null).to_bytes();
        let archive = Archive::from_bytes(nothing).unwrap();
        assert!(Keys::restore(&archive).unwrap().is_none());
    }
}
