//! What is stored, for who looks after the server.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::Nothing;
use super::output::Found;
use super::problem::Problem;
use super::views::Moment;
use super::visit::AnyVisit;
use crate::auth::permits::OperatorPermit;
use crate::fault::{Fault, FaultKind};
use crate::meta::storage::Sample as Stored;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Storage {
    repositories: u64,
    tags: u64,
    /// Upload sessions that are open.
    uploads: u64,
    /// Of the file system that the data directory is on.
    free_bytes: u64,
}

/// Counts rows, and asks the file system: where it may wait.
pub(super) async fn show(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Storage>, Problem> {
    let registry = visit.call.api.registry.clone();
    let look = move || {
        let counts = registry.counts()?;
        Ok::<_, Fault>(Storage {
            repositories: counts.repositories,
            tags: counts.tags,
            uploads: registry.uploads_active(),
            free_bytes: registry.free_bytes()?,
        })
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let looked =
        looked.map_err(|error| Fault::new(FaultKind::Other, "looking at the storage", error));
    Ok(Found(looked??))
}

/// How much was stored, from time to time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StorageSamples {
    /// One an hour for a week, one a day for two years before; the oldest first.
    samples: Vec<StorageSample>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct StorageSample {
    at: Moment,
    /// Of all blobs, each counted once.
    unique_bytes: u64,
    /// Of all blobs, once for each repository that has them.
    logical_bytes: u64,
    /// Of the unique ones: what only deleted manifests need that can come back.
    deleted_bytes: u64,
    /// Staged by uploads that are open.
    uploads_bytes: u64,
    /// Of the file system that the data directory is on.
    free_bytes: u64,
}

impl From<Stored> for StorageSample {
    fn from(sample: Stored) -> Self {
        Self {
            at: Moment(sample.at),
            unique_bytes: sample.unique_bytes,
            logical_bytes: sample.logical_bytes,
            deleted_bytes: sample.deleted_bytes,
            uploads_bytes: sample.uploads_bytes,
            free_bytes: sample.free_bytes,
        }
    }
}

pub(super) async fn samples(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<StorageSamples>, Problem> {
    let registry = visit.call.api.registry.clone();
    let looked = tokio::task::spawn_blocking(move || registry.storage_samples()).await;
    let looked =
        looked.map_err(|error| Fault::new(FaultKind::Other, "looking at the storage", error));
    let samples = looked??.into_iter().map(StorageSample::from);
    Ok(Found(StorageSamples {
        samples: samples.collect(),
    }))
}
