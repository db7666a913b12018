//! Signing in, and what it lets do.

mod command;
pub(crate) mod htpasswd;
mod matrix;
mod secrecy;
pub(crate) mod service;
mod silly;
mod token;

use crate::harness::http::Response;

/// `Authorization` for a user and a password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {encoded}")
}

/// An answer without the date, to be compared with another.
pub(crate) fn undated(mut answer: Response) -> Response {
    answer.headers.retain(|(name, _)| name != "date");
    answer
}
