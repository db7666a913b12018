//! Puts the parts together: opens the registry, starts its jobs, listens; and takes them apart again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::manifests::MANIFEST_ROOM_KIB;
use crate::api::sockets::{Address, Listeners};
use crate::api::tls::Tls;
use crate::api::{Api, Settings, listen};
use crate::blobs::OpenError;
use crate::clock::{Clock, Random};
use crate::config::meaning::{Config, Notifications};
use crate::jobs;
use crate::registry::Registry;

/// What the world gives a server; tests give it their own.
#[derive(Clone, Debug)]
pub struct Environment {
    pub clock: Clock,
    pub random: Random,
}

impl Environment {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Clock::system(),
            random: Random::system(),
        }
    }
}

/// Why a server did not start; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Listen(String),
    #[error("{0}")]
    Tls(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a blocking task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A server that runs; stop it with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    address: Address,
    tls: Option<Arc<Tls>>,
    stop: watch::Sender<bool>,
    stop_jobs: watch::Sender<bool>,
    api: Arc<Api>,
    serving: JoinHandle<()>,
    jobs: JoinSet<()>,
    registry: Arc<Registry>,
    notifications: watch::Sender<Notifications>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Api")
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Registry")
    }
}

/// Starts a server.
///
/// # Errors
/// The address is taken, or the data directory cannot be served.
pub async fn start(config: &Config, environment: Environment) -> Result<Running, StartError> {
    // The address first: a second server on the same port must not touch the data.
    let listening = Listeners::open(&config.listen).await;
    let listeners = listening.map_err(StartError::Listen)?;
    let address = listeners.address().map_err(StartError::Listen)?;
    let tls = start_tls(config, &environment).map_err(StartError::Tls)?;
    let (root, limits, steps) = (config.root.clone(), config.limits, config.steps.clone());
    let Environment { clock, random } = environment;
    let registry =
        tokio::task::spawn_blocking(move || Registry::open(&root, limits, clock, random, steps))
            .await??;
    let registry = Arc::new(registry);
    registry.tell_events_as(source_name(&address));
    registry
        .configure_events(&config.notifications)
        .await
        .map_err(OpenError::from)?;
    let (notifications, wanted) = watch::channel(config.notifications.clone());
    let (stop, is_stopping) = watch::channel(false);
    let api = Arc::new(Api {
        registry: Arc::clone(&registry),
        settings: ArcSwap::from_pointee(Settings::new(config)),
        timeouts: config.timeouts,
        is_stopping: is_stopping.clone(),
        manifest_room_kib: Semaphore::new(MANIFEST_ROOM_KIB),
    });
    let (stop_jobs, jobs_are_stopping) = watch::channel(false);
    let jobs = jobs::start(&registry, &wanted, &jobs_are_stopping);
    let serving = tokio::spawn(listen::serve(
        listeners,
        tls.clone(),
        Arc::clone(&api),
        config.connections_max,
        is_stopping,
        config.drain_max,
    ));
    Ok(Running {
        address,
        tls,
        stop,
        stop_jobs,
        api,
        serving,
        jobs,
        registry,
        notifications,
    })
}

/// What events name as their source, as in registry:2: this machine, and the port or socket.
fn source_name(address: &Address) -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    match address {
        Address::Tcp(address) => format!("{host}:{}", address.port()),
        Address::Unix(_) => host.into_owned(),
    }
}

/// Before the data is touched: a key that does not fit should cost nothing but a word.
fn start_tls(config: &Config, environment: &Environment) -> Result<Option<Arc<Tls>>, String> {
    let Some(settings) = &config.tls else {
        return Ok(None);
    };
    let (clock, random) = (environment.clock.clone(), environment.random.clone());
    let tls = Tls::start(settings, config.http.has_http2, clock, random)?;
    Ok(Some(Arc::new(tls)))
}

impl Running {
    /// Where it listens: the port that was free, if the configuration said 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether that is in TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes over what of `config` can change while the server runs; connections and requests in
    /// flight go on as they began.
    pub fn reload(&self, config: &Config) {
        self.api.settings.store(Arc::new(Settings::new(config)));
        self.notifications.send_if_modified(|notifications| {
            let is_changed = *notifications != config.notifications;
            notifications.clone_from(&config.notifications);
            is_changed
        });
        match (&self.tls, &config.tls) {
            (Some(tls), Some(settings)) => tls.reload(settings, config.http.has_http2),
            (None, None) => {}
            _ => tracing::warn!("http.tls: TLS comes and goes with a restart only"),
        }
    }

    /// Stops taking requests, finishes those in flight and the link files, and closes the database.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the listener failed");
        }
        // After the last request, so that its link files are written, too.
        self.stop_jobs.send_replace(true);
        while let Some(ended) = self.jobs.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a job failed");
            }
        }
        let registry = Arc::clone(&self.registry);
        if let Err(error) = tokio::task::spawn_blocking(move || registry.close()).await {
            tracing::error!(%error, "the database could not be closed");
        }
    }
}
