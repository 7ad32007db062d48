//! Keys of documents in an archive: read one at a time, since an answer needs few of them.

use super::archive::{Archive, Sections};
use super::buffer::Buffer;
use super::packed::Packed;
use crate::error::Result;

/// The keys of all documents by number, of one type.
pub enum Keys {
    Integers {
        /// The least one, and by how much each is greater.
        least: Buffer<i64>,
        more: Packed,
    },
    Texts {
        /// UTF-8, one after the other.
        bytes: Buffer<u8>,
        ends: Packed,
    },
}

/// One key.
pub enum Key<'a> {
    Integer(i64),
    Text(&'a str),
}

impl Keys {
    pub fn of_integers(keys: Vec<i64>) -> Self {
        let least = keys.iter().copied().min().unwrap_or(0);
        let more = keys.iter().map(|key| key.wrapping_sub(least) as u64);
        Self::Integers {
            more: Packed::from_integers(more),
            least: vec![least].into(),
        }
    }

    pub fn of_texts<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for key in keys {
            bytes.extend_from_slice(key.as_bytes());
            ends.push(bytes.len() as u64);
        }
        Self::Texts {
            bytes: bytes.into(),
            ends: Packed::from_integers(ends.into_iter()),
        }
    }

    /// Number of keys.
    pub fn count(&self) -> usize {
        match self {
            Self::Integers { more, .. } => more.len(),
            Self::Texts { ends, .. } => ends.len(),
        }
    }

    /// A key; none if there is no such document, or the archive is not sound.
    pub fn get(&self, number: usize) -> Option<Key<'_>> {
        Some(match self {
            _ if number >= self.count() => return None,
            Self::Integers { least, more } => {
                Key::Integer(least.first()?.wrapping_add(more.get(number) as i64))
            }
            Self::Texts { bytes, ends } => {
                let end = ends.get(number);
                let start = number.checked_sub(1).map_or(0, |before| ends.get(before));
                let range = start as usize..end as usize;
                Key::Text(std::str::from_utf8(bytes.get(range)?).ok()?)
            }
        })
    }

    pub fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        match self {
            Self::Integers { least, more } => {
                sections.push("keys.least", least);
                sections.push("keys.more", more.bytes());
            }
            Self::Texts { bytes, ends } => {
                sections.push("keys.bytes", bytes);
                sections.push("keys.ends", ends.bytes());
            }
        }
    }

    /// The keys that an archive has, if any.
    pub fn restore(archive: &Archive) -> Result<Option<Self>> {
        Ok(if archive.has("keys.more") {
            Some(Self::Integers {
                least: archive.get("keys.least")?,
                more: Packed::restore("keys.more", archive)?,
            })
        } else if archive.has("keys.ends") {
            Some(Self::Texts {
                bytes: archive.get("keys.bytes")?,
                ends: Packed::restore("keys.ends", archive)?,
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
                Keys::of_integers(vec![5, i64::MIN, i64::MAX]),
                ["5", "-9223372036854775808", "9223372036854775807"],
            ),
            (Keys::of_integers(vec![-3, 700, 4]), ["-3", "700", "4"]),
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
