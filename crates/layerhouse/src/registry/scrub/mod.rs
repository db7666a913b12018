//! The scrub: every stored byte is read and hashed again within a period, so that what rots is found while a
//! client, an upstream or a backup still has it.
//!
//! It walks the rows by their keys, writes down how far it is, and goes on there after a restart. Files are
//! hashed without their digest's lease, which a push of the same bytes would wait for; the lease is taken to
//! judge what was found, and the file must still be the one that was read.

pub(crate) mod asked;
mod manifests;
mod objects;
pub(crate) mod pace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use layerhouse_oci::digest::Digest;
use pace::Pace;

use super::objects::DAMAGED_KEPT;
use super::objects::{Taking, UNKNOWN_STORE, check_bucket};
use super::{Registry, blocking};
use crate::blobs::Store;
use crate::blobs::read::FileVersion;
use crate::blobs::reread::{Progress, Reread};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::scrub::{DueBlob, Pass, Phase, Why};

/// Rows that are looked at between two commits…
const BATCH_ROWS: usize = 64;
/// …and bytes: what a crash has hashed once more.
const BATCH_BYTES: u64 = 256 << 20;
/// Read at once on a thread that may wait.
const SLICE_BYTES: u64 = 1 << 20;
/// A file that changes so often while it is read is looked at by the next pass.
const ATTEMPTS_MAX: usize = 3;
/// A start has other things to do; and most tests are over.
const START_DELAY: Duration = Duration::from_mins(10);

/// What came of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// There may be more to do.
    Worked,
    /// Nothing is to be done for so long; without a time, until somebody asks.
    Idle(Option<Duration>),
}

/// What one scrub of this process remembers between rounds.
#[derive(Debug)]
pub(crate) struct Scrubber {
    pace: Pace,
    /// Passes of the period wait until then.
    not_before: Timestamp,
}

/// What is to be said of a stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound {
        size_bytes: u64,
        hashed_at: Timestamp,
    },
    /// It was, and was made again.
    Repaired,
    Damaged,
    /// Why.
    Unreadable(String),
    /// It was removed or changed meanwhile.
    Gone,
}

/// How far a file is.
enum Reading {
    More(Box<Reread>),
    /// With the key of the object that it was to be.
    Missing(Option<String>),
    Changed,
    Whole {
        actual: Digest,
        version: Version,
        size_bytes: u64,
    },
}

/// Which bytes were hashed.
#[derive(Clone, Debug)]
pub(super) enum Version {
    File(FileVersion),
    /// The key: nothing is ever written to an object again.
    Object(String),
}

impl From<FileVersion> for Version {
    fn from(version: FileVersion) -> Self {
        Self::File(version)
    }
}

impl Registry {
    /// A scrub that begins now.
    pub(crate) fn scrubber(&self) -> Scrubber {
        Scrubber {
            pace: Pace::default(),
            not_before: self.clock.now().after(START_DELAY),
        }
    }

    /// Waits until somebody asks for a pass.
    pub(crate) async fn scrub_wanted(&self) {
        self.scrub_wanted.notified().await;
    }

    async fn begin_pass(
        &self,
        why: Why,
        repository: Option<meta::repositories::RepositoryId>,
        due_before: Timestamp,
        now: Timestamp,
    ) -> Result<i64, Fault> {
        // It reads every row: not while others wait to write.
        let database = self.database.clone();
        let looking =
            move || database.read(|tx| meta::scrub::rest_bytes(tx, repository, due_before, now));
        let total_bytes = blocking(looking).await??;
        self.database
            .write(move |tx| meta::scrub::begin(tx, why, repository, due_before, total_bytes, now))
            .await
    }

