//! What handlers are given: a body of JSON, a query, or nothing. Each type says what it looks like, and
//! refuses what looks otherwise, fields that it does not know included (S10).

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, de};

use super::problem::{Code, Problem};
use crate::api::body::RequestBody;
use crate::api::request;
use crate::registry::receive::{BodyBroken, Incoming as _};

/// Largest body: a README of 256 KiB, each byte of which is written as six (`\u0000`) at the most, has
/// room if it is no binary.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// What of a request is not its path, unread.
pub(super) struct Unread {
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Content,
}

/// The body of a request.
pub(super) enum Content {
    /// It comes over the connection.
    Arriving(RequestBody),
    /// A page of ours says it.
    Here(Vec<u8>),
}

/// Where a handler's input stands in the description.
#[derive(Debug)]
pub(super) enum Place {
    Nowhere,
    Body,
    Query,
}

/// What a handler is given.
pub(super) trait Input: Send + Sized + 'static {
    const PLACE: Place;

    /// What it looks like, if it is anything.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    fn read(unread: Unread) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// Nothing but the path.
#[derive(Debug)]
pub(super) struct Nothing;

impl Input for Nothing {
    const PLACE: Place = Place::Nowhere;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    async fn read(unread: Unread) -> Result<Self, Problem> {
        Query::<NoParameters>::read(unread).await.map(|_| Self)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for Body<T> {
    const PLACE: Place = Place::Body;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    async fn read(unread: Unread) -> Result<Self, Problem> {
        parse_query::<NoParameters>(&unread.query)?;
        if !is_json(&unread.headers) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::MediaTypeUnsupported,
                "send JSON, and say so: Content-Type: application/json",
            ));
        }
        let content = collect(&unread.headers, unread.body).await?;
        parse(&content).map(Self)
    }
}

/// The parameters of a query, each at most once.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for Query<T> {
    const PLACE: Place = Place::Query;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        // Whole, where it is used: its properties become parameters.
        Some(T::json_schema(generator))
    }

    async fn read(unread: Unread) -> Result<Self, Problem> {
        parse_query(&unread.query).map(Self)
    }
}

/// Where a page of a list begins, and how long it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// What the page before said in `next`.
    #[schemars(length(max = 255))]
    pub(super) after: Option<String>,
    /// Entries on the page.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 999))]
    pub(super) n: Option<u32>,
}

/// Entries of a page when nothing is said.
const PAGE: u32 = 100;
/// Most entries of a page: one more is looked for, and `index` gives a thousand.
const PAGE_MAX: u32 = 999;

impl Paging {
    /// How many entries the page shall have.
    ///
    /// # Errors
    /// 422 for what no page has.
    pub(super) fn rows(&self) -> Result<usize, Problem> {
        let rows = self.n.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&rows) {
            return Err(Problem::invalid(format!("n: write 1 to {PAGE_MAX}")));
        }
        Ok(rows as usize)
    }

    /// The name that it begins behind.
    pub(super) fn name(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The id that it begins behind.
    ///
    /// # Errors
    /// 422 for what is none.
    pub(super) fn id(&self) -> Result<Option<i64>, Problem> {
        let parse = |text: &String| text.parse().ok().filter(|id| 0 <= *id);
        let id = self.after.as_ref().map(|text| {
            parse(text).ok_or_else(|| Problem::invalid("after: write what `next` said"))
        });
        id.transpose()
    }
}

/// A number, which a query has as text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number
        .map(Some)
        .ok_or_else(|| D::Error::custom("write a whole number"))
}

/// Whether something is so, which a query has as text.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match &*Cow::<str>::deserialize(deserializer)? {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(D::Error::custom("write true or false")),
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs = MapDeserializer::<_, de::value::Error>::new(
        pairs.map(|(name, value)| (name, Given(value))),
    );
    T::deserialize(pairs).map_err(|error| Problem::invalid(format!("the query: {error}")))
}

