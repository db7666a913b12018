//! A registry that says what a test tells it to, byte for byte.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `GET /v2/`
    pub(super) line: String,
    headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What it answers to a request, given its own URL.
type Handler = dyn Fn(&str, &Seen) -> Vec<u8> + Send + Sync;

pub(super) struct Server {
    pub(super) url: String,
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) async fn start(
        handler: impl Fn(&str, &Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, false, Arc::new(handler)).await
    }

    pub(super) async fn with_tls(
        tls: TlsAcceptor,
        handler: impl Fn(&str, &Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(tls), false, Arc::new(handler)).await
    }

    /// A SOCKS proxy that answers itself for every host; each shows in a line of its own.
    pub(super) async fn socks(
        handler: impl Fn(&str, &Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, true, Arc::new(handler)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, is_socks: bool, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let url = format!("http://127.0.0.1:{port}");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let server = Self {
            url: url.clone(),
            port,
            seen: Arc::clone(&seen),
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (handler, url, seen) = (Arc::clone(&handler), url.clone(), Arc::clone(&seen));
                let tls = tls.clone();
                tokio::spawn(async move {
                    if is_socks {
                        let host = socks(&mut stream).await;
                        seen.lock().expect("nobody panicked").push(Seen {
                            line: format!("CONNECT {host}"),
                            headers: HashMap::new(),
                            body: String::new(),
                        });
                    }
                    match tls {
                        None => serve(stream, &url, &*handler, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &url, &*handler, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// The lines of the requests so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

/// One request, one answer, and the end of the connection.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    url: &str,
    handler: &Handler,
    seen: &Mutex<Vec<Seen>>,
) {
    let mut bytes = Vec::new();
    let head_bytes = loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_bytes]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    while bytes.len() < head_bytes + length {
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
    let request = Seen {
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body: String::from_utf8_lossy(&bytes[head_bytes..]).into_owned(),
    };
    seen.lock().expect("nobody panicked").push(request.clone());
    let answer = handler(url, &request);
    let has_end = !answer.ends_with(HANG);
    let answer = answer.strip_suffix(HANG).unwrap_or(&answer);
    let _ = stream.write_all(answer).await;
    let _ = stream.flush().await;
    if has_end {
        let _ = stream.shutdown().await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// The greeting of SOCKS 5 (RFC 1928) with a name; the name.
async fn socks(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let mut greeting = [0; 2];
    let mut methods = vec![0; 0];
    stream.read_exact(&mut greeting).await.expect("a greeting");
    methods.resize(greeting[1].into(), 0);
    stream.read_exact(&mut methods).await.expect("methods");
    stream.write_all(&[5, 0]).await.expect("it is read");
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.expect("a request");
    assert_eq!(head[3], 3, "names are resolved by the proxy");
    let mut name = vec![0; usize::from(head[4]) + 2];
    stream.read_exact(&mut name).await.expect("a name");
    name.truncate(head[4].into());
    stream
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .expect("it is read");
    String::from_utf8(name).expect("text")
}

/// At the end of an answer: nothing comes any more, and the connection stays.
pub(super) const HANG: &[u8] = b"<HANG>";

/// An answer with a body of its length.
pub(super) fn answer(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let mut headers = headers.to_vec();
    headers.push(&length);
    raw(status, &headers, body)
}

/// An answer with these headers alone.
pub(super) fn raw(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