    /// Does some of what is to be done.
    ///
    /// # Errors
    /// The database failed, or the process lacks something; a file that cannot be read is no error.
    pub(crate) async fn scrub_round(
        self: &Arc<Self>,
        scrubber: &mut Scrubber,
    ) -> Result<Round, Fault> {
        let now = self.clock.now();
        let settings = self.limits.scrub;
        let may_begin = settings.is_enabled && scrubber.not_before <= now;
        let open = self.database.read(meta::scrub::open_pass)?;
        if let Some(pass) = open.filter(|pass| pass.why == Why::Asked || may_begin) {
            match pass.phase {
                Phase::Blobs => self.scrub_blobs(pass, scrubber).await?,
                Phase::Manifests => self.scrub_manifests(pass, scrubber).await?,
            }
            return Ok(Round::Worked);
        }
        if !settings.is_enabled {
            return Ok(Round::Idle(None));
        }
        let last = self.database.read(meta::scrub::last_period)?;
        let next = pace::next_at(settings.period, last, now).max(scrubber.not_before);
        if now < next {
            return Ok(Round::Idle(Some(next.since(now))));
        }
        let due_before = pace::due_before(settings.period, now);
        self.begin_pass(Why::Period, None, due_before, now).await?;
        Ok(Round::Worked)
    }

