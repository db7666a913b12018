//! One connection: a request out, a head and a body in, and again.

use std::time::Instant;

use layerhouse_oci::digest::Hasher;

use super::Failure;
use super::head::{self, Framing, Head};
use super::origin::Origin;
use super::transport::Transport;

/// Largest head; registries put nothing large there.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Received at once while the head is read: heads are smaller, and a body behind one is to be counted
/// where it lies.
const HEAD_READ_BYTES: usize = 8 << 10;
/// Largest body that is kept in memory: lists and manifests.
pub(crate) const KEPT_BYTES_MAX: usize = 32 << 20;

/// What becomes of a body.
pub(crate) enum Sink<'a> {
    Count,
    Hash(&'a mut Hasher),
    Keep(&'a mut Vec<u8>),
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Count => {}
            Self::Hash(hasher) => hasher.update(bytes),
            Self::Keep(kept) => {
                if KEPT_BYTES_MAX < kept.len() + bytes.len() {
                    return Err(Failure::Malformed("a body of more than 32 MiB"));
                }
                kept.extend_from_slice(bytes);
            }
        }
        Ok(())
    }
}

pub(crate) struct Connection {
    transport: Transport,
    /// Received and not consumed: heads, and what came behind them.
    buffer: Vec<u8>,
    copy: bool,
    /// An answer was read before, so the server may have closed since.
    pub(crate) used: bool,
}

impl Connection {
    pub(crate) async fn open(origin: &Origin) -> Result<Self, Failure> {
        Ok(Self {
            transport: Transport::connect(origin).await?,
            buffer: Vec::new(),
            copy: origin.copy,
            used: false,
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.transport.send(bytes).await
    }

    /// The next final head; its bytes stay until [`Self::consume`].
    pub(crate) async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some(head) = head::parse(&self.buffer)? {
                if 200 <= head.status {
                    self.used = true;
                    return Ok(head);
                }
                // 100 Continue and its kin: the real one follows.
                self.consume(head.length);
                continue;
            }
            if HEAD_BYTES_MAX <= self.buffer.len() {
                return Err(Failure::Malformed("a head of more than 64 KiB"));
            }
            if self.fill(HEAD_READ_BYTES).await? == 0 {
                return Err(Failure::Closed);
            }
        }
    }

    pub(crate) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub(crate) fn consume(&mut self, length: usize) {
        self.buffer.drain(..length);
    }

    /// Waits for the first byte of the body behind a consumed head, and leaves it there; when it came, or nothing
    /// where there is none.
    pub(crate) async fn first_byte(
        &mut self,
        framing: Framing,
    ) -> Result<Option<Instant>, Failure> {
        if framing == Framing::Length(0) {
            return Ok(None);
        }
        if self.buffer.is_empty() && self.fill(HEAD_READ_BYTES).await? == 0 {
            return Ok(None);
        }
        Ok(Some(Instant::now()))
    }

    /// The body behind a consumed head; its length. Only so much is believed as is framed.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        mut sink: Sink<'_>,
    ) -> Result<u64, Failure> {
        let length = match framing {
            Framing::Length(length) => {
                let received = self.span(length, &mut sink).await?;
                if received < length {
                    let expected = length;
                    return Err(Failure::Short { received, expected });
                }
                length
            }
            Framing::Chunked => self.chunks(&mut sink).await?,
            Framing::Close => self.span(u64::MAX, &mut sink).await?,
        };
        if self.buffer.is_empty() {
            Ok(length)
        } else {
            Err(Failure::Malformed("bytes behind the end of the body"))
        }
    }

    /// The next `length` bytes, or fewer if the connection ends; how many.
    async fn span(&mut self, length: u64, sink: &mut Sink<'_>) -> Result<u64, Failure> {
        let held = usize::try_from(length)
            .map_or(self.buffer.len(), |length| length.min(self.buffer.len()));
        sink.take(&self.buffer[..held])?;
        self.consume(held);
        let mut received = held as u64;
        let discards = matches!(sink, Sink::Count) && !self.copy && self.transport.can_discard();
        while received < length {
            let more = if discards {
                self.transport.discard(length - received).await?
            } else {
                self.receive_into(length - received, sink).await?
            };
            if more == 0 {
                break;
            }
            received += more;
        }
        Ok(received)
    }

    /// Receives into `sink` up to `most` bytes, and what is beyond into the buffer.
    async fn receive_into(&mut self, most: u64, sink: &mut Sink<'_>) -> Result<u64, Failure> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut taken = 0;
        let mut result = Ok(());
        let buffer = &mut self.buffer;
        self.transport
            .receive(most, |bytes| {
                let (inside, beyond) = bytes.split_at(bytes.len().min(most - taken));
                taken += inside.len();
                buffer.extend_from_slice(beyond);
                if result.is_ok() {
                    result = sink.take(inside);
                }
            })
            .await?;
        result.map(|()| taken as u64)
    }

    async fn chunks(&mut self, sink: &mut Sink<'_>) -> Result<u64, Failure> {
        let mut total = 0;
        loop {
            let line = self.line().await?;
            let length = head::chunk_length(&self.buffer[..line])?;
            self.consume(line + 2);
            if length == 0 {
                // Trailers end with an empty line.
                loop {
                    let line = self.line().await?;
                    self.consume(line + 2);
                    if line == 0 {
                        return Ok(total);
                    }
                }
            }
            let received = self.span(length, sink).await?;
            total += received;
            if received < length || self.line().await? != 0 {
                let expected = total + (length - received);
                return Err(Failure::Short {
                    received: total,
                    expected,
                });
            }
            self.consume(2);
        }
    }

    /// The length of the line at the start of the buffer, which is made to hold one.
    async fn line(&mut self) -> Result<usize, Failure> {
        loop {
            if let Some(at) = head::find(&self.buffer, b"\r\n") {
                return Ok(at);
            }
            if HEAD_BYTES_MAX <= self.buffer.len() {
                return Err(Failure::Malformed("a line of more than 64 KiB"));
            }
            if self.fill(HEAD_READ_BYTES).await? == 0 {
                return Err(Failure::Closed);
            }
        }
    }

    async fn fill(&mut self, most: usize) -> Result<usize, Failure> {
        let buffer = &mut self.buffer;
        self.transport
            .receive(most, |bytes| buffer.extend_from_slice(bytes))
            .await
    }
}
