//! How things look in the API: words that are chosen among a few, moments, secrets. What they mean is in
//! `auth` and `index`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::auth::credentials::Secret;
use crate::auth::rights;
use crate::clock::Timestamp;

/// What somebody may do in a namespace or with a repository; each may what those before it may.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Role {
    Reader,
    Writer,
    Maintainer,
    Owner,
}

impl From<Role> for rights::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Writer => Self::Writer,
            Role::Maintainer => Self::Maintainer,
            Role::Owner => Self::Owner,
        }
    }
}

impl From<rights::Role> for Role {
    fn from(role: rights::Role) -> Self {
        match role {
            rights::Role::Reader => Self::Reader,
            rights::Role::Writer => Self::Writer,
            rights::Role::Maintainer => Self::Maintainer,
            rights::Role::Owner => Self::Owner,
        }
    }
}

impl Role {
    /// A role as it is stored.
    pub(super) fn stored(text: &str) -> Self {
        text.parse::<rights::Role>()
            .map_or(Self::Reader, Self::from)
    }
}

/// Who may see a repository without a role in it: all, or nobody.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Visibility {
    Public,
    Private,
}

impl From<Visibility> for rights::Visibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Private,
        }
    }
}

impl From<rights::Visibility> for Visibility {
    fn from(visibility: rights::Visibility) -> Self {
        match visibility {
            rights::Visibility::Public => Self::Public,
            rights::Visibility::Private => Self::Private,
        }
    }
}

impl Visibility {
    /// A visibility as it is stored.
    pub(super) fn stored(text: &str) -> Option<Self> {
        text.parse::<rights::Visibility>().ok().map(Self::from)
    }
}

/// What can be done with a repository.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Deed {
    Pull,
    Push,
    Delete,
    Maintain,
    Own,
}

impl From<Deed> for rights::Deed {
    fn from(deed: Deed) -> Self {
        match deed {
            Deed::Pull => Self::Pull,
            Deed::Push => Self::Push,
            Deed::Delete => Self::Delete,
            Deed::Maintain => Self::Maintain,
            Deed::Own => Self::Own,
        }
    }
}

/// A moment, in the form of RFC 3339; of what clients say, parts of a second are left out.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Moment(pub(in crate::api) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.second().rfc3339();
        serializer.serialize_str(&text.unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let at = OffsetDateTime::parse(&text, &Rfc3339);
        let at = at.map_err(|_| D::Error::custom("write a moment as 2027-01-15T08:00:00Z"))?;
        Ok(Self(Timestamp(at.unix_timestamp().saturating_mul(1000))))
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// An id, as text: not every reader of JSON keeps 64 bits of a number.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(into = "String")]
pub(super) struct Id(pub(super) i64);

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0.to_string()
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,19}$" })
    }
}

/// A text that is said or shown once, and never printed.
#[derive(Clone, Debug)]
pub(super) struct Hidden(pub(super) Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(Secret::new(text.into_bytes())))
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Ours are letters and digits.
        serializer.serialize_str(&String::from_utf8_lossy(self.0.expose()))
    }
}

impl JsonSchema for Hidden {
    fn schema_name() -> Cow<'static, str> {
        "Hidden".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "maxLength": 4096 })
    }
}

/// What is said of a field that can be taken back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Said<T> {
    /// Nothing: it stays.
    #[default]
    Nothing,
    /// It is taken back.
    Null,
    This(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Option::deserialize(deserializer)?;
        Ok(said.map_or(Self::Null, Self::This))
    }
}

impl<T: JsonSchema> JsonSchema for Said<T> {
    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}
