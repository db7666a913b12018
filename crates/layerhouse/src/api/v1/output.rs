//! What handlers give back, each type with its status and what it looks like.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::api::body::ResponseBody;
use crate::api::{Answer, json};

/// What a handler gives back.
pub(super) trait Output {
    const STATUS: StatusCode;

    /// What the body looks like, if there is one.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    fn into_answer(self) -> Answer;
}

/// 200 with this.
#[derive(Debug)]
pub(super) struct Found<T>(pub(super) T);

impl<T: Serialize + JsonSchema> Output for Found<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn into_answer(self) -> Answer {
        encode(Self::STATUS, &self.0)
    }
}

/// 201 with what there is now.
#[derive(Debug)]
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize + JsonSchema> Output for Created<T> {
    const STATUS: StatusCode = StatusCode::CREATED;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn into_answer(self) -> Answer {
        encode(Self::STATUS, &self.0)
    }
}

/// 204: it is as was asked.
#[derive(Debug)]
pub(super) struct Done;

impl Output for Done {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn into_answer(self) -> Answer {
        let mut answer = Response::new(ResponseBody::Empty);
        *answer.status_mut() = Self::STATUS;
        answer
    }
}

/// The same, and the browser keeps, or forgets, what it signs in with.
#[derive(Debug)]
pub(super) struct WithCookie<O>(pub(super) HeaderValue, pub(super) O);

impl<O: Output> Output for WithCookie<O> {
    const STATUS: StatusCode = O::STATUS;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        O::schema(generator)
    }

    fn into_answer(self) -> Answer {
        let mut answer = self.1.into_answer();
        answer.headers_mut().insert(header::SET_COOKIE, self.0);
        answer
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// What to say in `after` for the next page; null on the last one.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `rows` of what was found when one more was asked for; `key` says where to go on.
    pub(super) fn of<Row>(
        mut found: Vec<Row>,
        rows: usize,
        key: impl Fn(&Row) -> String,
        show: impl Fn(Row) -> T,
    ) -> Self {
        let has_more = rows < found.len();
        found.truncate(rows);
        let next = found.last().filter(|_| has_more).map(key);
        Self {
            items: found.into_iter().map(show).collect(),
            next,
        }
    }
}

fn encode(status: StatusCode, value: &impl Serialize) -> Answer {
    let content = serde_json::to_vec(value).expect("views have keys that are texts");
    json(status, "application/json", content)
}
