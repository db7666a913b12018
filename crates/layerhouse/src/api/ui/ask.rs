//! What `/api/v1` says to pages: lists, moments, and what it refuses of a form.

use http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::visit::Visit;
use crate::api::body::ResponseBody;
use crate::api::v1::problem::Problem;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(in crate::api::ui) struct List<T> {
    pub(in crate::api::ui) items: Vec<T>,
    /// What to say as `after` for the page behind; none on the last one.
    pub(in crate::api::ui) next: Option<String>,
}

/// Any text as a segment of a path of the API: a slash in it ends nothing.
pub(in crate::api::ui) fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Why a form was refused, to be said beside it.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Refused {
    pub(in crate::api::ui) status: StatusCode,
    /// A sentence of the API's.
    pub(in crate::api::ui) message: String,
    /// When it may be tried again, in seconds.
    pub(in crate::api::ui) wait_seconds: Option<u64>,
}

impl Refused {
    /// What is said of a form. Who is not signed in and what is our fault have pages of their own.
    ///
    /// # Errors
    /// The same problem, if it is not the form's.
    pub(in crate::api::ui) fn of(problem: Problem) -> Result<Self, Problem> {
        let status = problem.status();
        let is_of_form = status.is_client_error() && status != StatusCode::UNAUTHORIZED;
        if !is_of_form {
            return Err(problem);
        }
        let answer = problem.into_answer();
        let wait = answer.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
        let content = match answer.body() {
            ResponseBody::Whole(content) => serde_json::from_slice(content).unwrap_or_default(),
            ResponseBody::Empty | ResponseBody::Blob(..) | ResponseBody::Arriving(_) => {
                serde_json::Value::default()
            }
        };
        let message = content["errors"][0]["message"].as_str();
        Ok(Self {
            status,
            message: message.unwrap_or_default().to_owned(),
            wait_seconds: wait,
        })
    }
}

impl Visit {
    /// What a form says in a field that it must fill.
    ///
    /// # Errors
    /// 422
    pub(in crate::api::ui) fn needed(&self, field: &str) -> Result<&str, Problem> {
        let value = self.form.get(field);
        value.ok_or_else(|| Problem::invalid(format!("{field}: this cannot be empty")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::problem::Code;

    #[test]
    fn forms_are_refused() {
        let check = |problem: Problem, expected: Option<(u16, &str)>| {
            let found = Refused::of(problem).ok();
            let found = found
                .as_ref()
                .map(|refused| (refused.status.as_u16(), &*refused.message));
            assert_eq!(found, expected);
        };
        check(Problem::invalid("no"), Some((422, "no")));
        check(
            Problem::conflict(Code::NameTaken, "there"),
            Some((409, "there")),
        );
        check(Problem::denied("not you"), Some((403, "not you")));
        check(Problem::unauthorized(), None);
        let fault = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "later");
        check(fault, None);
    }

    #[test]
    fn segments_end_nothing() {
        assert_eq!(segment("acme+ci"), "acme%2Bci");
        assert_eq!(segment("a/../b"), "a%2F%2E%2E%2Fb");
    }
}
