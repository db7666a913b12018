//! A TLS session over buffers: decrypted where the bytes were received, encrypted where they leave from.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, Error};

/// Four full records arrive at once.
const INCOMING_BYTES: usize = 68 << 10;
/// Plaintext encrypted at once, and room for it with the frames of its records.
const PLAINTEXT_BYTES: usize = 64 << 10;
const OUTGOING_BYTES: usize = PLAINTEXT_BYTES + (4 << 10);

pub(crate) struct Session {
    connection: UnbufferedClientConnection,
    incoming: Vec<u8>,
    /// What of `incoming` is received and not yet processed.
    held: std::ops::Range<usize>,
    outgoing: Vec<u8>,
    /// How much of `outgoing` waits to be sent.
    waiting: usize,
    /// Plaintext that came while something was written.
    early: Vec<u8>,
}

/// Where processing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// The handshake needs more bytes.
    Handshaking,
    /// All that was received is processed.
    Open,
    Closed,
}

impl Session {
    pub(crate) fn new(
        settings: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedClientConnection::new(settings, name)?,
            incoming: vec![0; INCOMING_BYTES],
            held: 0..0,
            outgoing: vec![0; OUTGOING_BYTES],
            waiting: 0,
            early: Vec::new(),
        })
    }

    /// Where received bytes go; tell [`Self::received`] how many.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.incoming.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        if self.held.end == self.incoming.len() {
            // A handshake message in more records than usual; rustls bounds it.
            self.incoming.resize(2 * self.held.end, 0);
        }
        &mut self.incoming[self.held.end..]
    }

    pub(crate) fn received(&mut self, length: usize) {
        self.held.end += length;
    }

    /// What is to be sent; tell [`Self::sent`] when it all is.
    pub(crate) fn outgoing(&self) -> &[u8] {
        &self.outgoing[..self.waiting]
    }

    pub(crate) fn sent(&mut self) {
        self.waiting = 0;
    }

    /// Processes what was received, and shows the plaintext in it; with how much of that there was.
    pub(crate) fn process(
        &mut self,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(Stand, usize), Error> {
        let mut shown = self.early.len();
        if !self.early.is_empty() {
            each(&self.early);
            self.early.clear();
        }
        let stand = self.advance(&mut |plaintext: &[u8]| {
            shown += plaintext.len();
            each(plaintext);
        })?;
        Ok((stand, shown))
    }

    fn advance(&mut self, each: &mut impl FnMut(&[u8])) -> Result<Stand, Error> {
        loop {
            let Self {
                connection,
                incoming,
                held,
                outgoing,
                waiting,
                ..
            } = self;
            let UnbufferedStatus {
                mut discard, state, ..
            } = connection.process_tls_records(&mut incoming[held.clone()]);
            let stand = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        each(record.payload);
                    }
                    None
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    *waiting += match data.encode(&mut outgoing[*waiting..]) {
                        Ok(length) => length,
                        Err(EncodeError::InsufficientSize(InsufficientSizeError {
                            required_size,
                        })) => {
                            outgoing.resize(*waiting + required_size, 0);
                            data.encode(&mut outgoing[*waiting..])
                                .map_err(|error| Error::General(error.to_string()))?
                        }
                        Err(error) => return Err(Error::General(error.to_string())),
                    };
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    None
                }
                ConnectionState::BlockedHandshake => Some(Stand::Handshaking),
                ConnectionState::WriteTraffic(_) => Some(Stand::Open),
                ConnectionState::PeerClosed | ConnectionState::Closed => Some(Stand::Closed),
                // Early data is the server's business; the enum may grow.
                ConnectionState::ReadEarlyData(_) | _ => {
                    return Err(Error::General("an unexpected state".to_owned()));
                }
            };
            held.start += discard;
            if let Some(stand) = stand {
                return Ok(stand);
            }
        }
    }

    /// Encrypts the start of `plaintext` into what is to be sent; how much of it.
    pub(crate) fn encrypt(&mut self, plaintext: &[u8]) -> Result<usize, Error> {
        let mut early = std::mem::take(&mut self.early);
        let stand = self.advance(&mut |plaintext: &[u8]| early.extend_from_slice(plaintext));
        self.early = early;
        stand?;
        let Self {
            connection,
            incoming,
            held,
            outgoing,
            waiting,
            ..
        } = self;
        let status = connection.process_tls_records(&mut incoming[held.clone()]);
        let ConnectionState::WriteTraffic(mut traffic) = status.state? else {
            return Err(Error::General("closed while sending".to_owned()));
        };
        let length = plaintext.len().min(PLAINTEXT_BYTES);
        if outgoing.len() < *waiting + OUTGOING_BYTES {
            outgoing.resize(*waiting + OUTGOING_BYTES, 0);
        }
        match traffic.encrypt(&plaintext[..length], &mut outgoing[*waiting..]) {
            Ok(written) => *waiting += written,
            Err(EncryptError::InsufficientSize(_)) => {
                return Err(Error::General("records larger than planned".to_owned()));
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
        Ok(length)
    }
}
