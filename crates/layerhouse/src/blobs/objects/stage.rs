//! An upload on its way into an object: parts that the store has, parts on their way there, and a tail that is too
//! short for one.
//!
//! What is written down of it between two requests is enough for any process to go on. Parts are on their way only within
//! a request that appends: before its number is given again, before the parts become an object or are given up, and
//! before it is written or remembered how far the upload is, each has arrived or failed. So none comes to the store
//! behind one that took its place. One that fails is dropped with all that came after it, in this request: the hash goes
//! back with it, so whoever appends hands it over.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use layerhouse_oci::upload_id::UploadId;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::Objects;
use super::sending::{OnItsWay, Put};
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
    /// Those that come behind them, the first one first.
    sending: VecDeque<OnItsWay>,
    tail: Vec<Bytes>,
    tail_bytes: u64,
    /// Where it stood when the tail was begun, or this request was if that is later.
    before: Mark,
    /// All of it is under its key.
    is_whole: bool,
    /// Its parts were to become the object once, by this stage.
    was_tried: bool,
    /// Somebody else made the object of the parts, perhaps of others; or a part that was given up may have come behind the
    /// one that took its place.
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
    /// What became of a part is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_doubtful: bool,
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

fn gone() -> Fault {
    // It was completed by a request whose client did not hear of it, and now sends more, or it was given up.
    let what = "the parts of an upload are gone; begin again";
    Fault::plain(FaultKind::Damaged, what)
}

/// Where a stage stood: parts, tail, and the hash of both.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    parts: usize,
    tail: Vec<Bytes>,
    hasher: Hasher,
}

