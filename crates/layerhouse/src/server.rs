//! Puts the parts together: opens the registry, starts its jobs, listens; and takes them apart again.

pub(crate) mod console;
pub(crate) mod elsewhere;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::manifests::MANIFEST_ROOM_KIB;
use crate::api::record::Observers;
use crate::api::sockets::{self, Address, Listeners};
use crate::api::tls::{self, Checked, Tls};
use crate::api::{self, Api, Settings, debug, listen, rate};
use crate::auth::authenticator::{AuthError, Authenticator};
use crate::auth::credentials::Secret;
use crate::auth::directory::Directory;
use crate::auth::sealing::Sealing;
use crate::blobs::redirection::Redirection;
use crate::blobs::{OpenError, cache};
use crate::checks::Checks;
use crate::clock::{Clock, Random};
use crate::config::meaning::{Advertise, Auth, Config, Listen, Notifications};
use crate::jobs;
use crate::registry::mirror::Mirror;
use crate::registry::{Place, Registry};

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
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("{0}")]
    Upstream(String),
    #[error("auth is gone, which would open the registry to everyone: restart to mean it")]
    Opens,
    #[error("a blocking task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A server that runs; stop it with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    address: Address,
    tls: Option<Arc<Tls>>,
    debug_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    stop_jobs: watch::Sender<bool>,
    api: Arc<Api>,
    clock: Clock,
    serving: JoinHandle<()>,
    jobs: JoinSet<()>,
    registry: Arc<Registry>,
    notifications: watch::Sender<Notifications>,
    setup_code: Option<Secret>,
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

async fn open_registry(
    config: &Config,
    environment: &Environment,
) -> Result<Arc<Registry>, StartError> {
    let (config, world) = (config.clone(), environment.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let place = Place {
            root: &config.root,
            database: config.database.as_ref(),
            buckets: &config.buckets,
            placement: &config.placement,
        };
        let steps = config.steps.clone();
        Registry::open_with(&place, config.limits, world.clock, world.random, steps)
    });
    Ok(Arc::new(opened.await??))
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
    let debug_listener = match &config.debug {
        Some(debug) => Some(bind_debug(debug.address).await?),
        None => None,
    };
    // Before the data is touched; and reading users may take a while.
    let (of, clock, random) = (
        config.auth.clone(),
        environment.clock.clone(),
        environment.random.clone(),
    );
    let authenticator = tokio::task::spawn_blocking(move || {
        Authenticator::open(&of, &clock, &random, &Sealing::new(&random))
    })
    .await??;
    let redirection = Redirection::open(&config.redirection).map_err(OpenError::from)?;
    let registry = open_registry(config, &environment).await?;
    let Environment { clock, random } = environment;
    let world = (clock.clone(), random);
    let authenticator = with_accounts(config, &registry, authenticator, world).await?;
    let settings = Settings::new(config, Arc::new(authenticator), None);
    registry.redirect_by(redirection);
    registry.use_mirror(prepare_mirror(&registry, config)?);
    registry.show_copies().await.map_err(OpenError::from)?;
    tell_registry(&registry, config, &address).await?;
    advertise(&registry, config, &address).await?;
    let (notifications, wanted) = watch::channel(config.notifications.clone());
    let (stop, is_stopping) = watch::channel(false);
    let checks = Arc::new(Checks::new(config.health.clone()));
    let api = Arc::new(Api {
        registry: Arc::clone(&registry),
        settings: ArcSwap::from_pointee(settings),
        timeouts: config.timeouts,
        is_stopping: is_stopping.clone(),
        readiness: tokio::sync::Mutex::default(),
        pages: crate::api::ui::Room::default(),
        manifest_room_kib: Semaphore::new(MANIFEST_ROOM_KIB),
        windows: rate::Windows::default(),
        observers: Observers::new(Arc::clone(&checks)),
        tls: tls.clone(),
    });
    let (stop_jobs, jobs_are_stopping) = watch::channel(false);
    let mut jobs = jobs::start(&registry, &wanted, &jobs_are_stopping);
    let (leading, until) = (Arc::clone(&registry), jobs_are_stopping.clone());
    jobs.spawn(async move { leading.keep_lead(until).await });
    // A command pulls nothing.
    if config.listen != Listen::Nowhere
        && let Some(cache) = config.cache.clone()
    {
        let caching = Arc::clone(&registry);
        jobs.spawn(caching.keep_blob_cache(cache, jobs_are_stopping.clone()));
    }
    let mut setup_code = None;
    if let Some(index) = api.index() {
        setup_code = index
            .setup_code(!registry.is_shared())
            .await
            .map_err(OpenError::from)?;
        let directory = index.directory().clone();
        jobs.spawn(jobs::accounts::run(directory, jobs_are_stopping.clone()));
        jobs::index_repositories::start(&mut jobs, &registry, &index, &jobs_are_stopping);
    }
    jobs.spawn(jobs::checks::run(
        Arc::clone(&registry),
        checks,
        jobs_are_stopping.clone(),
    ));
    let debug_address = debug_listener.as_ref().map(|(_, address)| *address);
    if let Some((listener, address)) = debug_listener {
        tracing::info!(%address, "the debug address is listened on");
        let metrics_path = config
            .debug
            .as_ref()
            .and_then(|debug| debug.metrics_path.clone());
        // It ends with the jobs: health and metrics are there while requests are finished.
        let (api, stop) = (Arc::clone(&api), jobs_are_stopping);
        jobs.spawn(debug::serve(listener, api, metrics_path, stop));
    }
    let serving = serve(config, listeners, tls.clone(), &api, is_stopping).await;
    Ok(Running {
        address,
        tls,
        debug_address,
        stop,
        stop_jobs,
        api,
        clock,
        serving,
        jobs,
        registry,
        notifications,
        setup_code,
    })
}

