//! A registry for tests that look at what no client sees.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::Registry;
use super::collection::simulation::{BEGINNING, RULES, Whole, open, push};
use super::uploads::Chunk;
use crate::clock::{Clock, Random};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::fault::Fault;
use crate::meta::transaction::Transaction;

/// A registry with a blob that nothing needs and nobody was promised.
pub(super) struct House {
    pub(super) registry: Arc<Registry>,
    pub(super) name: RepositoryName,
    pub(super) digest: Digest,
    _directory: TempDir,
}

impl House {
    pub(super) async fn build() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let config = Config::load(&Arguments::default(), &Surroundings::default());
        let mut limits = config.expect("no configuration is one").limits;
        limits.collection = RULES;
        let (clock, random) = (Clock::manual(BEGINNING), Random::seeded(1));
        let registry = open(&directory, limits, &clock, &random);
        let name: RepositoryName = "acme/web".parse().expect("a name");
        let content = Bytes::from("nothing needs it");
        let digest = Digest::of(Algorithm::Sha256, &content);
        registry
            .push_blob(
                &push(&name),
                &digest,
                Chunk::default(),
                &mut Whole(Some(content)),
            )
            .await
            .expect("a good blob is taken");
        clock.advance(RULES.promise * 2);
        Self {
            registry,
            name,
            digest,
            _directory: directory,
        }
    }

    /// Nothing is written until it is released.
    pub(super) fn keep_database_busy(&self) -> (mpsc::Sender<()>, JoinHandle<Result<(), Fault>>) {
        let (release, released) = mpsc::channel();
        let database = self.registry.database.clone();
        let busy = tokio::spawn(async move {
            let wait = move |_: &Transaction<'_>| {
                let _ = released.recv();
                Ok(())
            };
            database.write(wait).await
        });
        (release, busy)
    }

    /// Lets tasks go on until it is so.
    pub(super) async fn wait_until(&self, what: &str, is_so: impl Fn(&Registry) -> bool) {
        for _ in 0..10_000 {
            if is_so(&self.registry) {
                return;
            }
            // The thread of the database is not one of the tasks.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it is not so: {what}");
    }
}
