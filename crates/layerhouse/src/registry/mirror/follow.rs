//! Reading a blob from the process that fetches it, while it comes there. What came stays when that breaks off: whoever
//! fetches the blob next is followed from there on, or this process fetches the rest.

use std::time::Duration;

use super::MirrorError;
use super::fetch::{Fetch, PROGRESS_BYTES, RETRIES_MAX, RETRY_PAUSE, Staged, given_up};
use super::fetch_lease::Waiting;
use super::pour::{Poured, lost};
use crate::fault::{Fault, FaultKind};
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
    /// Reads along for as long as there is somebody who fetches the blob and can be reached.
    ///
    /// # Errors
    /// All who wanted it left, the server stops, or what came is not the blob.
    pub(super) async fn follow(
        &self,
        staged: &mut Staged,
        waiting: &mut Waiting,
    ) -> Result<(), MirrorError> {
        let mut retries = 0;
        while !staged.is_verified() {
            let before = staged.held_bytes();
            let followed = self.follow_once(staged).await?;
            if before < staged.held_bytes() {
                *waiting = Waiting::begin();
            }
            if before + PROGRESS_BYTES <= staged.held_bytes() {
                retries = 0;
            }
            let problem = match followed {
                Followed::All => return self.verify(staged).await,
                Followed::Over => return Ok(()),
                Followed::Broken(problem) => problem,
            };
            tracing::debug!(digest = %self.digest, problem, "another process could not be followed");
            if retries == RETRIES_MAX {
                return Ok(());
            }
            let pause = tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(retries));
            retries += 1;
            tokio::select! {
                () = pause => {}
                () = self.given_up() => return Err(given_up()),
            }
        }
        Ok(())
    }

    async fn follow_once(&self, staged: &mut Staged) -> Result<Followed, MirrorError> {
        let Some(holder) = self.alive() else {
            return Ok(Followed::Over);
        };
        let Some(mut blob) = self.ask(staged, &holder).await? else {
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
                () = self.dead(&holder) => {}
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
            Poured::TooLong => {
                let what = "another process sends more of a blob than it said";
                Err(Fault::plain(FaultKind::Other, what.to_owned()).into())
            }
            // Given up, or on to the next who fetches it.
            Poured::Stopped => Ok(Followed::Broken("it is silent".to_owned())),
            Poured::Fault(fault) => Err(fault.into()),
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
            () = self.dead(holder) => Ok(None),
            () = self.given_up() => Err(given_up()),
        }
    }

    /// Waits until somebody is known to have died. Who has ended the fetch may still send what it has.
    async fn dead(&self, holder: &Holder) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            // What cannot be asked right now is asked again.
            if let Ok(Some(found)) = self.holder()
                && (found.name != holder.name || !self.lives(&found))
            {
                return;
            }
        }
    }

    /// Who fetches the blob, if anybody does.
    fn alive(&self) -> Option<Holder> {
        let holder = self.holder().ok().flatten()?;
        self.lives(&holder).then_some(holder)
    }
}