/// The authenticator with accounts, if there are any, and with keys that other processes have, too, if there may be some.
async fn with_accounts(
    config: &Config,
    registry: &Arc<Registry>,
    authenticator: Authenticator,
    (clock, random): (Clock, Random),
) -> Result<Authenticator, StartError> {
    if registry.is_shared() {
        // What one process seals, a client may bring to another.
        let key = registry.sealing_key().await.map_err(OpenError::from)?;
        authenticator.sealing().share(key);
    }
    let authenticator = match &config.index {
        None => authenticator,
        Some(index) => {
            let hidden = Arc::clone(registry);
            tokio::task::spawn_blocking(move || hidden.hide_database())
                .await?
                .map_err(OpenError::from)?;
            registry
                .name_official_repositories()
                .await
                .map_err(OpenError::from)?;
            let database = registry.database().clone();
            let directory = Directory::new(database, clock, random, index.clone());
            authenticator.with_index(index, directory)?
        }
    };
    if let Some(index) = authenticator.indexed() {
        // Made at the first start, and not while somebody waits for a token.
        let made = index.issuer().keys().current().await;
        made.map_err(OpenError::from)?;
    }
    Ok(authenticator)
}

/// The mirror that is configured, if one is.
fn prepare_mirror(registry: &Registry, config: &Config) -> Result<Option<Mirror>, StartError> {
    let prepared = registry.prepare_mirror(config.mirror.as_ref());
    prepared.map_err(|error| StartError::Upstream(error.to_string()))
}

/// What of the configuration a reload may change, and the registry goes by.
async fn tell_registry(
    registry: &Registry,
    config: &Config,
    address: &Address,
) -> Result<(), OpenError> {
    registry.configure_policies(&config.policies);
    registry.tell_events_as(source_name(address));
    Ok(registry.configure_events(&config.notifications).await?)
}

/// Has other processes read along what this one fetches, if they can reach it.
async fn advertise(
    registry: &Registry,
    config: &Config,
    address: &Address,
) -> Result<(), StartError> {
    let Some(own) = advertised(config, address).await? else {
        return Ok(());
    };
    let is_local = own.starts_with("http://127.") || own.starts_with("http://[::1]");
    if is_local && registry.is_shared() && config.mirror.is_some() {
        tracing::info!(
            address = own,
            "only processes of this machine can read along what this one fetches; say in layerhouse.advertise where others reach it"
        );
    } else {
        tracing::debug!(address = own, "other processes read along here");
    }
    registry.advertise(own);
    Ok(())
}