/// A parameter that is there, as serde wants to hear it of one that may be absent.
struct Given<'text>(Cow<'text, str>);

impl<'de> de::IntoDeserializer<'de> for Given<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given<'de> {
    type Error = de::value::Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0.into_owned())
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(de::IntoDeserializer::into_deserializer(self.0))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = request::text(headers, &header::CONTENT_TYPE) else {
        return false;
    };
    let media_type = text.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

async fn collect(headers: &HeaderMap, content: Content) -> Result<Vec<u8>, Problem> {
    match content {
        Content::Arriving(body) => collect_arriving(headers, body).await,
        Content::Here(content) => Ok(content),
    }
}

/// A whole body of at most [`BODY_BYTES_MAX`].
///
/// # Errors
/// 413 for a larger one; 400 for one that breaks off, or comes too slowly.
pub(in crate::api) async fn collect_arriving(
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BodyTooLarge,
            format!("a body may have {BODY_BYTES_MAX} bytes"),
        )
        .with(header::CONNECTION, http::HeaderValue::from_static("close"))
    };
    let announced = request::length_bytes(headers).unwrap_or(0);
    if (BODY_BYTES_MAX as u64) < announced {
        return Err(too_large());
    }
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|broken| {
            let message = match broken {
                BodyBroken::TooSlow => "the body came too slowly",
                BodyBroken::Disconnected => "the body broke off",
            };
            Problem::new(StatusCode::BAD_REQUEST, Code::BodyInvalid, message)
        })?;
        if BODY_BYTES_MAX < content.len() + bytes.len() {
            return Err(too_large());
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

/// 400 for what is no JSON, 422 for JSON of another form. The message never repeats what was sent: it may
/// be a password.
fn parse<T: DeserializeOwned>(content: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(content).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            Problem::invalid(format!(
                "the body is not of the form that is asked for: {}",
                said(&error)
            ))
        } else {
            let message = format!("the body is not JSON, at {at}");
            Problem::new(StatusCode::BAD_REQUEST, Code::BodyInvalid, message)
        }
    })
}

/// What serde says of fields, without the values that it found in them.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_of_fields = ["unknown field", "missing field", "duplicate field"];
    if is_of_fields.iter().any(|start| text.starts_with(start)) {
        // Names of fields that a client makes up may be long.
        return text.chars().take(300).collect();
    }
    let at = format!("line {} column {}", error.line(), error.column());
    format!("a value of another kind, or out of bounds, stands at {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        q: String,
        #[serde(default, deserialize_with = "number")]
        n: Option<u32>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Small,
    }

    #[test]
    fn queries() {
        let check = |query: &str, expected: Option<&str>| {
            let found = parse_query::<Sample>(query).ok();
            let found = found.map(|Sample { q, n, kind }| format!("{q} {n:?} {kind:?}"));
            assert_eq!(found.as_deref(), expected, "{query}");
        };
        check("q=a+b%2F", Some("a b/ None None"));
        check("q=&n=12", Some(" Some(12) None"));
        check("q=1&kind=small", Some("1 None Some(Small)"));
        for query in [
            "",
            "n=1",
            "q=a&q=b",
            "q=a&x=1",
            "q=a&n=",
            "q=a&n=-1",
            "q=a&n=1.5",
            "q=a&kind=x",
        ] {
            check(query, None);
        }
    }

    #[test]
    fn bodies() {
        let check = |content: &str, expected: u16| {
            let status = match parse::<Sample>(content.as_bytes()) {
                Ok(_) => 200,
                Err(problem) => problem.into_answer().status().as_u16(),
            };
            assert_eq!(status, expected, "{content}");
        };
        check(r#"{"q": "a"}"#, 200);
        check("", 400);
        check("{", 400);
        check(r#"{"q": "a"} x"#, 400);
        check("[]", 422);
        check(r#"{"q": 1}"#, 422);
        check(r#"{"q": "a", "is_admin": true}"#, 422);
        check(r#"{"q": "a", "q": "b"}"#, 422);
    }
}
