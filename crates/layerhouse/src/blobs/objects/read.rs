//! Reading objects: streamed to a client as fast as it takes them, small ones whole, and once more for the
//! scrub.

use std::fmt;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::{Objects, unreachable};
use crate::fault::{Fault, FaultKind};
use crate::metrics::Action;

/// The bytes of an object, on their way. Dropped, the store is told to stop; not asked, it sends no more than
/// its connection holds.
pub(crate) struct ObjectReader {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    remaining_bytes: u64,
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ObjectReader")
            .field("remaining_bytes", &self.remaining_bytes)
            .finish_non_exhaustive()
    }
}

impl ObjectReader {
    /// Bytes still to come.
    pub(crate) fn remaining_bytes(&self) -> u64 {
        self.remaining_bytes
    }

    /// What comes next; `None` at the end. After an error the answer cannot be completed.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.remaining_bytes == 0 {
            return Poll::Ready(None);
        }
        let next = ready!(self.stream.poll_next_unpin(context));
        Poll::Ready(Some(match next {
            Some(Ok(bytes)) if bytes.len() as u64 <= self.remaining_bytes => {
                self.remaining_bytes -= bytes.len() as u64;
                Ok(bytes)
            }
            Some(Err(error)) => Err(unreachable("reading an object", error)),
            Some(Ok(_)) | None => Err(Fault::plain(
                FaultKind::Damaged,
                "an object is not as long as its row says",
            )),
        }))
    }
}

impl Objects {
    /// Begins to read bytes of an object; `None` if there is no such object. No bytes need none.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn open_range(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<Option<ObjectReader>, Fault> {
        let remaining_bytes = range.end - range.start;
        if remaining_bytes == 0 {
            let stream = futures_util::stream::empty().boxed();
            return Ok(Some(ObjectReader {
                stream,
                remaining_bytes,
            }));
        }
        let _timed = self.actions.time(Action::Reader);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.path_of(key), options).await {
            Ok(found) => Ok(Some(ObjectReader {
                stream: found.into_stream(),
                remaining_bytes,
            })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable("reading an object", error)),
        }
    }

    /// An object of at most so many bytes; `None` if there is none, or it is larger. Blocks.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn read_whole(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Fault> {
        let _timed = self.actions.time(Action::GetContent);
        let read = async {
            let found = self.store.get(&self.path_of(key)).await?;
            if bytes_max < found.meta.size {
                return Ok(None);
            }
            found.bytes().await.map(|bytes| Some(bytes.to_vec()))
        };
        match self.wait(read) {
            Ok(content) => Ok(content),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable("reading an object", error)),
        }
    }

    /// What an object hashes to, and how long it is; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn rehash(
        &self,
        key: &str,
        algorithm: Algorithm,
    ) -> Result<Option<(Digest, u64)>, Fault> {
        Ok(self.hash(key, algorithm)?.map(|hasher| {
            let hashed_bytes = hasher.hashed_bytes();
            (hasher.finish(), hashed_bytes)
        }))
    }

    pub(super) fn hash(&self, key: &str, algorithm: Algorithm) -> Result<Option<Hasher>, Fault> {
        let read = async {
            let mut stream = self.store.get(&self.path_of(key)).await?.into_stream();
            let mut hasher = Hasher::new(algorithm);
            while let Some(bytes) = stream.try_next().await? {
                hasher.update(&bytes);
            }
            Ok(hasher)
        };
        match self.wait(read) {
            Ok(hasher) => Ok(Some(hasher)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable("reading an object", error)),
        }
    }
}
