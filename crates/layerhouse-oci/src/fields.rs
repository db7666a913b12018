//! Typed access to the fields of a JSON object, with errors that say where.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::media_type::{MediaType, MediaTypeError};
use crate::strict_json::{Json, Object};

/// Where in a manifest: `the manifest`, `config`, `layers[3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) list: &'static str,
    pub(crate) index: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.list),
            None => f.write_str(self.list),
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It must be there.
    #[error("`{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// It must not be there.
    #[error("`{field}` must not be in {holder}")]
    Unexpected {
        /// Its name.
        field: &'static str,
        /// What it must not be in.
        holder: &'static str,
    },
    /// It has the wrong type, or is out of range.
    #[error("`{field}` must be {expected}")]
    Type {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The place itself holds something else than an object.
    #[error("must be an object")]
    NotAnObject,
    /// A name that some clients take for a field, and others do not.
    #[error("`{key}` must be written `{field}`: some clients read it as that, others do not")]
    Case {
        /// What is written.
        key: String,
        /// What it is taken for.
        field: &'static str,
    },
    /// Not a digest.
    #[error("`{field}`: {error}")]
    Digest {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        error: DigestError,
    },
    /// Not a media type.
    #[error("`{field}`: {error}")]
    MediaType {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        error: MediaTypeError,
    },
}

/// An object none of whose keys is taken for another by clients that ignore case.
///
/// What is large is moved out of it and not copied, so that reading a manifest takes little more
/// memory than its JSON.
pub(crate) struct Fields(Object);

impl Fields {
    /// The fields of `object`, of which `known` have a meaning.
    pub(crate) fn new(object: Object, known: &[&'static str]) -> Result<Self, FieldError> {
        for (key, _) in object.members() {
            let is_lookalike = |field: &&&'static str| key != **field && folds_to(key, field);
            if let Some(field) = known.iter().find(is_lookalike) {
                let key = key.into();
                return Err(FieldError::Case { key, field });
            }
        }
        Ok(Self(object))
    }

    pub(crate) fn get(&self, field: &'static str) -> Option<&Json> {
        self.0.get(field)
    }

    pub(crate) fn take(&mut self, field: &'static str) -> Option<Json> {
        self.0.take(field)
    }

    pub(crate) fn text(&self, field: &'static str) -> Result<Option<&str>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(field, "a text")),
        }
    }

    /// A text to keep; an empty one counts as absent, as it does for the clients.
    pub(crate) fn take_text(&mut self, field: &'static str) -> Result<Option<String>, FieldError> {
        match self.take(field) {
            None => Ok(None),
            Some(Json::Text(text)) if text.is_empty() => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text.into())),
            Some(_) => Err(wrong(field, "a text")),
        }
    }

    /// An array; empty if it is absent.
    pub(crate) fn take_array(&mut self, field: &'static str) -> Result<Vec<Json>, FieldError> {
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Json::Array(values)) => Ok(values.into()),
            Some(_) => Err(wrong(field, "an array")),
        }
    }

    /// An array of texts; empty if it is absent.
    pub(crate) fn take_texts(&mut self, field: &'static str) -> Result<Vec<String>, FieldError> {
        let text = |value| into_text(value).ok_or(wrong(field, "an array of texts"));
        self.take_array(field)?.into_iter().map(text).collect()
    }

    pub(crate) fn take_object(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Object>, FieldError> {
        match self.take(field) {
            None => Ok(None),
            Some(Json::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(field, "an object")),
        }
    }

    /// An object whose values are texts.
    pub(crate) fn take_annotations(
        &mut self,
        field: &'static str,
    ) -> Result<Option<BTreeMap<String, String>>, FieldError> {
        let Some(object) = self.take_object(field)? else {
            return Ok(None);
        };
        let pair = |(key, value): (Box<str>, Json)| {
            let expected = "an object whose values are texts";
            Ok((key.into(), into_text(value).ok_or(wrong(field, expected))?))
        };
        object
            .into_members()
            .map(pair)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(crate) fn digest(&self, field: &'static str) -> Result<Digest, FieldError> {
        let text = self.text(field)?.ok_or(FieldError::Missing { field })?;
        let parsed = text.parse();
        parsed.map_err(|error| FieldError::Digest { field, error })
    }

    pub(crate) fn media_type(&self, field: &'static str) -> Result<Option<MediaType>, FieldError> {
        let parsed = self.text(field)?.map(str::parse).transpose();
        parsed.map_err(|error| FieldError::MediaType { field, error })
    }

    /// A size in bytes, up to what a signed 64-bit number holds, since that is what clients use.
    pub(crate) fn size(&self, field: &'static str) -> Result<u64, FieldError> {
        match self.get(field) {
            None => Err(FieldError::Missing { field }),
            Some(Json::Unsigned(size)) if i64::try_from(*size).is_ok() => Ok(*size),
            Some(_) => Err(wrong(field, "a whole number from 0 to 2^63 - 1")),
        }
    }
}

fn wrong(field: &'static str, expected: &'static str) -> FieldError {
    FieldError::Type { field, expected }
}

fn into_text(value: Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.into()),
        Json::Null
        | Json::Bool
        | Json::Unsigned(_)
        | Json::Number
        | Json::Array(_)
        | Json::Object(_) => None,
    }
}

/// Whether clients written in Go take `key` for `field`: their JSON reader ignores case by the
/// rules of Unicode, under which two more characters equal ASCII letters.
fn folds_to(key: &str, field: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(field.chars().map(fold))
}
