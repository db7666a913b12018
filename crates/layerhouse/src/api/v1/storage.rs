//! What is stored, for who looks after the server.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::Nothing;
use super::output::Found;
use super::problem::Problem;
use super::visit::AnyVisit;
use crate::auth::permits::OperatorPermit;
use crate::fault::{Fault, FaultKind};

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
