//! JSON that every reader understands alike, within bounds.
//!
//! Two readers of one manifest must not see two manifests (CVE-2021-41190), so what readers are
//! known to differ on is refused: keys that occur twice, a byte order mark, bytes behind the end,
//! text that is not UTF-8. The bounds keep a small body from becoming much memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The deepest nesting of arrays and objects. Manifests need 5; 32 leaves room for extensions.
pub const DEPTH_MAX: usize = 32;

/// The most values in one document, those in arrays and objects counted each.
///
/// 12 for each descriptor of the largest manifest: itself, 3 required fields, a platform of 3 and
/// annotations, of which builders write 2 to 4. With it no manifest of 8 MiB took more than 25 MiB
/// to read, measured with the most annotations it lets through.
pub const VALUES_MAX: usize = 12 * 10_000;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// An integer from 0 to 2^64 - 1, written as one.
    Unsigned(u64),
    /// Any other number.
    Number,
    /// A string, unescaped.
    Text(Box<str>),
    /// `[…]`
    Array(Box<[Json]>),
    /// `{…}`
    Object(Object),
}

/// The members of a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Box<[(Box<str>, Json)]>);

impl Object {
    /// The value under `key`; `null` counts as absent, as it does for the clients, which are
    /// written in Go.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        Some(&self.0[self.at(key)?].1).filter(|value| **value != Json::Null)
    }

    /// The value under `key`, which is absent from then on.
    pub(crate) fn take(&mut self, key: &str) -> Option<Json> {
        let at = self.at(key)?;
        let value = std::mem::replace(&mut self.0[at].1, Json::Null);
        Some(value).filter(|value| *value != Json::Null)
    }

    fn at(&self, key: &str) -> Option<usize> {
        self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()
    }

    /// The members, in the order of their keys.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The members, in the order of their keys.
    pub(crate) fn into_members(self) -> impl Iterator<Item = (Box<str>, Json)> {
        self.0.into_iter()
    }
}

/// Why bytes are not JSON that all understand alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It begins with a byte order mark.
    #[error("the JSON begins with a byte order mark; it must begin with `{{`")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("byte {at} of the JSON is not UTF-8")]
    NotUtf8 {
        /// The offset, from 0.
        at: usize,
    },
    /// Not JSON, or more than one value.
    #[error("not JSON: {reason}")]
    Syntax {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// An object with two values for one key.
    #[error("the key `{key}` occurs twice in one object of the JSON")]
    DuplicateKey {
        /// The key, or its beginning if it is long.
        key: String,
    },
    /// Nested too deeply.
    #[error("the JSON is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// Too many values.
    #[error("the JSON has more than {VALUES_MAX} values")]
    TooManyValues,
}

/// The value that `bytes` are the text of; space may surround it.
///
/// # Errors
/// It is not JSON, not JSON that all readers understand alike, or too much of it.
pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let place = Place {
        walk: &walk,
        depth: 0,
    };
    let value = place
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        walk.refusal.take().unwrap_or_else(|| JsonError::Syntax {
            reason: error.to_string(),
        })
    })
}

/// What is known of the document so far. Cells, since every open object and array refers to it.
#[derive(Default)]
struct Walk {
    values: Cell<usize>,
    /// Why the walk was given up; serde can only carry a text.
    refusal: Cell<Option<JsonError>>,
}

/// Where the next value stands.
#[derive(Clone, Copy)]
struct Place<'w> {
    walk: &'w Walk,
    /// The arrays and objects around it.
    depth: usize,
}

