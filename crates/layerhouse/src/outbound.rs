//! Requests of ours to others, and the only place that makes any: TLS is verified, always, against the system's
//! roots and those that an operator named for a server; and what an operator gave for one server is sent to no other.

pub(crate) mod exchange;
pub(crate) mod ldap;
pub(crate) mod probe;
pub(crate) mod replica;
pub(crate) mod upstream;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Response, Url};

/// Redirections followed before it is a loop.
const HOPS_MAX: usize = 5;
/// What is read of an answer to use its connection again; with more it is closed.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// And how long that may take; time of the machine's.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Makes requests; connections are kept and used again.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// By whether they speak TLS, and whether they go to this machine: made when first needed, for
    /// the roots are read from files.
    clients: Mutex<[[Option<Client>; 2]; 2]>,
}

/// A body to be taken. Not to be printed: URL and headers may hold secrets.
pub(crate) struct Post<'a> {
    /// Its user and password, if it has them, are sent as `Authorization`.
    pub(crate) url: &'a str,
    pub(crate) media_type: &'static str,
    /// For the server of the URL alone.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: Bytes,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("the URL cannot be requested: {0}")]
    Url(String),
    #[error("{0}")]
    Request(String),
    #[error("it redirects to {0}, which is not followed")]
    Redirect(String),
    #[error("it redirects more than {HOPS_MAX} times")]
    Loop,
}

impl From<reqwest::Error> for OutboundError {
    /// The URL may hold a password, so it is left out.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Request(text)
    }
}

impl Outbound {
    /// Posts a body; the status of the answer, whatever else it says. Takes as long as the server likes.
    ///
    /// 307 and 308 are followed, for they ask for the same request elsewhere; all else is an answer.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn post(&self, post: Post<'_>) -> Result<u16, OutboundError> {
        let first = parse(post.url)?;
        let mut url = first.clone();
        for _ in 0..HOPS_MAX {
            let mut request = self
                .client(&url)?
                .post(url.clone())
                .header(CONTENT_TYPE, post.media_type)
                .body(post.body.clone());
            if is_same_server(&first, &url) {
                for (name, value) in post.headers {
                    request = request.header(name, value);
                }
            }
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            if !matches!(status, 307 | 308) {
                drain(answer);
                return Ok(status);
            }
            let location = answer.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            url = next_hop(&url, location.unwrap_or(""))?;
            drain(answer);
        }
        Err(OutboundError::Loop)
    }

    fn client(&self, url: &Url) -> Result<Client, OutboundError> {
        let (has_tls, is_local) = (url.scheme() == "https", is_local(url));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = &mut clients[usize::from(has_tls)][usize::from(is_local)];
        if let Some(client) = client {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("layerhouse/", env!("CARGO_PKG_VERSION")));
        if !has_tls {
            // A machine without certificates can speak plain HTTP all the same.
            builder = builder.tls_certs_only([]).https_only(false);
        }
        if is_local {
            // As Go does: the proxy of the environment is for others.
            builder = builder.no_proxy();
        }
        Ok(client.insert(builder.build()?).clone())
    }
}

fn parse(url: &str) -> Result<Url, OutboundError> {
    let url = Url::parse(url).map_err(|error| OutboundError::Url(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(OutboundError::Url(format!("its scheme is {scheme}"))),
    }
}

fn is_same_server(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Where a redirection leads: never from TLS to plain HTTP, and no password in a URL comes along.
fn next_hop(from: &Url, location: &str) -> Result<Url, OutboundError> {
    let shown = || {
        let shown: String = location.chars().take(200).collect();
        OutboundError::Redirect(shown.escape_debug().to_string())
    };
    let mut to = from.join(location).map_err(|_| shown())?;
    let is_downgrade = from.scheme() == "https" && to.scheme() != "https";
    if location.is_empty() || is_downgrade || !matches!(to.scheme(), "http" | "https") {
        return Err(shown());
    }
    // `join` keeps them for a path alone, and takes those of a whole URL.
    let (user, password) = if is_same_server(from, &to) {
        (
            from.username().to_owned(),
            from.password().map(str::to_owned),
        )
    } else {
        (String::new(), None)
    };
    let _ = to.set_username(&user);
    let _ = to.set_password(password.as_deref());
    Ok(to)
}

/// Reads what little an answer says, so that its connection can be used again; elsewhere, for the status
/// is the answer, and a body may have no end.
fn drain(mut answer: Response) {
    let read = async move {
        let mut read_bytes = 0;
        while read_bytes <= ANSWER_BYTES_MAX {
            match answer.chunk().await {
                Ok(Some(chunk)) => read_bytes += chunk.len(),
                Ok(None) | Err(_) => return,
            }
        }
    };
    tokio::spawn(tokio::time::timeout(ANSWER_PATIENCE, read));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S31
    #[test]
    fn sec_s31_redirections_take_no_secret_to_another_server() {
        let check = |from: &str, location: &str, expected: Option<(&str, bool)>| {
            let from = parse(from).expect("a URL");
            let to = next_hop(&from, location).ok();
            let found = to
                .as_ref()
                .map(|to| (to.as_str(), is_same_server(&from, to)));
            assert_eq!(found, expected, "{from} to {location}");
        };
        let from = "https://user:secret@hook.example.com/events";
        check(
            from,
            "/other",
            Some(("https://user:secret@hook.example.com/other", true)),
        );
        check(
            from,
            "https://hook.example.com:8443/",
            Some(("https://hook.example.com:8443/", false)),
        );
        check(
            from,
            "https://a:b@evil.example.com/",
            Some(("https://evil.example.com/", false)),
        );
        check(
            from,
            "//evil.example.com/",
            Some(("https://evil.example.com/", false)),
        );
        check(from, "http://hook.example.com/events", None);
        check(from, "file:///etc/passwd", None);
        check(from, "", None);
        check(
            "http://hook.example.com/",
            "https://hook.example.com/",
            Some(("https://hook.example.com/", false)),
        );
    }

    #[test]
    fn this_machine_is_told_without_a_proxy() {
        let check = |url: &str, expected: bool| {
            assert_eq!(is_local(&parse(url).expect("a URL")), expected, "{url}");
        };
        check("http://localhost:8080/", true);
        check("http://127.1.2.3/", true);
        check("https://[::1]/", true);
        check("http://10.0.0.1/", false);
        check("http://localhost.example.com/", false);
    }

    #[test]
    fn what_is_not_http_is_not_requested() {
        assert!(parse("ftp://example.com/").is_err());
        assert!(parse("example.com").is_err());
    }
}
