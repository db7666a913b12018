//! Reading a blob from the process that fetches it, while it comes there. What came stays when that breaks off: whoever
//! fetches the blob next is followed from there on, or this process fetches the rest, or reads it from the store.

use std::time::Duration;

use super::MirrorError;
use super::fetch::{Fetch, PROGRESS_BYTES, RETRIES_MAX, RETRY_PAUSE, Staged, given_up};
use super::fetch_lease::Waiting;
use super::pour::{Poured, lost};
use crate::meta::fetches::Holder;
use crate::outbound::OutboundError;
use crate::outbound::replica::ReplicaBlob;

/// Between two looks whether who is followed still lives.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How it ended to read along.
enum Followed {
    /// All of it is here.
    All,
    /// There is nobody to follow, or nothing to be had there.
    Over,
    /// It may go on from here.
    Broken(String),
}

impl Fetch {
    /// Reads along for as long as there is somebody who fetches the blob and can be reached; who it was at last.
    ///
    /// # Errors
    /// All who wanted it left, the server stops, or what came is not the blob.
    pub(super) async fn follow(
        &self,
        staged: &mut Staged,
        waiting: &mut Waiting,
    ) -> Result<Option<String>, MirrorError> {
        let (mut retries, mut last) = (0, None);
        while !staged.is_verified() {
            let before = staged.held_bytes();
            let Some(holder) = self.alive() else {
                break;
            };
            let followed = self.follow_once(staged, &holder).await?;
            last = Some(holder.name);
            if before < staged.held_bytes() {
                *waiting = Waiting::begin();
            }
            if before + PROGRESS_BYTES <= staged.held_bytes() {
                retries = 0;
            }
            let problem = match followed {
                Followed::All => {
                    self.verify(staged).await?;
                    break;
                }
                Followed::Over => break,
                Followed::Broken(problem) => problem,
            };
            tracing::debug!(digest = %self.digest, problem, "another process could not be followed");
            if retries == RETRIES_MAX || waiting.is_too_long() {
                break;
            }
            let pause = tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(retries));
            retries += 1;
            tokio::select! {
                () = pause => {}
                () = self.given_up() => return Err(given_up()),
            }
        }
        Ok(last)
    }

    async fn follow_once(
        &self,
        staged: &mut Staged,
        holder: &Holder,
    ) -> Result<Followed, MirrorError> {
        let Some(mut blob) = self.ask(staged, holder).await? else {
            return Ok(Followed::Over);
        };
        let blob = match &mut blob {
            Ok(blob) => blob,
            Err(error) => return Ok(Followed::Broken(error.to_string())),
        };
        if let Err(error) = self.begin(staged, Some(blob.size_bytes)).await {
            // Who fetches it may do without what is missing here.
            tracing::debug!(digest = %self.digest, %error, "a blob is waited for");
            return Ok(Followed::Over);
        }
        let length_bytes_max = self.length_bytes_max(staged);
        let stage = staged.stage.take().ok_or_else(lost)?;
        let stop = async {
            tokio::select! {
                () = self.left(holder, false) => {}
                () = self.given_up() => {}
            }
        };
        let (stage, poured) = self.pour(stage, blob, length_bytes_max, stop).await?;
        let held_bytes = stage.held_bytes();
        staged.stage = Some(stage);
        match poured {
            Poured::Ended if held_bytes == length_bytes_max => Ok(Followed::All),
            Poured::Ended => Ok(Followed::Broken("it ended before its end".to_owned())),
            Poured::Broken(error) => Ok(Followed::Broken(error.to_string())),
            Poured::TooLong => Ok(Followed::Broken("it sends more than it said".to_owned())),
            // Given up, or on to the next who fetches it.
            Poured::Stopped => Ok(Followed::Broken("it is silent".to_owned())),
            Poured::Fault(fault) => Err(fault.into()),
        }
    }

    /// Brings clients that have the beginning of a blob from here the end of it, now that it is published; whether nobody
    /// waits for any of it any more. If not, the store does not give it.
    ///
    /// # Errors
    /// All who wanted it left, the server stops, or what came is not the blob.
    pub(super) async fn is_completed(&self, staged: &mut Staged) -> Result<bool, MirrorError> {
        if !staged.is_begun() || staged.is_verified() {
            return Ok(true);
        }
        let (store, size_bytes) = (&self.registry.store, self.length_bytes_max(staged));
        let Some(key) = self.registry.object_key(&self.digest)? else {
            return Ok(false);
        };
        let Some(objects) = store.objects_of(&key) else {
            return Ok(false);
        };
        let opened = objects
            .open_range(&key, staged.held_bytes()..size_bytes)
            .await;
        let Ok(Some(mut rest)) = opened else {
            return Ok(false);
        };
        let stage = staged.stage.take().ok_or_else(lost)?;
        let (stage, poured) = self
            .pour(stage, &mut rest, size_bytes, self.given_up())
            .await?;
        let held_bytes = stage.held_bytes();
        staged.stage = Some(stage);
        match poured {
            Poured::Ended if held_bytes == size_bytes => {
                self.verify(staged).await?;
                Ok(true)
            }
            Poured::Stopped => Err(given_up()),
            Poured::Fault(fault) => Err(fault.into()),
            Poured::Ended | Poured::Broken(_) | Poured::TooLong => Ok(false),
        }
    }

    /// The rest of the blob from who fetches it; `None` if that one dies before it answers.
    async fn ask(
        &self,
        staged: &Staged,
        holder: &Holder,
    ) -> Result<Option<Result<ReplicaBlob, OutboundError>>, MirrorError> {
        let Some(address) = &holder.address else {
            return Ok(None);
        };
        let what = (&self.digest, holder.name.as_str());
        let replicas = &self.registry.copying.replicas;
        tokio::select! {
            answer = replicas.blob(address, what, staged.held_bytes()) => Ok(Some(answer)),
            () = self.left(holder, true) => Ok(None),
            () = self.given_up() => Err(given_up()),
        }
    }

    /// Waits until somebody is known to have died; or to have ended the fetch, if that counts: who has ended it may still
    /// send what it has. Nobody has died who sends anything, whatever stands in the database.
    async fn left(&self, holder: &Holder, end_counts: bool) {
        let mut before = self.arrival.received_bytes();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let is_gone = match self.holder_meanwhile().await {
                Ok(Some(found)) => found.name != holder.name || !self.lives(&found),
                Ok(None) => end_counts,
                // What cannot be asked right now is asked again.
                Err(_) => false,
            };
            let received = self.arrival.received_bytes();
            if is_gone && received == before {
                return;
            }
            before = received;
        }
    }
}