impl ObjectStage {
    /// An upload of which nothing came yet; `writer` is who claims it, where several may.
    pub(crate) fn new(
        objects: &Arc<Objects>,
        upload: &UploadId,
        writer: Option<&str>,
        hasher: &Hasher,
    ) -> Self {
        Self {
            objects: Arc::clone(objects),
            key: objects.key_of(upload, writer),
            multipart: None,
            parts: Vec::new(),
            sending: VecDeque::new(),
            tail: Vec::new(),
            tail_bytes: 0,
            before: Mark {
                parts: 0,
                tail: Vec::new(),
                hasher: hasher.clone(),
            },
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
        let tail_bytes = saved.tail.len() as u64;
        let tail = if saved.tail.is_empty() {
            Vec::new()
        } else {
            vec![Bytes::from(saved.tail)]
        };
        let stage = Self {
            objects: Arc::clone(objects),
            key,
            multipart: written.multipart,
            before: Mark {
                parts: written.parts.len(),
                tail: tail.clone(),
                hasher: hasher.clone(),
            },
            parts: written.parts,
            sending: VecDeque::new(),
            tail,
            tail_bytes,
            is_whole: false,
            was_tried: false,
            is_doubtful: written.is_doubtful,
        };
        if stage.held_bytes() != hasher.hashed_bytes() {
            return Err(damaged());
        }
        Ok((stage, hasher))
    }

    fn held_bytes(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(|part| part.size_bytes).sum();
        let sending: u64 = self.sending.iter().map(|part| part.size_bytes).sum();
        parts + sending + self.tail_bytes
    }

    /// Its final key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Takes bytes, all or none of them; `hasher` has what came before.
    ///
    /// # Errors
    /// The store does not take a part, perhaps one of before: it is dropped, and all behind it.
    pub(crate) fn append(&mut self, batch: &[Bytes], hasher: &mut Hasher) -> Result<(), Fault> {
        // What does not arrive is told as soon as it is known.
        while self.sending.front().is_some_and(OnItsWay::is_done) {
            self.wait_for_first(hasher)?;
        }
        if self.tail_bytes == 0 {
            self.before = self.here(hasher);
        }
        self.tail.extend_from_slice(batch);
        self.tail_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        if self.tail_bytes < part_bytes(self.number(), self.objects.bucket.part_bytes) {
            return Ok(());
        }
        let room = self.room(hasher)?;
        let has_room = room.is_some();
        self.send(room, hasher)?;
        if has_room {
            return Ok(());
        }
        self.wait_for_all(hasher)
    }

    /// What number the next part has.
    fn number(&self) -> usize {
        self.parts.len() + self.sending.len()
    }

    /// Room for the tail beside what is gathered next. If others have it this waits for no more than what is its own;
    /// `None` if nothing of that is on its way any more.
    fn room(&mut self, hasher: &mut Hasher) -> Result<Option<OwnedSemaphorePermit>, Fault> {
        loop {
            if self.sending.len() < self.objects.pace.at_once()
                && let Some(room) = self.objects.room(self.tail_bytes)
            {
                return Ok(Some(room));
            }
            if self.sending.is_empty() {
                return Ok(None);
            }
            self.wait_for_first(hasher)?;
        }
    }

    /// The same for who gathers nothing more, and waits for its turn.
    fn send_last(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        while self.objects.pace.at_once() <= self.sending.len() {
            self.wait_for_first(hasher)?;
        }
        self.send(None, hasher)
    }

    /// Makes a part of the tail, and has it go.
    ///
    /// # Errors
    /// It cannot be begun: the tail is dropped as if it had not arrived.
    fn send(
        &mut self,
        room: Option<OwnedSemaphorePermit>,
        hasher: &mut Hasher,
    ) -> Result<(), Fault> {
        let multipart = match self.begin() {
            Ok(multipart) => multipart,
            Err(fault) => {
                // Those before it may well arrive.
                self.wait_for_all(hasher)?;
                self.go_back(self.before.clone(), hasher);
                return Err(fault);
            }
        };
        let content = std::mem::take(&mut self.tail);
        let size_bytes = std::mem::take(&mut self.tail_bytes);
        self.sending.push_back(self.objects.send_part(
            (&self.key, &multipart),
            self.number(),
            (content, size_bytes),
            self.before.clone(),
            room,
        ));
        Ok(())
    }

    /// What the store calls the parts together, if it takes one more.
    fn begin(&mut self) -> Result<String, Fault> {
        if self.number() == PARTS_MAX {
            let what = "a blob has more parts than the object store takes";
            return Err(Fault::plain(FaultKind::Other, what));
        }
        let multipart = match &self.multipart {
            Some(multipart) => multipart,
            None => self.multipart.insert(self.objects.begin_parts(&self.key)?),
        };
        Ok(multipart.clone())
    }

    /// Waits for the first part that is on its way, if there is one.
    fn wait_for_first(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        if self.look_for_first(hasher)? {
            return Ok(());
        }
        Err(gone())
    }

    /// The same; `false` if the store knows nothing of the parts before.
    fn look_for_first(&mut self, hasher: &mut Hasher) -> Result<bool, Fault> {
        let Some(first) = self.sending.pop_front() else {
            return Ok(true);
        };
        let put = self.objects.wait_for(first.put);
        if let Put::Arrived(name) = put {
            let size_bytes = first.size_bytes;
            self.parts.push(Part { name, size_bytes });
            return Ok(true);
        }
        self.go_back(first.before, hasher);
        match put {
            Put::Arrived(_) | Put::Gone => Ok(false),
            Put::Refused(fault) => Err(fault),
            Put::Unknown(fault) => {
                self.is_doubtful = true;
                Err(fault)
            }
        }
    }

    fn wait_for_all(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        while !self.sending.is_empty() {
            self.wait_for_first(hasher)?;
        }
        Ok(())
    }

    fn go_back(&mut self, mark: Mark, hasher: &mut Hasher) {
        hasher.clone_from(&mark.hasher);
        self.rewind(mark);
    }

    /// Has all of it at the store, but for a tail that is too short for a part; nothing is on its way then.
    ///
    /// # Errors
    /// The store does not take a part: it is dropped, and all behind it. What came before can be saved.
    pub(crate) fn settle(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        if PART_BYTES_MIN <= self.tail_bytes {
            // Its bytes are in memory anyway.
            self.send_last(hasher)?;
        }
        self.wait_for_all(hasher)
    }

    /// What is on its way, for whoever drops the stage: no other may write to the upload until it is there or failed.
    /// `None` if that is nothing.
    pub(crate) fn leave(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let sending = std::mem::take(&mut self.sending);
        (!sending.is_empty()).then_some(async move {
            for part in sending {
                part.end().await;
            }
        })
    }

    fn here(&self, hasher: &Hasher) -> Mark {
        Mark {
            parts: self.number(),
            tail: self.tail.clone(),
            hasher: hasher.clone(),
        }
    }

    /// Where it stands. What is on its way is waited for: whoever comes back here must find it.
    ///
    /// # Errors
    /// The store does not take a part.
    pub(crate) fn mark(&mut self, hasher: &mut Hasher) -> Result<Mark, Fault> {
        self.wait_for_all(hasher)?;
        self.before = self.here(hasher);
        Ok(self.before.clone())
    }

    /// Goes back to where it stood: the next part takes the place of one that was dropped. What is on its way is waited
    /// for, and be it of no use: it would come behind that, and the store keeps what came last.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.wait_in_vain();
        assert!(mark.parts <= self.parts.len(), "parts of before a mark");
        self.parts.truncate(mark.parts);
        self.tail_bytes = mark.tail.iter().map(|bytes| bytes.len() as u64).sum();
        self.tail.clone_from(&mark.tail);
        self.before = mark;
    }

