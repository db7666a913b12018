//! What requests go over: HTTP/1.1 in the clear, the same within TLS, HTTP/2 within TLS. One request
//! means the same over each, and its answer must be the same: [`comparable`] says but for what.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio_rustls::TlsConnector;

use super::http::{PATIENCE, Response, decode_chunks};
use super::tls::{Authority, Greeting, Issued, TlsClient};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
    /// Over TLS, chosen by ALPN.
    Http2,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Http2];

    pub(crate) fn has_tls(self) -> bool {
        self != Self::Plain
    }
}

/// Whom all servers and clients of this process believe: keys are dear where code is not optimised.
static LOCAL: LazyLock<(Authority, Issued)> = LazyLock::new(|| {
    let authority = Authority::new("the tests' authority");
    let issued = authority.issue_local();
    (authority, issued)
});

/// What a server shows to clients of [`Transport::Tls`] and [`Transport::Http2`].
pub(crate) fn certificate() -> &'static Issued {
    &LOCAL.1
}

fn config(protocol: &str) -> Arc<ClientConfig> {
    let greeting = Greeting {
        protocols: &[protocol],
        ..Greeting::default()
    };
    // The address is that of each connection, not of the configuration.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    TlsClient::greeting(nowhere, &LOCAL.0, &greeting).config()
}

fn host() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// A stream whose handshake is done by its first write.
pub(super) fn within_tls(
    stream: TcpStream,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| config("http/1.1"));
    let session = ClientConnection::new(Arc::clone(&CONFIG), host()).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}

/// Sends a request over HTTP/2 on a connection of its own and reads the whole answer.
///
/// A body in chunks is HTTP/1.1's way to say no length before: here it goes in frames, and none is said.
pub(super) fn send_http2(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let invalid = |error: http::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let has = |name: &str| {
        headers
            .iter()
            .any(|(said, _)| said.eq_ignore_ascii_case(name))
    };
    let is_streamed = has("transfer-encoding");
    // What HTTP/1.1 says in `Host` stands in `:authority`.
    let authority = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or("registry", |(_, value)| value);
    let uri = Uri::builder().scheme("https").authority(authority);
    let uri = uri.path_and_query(path).build().map_err(invalid)?;
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        if !["host", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
            request = request.header(*name, *value);
        }
    }
    if !is_streamed && !has("content-length") && !matches!(method, "GET" | "HEAD") {
        request = request.header("content-length", body.len());
    }
    let body = if is_streamed {
        let whole = decode_chunks(body)?;
        let frames: Vec<_> = whole
            .chunks(whole.len().div_ceil(3).max(1))
            .map(|piece| io::Result::Ok(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        Either::Left(StreamBody::new(futures_util::stream::iter(frames)))
    } else {
        Either::Right(Full::new(Bytes::copy_from_slice(body)).map_err(|never| match never {}))
    };
    let request = request.body(body).map_err(invalid)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async {
        static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| config("h2"));
        let stream = tokio::net::TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::clone(&CONFIG));
        let stream = connector.connect(host(), stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let headers = answer.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let mut response = Response {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: Vec::new(),
        };
        let body = answer.into_body().collect().await;
        response.body = body.map_err(io::Error::other)?.to_bytes().to_vec();
        driver.abort();
        Ok(response)
    };
    runtime.block_on(async {
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    })
}

/// An answer without what is the protocol's, so that those of all transports can be compared.
///
/// - `Connection`, `Keep-Alive` and `Transfer-Encoding` speak of one connection of HTTP/1.1; HTTP/2 forbids
///   them (RFC 9113, 8.2.2). Reason phrases and the case of names are not in a [`Response`] at all.
/// - The order of headers means nothing (RFC 9110, 5.3), unless they are of one name.
/// - `Date` is the machine's clock, not the server's.
pub(crate) fn comparable(mut answer: Response) -> Response {
    let of_the_connection = ["connection", "keep-alive", "transfer-encoding", "date"];
    let is_ours = |(name, _): &(String, String)| !of_the_connection.contains(&name.as_str());
    answer.headers.retain(is_ours);
    answer
        .headers
        .sort_by(|(one, _), (other, _)| one.cmp(other));
    answer
}
