//! Whether others are there: what health checks ask.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Redirections followed before it is a loop.
const HOPS_MAX: usize = 5;

/// The status that a HEAD request is answered with.
///
/// Redirections are followed within one server: what an operator gave for it is sent to no other.
///
/// # Errors
/// A sentence without the address: it may hold a password.
pub(crate) async fn head_status(
    uri: &str,
    headers: &[(HeaderName, HeaderValue)],
    patience: Duration,
) -> Result<u16, String> {
    let told = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
    };
    let within_one_server = redirect::Policy::custom(|attempt| {
        let is_same = attempt
            .previous()
            .last()
            .is_some_and(|from| from.origin() == attempt.url().origin());
        if is_same && attempt.previous().len() <= HOPS_MAX {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let mut client = reqwest::Client::builder()
        .timeout(patience)
        .redirect(within_one_server)
        .referer(false)
        // What is checked is what this machine reaches.
        .no_proxy()
        .user_agent(concat!("layerhouse/", env!("CARGO_PKG_VERSION")));
    if uri.starts_with("http://") {
        // A machine without certificates can speak plain HTTP all the same.
        client = client.tls_certs_only([]);
    }
    let client = client.build().map_err(told)?;
    let headers: HeaderMap = headers.iter().cloned().collect();
    let answer = client.head(uri).headers(headers).send().await;
    answer.map(|answer| answer.status().as_u16()).map_err(told)
}

/// Whether a connection can be made.
///
/// # Errors
/// A sentence that says why not.
pub(crate) async fn connect(address: &str, patience: Duration) -> Result<(), String> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("connection to {address} failed: {error}")),
        Err(_) => Err(format!("connection to {address} failed: no answer")),
    }
}
