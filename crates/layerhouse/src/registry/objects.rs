//! Blobs as objects: who writes to an upload whose state is a row, and which objects go.
//!
//! Nothing that an upload into an object needs is in this process alone between two requests.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;
use tokio::task::AbortHandle;

use super::receive::Writer;
use super::sessions::{Owner, Session};
use super::uploads::{PushChunkError, ends_the_session};
use super::{Registry, blocking};
use crate::blobs::objects::Objects;
use crate::blobs::objects::stage::Saved;
use crate::clock::{Clock, Random, Timestamp};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::{Database, Durability};
use crate::meta::uploads::{Progress, Standing};

/// Who does not say for so long that it still writes is dead.
const CLAIM: Duration = Duration::from_mins(1);
/// A client may have been sent to an object that another took the place of: three times as long as that lasts.
pub(super) const REPLACED_KEPT: Duration = Duration::from_hours(1);
/// A damaged object is kept for so long, for a human to look at.
pub(super) const DAMAGED_KEPT: Duration = Duration::from_hours(7 * 24);
/// Files that a directory is asked for, to know whether it has those of a database.
const LOOKED_AT: usize = 32;
/// An object without a row that is younger may get one.
const LEFT_OVER_AGE: Duration = Duration::from_hours(24);
/// Removed with one request: what S3 takes.
const REMOVED_TOGETHER: usize = 1000;

/// What is wrong where another process knows a bucket that this one does not.
pub(super) const UNKNOWN_STORE: &str = "it is in a store that this process has no configuration of: start it again with that of the others";

/// The right of one request to write to an upload, among all processes; it ends with it.
pub(super) struct Claim {
    database: Database,
    id: UploadId,
    writer: String,
    renewing: AbortHandle,
    is_settled: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewing.abort();
        if !self.is_settled {
            tokio::spawn(self.give_back());
        }
    }
}

impl Claim {
    /// What the claim is known as.
    pub(super) fn writer(&self) -> &str {
        &self.writer
    }

    /// Lets the next request write to the upload.
    pub(super) async fn release(mut self) {
        self.give_back().await;
        self.is_settled = true;
    }

    fn give_back(&self) -> impl Future<Output = ()> + Send + use<> {
        let (database, id, writer) = (self.database.clone(), self.id.clone(), self.writer.clone());
        async move {
            let released = database
                .write_apart(move |tx| meta::uploads::release(tx, &id, &writer))
                .await;
            if let Err(fault) = released {
                tracing::warn!(%fault, "an upload can be gone on with in a minute only");
            }
        }
    }

    /// Says that the request still lives, as long as it does.
    fn renew(database: &Database, clock: &Clock, id: &UploadId, writer: &str) -> AbortHandle {
        let (database, clock) = (database.clone(), clock.clone());
        let (id, writer) = (id.clone(), writer.to_owned());
        let renewing = tokio::spawn(async move {
            loop {
                clock.sleep(CLAIM / 3).await;
                let (id, writer, now) = (id.clone(), writer.clone(), clock.now());
                let until = claims_at(&database, now).after(CLAIM);
                let renewed = database
                    .write_apart(move |tx| meta::uploads::renew(tx, &id, &writer, now, until))
                    .await;
                match renewed {
                    Ok(true) => {}
                    // What it writes down at its end is refused.
                    Ok(false) => return,
                    Err(fault) => tracing::warn!(%fault, "a claim was not renewed"),
                }
            }
        });
        renewing.abort_handle()
    }
}

/// What time it is for claims: on a server that several processes ask, whatever their own clocks say.
pub(super) fn claims_at(database: &Database, now: Timestamp) -> Timestamp {
    database.server_time().map_or(now, |(now, _)| now)
}

/// Whether a database that has no bucket yet may take one that a registry:2 filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    /// It is to be adopted.
    Filled,
    /// What is in it would never be read.
    EmptyOnly,
}

