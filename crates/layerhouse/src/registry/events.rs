//! Events: what is told to the endpoints of `notifications`, as registry:2 tells it.
//!
//! An operation that changes something writes its event in its own transaction, so that there is an
//! event exactly for what was acknowledged. A pull changes nothing and must not wait: its event goes
//! through a bounded queue in memory. `outbox` is what the job that delivers them does.

mod body;
pub(crate) mod counters;
pub(crate) mod outbox;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use self::counters::Counters;
use super::Registry;
use crate::auth::{Granted, Identity, Pull, RequestSource};
use crate::clock::{Random, Timestamp};
use crate::config::meaning::{Endpoint, Notifications};
use crate::fault::Fault;
use crate::meta;
use crate::meta::events::NewEvent;
use crate::meta::manifests::StoredManifest;
use crate::meta::repositories::RepositoryId;

/// Pulls whose events are not written yet, at 1 KiB each; those beyond are counted and not told.
const WAITING_PULLS_MAX: usize = 4096;

/// Tags that are told one by one when their manifest is deleted: a manifest may have a million, and
/// their events would hold the writer for seconds. That the manifest went is told in any case.
const TOLD_TAGS_MAX: usize = 1_000;

/// What an event says of references, as JSON; of a manifest with more, it says nothing: a thousand pulls
/// of an index of 8 MiB would be as many gigabytes.
const REFERENCES_BYTES_MAX: usize = 64 << 10;

/// What registry:2 calls every blob.
const BLOB_MEDIA_TYPE: &str = "application/octet-stream";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    Mount,
    Delete,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Mount => "mount",
            Self::Delete => "delete",
        }
    }
}

/// Whom to tell of what; swapped as a whole when the configuration changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventPolicy {
    include_references: bool,
    endpoints: Vec<Wishes>,
}

/// What an endpoint does not want to hear of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// By it is known how far the endpoint came; `config` sees to it that no two have the same.
    pub(crate) name: String,
    ignored_media_types: Vec<String>,
    ignored_actions: Vec<String>,
}

impl Wishes {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.name.clone(),
            ignored_media_types: endpoint.ignored_media_types.clone(),
            ignored_actions: endpoint.ignored_actions.clone(),
        }
    }

    /// Whether the endpoint is told of this.
    pub(crate) fn wants(&self, action: &str, media_type: &str) -> bool {
        let is_in = |list: &[String], text: &str| list.iter().any(|entry| entry == text);
        !is_in(&self.ignored_actions, action) && !is_in(&self.ignored_media_types, media_type)
    }
}

impl EventPolicy {
    fn new(notifications: &Notifications) -> Self {
        Self {
            include_references: notifications.include_references,
            endpoints: notifications.endpoints.iter().map(Wishes::of).collect(),
        }
    }

    /// Of the endpoints.
    fn names(&self) -> Vec<String> {
        let names = self.endpoints.iter().map(|endpoint| endpoint.name.clone());
        names.collect()
    }

    fn is_wanted(&self, action: Action, media_type: &str) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.wants(action.as_str(), media_type))
    }
}

/// The registry's part in telling what happens.
pub(super) struct Events {
    policy: ArcSwap<EventPolicy>,
    /// Who tells it: `source` of every event.
    source: OnceLock<body::Source>,
    pulls: mpsc::Sender<Pulled>,
    waiting_pulls: AsyncMutex<mpsc::Receiver<Pulled>>,
    /// Rung when events were written.
    written: watch::Sender<()>,
    counters: Counters,
}

impl Default for Events {
    fn default() -> Self {
        let (pulls, waiting_pulls) = mpsc::channel(WAITING_PULLS_MAX);
        Self {
            policy: ArcSwap::default(),
            source: OnceLock::new(),
            pulls,
            waiting_pulls: AsyncMutex::new(waiting_pulls),
            written: watch::Sender::new(()),
            counters: Counters::default(),
        }
    }
}

/// A pull that is to be told.
#[derive(Debug)]
struct Pulled {
    teller: Teller,
    repository: RepositoryName,
    digest: Digest,
    size_bytes: u64,
    tag: Option<Tag>,
    is_manifest: bool,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) thing: Thing<'a>,
    pub(super) tag: Option<&'a Tag>,
    /// Where a mounted blob came from, if the client said.
    pub(super) from: Option<&'a RepositoryName>,
    /// See [`Registry::references`].
    pub(super) references: &'a [Descriptor],
}

/// What it was done to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thing<'a> {
    Manifest {
        digest: &'a Digest,
        size_bytes: u64,
    },
    Blob {
        digest: &'a Digest,
        size_bytes: u64,
    },
    /// A manifest or blob that is not there any more.
    Gone {
        digest: &'a Digest,
    },
    /// The tag alone.
    Nothing,
}

impl<'a> Target<'a> {
    pub(super) fn new(repository: &'a RepositoryName, thing: Thing<'a>) -> Self {
        Self {
            repository,
            thing,
            tag: None,
            from: None,
            references: &[],
        }
    }
}

/// Tells of one request, which someone wants to hear of.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    action: Action,
    media_type: &'static str,
    happened_at: Timestamp,
    who: Identity,
    request: Arc<RequestSource>,
    source: body::Source,
    random: Random,
}

impl Teller {
    /// Writes an event, in the transaction that makes it so.
    pub(super) fn append(
        &self,
        tx: &meta::transaction::Transaction<'_>,
        target: &Target<'_>,
    ) -> Result<(), Fault> {
        self.append_body(tx, target.repository, &body::write(self, target))
    }

