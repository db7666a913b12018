//! Texts that stand in names and filters of a directory, so that they are nothing but text there.

use std::fmt::Write as _;

/// A value in a distinguished name (RFC 4514, 2.4).
pub(super) fn name_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, letter) in text.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', letter]),
            '#' if at == 0 => escaped.push_str("\\#"),
            ' ' if at == 0 || at == last => escaped.push_str("\\ "),
            _ if letter.is_ascii_control() => {
                let _ = write!(escaped, "\\{:02x}", u32::from(letter));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A value in a filter (RFC 4515, 3).
pub(super) fn filter_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '*' | '(' | ')' | '\\' => {
                let _ = write!(escaped, "\\{:02x}", u32::from(letter));
            }
            // Beyond what must be: some servers read a name in a filter's value, and bytes by the letter.
            _ if letter.is_ascii_control() => {
                let _ = write!(escaped, "\\{:02x}", u32::from(letter));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A template with values in place of `{dn}` and `{user}`; what a value has in braces is no template.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    'rest: while let Some(at) = rest.find('{') {
        let (before, behind) = rest.split_at(at);
        filled.push_str(before);
        for (name, value) in values {
            if let Some(behind) = behind.strip_prefix(name) {
                filled.push_str(value);
                rest = behind;
                continue 'rest;
            }
        }
        filled.push('{');
        rest = &behind[1..];
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// S13
    #[test]
    fn sec_s13_names_and_filters_take_values_as_text() {
        let check = |text: &str, name: &str, filter: &str| {
            assert_eq!(name_value(text), name, "{text:?}");
            assert_eq!(filter_value(text), filter, "{text:?}");
        };
        check("ann", "ann", "ann");
        check("", "", "");
        check("*", "*", "\\2a");
        check("a*)(uid=*", "a*)(uid\\=*", "a\\2a\\29\\28uid=\\2a");
        check("a,ou=admins", "a\\,ou\\=admins", "a,ou=admins");
        check("a+b", "a\\+b", "a+b");
        check("\\", "\\\\", "\\5c");
        check("#a#", "\\#a#", "#a#");
        check(" a b ", "\\ a b\\ ", " a b ");
        check(" ", "\\ ", " ");
        check("a\0b", "a\\00b", "a\\00b");
        check("a\nb", "a\\0ab", "a\\0ab");
        check("<\";>", "\\<\\\"\\;\\>", "<\";>");
        check("Zoë", "Zoë", "Zoë");
    }

    #[test]
    fn templates_are_filled_once() {
        let values = [("{user}", "{dn}"), ("{dn}", "x")];
        let check = |template: &str, expected: &str| assert_eq!(fill(template, &values), expected);
        check("uid={user},{dn}", "uid={dn},x");
        check("{", "{");
        check("{other}{user", "{other}{user");
        check("", "");
        check("é{dn}é", "éxé");
    }

    /// Reads a value back as a server does.
    fn unescape(text: &str, names: bool) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            if *first != b'\\' {
                bytes.push(*first);
                continue;
            }
            let hex = behind
                .get(..2)
                .filter(|two| two.iter().all(u8::is_ascii_hexdigit));
            let hex = hex.and_then(|two| str::from_utf8(two).ok());
            if let Some(byte) = hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                bytes.push(byte);
                rest = &behind[2..];
            } else {
                assert!(names, "a filter has nothing but hex behind a backslash");
                bytes.push(behind[0]);
                rest = &behind[1..];
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn sec_s13_values_come_back_as_they_were(text in "\\PC{0,8}|[ab*()\\\\,+=\"<>;# \u{0}\n]{0,8}") {
            let (name, filter) = (name_value(&text), filter_value(&text));
            prop_assert_eq!(unescape(&name, true), text.as_bytes());
            prop_assert_eq!(unescape(&filter, false), text.as_bytes());
            prop_assert!(!filter.contains(['*', '(', ')', '\0']));
            prop_assert!(!name.contains('\0'));
            let mut before = ' ';
            for letter in name.chars() {
                let is_special = matches!(letter, ',' | '+' | '=' | '"' | '<' | '>' | ';');
                prop_assert!(!is_special || before == '\\');
                before = if before == '\\' && letter == '\\' { ' ' } else { letter };
            }
        }
    }
}
