//! Manifests are hashed as they stand in the database, and their copies for registry:2 as they stand on the
//! disk: each makes the other good.

use std::sync::Arc;
use std::time::Instant;

use layerhouse_oci::digest::Digest;

use super::{Reading, Registry, Scrubber, blocking, pace, read_slice};
use crate::blobs::Store;
use crate::fault::Fault;
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::links::Link;
use crate::meta::scrub::{DueManifest, Pass};

/// Manifests between two commits: at 8 MiB the largest.
const BATCH_ROWS: usize = 16;

/// A manifest and its copy, looked at.
struct Looked {
    manifest: DueManifest,
    /// The content in the database hashes to the digest.
    is_sound: bool,
    /// The copy does, and is these bytes if the database needs them.
    copy: Copy,
    bytes: u64,
}

enum Copy {
    Sound(Option<Vec<u8>>),
    Missing,
    Damaged,
}

impl Registry {
    /// Looks at the next manifests of a pass; at the last, the pass is over.
    pub(super) async fn scrub_manifests(
        self: &Arc<Self>,
        mut pass: Pass,
        scrubber: &mut Scrubber,
    ) -> Result<(), Fault> {
        let speed = pace::speed(&self.limits.scrub, &pass, self.clock.now());
        let due = self
            .database
            .read(|tx| meta::scrub::due_manifests(tx, &pass, BATCH_ROWS))?;
        if due.is_empty() {
            return self.finish_pass(pass).await;
        }
        for manifest in due {
            let began = Instant::now();
            let store = Arc::clone(&self.store);
            let looked = blocking(move || look(&store, manifest)).await?;
            pass.counts.bytes += looked.bytes;
            pass.counts.manifests += 1;
            pass.cursor = (
                looked.manifest.repository_id.number(),
                looked.manifest.digest.as_str().to_owned(),
            );
            self.scrub_numbers.add_bytes(looked.bytes);
            let pause = scrubber.pace.pause(looked.bytes, began.elapsed(), speed);
            if looked.is_sound {
                if self.mend_copy(&looked).await? {
                    pass.counts.repaired += 1;
                }
            } else if self.mend_row(looked).await? {
                pass.counts.repaired += 1;
            } else {
                pass.counts.damaged += 1;
            }
            if let Some(pause) = pause {
                self.clock.sleep(pause).await;
            }
        }
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                meta::scrub::save(tx, &pass)
            })
            .await
    }

    /// Has a copy written again that is not what the database has; whether it was so.
    async fn mend_copy(&self, looked: &Looked) -> Result<bool, Fault> {
        let DueManifest {
            repository_id,
            repository,
            digest,
            ..
        } = &looked.manifest;
        if self.store.objects().is_some() {
            // None are kept beside a bucket, and those of a registry:2 in it are left as they are.
            return Ok(false);
        }
        let is_damaged = match looked.copy {
            Copy::Sound(_) => return Ok(false),
            Copy::Missing => false,
            Copy::Damaged => true,
        };
        let (id, name, mended) = (*repository_id, repository.clone(), digest.clone());
        let is_mended = self
            .database
            .write(move |tx| {
                // It is not written yet, or it is a blob, too, and was looked at as one.
                let is_left = meta::scrub::is_stale(tx, &name, &mended)?
                    || meta::blobs::exists(tx, &mended)?
                    || !meta::manifests::exists(tx, id, &mended)?;
                if !is_left {
                    meta::links::mark_stale(tx, &name, &Link::Manifest(mended))?;
                }
                Ok::<_, Fault>(!is_left)
            })
            .await?;
        if !is_mended {
            return Ok(false);
        }
        if is_damaged {
            // Whoever writes it again looks first, and might see what memory has and not the disk.
            let _lease = self.leases.take(digest).await;
            let is_blob = self.database.read(|tx| meta::blobs::exists(tx, digest))?;
            if !is_blob {
                let (store, digest) = (Arc::clone(&self.store), digest.clone());
                blocking(move || store.unpublish(&digest)).await?;
            }
        }
        self.links_wanted.notify_one();
        self.scrub_numbers.add_repaired();
        tracing::warn!(
            %repository, %digest,
            "the copy of a manifest for registry:2 was missing or damaged; it is written again"
        );
        Ok(true)
    }

    /// Gives a row its content back, from the copy or from another repository; whether that could be done.
    async fn mend_row(&self, looked: Looked) -> Result<bool, Fault> {
        let Looked { manifest, copy, .. } = looked;
        let digest = manifest.digest.clone();
        let good = match copy {
            Copy::Sound(Some(content)) => Some(content),
            Copy::Sound(None) | Copy::Missing | Copy::Damaged => {
                let contents = self
                    .database
                    .read(|tx| meta::scrub::contents(tx, &digest))?;
                contents
                    .into_iter()
                    .find(|content| hashes(content, &digest))
            }
        };
        let repository = manifest.repository.clone();
        if let Some(content) = good {
            self.database
                .write(move |tx| meta::scrub::repair_manifest(tx, &manifest, &content))
                .await?;
            self.scrub_numbers.add_repaired();
            tracing::warn!(
                %repository, %digest,
                "a manifest was damaged in the database, and made good from its copy"
            );
            return Ok(true);
        }
        let (now, id, noted) = (self.clock.now(), manifest.repository_id, digest.clone());
        let said =
            "its content in the database does not hash to its digest, and no copy of it does";
        let is_new = self
            .database
            .write(move |tx| meta::scrub::note(tx, &noted, Some(id), said, now))
            .await?;
        if is_new {
            self.scrub_numbers.add_damaged();
            tracing::error!(%repository, %digest, "a manifest is damaged; push it again to heal it");
        }
        Ok(false)
    }

    async fn finish_pass(&self, mut pass: Pass) -> Result<(), Fault> {
        if pass.repository.is_none() {
            let database = self.database.clone();
            let found = blocking(move || database.read(meta::scrub::check_pages)).await??;
            for what in &found {
                tracing::error!(what, "the database is damaged; see `layerhouse doctor`");
            }
            pass.counts.damaged += found.len() as u64;
        }
        let now = self.clock.now();
        pass.finished_at = Some(now);
        let (counts, is_whole) = (pass.counts, pass.repository.is_none());
        self.database
            .write(move |tx| {
                meta::scrub::forget_gone(tx)?;
                meta::scrub::save(tx, &pass)
            })
            .await?;
        if is_whole {
            self.scrub_numbers.set_finished(now.0.div_euclid(1000));
        }
        tracing::info!(
            blobs = counts.blobs,
            manifests = counts.manifests,
            bytes = counts.bytes,
            damaged = counts.damaged,
            unreadable = counts.unreadable,
            repaired = counts.repaired,
            "what is stored was hashed again"
        );
        Ok(())
    }
}

