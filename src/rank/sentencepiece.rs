//! Reads the vocabulary and the normalisation out of a sentencepiece model.
//!
//! The file is a protocol buffer; three fields of it are needed:
//! <https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>.

/// What is needed of a sentencepiece model.
#[derive(Debug, Default, PartialEq)]
pub struct SentencePiece {
    pub pieces: Vec<Piece>,
    /// The table that normalises characters, empty for none.
    pub charsmap: Vec<u8>,
    pub unknown: usize,
    /// Whether the model is a unigram one, which is also the default.
    pub is_unigram: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    pub is_control: bool,
    pub is_user_defined: bool,
}

/// A field of a message: its number and its value.
enum Field<'a> {
    Number(u64, u64),
    Fixed32(u64, [u8; 4]),
    Bytes(u64, &'a [u8]),
    Other,
}

struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next field; None at the end, Some(None) if the bytes make no sense.
    fn next(&mut self) -> Option<Option<Field<'a>>> {
        (!self.0.is_empty()).then(|| self.field())
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let key = self.number()?;
        let field = key >> 3;
        Some(match key & 7 {
            0 => Field::Number(field, self.number()?),
            1 => {
                self.take(8)?;
                Field::Other
            }
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Field::Bytes(field, self.take(length)?)
            }
            5 => Field::Fixed32(field, self.take(4)?.try_into().ok()?),
            _ => return None,
        })
    }
}

/// Parses a model; None if the bytes are not one.
pub fn parse(bytes: &[u8]) -> Option<SentencePiece> {
    let mut model = SentencePiece {
        is_unigram: true,
        ..Default::default()
    };
    let mut message = Message(bytes);
    while let Some(field) = message.next() {
        match field? {
            Field::Bytes(1, bytes) => model.pieces.push(piece(bytes)?),
            Field::Bytes(2, bytes) => {
                let mut trainer = Message(bytes);
                while let Some(field) = trainer.next() {
                    match field? {
                        Field::Number(3, kind) => model.is_unigram = kind == 1,
                        Field::Number(40, id) => model.unknown = usize::try_from(id).ok()?,
                        _ => {}
                    }
                }
            }
            Field::Bytes(3, bytes) => {
                let mut normalizer = Message(bytes);
                while let Some(field) = normalizer.next() {
                    if let Field::Bytes(2, charsmap) = field? {
                        model.charsmap = charsmap.to_vec();
                    }
                }
            }
            _ => {}
        }
    }
    (!model.pieces.is_empty()).then_some(model)
}

fn piece(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece::default();
    let mut message = Message(bytes);
    while let Some(field) = message.next() {
        match field? {
            Field::Bytes(1, text) => piece.text = String::from_utf8(text.to_vec()).ok()?,
            Field::Fixed32(2, score) => piece.score = f32::from_le_bytes(score),
            Field::Number(3, kind) => {
                piece.is_control = kind == 3;
                piece.is_user_defined = kind == 4;
            }
            _ => {}
        }
    }
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 1 of the model: piece "▁a" of score -1.5 and kind 4; then trainer (unk 2, BPE) and normalizer.
    const MODEL: &[u8] = &[
        0x0a, 13, 0x0a, 4, 0xe2, 0x96, 0x81, b'a', 0x15, 0, 0, 0xc0, 0xbf, 0x18, 4, //
        0x12, 5, 0x18, 2, 0xc0, 0x02, 2, //
        0x1a, 5, 0x12, 3, 7, 8, 9,
    ];

    #[test]
    fn fields_are_read() {
        let model = parse(MODEL).unwrap();
        assert_eq!(
            model.pieces,
            [Piece {
                text: "▁a".into(),
                score: -1.5,
                is_control: false,
                is_user_defined: true
            }]
        );
        assert_eq!(model.charsmap, [7, 8, 9]);
        assert_eq!(model.unknown, 2);
        assert!(!model.is_unigram);
    }

    #[test]
    fn damaged_files_are_no_models() {
        for length in 0..MODEL.len() {
            let cut = parse(&MODEL[..length]);
            // Whole fields may be missing, but none may be half read.
            assert!(cut.is_none_or(|m| m.pieces.len() == 1), "{length}");
        }
        assert_eq!(parse(b"version https://git-lfs.github.com/spec/v1\n"), None);
        assert_eq!(parse(&[0xff; 40]), None);
    }
}
