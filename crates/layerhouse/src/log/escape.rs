//! Text of clients made harmless: whatever it holds, it stays within its field, on its line, and does
//! nothing to a terminal (S49).

use std::fmt::{self, Write};

/// Longest value of a field.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 10;

/// The beginning of a text, whole characters, so long as is logged.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// Characters that a terminal or an editor acts on instead of showing them: controls, line breaks of
/// Unicode, and what turns the direction of the text around.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes a JSON string, with its quotes.
pub(super) fn json(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in cut(text).chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            // Active characters are all of the basic plane, so no surrogates are needed.
            active if is_active(active) => write!(out, "\\u{:04x}", u32::from(active))?,
            plain => out.write_char(plain)?,
        }
    }
    out.write_char('"')
}

/// Writes a value as logrus does: bare if it can be told from what is around it, else quoted as Go
/// quotes.
pub(super) fn logfmt(out: &mut dyn Write, text: &str) -> fmt::Result {
    let text = cut(text);
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if text.bytes().all(is_bare) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    unquoted(out, text, true)?;
    out.write_char('"')
}

/// Writes a text for people, without quotes.
pub(super) fn shown(out: &mut dyn Write, text: &str) -> fmt::Result {
    unquoted(out, cut(text), false)
}

fn unquoted(out: &mut dyn Write, text: &str, is_in_quotes: bool) -> fmt::Result {
    for character in text.chars() {
        match character {
            '"' | '\\' if is_in_quotes => write!(out, "\\{character}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            active if active.is_ascii() && is_active(active) => {
                write!(out, "\\x{:02x}", u32::from(active))?;
            }
            active if is_active(active) => write!(out, "\\u{:04x}", u32::from(active))?,
            plain => out.write_char(plain)?,
        }
    }
    Ok(())
}

/// Bytes as Apache writes them between quotes: printable ASCII, all else as `\xhh`.
pub(crate) fn apache(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes.iter().take(VALUE_BYTES_MAX) {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                out.extend([b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\"b\\c\r\nd\te\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2028}é";

    fn written(write: impl Fn(&mut dyn Write, &str) -> fmt::Result, text: &str) -> String {
        let mut out = String::new();
        write(&mut out, text).expect("strings take everything");
        out
    }

    /// S49
    #[test]
    fn sec_s49_nothing_leaves_its_field() {
        assert_eq!(
            written(json, HOSTILE),
            r#""a\"b\\c\r\nd\te\u001b[31m\u007f\u009b\u202e\u2028é""#
        );
        assert_eq!(
            written(logfmt, HOSTILE),
            r#""a\"b\\c\r\nd\te\x1b[31m\x7f\u009b\u202e\u2028é""#
        );
        assert_eq!(
            written(shown, HOSTILE),
            r#"a"b\c\r\nd\te\x1b[31m\x7f\u009b\u202e\u2028é"#
        );
        let mut line = Vec::new();
        apache(&mut line, HOSTILE.as_bytes());
        let expected =
            r#"a\"b\\c\x0d\x0ad\x09e\x1b[31m\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xc3\xa9"#;
        assert_eq!(String::from_utf8_lossy(&line), expected);
        let parsed: String = serde_json::from_str(&written(json, HOSTILE)).expect("it is JSON");
        assert_eq!(parsed, HOSTILE);
    }

    #[test]
    fn values_are_bounded() {
        assert_eq!(written(json, &"é".repeat(600)).len(), 1024 + 2);
        let mut line = Vec::new();
        apache(&mut line, &[b'a'; 5000]);
        assert_eq!(line.len(), 1024);
    }

    #[test]
    fn values_are_quoted_where_logrus_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(written(logfmt, text), expected);
        check("GET", "GET");
        check("/v2/_catalog", "/v2/_catalog");
        check("", "");
        check("127.0.0.1:5000", "\"127.0.0.1:5000\"");
        check("two words", "\"two words\"");
        check("a=b", "\"a=b\"");
    }
}