    async fn scrub_blobs(
        self: &Arc<Self>,
        mut pass: Pass,
        scrubber: &mut Scrubber,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        let due = self
            .database
            .read(|tx| meta::scrub::due_blobs(tx, &pass, now, BATCH_ROWS))?;
        if due.is_empty() {
            pass.phase = Phase::Manifests;
            pass.cursor = (0, String::new());
        }
        let began_with = pass.counts.bytes;
        let mut sound = Vec::new();
        for blob in due {
            let speed = pace::speed(&self.limits.scrub, &pass, self.clock.now());
            let verdict = self
                .scrub_blob(&blob, &mut scrubber.pace, speed, &mut pass.counts.bytes)
                .await?;
            self.scrub_numbers.add_blob();
            pass.counts.blobs += 1;
            blob.digest.as_str().clone_into(&mut pass.cursor.1);
            match verdict {
                Verdict::Sound {
                    size_bytes,
                    hashed_at,
                } => sound.push((blob.digest, size_bytes, hashed_at)),
                Verdict::Repaired => pass.counts.repaired += 1,
                Verdict::Damaged => pass.counts.damaged += 1,
                Verdict::Unreadable(said) => {
                    pass.counts.unreadable += 1;
                    self.note_unreadable(blob.digest, said).await?;
                }
                Verdict::Gone => {}
            }
            if BATCH_BYTES <= pass.counts.bytes - began_with {
                break;
            }
        }
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                for (digest, size_bytes, hashed_at) in &sound {
                    meta::scrub::found_sound(tx, digest, *size_bytes, *hashed_at)?;
                }
                meta::scrub::save(tx, &pass)
            })
            .await
    }

    /// Hashes one blob, at most at this many bytes per second.
    async fn scrub_blob(
        self: &Arc<Self>,
        blob: &DueBlob,
        pace: &mut Pace,
        speed: u64,
        hashed_bytes: &mut u64,
    ) -> Result<Verdict, Fault> {
        let digest = &blob.digest;
        for _ in 0..ATTEMPTS_MAX {
            let hashed_at = self.clock.now();
            let read = self.read_again(digest, pace, speed, hashed_bytes).await?;
            let (actual, version, size_bytes) = match read {
                Err(said) => return Ok(Verdict::Unreadable(said)),
                Ok(Reading::Missing(key)) => return self.judge_missing(blob, key).await,
                Ok(Reading::Changed | Reading::More(_)) => continue,
                Ok(Reading::Whole {
                    actual,
                    version,
                    size_bytes,
                }) => (actual, version, size_bytes),
            };
            if actual == *digest {
                if size_bytes != blob.size_bytes {
                    let said_bytes = blob.size_bytes;
                    tracing::warn!(%digest, size_bytes, said_bytes, "a blob's row had a wrong size");
                }
                return Ok(Verdict::Sound {
                    size_bytes,
                    hashed_at,
                });
            }
            let _lease = self.leases.take(digest).await;
            if let Some(verdict) = self.withdraw(digest, version).await? {
                return Ok(verdict);
            }
        }
        // Another one each time, or one that cannot be moved away: pulls hash it before they serve it.
        Ok(Verdict::Unreadable(
            "its file is not what it should be, and did not stay the same or could not be moved away"
                .to_owned(),
        ))
    }

    /// Hashes a blob of which somebody thinks that it is damaged, as fast as may be.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::registry) async fn look_again(
        self: &Arc<Self>,
        digest: &Digest,
    ) -> Result<(), Fault> {
        let known = self.database.read(|tx| meta::scrub::due_blob(tx, digest))?;
        let Some(blob) = known else {
            return Ok(());
        };
        let (mut pace, mut hashed_bytes) = (Pace::default(), 0);
        let verdict = self
            .scrub_blob(&blob, &mut pace, u64::MAX, &mut hashed_bytes)
            .await?;
        if let Verdict::Unreadable(said) = verdict {
            self.note_unreadable(blob.digest, said).await?;
        }
        Ok(())
    }

    /// Reads a file through, pausing on the way; an error is why the disk did not give it.
    async fn read_again(
        self: &Arc<Self>,
        digest: &Digest,
        pace: &mut Pace,
        speed: u64,
        hashed_bytes: &mut u64,
    ) -> Result<Result<Reading, String>, Fault> {
        if let Some(key) = self.object_key(digest)? {
            return self
                .read_object(digest, key, pace, speed, hashed_bytes)
                .await;
        }
        let mut reading = None;
        loop {
            let began = Instant::now();
            let (store, digest) = (Arc::clone(&self.store), digest.clone());
            let read = move || read_slice(&store, &digest, reading);
            let (bytes, found) = match blocking(read).await? {
                Ok(found) => found,
                Err(fault) => return of_file(fault).map(Err),
            };
            self.scrub_numbers.add_bytes(bytes);
            *hashed_bytes += bytes;
            if let Some(pause) = pace.pause(bytes, began.elapsed(), speed) {
                self.clock.sleep(pause).await;
            }
            match found {
                Reading::More(more) => reading = Some(more),
                Reading::Missing(_) | Reading::Changed | Reading::Whole { .. } => {
                    return Ok(Ok(found));
                }
            }
        }
    }

    /// The row has no file, or no object of this key.
    async fn judge_missing(
        &self,
        blob: &DueBlob,
        missing: Option<String>,
    ) -> Result<Verdict, Fault> {
        let digest = &blob.digest;
        let _lease = self.leases.take(digest).await;
        let key = self.object_key(digest)?;
        if key != missing {
            // Somebody pushed it meanwhile.
            return Ok(Verdict::Gone);
        }
        if let Some(key) = key {
            // A bucket that is gone, or another one, has no objects either.
            let (database, random) = (self.database.clone(), self.random.clone());
            let Some(objects) = self.store.objects_of(&key).cloned() else {
                return Ok(Verdict::Unreadable(UNKNOWN_STORE.to_owned()));
            };
            let checked =
                blocking(move || check_bucket(&database, &random, &objects, Taking::EmptyOnly));
            if let Err(fault) = checked.await? {
                return if fault.kind() == FaultKind::Other {
                    Ok(Verdict::Unreadable(fault.to_string()))
                } else {
                    Err(fault)
                };
            }
            let verdict = self.withdraw(digest, Version::Object(key)).await?;
            return Ok(verdict.unwrap_or(Verdict::Gone));
        }
        let (store, asked) = (Arc::clone(&self.store), digest.clone());
        let looking = move || (store.is_blob_gone(&asked), store.blob_size(&asked));
        let (is_gone, found_bytes) = blocking(looking).await?;
        let is_known = self.database.read(|tx| meta::blobs::exists(tx, digest))?;
        if !is_known || matches!(found_bytes, Ok(Some(_))) {
            return Ok(Verdict::Gone);
        }
        if !is_gone {
            // A disk that is not mounted has no files either.
            let said = "its file cannot be reached; is the disk there?";
            return Ok(Verdict::Unreadable(said.to_owned()));
        }
        if !blob.is_damaged {
            tracing::error!(%digest, "a blob's file is missing; push it again to heal it");
        }
        self.settle_damage(digest, false).await
    }

    /// Takes a file out of service that does not hash to its digest, if it is still the one that was
    /// hashed; the caller holds the digest's lease. `None` if it is not.
    pub(super) async fn withdraw(
        &self,
        digest: &Digest,
        hashed: impl Into<Version>,
    ) -> Result<Option<Verdict>, Fault> {
        let hashed = match hashed.into() {
            Version::File(hashed) => hashed,
            Version::Object(key) => return self.withdraw_object(digest, key).await,
        };
        let (store, moved) = (Arc::clone(&self.store), digest.clone());
        if blocking(move || store.quarantine(&moved, hashed)).await? {
            self.settle_damage(digest, false).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// There are no good bytes under a digest: they are made again if a manifest has them, else it is
    /// written down that they are missing, unless it was a moment ago. The caller holds the digest's lease.
    async fn settle_damage(&self, digest: &Digest, is_noted: bool) -> Result<Verdict, Fault> {
        let contents = self.database.read(|tx| meta::scrub::contents(tx, digest))?;
        let is_good = |content: &Vec<u8>| Digest::of(digest.algorithm(), content) == *digest;
        let (now, known) = (self.clock.now(), digest.clone());
        if let Some(content) = contents.into_iter().find(is_good) {
            let size_bytes = content.len() as u64;
            let (store, put) = (Arc::clone(&self.store), digest.clone());
            let id = self.random.bits();
            let key = blocking(move || match store.objects() {
                Some(objects) => objects.put_again(&put, id, &content).map(Some),
                None => store.put_back(&put, &content).map(|()| None),
            })
            .await??;
            self.database
                .write(move |tx| {
                    if let Some(key) = &key {
                        meta::objects::point(tx, &known, key, now.after(DAMAGED_KEPT))?;
                    }
                    meta::scrub::found_sound(tx, &known, size_bytes, now)
                })
                .await?;
            self.scrub_numbers.add_repaired();
            tracing::warn!(%digest, "its bytes were made again from the manifest that they are");
            return Ok(Verdict::Repaired);
        }
        let is_new = self
            .database
            .write(move |tx| {
                meta::scrub::forget(tx, &known, None)?;
                meta::scrub::found_damaged(tx, &known, now)
            })
            .await?;
        if is_new || is_noted {
            self.scrub_numbers.add_damaged();
        }
        Ok(Verdict::Damaged)
    }

    async fn note_unreadable(&self, digest: Digest, said: String) -> Result<(), Fault> {
        let now = self.clock.now();
        let (noted, words) = (digest.clone(), said.clone());
        let is_new = self
            .database
            .write(move |tx| meta::scrub::note(tx, &noted, None, &words, now))
            .await?;
        if is_new {
            self.scrub_numbers.add_unreadable();
            tracing::error!(%digest, said, "the disk does not give a blob; others are not concerned");
        }
        Ok(())
    }
}

/// Reads about a slice more of a file, or all of a small one.
fn read_slice(
    store: &Store,
    digest: &Digest,
    reading: Option<Box<Reread>>,
) -> Result<(u64, Reading), Fault> {
    let mut reading = match reading {
        Some(reading) => reading,
        None => match store.reread(digest)? {
            Some(reading) => Box::new(reading),
            None => return Ok((0, Reading::Missing(None))),
        },
    };
    let mut bytes = 0;
    while bytes < SLICE_BYTES {
        match reading.step()? {
            Progress::Read(more) => bytes += more,
            Progress::Changed => return Ok((bytes, Reading::Changed)),
            Progress::Whole(actual) => {
                let whole = Reading::Whole {
                    actual,
                    version: reading.version().into(),
                    size_bytes: reading.size_bytes(),
                };
                return Ok((bytes, whole));
            }
        }
    }
    Ok((bytes, Reading::More(reading)))
}

/// Whether a fault is that of one file, in words, or of all.
fn of_file(fault: Fault) -> Result<String, Fault> {
    match fault.kind() {
        FaultKind::Device | FaultKind::Damaged | FaultKind::Other => Ok(fault.to_string()),
        FaultKind::DiskFull
        | FaultKind::ReadOnly
        | FaultKind::Exhausted
        | FaultKind::Unavailable
        | FaultKind::Stopping => Err(fault),
    }
}