/// Where other processes on the same database reach this one, if they may.
async fn advertised(config: &Config, address: &Address) -> Result<Option<String>, StartError> {
    match &config.advertise {
        Advertise::Nothing => return Ok(None),
        Advertise::At(said) => {
            let is_served = *address != Address::Nowhere;
            return Ok(is_served.then(|| said.clone()));
        }
        // Which name a certificate has is not known.
        Advertise::Found if config.tls.is_some() => return Ok(None),
        Advertise::Found => {}
    }
    let (Some(database), Some(bound)) = (config.database.clone(), address.tcp()) else {
        return Ok(None);
    };
    // Names may be resolved for that.
    let found = tokio::task::spawn_blocking(move || database.local_address()).await?;
    Ok(found
        .and_then(|found| reachable(bound, found))
        .map(|own| format!("http://{own}")))
}

/// Where a listener is reached by who reaches this machine at `found`. Pure.
fn reachable(bound: SocketAddr, found: IpAddr) -> Option<SocketAddr> {
    let ip = bound.ip();
    if ip.is_unspecified() {
        // One that takes all of IPv6 takes IPv4, too; not the other way round.
        let is_served = ip.is_ipv6() || found.is_ipv4();
        return is_served.then(|| SocketAddr::new(found, bound.port()));
    }
    (!ip.is_loopback() || found.is_loopback()).then_some(bound)
}

/// Takes connections, those of the console too, until it is told to stop.
async fn serve(
    config: &Config,
    listeners: Listeners,
    tls: Option<Arc<Tls>>,
    api: &Arc<Api>,
    is_stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let console = open_console(config).await;
    let (on_console, console_stops) = (Arc::clone(api), is_stopping.clone());
    let serving = listen::serve(
        listeners,
        tls,
        Arc::clone(api),
        config.connections_max,
        is_stopping,
        config.drain_max,
    );
    tokio::spawn(async move {
        if let Some(console) = console {
            tokio::join!(serving, console.serve(on_console, console_stops));
        } else {
            serving.await;
        }
    })
}

/// The console. Without it, all else goes on.
async fn open_console(config: &Config) -> Option<api::console::Console> {
    if config.listen == Listen::Nowhere {
        return None;
    }
    let opened = api::console::Console::open(&config.root).await;
    let warn = |problem| {
        tracing::warn!("commands such as `layerhouse gc` need the server stopped: {problem}");
    };
    opened.map_err(warn).ok()
}