/// Whether the bucket and the database are each other's, before anything is taken for missing or left over; a new
/// database takes a bucket that is nobody's. Blocks.
///
/// # Errors
/// They are not, or the store does not answer.
pub(super) fn check_bucket(
    database: &Database,
    random: &Random,
    objects: &Objects,
    taking: Taking,
) -> Result<(), Fault> {
    let place = objects.place();
    let refuse = |what: String| Err(Fault::plain(FaultKind::Other, what));
    // The mark first: it comes after the row, and another process may make both right now.
    let found = objects.mark()?;
    let ours = database.read(meta::objects::bucket)?;
    match (ours, found) {
        (Some(ours), Some(found)) if objects.mark_of(&ours) == found => Ok(()),
        (Some(ours), Some(found)) if found.split(' ').next() == Some(&ours) => refuse(format!(
            "{place} is another store of this registry ({}): each needs a bucket or a rootdirectory of its own, and \
             keeps its name",
            found.split(' ').nth(1).unwrap_or("that of storage")
        )),
        (Some(ours), None)
            if !database.read(|tx| meta::objects::has_any_in(tx, objects.name()))? =>
        {
            // It began with another one, which was empty: what a registry:2 left here would never be read.
            if (objects.name().is_some() || database.read(meta::adoptions::is_finished)?)
                && let Some(first) = objects.of_registry()?
            {
                return refuse(filled(&place, &first));
            }
            if objects.has_any()? {
                return refuse(unknown_objects(&place));
            }
            objects.set_mark(&ours)
        }
        (Some(_), _) => refuse(format!(
            "{place} is not the bucket that the database knows (its object layerhouse/registry says so, or is \
             missing): name the right one in storage"
        )),
        (None, Some(_)) => refuse(format!(
            "{place} is the bucket of another database, which knows what its objects are: name that database, or \
             another rootdirectory"
        )),
        (None, None) if objects.has_any()? => refuse(unknown_objects(&place)),
        (None, None) => {
            if taking == Taking::EmptyOnly
                && let Some(first) = objects.of_registry()?
            {
                return refuse(filled(&place, &first));
            }
            let new = random.uuid();
            // The row first: a bucket that is marked and unknown would be refused.
            let id = database
                .bulk()?
                .finish(|tx| meta::objects::give_bucket(tx, &new))?;
            objects.set_mark(&id)
        }
    }
}

fn unknown_objects(place: &str) -> String {
    format!(
        "{place} has objects that the database does not know: name the database that does, or another rootdirectory"
    )
}

/// Why a bucket that a registry:2 filled is not taken.
fn filled(place: &str, first: &str) -> String {
    format!(
        "{place} was filled by a registry:2 ({first}), and is adopted by a new database alone, in a data directory \
         without a registry:2's files; this one was begun without it: name an empty database and an empty \
         layerhouse.directory, or another rootdirectory and copy the images with a client"
    )
}

/// Whether the bucket still is the database's: two databases may have found it without a mark at once, and only one
/// wrote it last. Blocks.
///
/// # Errors
/// It is another database's, or the store does not answer.
pub(super) fn check_mark(database: &Database, objects: &Objects) -> Result<(), Fault> {
    let found = objects.mark()?;
    let ours = database.read(meta::objects::bucket)?;
    if found.is_some() && found == ours.map(|ours| objects.mark_of(&ours)) {
        return Ok(());
    }
    let what = format!(
        "{} has the mark of another database by now, or none (its object layerhouse/registry): nothing is read from it, \
         and nothing removed",
        objects.place()
    );
    Err(Fault::plain(FaultKind::Other, what))
}

impl Registry {
    /// Looks whether rows and configuration speak of the same store, before anything is read or changed; `false` if the
    /// bucket did not answer.
    ///
    /// # Errors
    /// They do not, or the bucket is none that can be used.
    pub(super) fn check_objects(&self) -> Result<bool, Fault> {
        self.check_names()?;
        let mut is_known = true;
        if let Some(objects) = self.store.objects() {
            let taking = if self.is_new()? {
                Taking::Filled
            } else {
                Taking::EmptyOnly
            };
            is_known = self.check_one(objects, taking)?;
        } else if self
            .database
            .read(|tx| meta::objects::has_any_in(tx, None))?
        {
            let what = "the database has blobs that are objects of a bucket, and no bucket is configured: \
                        write storage.s3, gcs or azure as it was";
            return Err(Fault::plain(FaultKind::Other, what));
        }
        for objects in self.store.named_buckets() {
            let is_new = !self
                .database
                .read(|tx| meta::objects::has_any_in(tx, objects.name()))?;
            if !self.check_one(objects, Taking::EmptyOnly)? && is_new {
                let what = format!(
                    "{} does not answer, and is to be marked before anything is written to it: start again when it does",
                    objects.place()
                );
                return Err(Fault::plain(FaultKind::Unavailable, what));
            }
        }
        if !self.store.has_buckets() {
            return Ok(true);
        }
        // Where others may write right now, who died is not believed for longer than a minute. Else the lock of the
        // directory says that nobody does.
        if self.database.file().is_some() {
            self.database.bulk()?.finish(meta::uploads::release_all)?;
        }
        Ok(is_known)
    }

