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
    out.reserve(text.len());
    let mut push = |byte: u8| {
        let image = IMAGE[usize::from(byte)];
        if image != DELETED {
            out.push(image);
        }
    };
    for character in text.chars() {
        if character.is_ascii() {
            push(character as u8);
        } else {
            unidecode_char(character).bytes().for_each(&mut push);
        }
    }
    trim(out, start);
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
    }
}
