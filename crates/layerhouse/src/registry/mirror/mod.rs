//! The mirror: repositories of other registries, served from here. What was pulled once is kept as a copy, in a
//! repository of its own, and is pulled, collected, scrubbed and backed up like everything else.
//!
//! `routing.rs` says which names are an upstream's; `manifests.rs` keeps tags fresh and copies manifests; `fetch.rs`
//! fetches a blob once for all who wait for it, who read it meanwhile (`arrival.rs`), and for all processes (`fetch_lease.rs`),
//! which read along (`follow.rs`); `evict` lets go what takes too much room; `warm.rs` fetches what nobody asked for yet, `sync.rs` copies it into repositories of our own.

pub(crate) mod arrival;
pub(crate) mod blobs;
pub(crate) mod evict;
mod fetch;
mod fetch_lease;
mod follow;
mod lists;
pub(crate) mod manifests;
pub(crate) mod numbers;
pub(crate) mod platforms;
mod pour;
pub(crate) mod routing;
pub(crate) mod sync;
mod waiting;
pub(crate) mod warm;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use moka::sync::Cache;
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};

use self::arrival::Arrivals;
use self::manifests::Brought;
use self::numbers::Numbers;
use self::routing::Source;
use self::waiting::Waiting;
use super::Registry;
use crate::clock::{Clock, Moment};
use crate::config::meaning;
use crate::fault::Fault;
use crate::outbound::replica::Replicas;
use crate::outbound::upstream::Upstream;
use crate::outbound::upstream::dial::OpenUpstreamError;
use crate::outbound::upstream::error::UpstreamError;

/// Tags, and things that an upstream does not have, that are remembered: some 300 bytes each.
const REMEMBERED_MAX: u64 = 100_000;

/// The mirror as it is configured.
pub(crate) struct Mirror {
    pub(crate) settings: meaning::mirror::Mirror,
    pub(crate) upstreams: Vec<Arc<Served>>,
}

/// An upstream that is served.
pub(crate) struct Served {
    pub(crate) upstream: Upstream,
    pub(crate) numbers: Numbers,
    /// Fetches of blobs at once.
    fetches: Semaphore,
}

/// What goes on, whatever is configured.
pub(super) struct Copying {
    arrivals: Arrivals,
    asking: Waiting<Asked, Result<Brought, MirrorError>>,
    /// When a tag was last found to be what its upstream has.
    fresh: Cache<Asked, Moment>,
    /// When an upstream was last found not to have something.
    absent: Cache<Asked, Moment>,
    /// One eviction at a time.
    evicting: AsyncMutex<()>,
    /// Rung when more is held than before.
    eviction_wanted: Notify,
    /// What copies took when it was last looked.
    usage: ArcSwapOption<evict::Usage>,
    /// Where other processes of this registry reach this one, if they do.
    address: OnceLock<String>,
    /// Asks them.
    replicas: Replicas,
}

/// What an upstream is asked for; by the name of the copy, which says the upstream, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    copy: RepositoryName,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    Manifest(Reference),
    Blob(Digest),
}

/// Why there is no copy.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    #[error("the mirror is offline (layerhouse.mirror.offline) and has no copy of it")]
    Offline,
    /// It said so a moment ago.
    #[error("{upstream} does not have it")]
    Absent { upstream: String },
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What came is not what was asked for.
    #[error("{upstream}: {what}")]
    Invalid { upstream: String, what: String },
    #[error("{0}")]
    Fault(Arc<Fault>),
}

impl From<Fault> for MirrorError {
    fn from(fault: Fault) -> Self {
        Self::Fault(Arc::new(fault))
    }
}

impl MirrorError {
    /// Whether it is certain that the upstream does not have it.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Upstream(UpstreamError::NotFound(_)) => true,
            Self::Offline | Self::Upstream(_) | Self::Invalid { .. } | Self::Fault(_) => false,
        }
    }
}

impl Default for Copying {
    fn default() -> Self {
        let cache = || Cache::builder().max_capacity(REMEMBERED_MAX).build();
        Self {
            arrivals: Arrivals::default(),
            asking: Waiting::default(),
            fresh: cache(),
            absent: cache(),
            evicting: AsyncMutex::default(),
            eviction_wanted: Notify::new(),
            usage: ArcSwapOption::default(),
            address: OnceLock::new(),
            replicas: Replicas::default(),
        }
    }
}

