//! Questions whose answers are read: JSON from an issuer, a form posted to it. Redirections are answers
//! like any other and never followed, so that what is sent reaches one server or none (S30, S31).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, Url};

use super::{Outbound, OutboundError, is_local, parse};

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) url: &'a str,
    /// Posted, if there is one; else the question is a GET.
    pub(crate) form: Option<&'a [(&'a str, &'a str)]>,
    /// Name and secret, as `Authorization`.
    pub(crate) basic: Option<(&'a str, &'a str)>,
    /// The whole exchange must end in this time.
    pub(crate) patience: Duration,
    /// A longer answer is none.
    pub(crate) bytes_max: usize,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Outbound {
    /// Asks over TLS, or a server of this machine.
    ///
    /// # Errors
    /// The URL is another one, or there was no answer, or too much of it.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Reply, OutboundError> {
        let url = parse(question.url)?;
        if !is_safe(&url) {
            return Err(OutboundError::Url("it begins with http://".to_owned()));
        }
        let client = self.client(&url)?;
        let mut request = match question.form {
            None => client.get(url),
            Some(form) => {
                let mut body = Url::parse("http://form").map_err(|_| OutboundError::Loop)?;
                body.query_pairs_mut().extend_pairs(form);
                client
                    .post(url)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body.query().unwrap_or_default().to_owned())
            }
        };
        request = request.header(ACCEPT, "application/json");
        if let Some((name, secret)) = question.basic {
            request = request.basic_auth(name, Some(secret));
        }
        let exchange = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let body = read(answer, question.bytes_max).await?;
            Ok(Reply { status, body })
        };
        tokio::time::timeout(question.patience, exchange)
            .await
            .unwrap_or_else(|_| {
                let waited = question.patience.as_secs();
                Err(OutboundError::Request(format!("no answer in {waited} s")))
            })
    }
}

/// Whether nobody between us and the server can read or change what is said.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || is_local(url)
}

/// The same of a text.
pub(crate) fn is_safe_url(url: &str) -> bool {
    parse(url).is_ok_and(|url| is_safe(&url) && url.username().is_empty())
}

/// A URL with these added to its query.
pub(crate) fn with_query(url: &str, pairs: &[(&str, &str)]) -> Option<String> {
    let mut url = parse(url).ok()?;
    url.query_pairs_mut().extend_pairs(pairs);
    url.set_fragment(None);
    Some(url.into())
}

async fn read(mut answer: Response, bytes_max: usize) -> Result<Bytes, OutboundError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes_max < body.len() + chunk.len() {
            let problem = format!("the answer has more than {bytes_max} bytes");
            return Err(OutboundError::Request(problem));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S30
    #[test]
    fn sec_s30_secrets_go_over_tls_or_nowhere() {
        let check = |url: &str, expected: bool| {
            let url = parse(url).expect("a URL");
            assert_eq!(is_safe(&url), expected, "{url}");
        };
        check("https://id.example.com/token", true);
        check("http://id.example.com/token", false);
        check("http://127.0.0.1:8080/token", true);
        check("http://localhost/token", true);
        check("http://localhost.example.com/token", false);
        check("http://169.254.169.254/latest", false);
    }
}
