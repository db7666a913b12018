//! An upload on its way into an object: parts that the store has, and a tail that is too short for one.
//!
//! What is written down of it between two requests is enough for any process to go on.

use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use layerhouse_oci::upload_id::UploadId;
use serde::{Deserialize, Serialize};

use super::Objects;
use super::settings::{PART_BYTES_MAX, PART_BYTES_MIN};
use crate::fault::{Fault, FaultKind};

/// S3 takes no more.
pub(super) const PARTS_MAX: usize = 10_000;
/// So many parts are as small as the operator wants them, and hold nearly all blobs; the rest, of 64 MiB each,
/// hold 500 GiB.
const SMALL_PARTS: usize = 2_000;

/// The bytes of an upload, on their way into an object.
pub(crate) struct ObjectStage {
    objects: Arc<Objects>,
    key: String,
    /// What the store calls the parts together; `None` while there are none.
    multipart: Option<String>,
    parts: Vec<Part>,
    tail: Vec<Bytes>,
    tail_bytes: u64,
    /// All of it is under its key.
    is_whole: bool,
    /// Its parts were to become the object once, by this stage.
    was_tried: bool,
    /// Somebody else made the object of the parts: perhaps of others.
    is_doubtful: bool,
}

/// A part that the store has.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    name: String,
    size_bytes: u64,
}

/// What is written down of an upload between two requests: enough to go on.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// [`State`] in JSON.
    pub(crate) state: Vec<u8>,
    /// Bytes that are in no part yet; fewer than the smallest part has.
    pub(crate) tail: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    key: String,
    multipart: Option<String>,
    parts: Vec<Part>,
    /// The hash of parts and tail, as [`Hasher::save`] gives it.
    hash: Vec<u8>,
}

impl Saved {
    /// The key that it was written to.
    ///
    /// # Errors
    /// What was written down is not what we write.
    pub(crate) fn key(&self) -> Result<String, Fault> {
        self.read().map(|state| state.key)
    }

    fn read(&self) -> Result<State, Fault> {
        serde_json::from_slice(&self.state).map_err(|_| damaged())
    }
}

fn damaged() -> Fault {
    Fault::plain(FaultKind::Damaged, "the state of an upload is damaged")
}

/// Where a stage stood: parts and tail.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    parts: usize,
    tail: Vec<Bytes>,
}

impl ObjectStage {
    /// An upload of which nothing came yet; `writer` is who claims it, where several may.
    pub(crate) fn new(objects: &Arc<Objects>, upload: &UploadId, writer: Option<&str>) -> Self {
        Self {
            objects: Arc::clone(objects),
            key: objects.key_of(upload, writer),
            multipart: None,
            parts: Vec::new(),
            tail: Vec::new(),
            tail_bytes: 0,
            is_whole: false,
            was_tried: false,
            is_doubtful: false,
        }
    }

    /// One that was written down, and its hash.
    ///
    /// # Errors
    /// What was written down is not what we write.
    pub(crate) fn resume(
        objects: &Arc<Objects>,
        upload: &UploadId,
        writer: Option<&str>,
        saved: Saved,
    ) -> Result<(Self, Hasher), Fault> {
        let written = saved.read()?;
        let hasher = Hasher::restore(&written.hash).ok_or_else(damaged)?;
        // Until there are parts, nothing is under a key: two who believe that they are the writer do not meet there.
        // Azure gives parts that belong together no name.
        let is_begun = (written.multipart.as_ref())
            .is_some_and(|multipart| !multipart.is_empty() || !written.parts.is_empty());
        let key = if is_begun {
            written.key
        } else {
            objects.key_of(upload, writer)
        };
        let mut stage = Self {
            objects: Arc::clone(objects),
            key,
            multipart: written.multipart,
            parts: written.parts,
            tail_bytes: saved.tail.len() as u64,
            tail: Vec::new(),
            is_whole: false,
            was_tried: false,
            is_doubtful: false,
        };
        if !saved.tail.is_empty() {
            stage.tail.push(saved.tail.into());
        }
        if stage.held_bytes() != hasher.hashed_bytes() {
            return Err(damaged());
        }
        Ok((stage, hasher))
    }

    fn held_bytes(&self) -> u64 {
        self.tail_bytes + self.parts.iter().map(|part| part.size_bytes).sum::<u64>()
    }

    /// Its final key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Takes bytes, all or none of them.
    ///
    /// # Errors
    /// The store does not take a part; what came before is held still.
    pub(crate) fn append(&mut self, batch: &[Bytes]) -> Result<(), Fault> {
        let (frames, tail_bytes) = (self.tail.len(), self.tail_bytes);
        self.tail.extend_from_slice(batch);
        self.tail_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let wanted = part_bytes(self.parts.len(), self.objects.bucket.part_bytes);
        if self.tail_bytes < wanted {
            return Ok(());
        }
        self.flush().inspect_err(|_| {
            self.tail.truncate(frames);
            self.tail_bytes = tail_bytes;
        })
    }

    /// Makes a part of the tail.
    fn flush(&mut self) -> Result<(), Fault> {
        if self.put_tail()? {
            return Ok(());
        }
        // It was completed by a request whose client did not hear of it, and now sends more, or it was given up.
        let what = "the parts of an upload are gone; begin again";
        Err(Fault::plain(FaultKind::Damaged, what))
    }

