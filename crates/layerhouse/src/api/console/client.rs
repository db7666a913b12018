//! The other end of the console: asks the API over a socket.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// A connection to the console.
#[derive(Debug)]
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP's: 200 and the like.
    pub status: u16,
    /// Null where there is none.
    pub body: Value,
}

impl Client {
    /// Speaks HTTP over a stream that is connected.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) async fn over(stream: UnixStream) -> Result<Self, String> {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let connection = tokio::spawn(async move {
            // What is wrong with it, the request says.
            let _ = connection.await;
        });
        Ok(Self { sender, connection })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// It broke.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "console");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let content = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request
            .body(Full::new(content))
            .map_err(|error| error.to_string())?;
        // The answer before was read to its end; the connection must have seen that, too.
        let ready = self.sender.ready().await;
        ready.map_err(|error| error.to_string())?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let content = answer.into_body().collect().await;
        let content = content.map_err(|error| error.to_string())?.to_bytes();
        let body = if content.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&content)
                .unwrap_or_else(|_| String::from_utf8_lossy(&content).into_owned().into())
        };
        Ok(Reply { status, body })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
