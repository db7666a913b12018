//! Members of JSON objects, by the type that they must have.

use layerhouse_oci::strict_json::{Json, Object};

/// A text; `None` if it is absent or something else.
pub(crate) fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    as_text(object.get(name)?)
}

pub(crate) fn as_text(value: &Json) -> Option<&str> {
    if let Json::Text(text) = value {
        Some(text)
    } else {
        None
    }
}

pub(crate) fn as_list(value: &Json) -> Option<&[Json]> {
    if let Json::Array(list) = value {
        Some(list)
    } else {
        None
    }
}

/// A list of texts and nothing else.
pub(crate) fn as_texts(value: &Json) -> Option<Vec<&str>> {
    as_list(value)?.iter().map(as_text).collect()
}

/// A member that has another type than it must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mistyped;

/// What may be absent, but not something else than `read` understands.
pub(crate) fn optional<'a, T>(
    object: &'a Object,
    name: &str,
    read: impl FnOnce(&'a Json) -> Option<T>,
) -> Result<Option<T>, Mistyped> {
    match object.get(name) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(Mistyped),
    }
}
