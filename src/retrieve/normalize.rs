//! LeNLP's normalisation: transliterate to ASCII, lowercase, delete punctuation, trim.

use unidecode::unidecode_char;

/// No image: the character disappears.
const DELETED: u8 = 0xFF;

/// What becomes of each ASCII character.
const IMAGE: [u8; 128] = {
    let mut image = [0; 128];
    let mut code = 0;
    while code < 128 {
        let byte = code as u8;
        image[code] = if byte.is_ascii_punctuation() {
            DELETED
        } else {
            byte.to_ascii_lowercase()
        };
        code += 1;
    }
    image
};

/// Appends the normalised `text`, which is ASCII, to `out`.
pub fn normalize(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if text.is_ascii() {
        push_ascii(text.as_bytes(), out);
    } else {
        for character in text.chars() {
            match character.is_ascii() {
                true => push_ascii(&[character as u8], out),
                false => push_ascii(unidecode_char(character).as_bytes(), out),
            }
        }
    }
    trim(out, start);
}

/// Appends the images of ASCII characters: without branches, since nothing tells where the next
/// punctuation comes.
fn push_ascii(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + text.len(), 0);
    let target = &mut out[start..];
    let mut kept = 0;
    for &byte in text {
        let image = IMAGE[usize::from(byte & 127)];
        target[kept] = image;
        kept += usize::from(image != DELETED);
    }
    out.truncate(start + kept);
}

/// Removes the blanks at both ends of `out[start..]`.
fn trim(out: &mut Vec<u8>, start: usize) {
    // Not u8::is_ascii_whitespace: the vertical tab is one here.
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let kept = out[start..].iter().rposition(|byte| !blank(byte));
    out.truncate(kept.map_or(start, |last| start + last + 1));
    let first = out[start..].iter().position(|byte| !blank(byte));
    out.drain(start..start + first.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::normalize;

    fn normalized(text: &str) -> String {
        let mut out = b"kept ".to_vec();
        normalize(text, &mut out);
        String::from_utf8(out).unwrap().split_off(5)
    }

    #[test]
    fn transliterates_lowercases_and_trims() {
        assert_eq!(normalized("  Île-de-France!\u{b}"), "iledefrance");
        assert_eq!(normalized("日本語 東京"), "ri ben yu  dong jing");
        assert_eq!(normalized("½ € ß"), "12 eur ss");
        assert_eq!(normalized("a\tb  c"), "a\tb  c");
        assert_eq!(normalized(" .,; "), "");
        assert_eq!(normalized("\u{1F600}"), "");
        assert_eq!(normalized("plain, ASCII (only)..."), "plain ascii only");
    }
}