    /// The same; `false` if the store knows nothing of the parts before.
    fn put_tail(&mut self) -> Result<bool, Fault> {
        if self.parts.len() == PARTS_MAX {
            let what = "a blob has more parts than the object store takes";
            return Err(Fault::plain(FaultKind::Other, what));
        }
        let multipart = match &self.multipart {
            Some(multipart) => multipart,
            None => self.multipart.insert(self.objects.begin_parts(&self.key)?),
        };
        let at = (self.key.as_str(), multipart.as_str());
        let name = self
            .objects
            .put_part(at, self.parts.len(), self.tail.clone())?;
        let Some(name) = name else {
            return Ok(false);
        };
        self.parts.push(Part {
            name,
            size_bytes: self.tail_bytes,
        });
        self.tail.clear();
        self.tail_bytes = 0;
        Ok(true)
    }

    /// Where it stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            parts: self.parts.len(),
            tail: self.tail.clone(),
        }
    }

    /// Goes back to where it stood: the next part takes the place of one that was dropped.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.parts.truncate(mark.parts);
        self.tail_bytes = mark.tail.iter().map(|bytes| bytes.len() as u64).sum();
        self.tail = mark.tail;
    }

    /// What to write down, for another request to go on with; a tail that can be a part becomes one.
    ///
    /// # Errors
    /// The store does not take the part.
    pub(crate) fn save(&mut self, hasher: &Hasher) -> Result<Saved, Fault> {
        if PART_BYTES_MIN <= self.tail_bytes {
            self.flush()?;
        }
        let state = State {
            key: self.key.clone(),
            multipart: self.multipart.clone(),
            parts: self.parts.clone(),
            hash: hasher.save(),
        };
        Ok(Saved {
            state: serde_json::to_vec(&state).expect("numbers and texts can be written in JSON"),
            tail: self.tail.concat(),
        })
    }

    /// Puts all of it under its key, durably.
    ///
    /// # Errors
    /// The store does not take it.
    fn complete(&mut self) -> Result<(), Fault> {
        if self.is_whole {
            return Ok(());
        }
        let size_bytes = self.held_bytes();
        if self.multipart.is_some() && 0 < self.tail_bytes && !self.put_tail()? {
            // All of it may be there: a request before this one completed it, and nobody heard of it.
            if self.objects.size_bytes(&self.key)? != Some(size_bytes) {
                return self.flush();
            }
            self.is_doubtful = true;
            self.is_whole = true;
            return Ok(());
        }
        match &self.multipart {
            None => self.objects.put(&self.key, self.tail.clone())?,
            Some(multipart) => {
                let names = self.parts.iter().map(|part| part.name.clone()).collect();
                let at = (self.key.as_str(), multipart.as_str());
                let was_tried = std::mem::replace(&mut self.was_tried, true);
                let was_there = self.objects.end_parts(at, names, size_bytes)?;
                self.is_doubtful = was_there && !was_tried;
            }
        }
        self.is_whole = true;
        Ok(())
    }

    /// Puts all of it under its key, durably, and looks whether it hashes so, if another may have done it.
    ///
    /// # Errors
    /// The store does not take it, or what is there is something else.
    pub(crate) fn publish(&mut self, hasher: &Hasher) -> Result<(), Fault> {
        self.complete()?;
        if self.is_doubtful {
            let found = self.objects.hash(&self.key, hasher.algorithm())?;
            if found.map(Hasher::finish) != Some(hasher.clone().finish()) {
                let what = "another request made something else of the parts of an upload";
                return Err(Fault::plain(FaultKind::Damaged, what));
            }
            self.is_doubtful = false;
        }
        Ok(())
    }

    /// Hashes all of it with another function.
    ///
    /// # Errors
    /// The store does not give it back.
    pub(crate) fn hash(&mut self, algorithm: Algorithm) -> Result<Hasher, Fault> {
        if self.multipart.is_none() {
            let mut hasher = Hasher::new(algorithm);
            for bytes in &self.tail {
                hasher.update(bytes);
            }
            return Ok(hasher);
        }
        self.complete()?;
        let hashed = self.objects.hash(&self.key, algorithm)?;
        hashed.ok_or_else(|| Fault::plain(FaultKind::Damaged, "an object is gone"))
    }

    /// Gives up what the store has of it, as far as the store answers.
    pub(crate) fn discard(&mut self) {
        if self.is_whole {
            let removed = self.objects.remove(std::slice::from_ref(&self.key));
            if let Err(fault) = removed {
                tracing::warn!(key = self.key, %fault, "an object was left behind");
            }
        } else if let Some(multipart) = &self.multipart {
            self.objects.give_up(&self.key, multipart);
        }
    }
}

impl Objects {
    /// Writes bytes that were made again; their key.
    ///
    /// # Errors
    /// The store does not take them.
    pub(crate) fn put_again(
        &self,
        digest: &Digest,
        id: u128,
        content: &[u8],
    ) -> Result<String, Fault> {
        let key = self.key(&format!("{}-{id:032x}", &digest.hex()[..8]));
        self.put(&key, vec![Bytes::copy_from_slice(content)])?;
        Ok(key)
    }
}

/// How long the part of this number, from 0, becomes before it is sent.
fn part_bytes(number: usize, first_bytes: u64) -> u64 {
    if number < SMALL_PARTS {
        first_bytes
    } else {
        first_bytes.max(PART_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::PART_BYTES_DEFAULT;
    use super::*;

    #[test]
    fn parts_suffice_for_the_largest_blob() {
        let held: u64 = (0..PARTS_MAX)
            .map(|number| part_bytes(number, PART_BYTES_DEFAULT))
            .sum();
        // `layerhouse.uploads.blob`, if nothing is said.
        assert!(256 << 30 < held);
        assert_eq!(part_bytes(0, PART_BYTES_DEFAULT), 10 << 20);
        assert_eq!(part_bytes(9_999, PART_BYTES_DEFAULT), 64 << 20);
    }
}