    fn wait_in_vain(&mut self) {
        for part in std::mem::take(&mut self.sending) {
            let put = self.objects.wait_for(part.put);
            self.is_doubtful |= matches!(put, Put::Unknown(_));
        }
    }

    /// What to write down, for another request to go on with; a tail that can be a part becomes one.
    ///
    /// # Errors
    /// As with [`ObjectStage::settle`].
    pub(crate) fn save(&mut self, hasher: &mut Hasher) -> Result<Saved, Fault> {
        self.settle(hasher)?;
        self.before = self.here(hasher);
        let state = State {
            key: self.key.clone(),
            multipart: self.multipart.clone(),
            parts: self.parts.clone(),
            hash: hasher.save(),
            is_doubtful: self.is_doubtful,
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
    fn complete(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        if self.is_whole {
            return Ok(());
        }
        let size_bytes = self.held_bytes();
        if self.multipart.is_some() && 0 < self.tail_bytes {
            self.send_last(hasher)?;
            // With it go those before it.
            while 1 < self.sending.len() {
                self.wait_for_first(hasher)?;
            }
            let whole = hasher.clone();
            if !self.look_for_first(hasher)? {
                // All of it may be there: a request before this one completed it, and nobody heard of it.
                if self.objects.size_bytes(&self.key)? != Some(size_bytes) {
                    return Err(gone());
                }
                *hasher = whole;
                self.is_doubtful = true;
                self.is_whole = true;
                return Ok(());
            }
        }
        self.wait_for_all(hasher)?;
        match &self.multipart {
            None => self.objects.put(&self.key, self.tail.clone())?,
            Some(multipart) => {
                let names = self.parts.iter().map(|part| part.name.clone()).collect();
                let at = (self.key.as_str(), multipart.as_str());
                let was_tried = std::mem::replace(&mut self.was_tried, true);
                let was_there = self.objects.end_parts(at, names, size_bytes)?;
                self.is_doubtful |= was_there && !was_tried;
            }
        }
        self.is_whole = true;
        Ok(())
    }

    /// Puts all of it under its key, durably, and looks whether it hashes so, if another may have done it.
    ///
    /// # Errors
    /// The store does not take it, or what is there is something else.
    pub(crate) fn publish(&mut self, hasher: &mut Hasher) -> Result<(), Fault> {
        self.complete(hasher)?;
        if self.is_doubtful {
            let found = self.objects.hash(&self.key, hasher.algorithm())?;
            if found.map(Hasher::finish) != Some(hasher.clone().finish()) {
                let what = "the parts of an upload became something else than was sent";
                return Err(Fault::plain(FaultKind::Damaged, what));
            }
            self.is_doubtful = false;
        }
        Ok(())
    }

    /// Hashes all of it with another function than `first`.
    ///
    /// # Errors
    /// The store does not give it back.
    pub(crate) fn hash(
        &mut self,
        algorithm: Algorithm,
        first: &mut Hasher,
    ) -> Result<Hasher, Fault> {
        if self.multipart.is_none() {
            let mut hasher = Hasher::new(algorithm);
            for bytes in &self.tail {
                hasher.update(bytes);
            }
            return Ok(hasher);
        }
        self.complete(first)?;
        let hashed = self.objects.hash(&self.key, algorithm)?;
        hashed.ok_or_else(|| Fault::plain(FaultKind::Damaged, "an object is gone"))
    }

    /// Gives up what the store has of it, as far as the store answers.
    pub(crate) fn discard(&mut self) {
        // A part that comes when all were given up would cost its space for good.
        self.wait_in_vain();
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
