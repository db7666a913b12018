//! The kinds of load. Each sets up what it needs and gives cases to measure.

pub(crate) mod list;
pub(crate) mod manifest;
pub(crate) mod mount;
pub(crate) mod proxy_storm;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod setup;
pub(crate) mod start;
pub(crate) mod storm;

use std::sync::Arc;
use std::time::Duration;

use crate::arguments::Length;
use crate::drive::{Load, Until};
use crate::http::origin::Origin;

/// What all kinds of load are given.
pub(crate) struct Scene {
    pub(crate) origins: Vec<Arc<Origin>>,
    pub(crate) repository: String,
    pub(crate) seed: u64,
    pub(crate) threads: u64,
}

impl Scene {
    pub(crate) fn load(&self, clients: u64, length: &Length) -> Load {
        let duration = length.duration.unwrap_or(Duration::from_secs(2));
        Load {
            clients,
            threads: self.threads,
            until: length
                .count
                .map_or(Until::Elapsed(duration), Until::Operations),
            connected: true,
        }
    }

    /// # Errors
    /// A server of files, which cannot do `what`.
    pub(crate) fn only_registries(&self, what: &str) -> Result<(), String> {
        match self.origins.iter().find(|origin| origin.files.is_some()) {
            None => Ok(()),
            Some(origin) => Err(format!(
                "{} serves files only: {what} needs a registry",
                origin.name
            )),
        }
    }
}