    /// As [`Teller::append`], of an event that is JSON already.
    fn append_body(
        &self,
        tx: &meta::transaction::Transaction<'_>,
        repository: &RepositoryName,
        body: &str,
    ) -> Result<(), Fault> {
        let event = NewEvent {
            happened_at: self.happened_at,
            repository,
            action: self.action.as_str(),
            media_type: self.media_type,
            body,
        };
        meta::events::append(tx, &event)
    }

    /// Writes the events of a delete before it is done: of a tag, or of a manifest and then of each
    /// tag that goes with it.
    pub(super) fn append_delete(
        &self,
        tx: &meta::transaction::Transaction<'_>,
        repository: &RepositoryName,
        id: RepositoryId,
        reference: &Reference,
    ) -> Result<(), Fault> {
        let tell_tag = |tag: &Tag| {
            let mut target = Target::new(repository, Thing::Nothing);
            target.tag = Some(tag);
            self.append(tx, &target)
        };
        match reference {
            Reference::Tag(tag) => tell_tag(tag),
            Reference::Digest(digest) => {
                self.append(tx, &Target::new(repository, Thing::Gone { digest }))?;
                let tags = meta::tags::pointing_at(tx, id, digest, TOLD_TAGS_MAX)?;
                tags.iter().try_for_each(tell_tag)
            }
        }
    }
}

impl Registry {
    /// Who tells of what `granted` allowed; `None` if nobody wants to hear of it.
    pub(super) fn teller<Permission>(
        &self,
        granted: &Granted<Permission>,
        action: Action,
        media_type: &'static str,
        happened_at: Timestamp,
    ) -> Option<Teller> {
        if !self.events.policy.load().is_wanted(action, media_type) {
            return None;
        }
        Some(Teller {
            action,
            media_type,
            happened_at,
            who: granted.identity().clone(),
            request: Arc::clone(granted.source()),
            source: self.events.source.get().cloned().unwrap_or_default(),
            random: self.random.clone(),
        })
    }

    /// As [`Registry::teller`], of blobs.
    pub(super) fn blob_teller<Permission>(
        &self,
        granted: &Granted<Permission>,
        action: Action,
        happened_at: Timestamp,
    ) -> Option<Teller> {
        self.teller(granted, action, BLOB_MEDIA_TYPE, happened_at)
    }

    /// As [`Registry::teller`], of deletes, which say no media type.
    pub(super) fn delete_teller<Permission>(
        &self,
        granted: &Granted<Permission>,
        happened_at: Timestamp,
    ) -> Option<Teller> {
        self.teller(granted, Action::Delete, "", happened_at)
    }

    /// Events were committed: wakes those who deliver them.
    pub(super) fn told(&self, teller: Option<&Teller>) {
        let Some(teller) = teller else { return };
        self.count_told(teller);
        self.events.written.send_replace(());
    }

    fn count_told(&self, teller: &Teller) {
        let policy = self.events.policy.load();
        for endpoint in &policy.endpoints {
            if endpoint.wants(teller.action.as_str(), teller.media_type) {
                self.events.counters.count_event(&endpoint.name);
            }
        }
    }

    /// What a manifest references, if events are to say so (`events.includereferences`).
    pub(super) fn references(&self, content: &[u8]) -> Vec<Descriptor> {
        let policy = self.events.policy.load();
        if !policy.include_references || policy.endpoints.is_empty() {
            return Vec::new();
        }
        references(content)
    }

    /// A manifest is about to be sent.
    pub(crate) fn tell_manifest_pull(
        &self,
        pull: &Granted<Pull>,
        manifest: &StoredManifest,
        tag: Option<&Tag>,
    ) {
        let media_type = manifest.kind.media_type();
        if let Some(teller) = self.teller(pull, Action::Pull, media_type, self.clock.now()) {
            self.queue_pull(Pulled {
                teller,
                repository: pull.repository().clone(),
                digest: manifest.digest.clone(),
                size_bytes: manifest.content.len() as u64,
                tag: tag.cloned(),
                is_manifest: true,
            });
        }
    }

    /// A blob, or some of it, is about to be sent.
    pub(crate) fn tell_blob_pull(&self, pull: &Granted<Pull>, digest: &Digest, size_bytes: u64) {
        if let Some(teller) = self.blob_teller(pull, Action::Pull, self.clock.now()) {
            self.queue_pull(Pulled {
                teller,
                repository: pull.repository().clone(),
                digest: digest.clone(),
                size_bytes,
                tag: None,
                is_manifest: false,
            });
        }
    }

    /// A pull neither waits for its event nor holds memory without bound for it.
    fn queue_pull(&self, pulled: Pulled) {
        if self.events.pulls.try_send(pulled).is_err() && self.events.counters.count_lost_pulls(1) {
            tracing::warn!(
                waiting = WAITING_PULLS_MAX,
                "pulls come faster than their events can be written; some are not told"
            );
        }
    }
}

/// As registry:2 lists them: the config, then the layers; or the manifests of an index. None if they are
/// too large to be told.
fn references(content: &[u8]) -> Vec<Descriptor> {
    let Ok(manifest) = Manifest::parse(content, None) else {
        return Vec::new();
    };
    let parts = manifest.config.into_iter().chain(manifest.layers);
    let references: Vec<_> = parts.chain(manifest.manifests).collect();
    let mut room = vec![0; REFERENCES_BYTES_MAX];
    match serde_json::to_writer(room.as_mut_slice(), &references) {
        Ok(()) => references,
        Err(_) => Vec::new(),
    }
}