impl Place<'_> {
    fn refuse<E: Error>(self, refusal: JsonError) -> E {
        let error = E::custom(&refusal);
        self.walk.refusal.set(Some(refusal));
        error
    }

    /// The place of the values within the array or object that stands here.
    fn inside<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if DEPTH_MAX < depth {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        let values = self.walk.values.get() + 1;
        if VALUES_MAX < values {
            return Err(self.refuse(JsonError::TooManyValues));
        }
        self.walk.values.set(values);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Number, Json::Unsigned))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Json::Array(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut members: Vec<(Box<str>, Json)> = Vec::new();
        while let Some(key) = from.next_key()? {
            members.push((key, from.next_value_seed(inside)?));
        }
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let key = pair[0].0.chars().take(64).collect();
            return Err(self.refuse(JsonError::DuplicateKey { key }));
        }
        Ok(Json::Object(Object(members.into())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: impl AsRef<[u8]>, expected: &str) {
        let told = match parse(bytes.as_ref()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            told,
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes.as_ref())
        );
    }

    #[test]
    fn json_is_json() {
        for text in [
            "null",
            "{}",
            " [1, -1, 1.5, 1e3, true, \"\\u00e9\"]\r\n\t",
            "{\"a\":{\"a\":1}}",
        ] {
            check(text, "ok");
        }
        check("", "not JSON: EOF while parsing a value at line 1 column 0");
        check(
            "{",
            "not JSON: EOF while parsing an object at line 1 column 1",
        );
        check("{} {}", "not JSON: trailing characters at line 1 column 4");
        check("{}\0", "not JSON: trailing characters at line 1 column 3");
        check("{a:1}", "not JSON: key must be a string at line 1 column 2");
        check("[1,]", "not JSON: trailing comma at line 1 column 4");
        check("// x\n{}", "not JSON: expected value at line 1 column 1");
        check(
            "\"\\ud800\"",
            "not JSON: unexpected end of hex escape at line 1 column 8",
        );
        check("1e999", "not JSON: number out of range at line 1 column 5");
    }

    #[test]
    fn what_readers_differ_on_is_refused() {
        let mark = "the JSON begins with a byte order mark; it must begin with `{`";
        check("\u{feff}{}", mark);
        check(b"{\"a\":\"\xff\"}", "byte 6 of the JSON is not UTF-8");
        check(
            "{\"a\":1,\"a\":1}",
            "the key `a` occurs twice in one object of the JSON",
        );
        check(
            "[{\"b\":{\"a\":1,\"\\u0061\":1}}]",
            "the key `a` occurs twice in one object of the JSON",
        );
        let long = "k".repeat(100);
        let told = format!(
            "the key `{}` occurs twice in one object of the JSON",
            &long[..64]
        );
        check(format!("{{\"{long}\":1,\"{long}\":1}}"), &told);
    }

    #[test]
    fn depth_and_values_are_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(nested(DEPTH_MAX), "ok");
        check(
            nested(DEPTH_MAX + 1),
            "the JSON is nested more than 32 deep",
        );
        check("[".repeat(1 << 20), "the JSON is nested more than 32 deep");
        check(
            "{\"a\":".repeat(1 << 18),
            "the JSON is nested more than 32 deep",
        );
        let many = |values| format!("[{}1]", "1,".repeat(values - 2));
        check(many(VALUES_MAX), "ok");
        check(many(VALUES_MAX + 1), "the JSON has more than 120000 values");
    }

    #[test]
    fn values_stay_small() {
        assert!(size_of::<(Box<str>, Json)>() <= 40);
    }

    #[test]
    fn members_are_found() {
        let Ok(Json::Object(object)) = parse(b"{\"b\":1,\"a\":null,\"c\":\"x\"}") else {
            panic!("an object");
        };
        assert_eq!(object.get("a"), None);
        assert_eq!(object.get("b"), Some(&Json::Unsigned(1)));
        assert_eq!(object.get("c"), Some(&Json::Text("x".into())));
        assert_eq!(object.get("d"), None);
        let keys: Vec<_> = object.members().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b", "c"]);
    }

    proptest! {
        /// What is read here, others read as well, and of bytes without duplicates the same.
        #[test]
        fn others_read_what_is_read_here(text in "[\\[\\]{}\":,0-9a-c \\\\u-]{0,30}") {
            if parse(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }

        #[test]
        fn objects_hold_their_members(members in prop::collection::btree_map("[a-c]{0,2}", any::<u64>(), 0..9)) {
            let text = serde_json::to_string(&members).expect("a map has a JSON form");
            let Ok(Json::Object(object)) = parse(text.as_bytes()) else {
                return Err(TestCaseError::fail("an object"));
            };
            for (key, number) in &members {
                prop_assert_eq!(object.get(key), Some(&Json::Unsigned(*number)));
            }
            prop_assert_eq!(object.members().count(), members.len());
        }
    }
}