/// What events name as their source, as in registry:2: this machine, and the port or socket.
fn source_name(address: &Address) -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    match address {
        Address::Tcp(address) => format!("{host}:{}", address.port()),
        Address::Unix(_) | Address::Nowhere => host.into_owned(),
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

async fn bind_debug(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |problem: String| StartError::Listen(format!("http.debug.addr: {problem}"));
    let listener = sockets::bind(address).await.map_err(fault)?;
    let address = listener
        .local_addr()
        .map_err(|error| fault(error.to_string()))?;
    Ok((listener, address))
}

/// What stands in the way of a start with this configuration, and what is odd, beside what the
/// configuration says itself: whether the files that it names are what they should be. Nothing is
/// changed.
#[must_use]
pub fn check(config: &Config, environment: &Environment) -> (Vec<String>, Vec<String>) {
    let mut checked = match &config.tls {
        Some(settings) => tls::check(settings, environment.clock.now()),
        None => Checked::default(),
    };
    // A file of users that is not there would be made.
    let is_there = match &config.auth {
        Auth::None | Auth::Silly { .. } | Auth::Token(_) => true,
        Auth::Htpasswd { path, .. } => path.exists(),
    };
    if is_there
        && let Err(error) = Authenticator::open(
            &config.auth,
            &environment.clock,
            &environment.random,
            &Sealing::new(&environment.random),
        )
    {
        checked.problems.push(error.to_string());
    }
    // A server goes on without its cache.
    let caches = config.cache.as_ref();
    let directory = caches.and_then(|cache| cache.directory.as_deref());
    if let Some(Err(problem)) = directory.map(cache::check) {
        let what = format!("layerhouse.cache.directory: nothing can be cached there: {problem}");
        checked.warnings.push(what);
    }
    (checked.problems, checked.warnings)
}

impl Running {
    /// Where it listens: the port that was free, if the configuration said 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A connection to the console, from within this process.
    fn console(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        tokio::spawn(api::console::serve_pair(theirs, Arc::clone(&self.api)));
        Ok(ours)
    }

    /// Whether that is in TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The code that makes the first administrator, if there is none yet: to be shown once, to who started
    /// the server, and nowhere else.
    #[must_use]
    pub fn setup_code(&self) -> Option<String> {
        let code = self.setup_code.as_ref()?;
        Some(String::from_utf8_lossy(code.expose()).into_owned())
    }

    /// Where metrics and health are, if they are anywhere.
    #[must_use]
    pub fn debug_address(&self) -> Option<SocketAddr> {
        self.debug_address
    }

    /// Takes over what of `config` can change while the server runs; connections and requests in
    /// flight go on as they began.
    ///
    /// # Errors
    /// Users, keys or certificates cannot be read, or it would open the registry to everyone: nothing
    /// changed.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        // A file that is cut short while it is written may lack the section.
        if self.api.wants_sign_in() && config.is_open() {
            return Err(StartError::Opens);
        }
        let settings = self.api.prepare(config, &self.clock)?;
        let mirror = prepare_mirror(&self.registry, config)?;
        match (&self.tls, &config.tls) {
            (Some(tls), Some(wanted)) => tls
                .reload(wanted, config.http.has_http2)
                .map_err(StartError::Tls)?,
            (None, None) => {}
            _ => tracing::warn!("http.tls: TLS comes and goes with a restart only"),
        }
        // From here on nothing can be wrong.
        self.api.settings.store(Arc::new(settings));
        self.registry.configure_policies(&config.policies);
        self.registry.use_mirror(mirror);
        let registry = Arc::clone(&self.registry);
        tokio::spawn(async move {
            if let Err(fault) = registry.show_copies().await {
                tracing::warn!(%fault, "who may see the copies of a mirror changes with the next start");
            }
        });
        self.notifications.send_if_modified(|notifications| {
            let is_changed = *notifications != config.notifications;
            notifications.clone_from(&config.notifications);
            is_changed
        });
        self.api.observers.checks.replace(&config.health);
        self.note_reload(true);
        Ok(())
    }

    /// Takes note of whether the configuration that was read could be used, for the metrics.
    pub fn note_reload(&self, is_success: bool) {
        let now_seconds = self.registry.clock().now().0.div_euclid(1000);
        let metrics = &self.api.observers.metrics;
        metrics.set_config_reload(is_success, now_seconds);
    }

    /// Stops taking requests, finishes those in flight and the link files, and closes the database.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the listener failed");
        }
        self.registry.stop_mirror().await;
        // After the last request, so that its link files are written, too.
        self.stop_jobs.send_replace(true);
        while let Some(ended) = self.jobs.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a job failed");
            }
        }
        // Those that a client asked for end as soon as those of the jobs, whether the client waited or not.
        self.registry.collection_over().await;
        self.registry.retention_over().await;
        self.registry.give_lead_back().await;
        // What the jobs did last changed link files, too.
        if let Err(fault) = self.registry.write_last_links().await {
            tracing::warn!(%fault, "link files could not be written; they are kept for later");
        }
        let (registry, observers) = (Arc::clone(&self.registry), Arc::clone(&self.api.observers));
        let close = move || {
            observers.flush();
            registry.close();
        };
        if let Err(error) = tokio::task::spawn_blocking(close).await {
            tracing::error!(%error, "the database could not be closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_what_they_can_reach() {
        let check = |bound: &str, found: &str, expected: Option<&str>| {
            let bound = bound.parse().expect("an address and a port");
            let own = reachable(bound, found.parse().expect("an address"));
            let own = own.map(|own| own.to_string());
            assert_eq!(own.as_deref(), expected, "{bound} {found}");
        };
        check("0.0.0.0:5000", "10.0.0.5", Some("10.0.0.5:5000"));
        check("[::]:5000", "10.0.0.5", Some("10.0.0.5:5000"));
        check("[::]:5000", "fd00::5", Some("[fd00::5]:5000"));
        check("0.0.0.0:5000", "fd00::5", None);
        check("10.1.0.5:80", "10.0.0.5", Some("10.1.0.5:80"));
        check("10.1.0.5:80", "127.0.0.1", Some("10.1.0.5:80"));
        // Behind a proxy on this machine.
        check("127.0.0.1:5000", "10.0.0.5", None);
        check("127.0.0.1:5000", "127.0.0.1", Some("127.0.0.1:5000"));
        check("0.0.0.0:5000", "127.0.0.1", Some("127.0.0.1:5000"));
    }
}
