//! An HTTP/1.1 client that costs as little as one can, so that the server is what is measured.
//!
//! Kept connections, heads written once, bodies counted where they lie: without `--copy`, the kernel
//! throws the bytes of a plain body away instead of copying them (`MSG_TRUNC` of tcp(7)).

pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod head;
pub(crate) mod origin;
pub(crate) mod session;
pub(crate) mod tls;
pub(crate) mod transport;

use std::io;

/// Why an exchange did not go as it should. The first of a run is shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("cannot send: {0}")]
    Send(io::Error),
    #[error("cannot receive: {0}")]
    Receive(io::Error),
    #[error("nothing moved for the time of --timeout")]
    Stalled,
    #[error("closed before the answer")]
    Closed,
    #[error("the body ended after {received} of {expected} bytes")]
    Short { received: u64, expected: u64 },
    #[error("the body has {actual} bytes, not {expected}")]
    Length { actual: u64, expected: u64 },
    #[error("the bytes are not those of the digest")]
    Digest,
    #[error("{what} answered {status}, not {expected}{hint}")]
    Status {
        what: String,
        status: u16,
        expected: u16,
        hint: String,
    },
    #[error("the answer is not HTTP that this tool reads: {0}")]
    Malformed(&'static str),
}
