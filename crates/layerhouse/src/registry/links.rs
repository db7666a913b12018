//! Makes registry:2's link files as the rows are, behind the requests that changed them.

use std::sync::Arc;

use layerhouse_oci::digest::Digest;

use super::{Registry, blocking};
use crate::fault::Fault;
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::links::{Link, LinkState, StaleLink};

/// Links written between two commits.
const BATCH_MAX: usize = 256;

/// What came of one round over the stale links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinksRound {
    pub(crate) written: usize,
    /// Could not be written, and stay marked.
    pub(crate) failed: usize,
}

impl Registry {
    /// Waits until link files may be stale.
    pub(crate) async fn links_wanted(&self) {
        self.links_wanted.notified().await;
    }

    /// Writes all stale links.
    ///
    /// One that cannot be written does not keep the others from it (invariant I11).
    ///
    /// # Errors
    /// The disk or the database failed.
    pub(crate) async fn write_links(&self) -> Result<LinksRound, Fault> {
        let mut round = LinksRound::default();
        if self.store.objects().is_some() {
            // Nobody could take the rest of the directory over: registry:2's files are with its blobs.
            if self.database.read(meta::links::any_stale)? {
                round.written = self
                    .database
                    .write_lasting(Durability::ProcessDeath, meta::links::forget_stale)
                    .await?;
            }
            return Ok(round);
        }
        let mut last = None;
        loop {
            let batch = self
                .database
                .read(|tx| meta::links::stale(tx, last.as_ref(), BATCH_MAX))?;
            last = batch.last().cloned();
            if last.is_none() {
                return Ok(round);
            }
            let mut written = Vec::new();
            for stale in batch {
                match self.write_link(&stale).await {
                    Ok(()) => {
                        round.written += 1;
                        written.push(stale);
                    }
                    Err(fault) => {
                        tracing::warn!(repository = %stale.repository, %fault, "a link file");
                        round.failed += 1;
                    }
                }
            }
            // Durable before the marks go that would have them written again.
            let store = Arc::clone(&self.store);
            blocking(move || store.sync_links()).await??;
            self.database
                .write_lasting(Durability::ProcessDeath, move |tx| {
                    written
                        .iter()
                        .try_for_each(|stale| meta::links::mark_written(tx, stale))
                })
                .await?;
        }
    }

    /// Writes the links that became stale last, when nobody changes rows any more.
    ///
    /// # Errors
    /// As [`Registry::write_links`].
    pub(crate) async fn write_last_links(&self) -> Result<LinksRound, Fault> {
        // A change whose job did not wait for it to end is done before this. That nothing can be written any
        // more was said before.
        let behind_all = self
            .database
            .write_lasting(Durability::ProcessDeath, |_| Ok::<_, Fault>(()));
        match behind_all.await {
            Ok(()) => self.write_links().await,
            Err(_) => Ok(LinksRound::default()),
        }
    }

    async fn write_link(&self, stale: &StaleLink) -> Result<(), Fault> {
        let said = self
            .database
            .read(|tx| meta::links::state(tx, &stale.repository, &stale.link))?;
        let repository = stale.repository.clone();
        let store = Arc::clone(&self.store);
        match (stale.link.clone(), said) {
            (Link::Layer(digest), said) => {
                let is_present = said == LinkState::Present;
                blocking(move || store.write_layer_link(&repository, &digest, is_present)).await?
            }
            (Link::Tag(tag), said) => {
                let target = match said {
                    LinkState::PointsAt(digest) => Some(digest),
                    LinkState::Absent | LinkState::Present => None,
                };
                blocking(move || store.write_tag_link(&repository, &tag, target.as_ref())).await?
            }
            (Link::Manifest(digest), LinkState::Present) => {
                // The same bytes may be published as a blob right now: the copy, which is not synced
                // yet, must not take the place of a file that is.
                let _lease = self.leases.take(&digest).await;
                let content = self
                    .database
                    .read(|tx| meta::manifests::content_anywhere(tx, &digest))?;
                blocking(move || {
                    if let Some(content) = content {
                        store.write_manifest_copy(&digest, &content)?;
                    }
                    store.write_manifest_link(&repository, &digest, true)
                })
                .await?
            }
            (Link::Manifest(digest), LinkState::Absent | LinkState::PointsAt(_)) => {
                let gone = digest.clone();
                blocking(move || store.write_manifest_link(&repository, &gone, false)).await??;
                self.remove_manifest_copy(&digest).await
            }
        }
    }

    /// Removes the copy of a manifest's bytes that no repository has any more.
    async fn remove_manifest_copy(&self, digest: &Digest) -> Result<(), Fault> {
        // The same bytes may be published as a blob right now: its row counts, under the lease.
        let _lease = self.leases.take(digest).await;
        if !self.is_kept_as_file(digest)? {
            let (store, digest) = (Arc::clone(&self.store), digest.clone());
            blocking(move || store.unpublish(&digest)).await?;
        }
        Ok(())
    }
}