    fn check_one(&self, objects: &Objects, taking: Taking) -> Result<bool, Fault> {
        objects.check()?;
        match check_bucket(&self.database, &self.random, objects, taking) {
            // It may answer when somebody asks; nothing is judged or removed before it did.
            Err(fault) if fault.kind() == FaultKind::Unavailable => {
                let place = objects.place();
                tracing::error!(place, %fault, "whose bucket it is is not known");
                Ok(false)
            }
            checked => checked.map(|()| true),
        }
    }

    /// Whether all buckets that have objects of ours are configured.
    fn check_names(&self) -> Result<(), Fault> {
        for name in self.database.read(meta::objects::bucket_names)? {
            if self.store.bucket(&name).is_none() {
                let what = format!(
                    "the database has blobs in the store {name}, and layerhouse.stores has none of this name: name it as \
                     it was; to have its blobs moved away, name it without repositories until it has none"
                );
                return Err(Fault::plain(FaultKind::Other, what));
            }
        }
        Ok(())
    }

    /// Whether there is nothing yet, in rows or files, that what is in a bucket could contradict.
    fn is_new(&self) -> Result<bool, Fault> {
        let is_begun = self.database.read(|tx| {
            let has_files = !meta::objects::files(tx, 1)?.is_empty();
            Ok::<_, Fault>(has_files || meta::adoptions::is_finished(tx)?)
        })?;
        Ok(!is_begun && self.store.survey_repositories().0.is_empty())
    }

    /// Lets other processes come, with directories of their own, if the bucket has all bytes. `directory` is what the
    /// database knows ours as.
    ///
    /// # Errors
    /// Some are files of another directory, or the database failed.
    pub(super) fn share(&self, directory: &str) -> Result<(), Fault> {
        if !self.is_shared() {
            return Ok(());
        }
        let files = self
            .database
            .read(|tx| meta::objects::files(tx, LOOKED_AT))?;
        let mut is_elsewhere = !files.is_empty();
        for digest in files {
            // One that is missing is damage; all of them are another directory's.
            is_elsewhere &= self.store.blob_size(&digest)?.is_none();
        }
        if is_elsewhere {
            let what = "the database has blobs that are files, and this data directory has not: name the one that has \
                        them in layerhouse.directory";
            return Err(Fault::plain(FaultKind::Other, what));
        }
        self.database.share(directory)
    }

    /// Takes a session as the row says it is, for another process may have written to it.
    pub(super) fn take_up(&self, id: &UploadId) -> Result<Option<Arc<Session>>, Fault> {
        let standing = self.database.read(|tx| meta::uploads::find(tx, id))?;
        if standing.is_none() {
            self.sessions.remove(id);
        }
        Ok(standing.map(|standing| self.restore_session(standing)))
    }

    fn restore_session(&self, standing: Standing) -> Arc<Session> {
        let Standing {
            upload,
            held_bytes,
            touched_at,
        } = standing;
        let (moment, now) = self.clock.moment_and_now();
        let started_at = upload.started_at;
        let session = self.sessions.get(&upload.id).unwrap_or_else(|| {
            let owner = Owner {
                repository: upload.repository,
                principal: upload.principal,
                started_at: upload.started_at,
                moment,
                age: now.since(upload.started_at),
            };
            self.sessions.restore(upload.id, owner)
        });
        // Whoever writes here knows better.
        if session.try_write().is_some() {
            session.set_held_bytes(held_bytes);
        }
        if self.is_shared() {
            // It is not remembered between two looks.
            session.touch_before(moment, now.since(touched_at.unwrap_or(started_at)));
        } else if touched_at.is_some_and(|touched| now.since(touched) < self.limits.upload_idle_max)
        {
            session.touch(moment);
        }
        session
    }