/// Hashes a manifest and its copy; beside a bucket there are no copies.
fn look(store: &Store, manifest: DueManifest) -> Looked {
    let digest = &manifest.digest;
    let is_sound = hashes(&manifest.content, digest);
    let mut bytes = manifest.content.len() as u64;
    if store.objects().is_some() {
        return Looked {
            manifest,
            is_sound,
            copy: Copy::Sound(None),
            bytes,
        };
    }
    let (mut reading, mut copy) = (None, Copy::Damaged);
    // What the disk does not give is as good as damaged: it is written again.
    while let Ok((more, found)) = read_slice(store, digest, reading) {
        bytes += more;
        match found {
            Reading::More(next) => {
                reading = Some(next);
                continue;
            }
            Reading::Missing(_) => copy = Copy::Missing,
            Reading::Whole { actual, .. } if actual == *digest => {
                let content = (!is_sound).then(|| store.manifest_copy(digest));
                copy = Copy::Sound(content.flatten().filter(|content| hashes(content, digest)));
            }
            Reading::Whole { .. } | Reading::Changed => {}
        }
        break;
    }
    Looked {
        manifest,
        is_sound,
        copy,
        bytes,
    }
}

fn hashes(content: &[u8], digest: &Digest) -> bool {
    Digest::of(digest.algorithm(), content) == *digest
}
