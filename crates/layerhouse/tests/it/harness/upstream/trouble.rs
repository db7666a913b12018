//! What an upstream does wrong.

/// How an answer differs from the right one. Where it says `after`, so many bytes of the body come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Another answer: a status, headers in lines, a body.
    Answer {
        status: u16,
        headers: &'static str,
        body: &'static str,
    },
    /// A status with this `Location`.
    Redirect { status: u16, location: String },
    /// A header beside the right ones, or in the place of one of that name.
    Header {
        name: &'static str,
        value: &'static str,
    },
    /// Other bytes, with their own length.
    Other(Vec<u8>),
    /// One bit in the middle is another.
    Flipped,
    /// The body lacks its last bytes, and `Content-Length` says so.
    Short { by: usize },
    /// The body has more bytes, and `Content-Length` says so.
    Long { by: usize },
    /// The right length is said, and the connection ends before it.
    BreaksOff { after: usize },
    /// The same with RST instead of FIN.
    Resets { after: usize },
    /// Says nothing more until it is opened, then goes on.
    Stalls { after: usize },
    /// Bytes come slowly: so many a second.
    Paced { bytes_per_second: usize },
    /// The body comes in chunks, and its length is not said.
    Chunked,
    /// In chunks, of which the last ones never come.
    ChunkedBreaksOff { after: usize },
    /// `Range` is not understood: 200 with everything.
    IgnoresRange,
    /// A 206 that begins elsewhere than was asked.
    WrongRange,
    /// Reads the request and never answers; closes when it is opened.
    Silent,
    /// Closes without an answer.
    Closes,
}

impl Trouble {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer {
            status,
            headers: "",
            body: "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"as told\"}]}",
        }
    }

    /// What a captive portal or a broken proxy says to everything.
    pub(crate) fn page() -> Self {
        Self::Answer {
            status: 200,
            headers: "Content-Type: text/html\r\n",
            body: "<html><body>404 Not Found</body></html>",
        }
    }

    /// As Docker Hub does.
    pub(crate) fn too_many(retry_after: &'static str) -> Self {
        Self::Answer {
            status: 429,
            headers: retry_after,
            body: "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"You have reached your unauthenticated pull rate limit.\"}]}",
        }
    }

    pub(crate) fn redirect(location: impl Into<String>) -> Self {
        Self::Redirect {
            status: 307,
            location: location.into(),
        }
    }

    /// The content that is sent instead.
    pub(super) fn content(&self, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        match self {
            Self::Answer { body, .. } => return body.as_bytes().to_vec(),
            Self::Redirect { .. } => content.clear(),
            Self::Other(other) => content.clone_from(other),
            Self::Flipped => {
                let middle = content.len() / 2;
                content[middle] ^= 1;
            }
            Self::Short { by } => content.truncate(content.len() - by),
            Self::Long { by } => content.extend(std::iter::repeat_n(b'+', *by)),
            Self::Header { .. }
            | Self::BreaksOff { .. }
            | Self::Resets { .. }
            | Self::Stalls { .. }
            | Self::Paced { .. }
            | Self::Chunked
            | Self::ChunkedBreaksOff { .. }
            | Self::IgnoresRange
            | Self::WrongRange
            | Self::Silent
            | Self::Closes => {}
        }
        content
    }
}
