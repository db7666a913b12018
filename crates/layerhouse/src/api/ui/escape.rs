//! Text of others in HTML and SVG that is written by hand. Templates escape by themselves.

use std::fmt::{self, Display, Formatter, Write};

/// Shows a value so that it is text, between elements and in a quoted attribute alike.
///
/// Control characters but tab and line ends, which neither HTML nor XML allows, become U+FFFD.
pub(in crate::api::ui) struct Escaped<T>(pub(in crate::api::ui) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(formatter), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut written = 0;
        for (at, character) in text.char_indices() {
            let entity = match character {
                '<' => "&lt;",
                '>' => "&gt;",
                '&' => "&amp;",
                '"' => "&quot;",
                '\'' => "&#39;",
                '\t' | '\n' | '\r' => continue,
                control if control.is_control() => "\u{fffd}",
                _ => continue,
            };
            self.0.write_str(&text[written..at])?;
            self.0.write_str(entity)?;
            written = at + character.len_utf8();
        }
        self.0.write_str(&text[written..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_text_or_an_attribute_is_written_as_an_entity() {
        let check = |text: &str, expected| assert_eq!(Escaped(text).to_string(), expected);
        check("plain, 明文", "plain, 明文");
        check(
            "<b a='1' c=\"2\">&",
            "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;",
        );
        check("a\0b\u{85}c\td\n", "a\u{fffd}b\u{fffd}c\td\n");
        assert_eq!(Escaped(7).to_string(), "7");
    }
}
