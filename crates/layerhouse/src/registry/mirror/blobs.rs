//! Blobs of copies: from the disk, or from the upstream while they arrive.

use std::sync::Arc;

use layerhouse_oci::digest::Digest;

use super::arrival::{ArrivingReader, Head, Ticket};
use super::fetch::Fetch;
use super::numbers::Count;
use super::routing::Source;
use super::{Asked, MirrorError};
use crate::auth::{Granted, Pull};
use crate::meta;
use crate::registry::Registry;
use crate::registry::blobs::BlobContent;

/// How often a blob that was published a moment ago is looked for before it is given up.
const LOOKS_MAX: usize = 3;

/// A blob of a copy.
#[derive(Debug)]
pub(crate) enum PulledBlob {
    Here(BlobContent),
    Arriving(ArrivingBlob),
}

/// A blob that is on its way.
#[derive(Debug)]
pub(crate) struct ArrivingBlob {
    pub(crate) digest: Digest,
    ticket: Ticket,
    head: Head,
}

impl ArrivingBlob {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.head.size_bytes
    }
}

impl Registry {
    /// A blob of an upstream's repository: the copy, or what is on its way to become it. `pull` is for the copy, and
    /// `is_whole` as of [`Registry::pull_blob`].
    ///
    /// # Errors
    /// There is no copy, and the upstream has it not or cannot be asked.
    pub(crate) async fn pull_blob_through(
        self: &Arc<Self>,
        pull: &Granted<Pull>,
        source: &Source,
        digest: &Digest,
        is_whole: bool,
    ) -> Result<PulledBlob, MirrorError> {
        let numbers = &source.served.numbers;
        for look in 0..LOOKS_MAX {
            if let Some(content) = self.pull_blob(pull, digest, is_whole).await? {
                if look == 0 {
                    numbers.add(Count::BlobHit);
                }
                return Ok(PulledBlob::Here(content));
            }
            let ticket = self.fetch_blob(source, digest)?;
            if let Some(head) = ticket.begun().await? {
                let digest = digest.clone();
                return Ok(PulledBlob::Arriving(ArrivingBlob {
                    digest,
                    ticket,
                    head,
                }));
            }
        }
        Err(source.invalid(&format!("blob {digest} went as soon as it came")))
    }

    /// A blob that this process fetches, for another one of this registry; `token` is what it found where they say so. `None`
    /// if this one does not fetch it, or has published it by now.
    pub(crate) async fn show_fetch(&self, digest: &Digest, token: &str) -> Option<ArrivingBlob> {
        let ticket = self.copying.arrivals.board(digest, token)?;
        let head = ticket.begun().await.ok().flatten()?;
        let digest = digest.clone();
        Some(ArrivingBlob {
            digest,
            ticket,
            head,
        })
    }

    /// Has a blob fetched, unless the copy has it, and waits until it is published; whether it was.
    ///
    /// # Errors
    /// It does not come.
    pub(crate) async fn bring_blob(
        self: &Arc<Self>,
        source: &Source,
        digest: &Digest,
    ) -> Result<bool, MirrorError> {
        if let Some(size_bytes) = self.linked_size(&source.copy, digest)?
            && self.is_whole(digest, size_bytes)?
        {
            return Ok(false);
        }
        self.fetch_blob(source, digest)?.ended().await?;
        Ok(true)
    }

    /// A place among those who wait for a blob.
    fn fetch_blob(
        self: &Arc<Self>,
        source: &Source,
        digest: &Digest,
    ) -> Result<Ticket, MirrorError> {
        self.check_askable(source, &Asked::blob(source, digest))?;
        let key = (source.copy.clone(), digest.clone());
        let (ticket, is_first) = self.copying.arrivals.join(key, |arrival| {
            let fetch = Fetch {
                registry: Arc::clone(self),
                source: source.clone(),
                digest: digest.clone(),
                arrival,
            };
            fetch.run()
        });
        let count = if is_first {
            Count::BlobMiss
        } else {
            Count::Shared
        };
        source.served.numbers.add(count);
        Ok(ticket)
    }

    /// The size of a blob of an upstream's repository.
    ///
    /// # Errors
    /// As [`Registry::pull_blob_through`].
    pub(crate) async fn blob_size_through(
        self: &Arc<Self>,
        pull: &Granted<Pull>,
        source: &Source,
        digest: &Digest,
    ) -> Result<u64, MirrorError> {
        if let Some(size_bytes) = self.blob_size(pull, digest).await? {
            return Ok(size_bytes);
        }
        let said = self
            .database
            .read(|tx| meta::mirror::absent_size(tx, &source.copy, digest))?;
        if let Some(size_bytes) = said {
            return Ok(size_bytes);
        }
        let asked = Asked::blob(source, digest);
        self.check_askable(source, &asked)?;
        let upstream = &source.served.upstream;
        let size_bytes = upstream.blob_size(&source.repository, digest).await;
        let size_bytes = size_bytes.map_err(MirrorError::from).inspect_err(|error| {
            if error.is_absence() {
                self.copying.absent.insert(asked, self.clock.moment());
            }
        })?;
        size_bytes.ok_or_else(|| source.invalid(&format!("it does not say how long {digest} is")))
    }

    /// Reads an arriving blob from `first` to before `end`.
    pub(crate) fn read_arriving(&self, blob: ArrivingBlob, first: u64, end: u64) -> ArrivingReader {
        let ArrivingBlob {
            digest,
            ticket,
            head,
        } = blob;
        ArrivingReader::new(&self.store, &digest, (ticket, head), first, end)
    }
}