    /// Takes up the sessions that other processes opened.
    pub(super) fn take_up_all(&self) -> Result<(), Fault> {
        for upload in self.database.read(meta::uploads::all)? {
            // What becomes a file is known here alone.
            if self.bucket_for(&upload.repository).is_some() {
                self.take_up(&upload.id)?;
            }
        }
        Ok(())
    }

    /// Forgets a session that any process goes on with, and that nobody writes to here: what is remembered of it would
    /// count for what it held long after it ended elsewhere.
    pub(super) fn set_down(&self, session: &Session) {
        if self.is_shared() {
            self.sessions.remove(&session.id);
        }
    }

    /// Forgets all of them.
    pub(crate) fn set_down_all(&self) {
        if !self.is_shared() {
            return;
        }
        for session in self.sessions.all() {
            if session.try_write().is_some() {
                self.set_down(&session);
            }
        }
    }

    /// The repositories that somebody pushes to, wherever. A blob that is sent to another process in one request
    /// is not among them.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn pushed_to(&self) -> Result<HashSet<RepositoryName>, Fault> {
        let mut repositories = self.sessions.repositories();
        if self.is_shared() {
            let uploads = self.database.read(meta::uploads::all)?;
            repositories.extend(uploads.into_iter().map(|upload| upload.repository));
        }
        Ok(repositories)
    }

    /// Makes a request the one that writes to an upload, and tells it how far that is.
    ///
    /// # Errors
    /// Another request writes to it, or it is there no more.
    pub(super) async fn claim(&self, writer: Writer) -> Result<Writer, PushChunkError> {
        let (id, name, now) = (
            writer.session().id.clone(),
            self.random.uuid(),
            self.clock.now(),
        );
        // Given back wherever this ends: the claim may be made although its answer does not come.
        let claim = Claim {
            renewing: Claim::renew(&self.database, &self.clock, &id, &name),
            database: self.database.clone(),
            id: id.clone(),
            writer: name.clone(),
            is_settled: false,
        };
        let claimed_as = name;
        let from = claims_at(&self.database, now);
        let lasts = (from, from.after(CLAIM));
        let claimed = self
            .database
            .write_apart(move |tx| {
                let is_claimed = meta::uploads::claim(tx, &id, &claimed_as, now, lasts)?;
                let progress = meta::uploads::progress(tx, &id)?;
                Ok::<_, Fault>((is_claimed, progress))
            })
            .await?;
        let progress = match claimed {
            (true, Some(progress)) => progress,
            (is_claimed, progress) => {
                self.set_down(writer.session());
                return Err(if !is_claimed && progress.is_some() {
                    PushChunkError::Busy
                } else {
                    PushChunkError::Unknown
                });
            }
        };
        writer.session().set_held_bytes(progress.held_bytes);
        let saved = progress.state.map(|(state, tail)| Saved { state, tail });
        Ok(writer.claiming(claim, saved))
    }

    /// Writes down how far an upload is, for whichever process its client asks next. A file says that itself;
    /// what was to come in one request is given up.
    ///
    /// # Errors
    /// The object store or the database failed, or another request took the upload over meanwhile.
    pub(super) async fn save(&self, mut writer: Writer) -> Result<(), PushChunkError> {
        if writer.claimed_by().is_none() {
            if writer.is_object() {
                blocking(move || writer.discard()).await?;
            }
            return Ok(());
        }
        // The writer has its claim still: if this is broken off, nobody else writes before all arrived.
        let (mut writer, settled, saved) = blocking(move || {
            let settled = writer.settle();
            // What did not arrive is dropped by now, and what did is kept to go on from.
            let saved = writer.stage().and_then(|stage| {
                let held_bytes = stage.held_bytes();
                Ok(stage.save()?.map(|saved| (held_bytes, saved)))
            });
            (writer, settled, saved)
        })
        .await?;
        match settled {
            Err(fault) if ends_the_session(&fault) => {
                self.end(writer).await;
                return Err(fault.into());
            }
            _ => {}
        }
        let (held_bytes, saved) = match saved {
            Ok(Some(saved)) => saved,
            Ok(None) => return Ok(()),
            Err(fault) => {
                writer.release().await;
                return Err(fault.into());
            }
        };
        let mut claim = writer.take_claim().expect("it was looked for above");
        let progress = Progress {
            held_bytes,
            state: Some((saved.state, saved.tail)),
        };
        let (id, name, now) = (claim.id.clone(), claim.writer.clone(), self.clock.now());
        let is_saved = self
            .database
            .write_apart(move |tx| meta::uploads::save(tx, &id, &name, &progress, now))
            .await?;
        claim.is_settled = true;
        self.set_down(writer.session());
        drop(writer);
        if !is_saved {
            return Err(PushChunkError::Busy);
        }
        Ok(settled?)
    }

    /// Removes the objects that are to go by now; how many went.
    ///
    /// # Errors
    /// The object store or the database failed: the next round goes on.
    pub(super) async fn remove_objects(&self) -> Result<u64, Fault> {
        let (mut removed, mut failed) = (0, None);
        for objects in self.store.buckets() {
            match self.remove_from(objects).await {
                Ok(count) => removed += count,
                // One that does not answer keeps no other from it.
                Err(fault) => failed = Some(fault),
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    async fn remove_from(&self, objects: &Arc<Objects>) -> Result<u64, Fault> {
        let mut removed = 0;
        loop {
            let now = self.clock.now();
            let due = self
                .database
                .read(|tx| meta::objects::due(tx, objects.name(), now, REMOVED_TOGETHER))?;
            if due.is_empty() {
                return Ok(removed);
            }
            let (asked, database, objects) =
                (due.len(), self.database.clone(), Arc::clone(objects));
            let gone = blocking(move || {
                // Adopted keys may be known to another database, too.
                check_mark(&database, &objects)?;
                objects.remove(&due)
            });
            let gone = gone.await??;
            let count = gone.len();
            self.database
                .write_lasting(Durability::ProcessDeath, move |tx| {
                    gone.iter()
                        .try_for_each(|key| meta::objects::end_removal(tx, key))
                })
                .await?;
            removed += count as u64;
            // What could not be removed waits for the next round.
            if count < asked {
                return Ok(removed);
            }
        }
    }

    /// Has removed what is in the bucket without a row, and is too old to get one: what a crash left between
    /// the last byte and the row. How many objects that are.
    ///
    /// # Errors
    /// The object store or the database failed.
    pub(super) async fn find_left_over_objects(&self) -> Result<u64, Fault> {
        let store = Arc::clone(&self.store);
        let (database, now) = (self.database.clone(), self.clock.now());
        let old = now.before(LEFT_OVER_AGE);
        let random = self.random.clone();
        let found = blocking(move || {
            let mut found = HashSet::new();
            let (mut is_any_listed, mut failed) = (false, None);
            for objects in store.buckets() {
                let listed = check_bucket(&database, &random, objects, Taking::EmptyOnly);
                let listed = listed.and_then(|()| {
                    objects.each(|object| {
                        if object.written_at < old
                            && !database.read(|tx| meta::objects::is_accounted(tx, &object.key))?
                        {
                            found.insert(object.key);
                        }
                        Ok(())
                    })
                });
                match listed {
                    Ok(()) => is_any_listed = true,
                    Err(fault) => {
                        let place = objects.place();
                        tracing::warn!(place, %fault, "what nobody needs in a bucket is looked for later");
                        failed = Some(fault);
                    }
                }
            }
            // If all failed soon again, else with the others.
            match failed {
                Some(fault) if !is_any_listed => Err(fault),
                _ => Ok(found),
            }
        })
        .await??;
        let count = found.len() as u64;
        if 0 < count {
            tracing::info!(objects = count, "objects that no row knows are removed");
            self.database
                .write(move |tx| {
                    // Later, so that a row that comes after all still takes it back.
                    let due = now.after(REPLACED_KEPT);
                    found
                        .iter()
                        .try_for_each(|key| meta::objects::remove_left_over(tx, key, due))
                })
                .await?;
        }
        Ok(count)
    }
}
