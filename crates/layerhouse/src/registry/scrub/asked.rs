//! Asking for a pass, and how far the scrub is.

use layerhouse_oci::name::RepositoryName;

use super::Registry;
use crate::clock::Timestamp;
use crate::config::meaning::Scrubbing;
use crate::fault::Fault;
use crate::meta;
use crate::meta::damages::{Affected, Damage};
use crate::meta::scrub::{Pass, Why};

/// Damaged things that are told of at once, and for each the repositories and tags.
const DAMAGES_TOLD_MAX: usize = 1000;
const AFFECTED_TOLD_MAX: usize = 100;

/// Why no pass was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskForScrubError {
    #[error("there is no repository {0}")]
    NoRepository(RepositoryName),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How the scrub is.
#[derive(Clone, Debug)]
pub(crate) struct ScrubState {
    pub(crate) settings: Scrubbing,
    /// The newest first, those that are not over among them, each with the repository that it is of.
    pub(crate) passes: Vec<(Pass, Option<RepositoryName>)>,
    /// What cannot be served as it was pushed, and who misses it.
    pub(crate) damages: Vec<(Damage, Vec<Affected>)>,
}

impl Registry {
    /// Has all that is stored, or what a repository needs, hashed as soon as may be; the pass's id.
    ///
    /// # Errors
    /// As [`AskForScrubError`] says.
    pub(crate) async fn ask_for_scrub(
        &self,
        repository: Option<&RepositoryName>,
    ) -> Result<i64, AskForScrubError> {
        let repository = match repository {
            None => None,
            Some(name) => {
                let found = self
                    .database
                    .read(|tx| meta::repositories::find(tx, name))?;
                let missing = || AskForScrubError::NoRepository(name.clone());
                Some(found.ok_or_else(missing)?)
            }
        };
        let now = self.clock.now();
        // What was pushed in this very moment, too.
        let due_before = Timestamp(now.0.saturating_add(1));
        let id = self
            .begin_pass(Why::Asked, repository, due_before, now)
            .await?;
        self.scrub_wanted.notify_one();
        Ok(id)
    }

    /// How far the scrub is, and what is damaged. Blocks for milliseconds.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn scrub_state(&self) -> Result<ScrubState, Fault> {
        self.database.read(|tx| {
            let passes = meta::damages::passes(tx)?;
            let named = passes.into_iter().map(|pass| {
                let name = match pass.repository {
                    Some(id) => meta::repositories::name(tx, id)?,
                    None => None,
                };
                Ok((pass, name))
            });
            let passes = named.collect::<Result<_, Fault>>()?;
            let damages = meta::damages::damages(tx, DAMAGES_TOLD_MAX)?;
            let of = damages.into_iter().map(|damage| {
                let affected = match &damage.manifest_of {
                    None => meta::damages::affected(tx, &damage.digest, AFFECTED_TOLD_MAX)?,
                    Some(_) => Vec::new(),
                };
                Ok((damage, affected))
            });
            Ok(ScrubState {
                settings: self.limits.scrub,
                passes,
                damages: of.collect::<Result<_, Fault>>()?,
            })
        })
    }
}
