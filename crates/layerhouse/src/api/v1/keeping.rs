//! Keeping what is stored: the scrub, backups and the doctor, for who looks after the server.

use std::path::PathBuf;

use http::StatusCode;
use layerhouse_oci::name::RepositoryName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing};
use super::output::{Created, Found};
use super::problem::{Code, Problem};
use super::views::{Id, Moment};
use super::visit::AnyVisit;
use crate::auth::ClientAddress;
use crate::auth::permits::OperatorPermit;
use crate::fault::{Fault, FaultKind};
use crate::registry::backup::BackupError;
use crate::registry::scrub::asked::{AskForScrubError, ScrubState};

/// How the scrub is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Scrub {
    /// Whether passes begin by themselves.
    enabled: bool,
    period_seconds: u64,
    /// Bytes per second at most.
    rate_bytes: u64,
    /// The newest first.
    passes: Vec<Pass>,
    /// What cannot be served as it was pushed.
    damaged: Vec<Damaged>,
}

/// A walk over all that is stored, or over one repository.
#[derive(Debug, Serialize, JsonSchema)]
struct Pass {
    id: Id,
    /// `period` or `asked`
    why: &'static str,
    /// Null for all of them.
    repository: Option<String>,
    started_at: Moment,
    /// Null while it goes on.
    finished_at: Option<Moment>,
    /// `blobs` or `manifests`
    phase: &'static str,
    /// What there was to hash when it began.
    total_bytes: u64,
    bytes: u64,
    blobs: u64,
    manifests: u64,
    damaged: u64,
    unreadable: u64,
    repaired: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Damaged {
    digest: String,
    /// The repository whose manifest it is; null for a blob.
    manifest_of: Option<String>,
    said: String,
    found_at: Moment,
    /// Who misses the blob.
    affected: Vec<Affected>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Affected {
    repository: String,
    /// A tag whose image needs it; null where none does.
    tag: Option<String>,
}

impl From<ScrubState> for Scrub {
    fn from(state: ScrubState) -> Self {
        let passes = state.passes.into_iter().map(|(pass, repository)| Pass {
            id: Id(pass.id),
            why: pass.why.as_str(),
            repository: repository.map(|name| name.to_string()),
            started_at: Moment(pass.started_at),
            finished_at: pass.finished_at.map(Moment),
            phase: pass.phase.as_str(),
            total_bytes: pass.total_bytes,
            bytes: pass.counts.bytes,
            blobs: pass.counts.blobs,
            manifests: pass.counts.manifests,
            damaged: pass.counts.damaged,
            unreadable: pass.counts.unreadable,
            repaired: pass.counts.repaired,
        });
        let damaged = state.damages.into_iter().map(|(damage, affected)| Damaged {
            digest: damage.digest.to_string(),
            manifest_of: damage.manifest_of.map(|name| name.to_string()),
            said: damage.said,
            found_at: Moment(damage.found_at),
            affected: affected
                .into_iter()
                .map(|affected| Affected {
                    repository: affected.repository.to_string(),
                    tag: affected.tag.map(|tag| tag.to_string()),
                })
                .collect(),
        });
        Self {
            enabled: state.settings.is_enabled,
            period_seconds: state.settings.period.as_secs(),
            rate_bytes: state.settings.rate_bytes,
            passes: passes.collect(),
            damaged: damaged.collect(),
        }
    }
}

pub(super) async fn show_scrub(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Scrub>, Problem> {
    let registry = visit.call.api.registry.clone();
    let looked = tokio::task::spawn_blocking(move || registry.scrub_state()).await;
    let looked =
        looked.map_err(|error| Fault::new(FaultKind::Other, "looking at the scrub", error));
    Ok(Found(looked??.into()))
}

/// What to hash.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// What this repository needs alone.
    #[schemars(length(max = 255))]
    repository: Option<String>,
}

/// A pass that was begun, or was under way.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Begun {
    id: Id,
}

pub(super) async fn begin_scrub(
    visit: AnyVisit,
    _: OperatorPermit,
    Body(wanted): Body<Wanted>,
) -> Result<Created<Begun>, Problem> {
    let name = wanted
        .repository
        .as_deref()
        .map(str::parse::<RepositoryName>);
    let name = name
        .transpose()
        .map_err(|error| Problem::invalid(format!("repository: {error}")))?;
    let begun = visit.call.api.registry.ask_for_scrub(name.as_ref()).await;
    Ok(Created(Begun { id: Id(begun?) }))
}

/// Where a backup goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// A directory of the server's machine, from its root on.
    #[schemars(length(max = 4096))]
    to: String,
    /// Files are copied also where they could be shared with the data directory.
    #[serde(default)]
    copy: bool,
}

/// A backup that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Backup {
    name: String,
    repositories: u64,
    manifests: u64,
    tags: u64,
    blobs: u64,
    bytes: u64,
    /// What no backup before it had.
    new_blobs: u64,
    new_bytes: u64,
    /// With any, the backup is incomplete.
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Missing {
    digest: String,
    why: String,
}

pub(super) async fn create_backup(
    visit: AnyVisit,
    permit: OperatorPermit,
    Body(place): Body<Place>,
) -> Result<Created<Backup>, Problem> {
    if permit.asker().source().address != ClientAddress::Console {
        let message =
            "a backup is made at the console of the server's machine, whose paths it names";
        return Err(Problem::denied(message));
    }
    let to = PathBuf::from(place.to);
    if !to.is_absolute() {
        return Err(Problem::invalid("to: write a path from the root on"));
    }
    let made = visit.call.api.registry.back_up(to, place.copy).await?;
    let description = made.description;
    let missing = description.missing.into_iter().map(|missing| Missing {
        digest: missing.digest,
        why: missing.why,
    });
    Ok(Created(Backup {
        name: made.name,
        repositories: description.repositories,
        manifests: description.manifests,
        tags: description.tags,
        blobs: description.blobs,
        bytes: description.bytes,
        new_blobs: description.new_blobs,
        new_bytes: description.new_bytes,
        missing: missing.collect(),
    }))
}

/// How the data directory is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Diagnosis {
    facts: Vec<Fact>,
    /// Nothing here means that it is healthy.
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Fact {
    name: String,
    said: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    what: String,
    /// What to do.
    advice: String,
}

pub(super) async fn examine(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Diagnosis>, Problem> {
    let found = visit.call.api.registry.examine().await?;
    let facts = found.facts.into_iter();
    let ailments = found.ailments.into_iter();
    Ok(Found(Diagnosis {
        facts: facts.map(|(name, said)| Fact { name, said }).collect(),
        findings: ailments
            .map(|ailment| Finding {
                what: ailment.what,
                advice: ailment.advice,
            })
            .collect(),
    }))
}

impl From<AskForScrubError> for Problem {
    fn from(error: AskForScrubError) -> Self {
        match error {
            AskForScrubError::NoRepository(_) => {
                Self::new(StatusCode::NOT_FOUND, Code::NotFound, error.to_string())
            }
            AskForScrubError::Fault(fault) => fault.into(),
        }
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Inside(_) | BackupError::Around(_) | BackupError::NoTime(_) => {
                Self::invalid(message)
            }
            BackupError::NoSuchBackup(_) => {
                Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
            }
            BackupError::Place(_)
            | BackupError::NoRoom { .. }
            | BackupError::Unusable { .. }
            | BackupError::NotEmpty(_) => Self::conflict(Code::Conflict, message),
            BackupError::Fault(fault) => fault.into(),
        }
    }
}
