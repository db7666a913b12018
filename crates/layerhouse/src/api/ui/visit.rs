//! One request for a page once it is known who asks: what its handler works with, and how it answers.

use std::sync::Arc;

use askama::Template;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::form::Pairs;
use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::api::body::ResponseBody;
use crate::api::v1::problem::{Code, Problem};
use crate::api::{Answer, Call, v1};
use crate::registry::Registry;

/// A request for a page.
#[derive(Clone)]
pub(in crate::api::ui) struct Visit {
    pub(in crate::api::ui) call: Call,
    pub(in crate::api::ui) visitor: Visitor,
    pub(in crate::api::ui) shell: Shell,
    pub(in crate::api::ui) method: Method,
    pub(in crate::api::ui) query: Pairs,
    /// Of a POST, which came from a page of ours.
    pub(in crate::api::ui) form: Pairs,
}

impl Visit {
    pub(in crate::api::ui) fn registry(&self) -> &Arc<Registry> {
        &self.call.api.registry
    }

    /// Whether something is to be changed.
    pub(in crate::api::ui) fn is_post(&self) -> bool {
        self.method == Method::POST
    }

    /// Lets only GET and HEAD go on.
    ///
    /// # Errors
    /// 405
    pub(in crate::api::ui) fn only_looks(&self) -> Result<(), Problem> {
        if self.is_post() {
            return Err(self.method_not_allowed("GET, HEAD"));
        }
        Ok(())
    }

    /// Lets only POST go on.
    ///
    /// # Errors
    /// 405
    pub(in crate::api::ui) fn only_changes(&self) -> Result<(), Problem> {
        if self.is_post() {
            return Ok(());
        }
        Err(self.method_not_allowed("POST"))
    }

    #[expect(clippy::unused_self, reason = "reads as the others")]
    pub(super) fn method_not_allowed(&self, allow: &'static str) -> Problem {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::MethodNotAllowed,
            format!("here one may use {allow}"),
        )
        .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// 200 with a page.
    ///
    /// # Errors
    /// Never: what a template writes to is memory.
    pub(in crate::api::ui) fn show(&self, page: &impl Template) -> Result<Answer, Problem> {
        self.show_as(StatusCode::OK, page)
    }

    /// A page with another status: a form that was refused is shown again with 422.
    ///
    /// # Errors
    /// As [`Visit::show`].
    #[expect(clippy::unused_self, reason = "reads as the others")]
    pub(in crate::api::ui) fn show_as(
        &self,
        status: StatusCode,
        page: &impl Template,
    ) -> Result<Answer, Problem> {
        shell::html(status, page)
    }

    /// 303 to a page: `path` begins with `/ui`, and stands behind the operator's prefix.
    pub(in crate::api::ui) fn go(&self, path: &str) -> Answer {
        see_other(&format!("{}{path}", self.shell.root))
    }

    /// The page for what is refused, in the visitor's language: what happened, and what to do.
    pub(super) fn refuse(&self, problem: Problem) -> Answer {
        shell::refusal(self, problem, true)
    }

    /// Asks `/api/v1` as the visitor. `path` stands behind `/api/v1`, its segments encoded; `T` is `()` where
    /// nothing is answered.
    ///
    /// # Errors
    /// What the API refuses, 404 for all of it where there are no accounts.
    pub(in crate::api::ui) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, Problem> {
        let answer = self.ask_whole(method, path, query, body).await?;
        let content = match answer.body() {
            ResponseBody::Whole(content) => content,
            ResponseBody::Empty | ResponseBody::Blob(..) | ResponseBody::Arriving(_) => {
                &b"null"[..]
            }
        };
        serde_json::from_slice(content).map_err(|error| {
            let said = format!("the API's answer to {path} is not what a page expects: {error}");
            Problem::from(crate::fault::Fault::plain(
                crate::fault::FaultKind::Other,
                said,
            ))
        })
    }

    /// Looks at something of the API.
    ///
    /// # Errors
    /// As [`Visit::ask`].
    pub(in crate::api::ui) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Problem> {
        self.ask(Method::GET, path, query, None).await
    }

    /// The same with the whole answer, for its headers.
    ///
    /// # Errors
    /// As [`Visit::ask`].
    pub(in crate::api::ui) async fn ask_whole(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let asker = self.visitor.asker().ok_or_else(Problem::not_found)?;
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let body = body.map(|body| body.to_string().into_bytes());
        let call = self.call.clone();
        Box::pin(v1::ask(call, asker.clone(), &method, (path, query), body)).await
    }
}

/// 303 to an address of ours.
pub(super) fn see_other(location: &str) -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location);
    let location = location.unwrap_or_else(|_| HeaderValue::from_static("/ui/"));
    answer.headers_mut().insert(header::LOCATION, location);
    let uncached = HeaderValue::from_static("no-cache");
    answer.headers_mut().insert(header::CACHE_CONTROL, uncached);
    answer
}