impl Mirror {
    /// Opens every upstream; those that `before` has with the same settings go on.
    ///
    /// # Errors
    /// A file of an upstream's cannot be read.
    pub(crate) fn open(
        settings: meaning::mirror::Mirror,
        before: Option<&Self>,
        clock: &Clock,
    ) -> Result<Self, OpenUpstreamError> {
        let kept = |wanted: &meaning::mirror::Upstream| {
            let upstreams = &before?.upstreams;
            let same = upstreams.iter().find(|served| served.settings() == wanted);
            same.cloned()
        };
        let opened = settings.upstreams.iter().map(|wanted| match kept(wanted) {
            Some(served) => Ok(served),
            None => Ok(Arc::new(Served {
                upstream: Upstream::open(wanted, clock)?,
                numbers: Numbers::default(),
                fetches: Semaphore::new(wanted.fetches_max),
            })),
        });
        let upstreams = opened.collect::<Result<Vec<_>, OpenUpstreamError>>()?;
        Ok(Self {
            settings,
            upstreams,
        })
    }
}

impl Mirror {
    fn has_upstream(&self, name: &str) -> bool {
        self.upstreams.iter().any(|served| served.name() == name)
    }
}

impl Served {
    pub(crate) fn name(&self) -> &str {
        &self.settings().name
    }

    pub(crate) fn settings(&self) -> &meaning::mirror::Upstream {
        self.upstream.settings()
    }
}

impl Registry {
    /// The mirror, if there is one.
    pub(crate) fn mirror(&self) -> Option<Arc<Mirror>> {
        self.mirror.load_full()
    }

    /// Opens the mirror that is configured, for [`Registry::use_mirror`]. Reads files.
    ///
    /// # Errors
    /// A file of an upstream's cannot be read.
    pub(crate) fn prepare_mirror(
        &self,
        settings: Option<&meaning::mirror::Mirror>,
    ) -> Result<Option<Mirror>, OpenUpstreamError> {
        let before = self.mirror.load();
        let open = |settings: &meaning::mirror::Mirror| {
            Mirror::open(settings.clone(), before.as_deref(), &self.clock)
        };
        settings.map(open).transpose()
    }

    /// Serves other registries from now on as `mirror` says; what is on its way goes on as it began.
    pub(crate) fn use_mirror(&self, mirror: Option<Mirror>) {
        self.mirror.store(mirror.map(Arc::new));
    }

    /// Has the copies that are here already seen by those whom the configuration says.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn show_copies(&self) -> Result<(), Fault> {
        let Some(mirror) = self.mirror() else {
            return Ok(());
        };
        let wanted = mirror.upstreams.iter().map(|served| {
            let visibility = served.settings().visibility.as_str();
            (served.name().to_owned(), visibility)
        });
        let wanted: Vec<_> = wanted.collect();
        self.database
            .write(move |tx| {
                for (upstream, visibility) in &wanted {
                    crate::meta::mirror::set_visibility(tx, upstream, visibility)?;
                }
                Ok(())
            })
            .await
    }

    /// Whether a name is this registry's own: somebody pushed to it, or it is in a namespace of ours. Of those no
    /// upstream is told, and none takes the place of what is missing there.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn is_own(&self, mirror: &Mirror, name: &RepositoryName) -> Result<bool, Fault> {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        // Who may see copies has a role in a namespace of their upstream's name; and what Docker calls library is
        // everybody's.
        let first = first.filter(|first| *first != "library" && !mirror.has_upstream(first));
        self.database.read(|tx| {
            let is_hosted = crate::meta::mirror::is_hosted(tx, name)?;
            match first {
                Some(first) if !is_hosted => crate::meta::mirror::is_own_namespace(tx, first),
                Some(_) | None => Ok(is_hosted),
            }
        })
    }

    /// Blobs that are on their way.
    pub(crate) fn mirror_fetches(&self) -> u64 {
        self.copying.arrivals.count() as u64
    }

    /// Tells other processes of this registry where they can read along what this one fetches (`http://10.0.0.5:5000`).
    pub(crate) fn advertise(&self, address: String) {
        let _ = self.copying.address.set(address);
    }

    /// Ends what is on its way from upstreams, and waits until it is cleaned up.
    pub(crate) async fn stop_mirror(&self) {
        self.copying.arrivals.stop().await;
    }

    /// Whether there is any use in asking the upstream for what the copy does not have.
    fn check_askable(&self, source: &Source, asked: &Asked) -> Result<(), MirrorError> {
        let settings = &source.mirror.settings;
        if settings.is_offline {
            return Err(MirrorError::Offline);
        }
        if self.is_known_absent(asked, settings.negative_ttl) {
            return Err(source.absent());
        }
        Ok(())
    }

    /// Whether an upstream said within `ttl` that it does not have it.
    fn is_known_absent(&self, asked: &Asked, ttl: Duration) -> bool {
        let now = self.clock.moment();
        let noted = self.copying.absent.get(asked);
        noted.is_some_and(|noted| now.since(noted) < ttl)
    }
}
