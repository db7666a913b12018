//! Certificates asked for over ACME (`http.tls.letsencrypt`): one for each host that is named, and for
//! no other, renewed when two thirds of its time are over.
//!
//! Until there is one, handshakes are refused: a certificate that nobody trusts would help no client,
//! and teach people not to look.

mod cache;
mod order;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::DnsName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::AbortHandle;

use self::cache::Cache;
use self::order::Challenges;
use super::pem::Pair;
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::Certificate;

/// What the authority asks for when it looks (RFC 8737, 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";
/// After the first failure, and three times as much after each one more. Let's Encrypt takes five
/// failures of a host in an hour; these are four.
const BACKOFF_MIN: Duration = Duration::from_mins(5);
const BACKOFF_MAX: Duration = Duration::from_hours(6);
/// An order that hangs must not hold the other hosts.
const ORDER_MAX: Duration = Duration::from_mins(10);
/// At least so often the clock is looked at, for it may be set.
const LOOK_MAX: Duration = Duration::from_hours(1);

/// Everything that is wrong with the settings.
pub(super) fn check(cache: &Path, hosts: &[String], problems: &mut Vec<String>) {
    if hosts.is_empty() {
        problems.push(
            "http.tls.letsencrypt.hosts: name the hosts; without, anyone could have certificates \
             asked for in your name"
                .to_owned(),
        );
    }
    for host in hosts {
        if DnsName::try_from(host.as_str()).is_err() || host.contains('*') {
            problems.push(format!(
                "http.tls.letsencrypt.hosts: {host:?} is not the name of a host"
            ));
        }
    }
    if cache.as_os_str().is_empty() {
        problems.push("http.tls.letsencrypt.cachefile: name a directory".to_owned());
    } else if cache.is_file() {
        problems.push(format!(
            "http.tls.letsencrypt.cachefile: {} is a file; as for registry:2 it must be a directory",
            cache.display()
        ));
    }
}

/// Whether the authority looks, to see that the host is ours.
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut names| names.any(|name| name == PROTOCOL))
}

/// Asks for certificates until dropped.
pub(super) struct Acme {
    settings: Certificate,
    served: Arc<Served>,
    challenge_config: Arc<ServerConfig>,
    task: AbortHandle,
}

/// The certificates by host.
#[derive(Debug, Default)]
struct Served(Mutex<HashMap<String, Pair>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = hello.server_name();
        let found = match name {
            Some(name) => served.get(name),
            // Asked for by its address; the only certificate is the one to show.
            None if served.len() == 1 => served.values().next(),
            None => None,
        };
        if found.is_none() {
            tracing::debug!(?name, "there is no certificate for this host");
        }
        found.map(|pair| Arc::clone(&pair.key))
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Acme {
    /// Serves what the cache has, and begins to ask for the rest.
    pub(super) fn start(
        settings: &Certificate,
        provider: Arc<CryptoProvider>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, String> {
        let Certificate::Acme {
            cache,
            email,
            hosts,
            directory_url,
        } = settings
        else {
            return Err("http.tls: there is neither a certificate nor letsencrypt".to_owned());
        };
        let challenges = Arc::new(Challenges::default());
        let mut challenge_config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("http.tls: {error}"))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&challenges) as _);
        challenge_config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let served = Arc::new(Served::default());
        let keeper = Keeper {
            cache: Cache::new(cache),
            email: email.clone(),
            directory_url: directory_url.clone(),
            served: Arc::clone(&served),
            challenges,
            provider,
            clock,
            random,
        };
        let hosts = hosts.iter().map(|host| keeper.begin(host)).collect();
        Ok(Self {
            settings: settings.clone(),
            served,
            challenge_config: Arc::new(challenge_config),
            task: tokio::spawn(keeper.run(hosts)).abort_handle(),
        })
    }

    pub(super) fn has_settings(&self, settings: &Certificate) -> bool {
        self.settings == *settings
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.served) as _
    }

    /// What the authority is answered with. It has no certificate of a client's.
    pub(super) fn challenge_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.challenge_config)
    }

    pub(super) fn not_after(&self) -> Option<Timestamp> {
        let served = self.served.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.values().map(|pair| pair.not_after).min()
    }
}

struct Keeper {
    cache: Cache,
    email: Option<String>,
    directory_url: String,
    served: Arc<Served>,
    challenges: Arc<Challenges>,
    provider: Arc<CryptoProvider>,
    clock: Clock,
    random: Random,
}

/// When a host needs a certificate, and how often that failed.
struct Host {
    name: String,
    due: Timestamp,
    failures: u32,
}

impl Keeper {
    fn begin(&self, host: &str) -> Host {
        let now = self.clock.now();
        // As clients name it, and as the cache does.
        let name = host.to_ascii_lowercase();
        let kept = self.cache.certificate(&name, now, &self.provider);
        Host {
            due: kept.map_or(now, |pair| self.serve(&name, pair)),
            name,
            failures: 0,
        }
    }

    /// From now on; when it is to be renewed.
    fn serve(&self, host: &str, pair: Pair) -> Timestamp {
        let due = renewal(pair.not_before, pair.not_after, self.random.bits());
        let mut served = self.served.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.insert(host.to_owned(), pair);
        due
    }

    async fn run(self, mut hosts: Vec<Host>) {
        loop {
            for host in &mut hosts {
                if host.due <= self.clock.now() {
                    self.renew(host).await;
                }
            }
            let now = self.clock.now();
            let next = hosts.iter().map(|host| host.due.since(now)).min();
            let wait = next.unwrap_or(LOOK_MAX).min(LOOK_MAX);
            self.clock.sleep(wait).await;
        }
    }

    async fn renew(&self, host: &mut Host) {
        let ordered = tokio::time::timeout(ORDER_MAX, self.order(&host.name))
            .await
            .unwrap_or_else(|_| Err("the authority takes too long".to_owned()));
        let (name, now) = (&host.name, self.clock.now());
        match ordered {
            Ok(pair) => {
                tracing::info!(host = name, "a new certificate is served");
                // Never at once again, whatever times a strange authority writes.
                let soonest = now.0 + i64::try_from(BACKOFF_MIN.as_millis()).unwrap_or(i64::MAX);
                host.due = Timestamp(self.serve(name, pair).0.max(soonest));
                host.failures = 0;
            }
            Err(error) => {
                host.failures = host.failures.saturating_add(1);
                let wait = backoff(host.failures, self.random.bits());
                host.due = Timestamp(now.0 + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
                let wait_s = wait.as_secs();
                tracing::error!(host = name, wait_s, "no certificate: {error}");
            }
        }
    }

    async fn order(&self, host: &str) -> Result<Pair, String> {
        let cache = self.cache.clone();
        let key = blocking(move || cache.account()).await?;
        let email = self.email.as_deref();
        let account = order::account(key, &self.directory_url, email).await?;
        let text = order::order(&account, host, &self.challenges, &self.provider).await?;
        let bytes = text.clone().into_bytes();
        let now = self.clock.now();
        let pair = super::pem::pair(Ok(bytes.clone()), Ok(bytes), now, &self.provider)
            .map_err(|problems| format!("the authority's certificate: {problems:?}"))?;
        let (cache, name) = (self.cache.clone(), host.to_owned());
        let kept = blocking(move || {
            cache
                .keep_certificate(&name, &text)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = kept.await {
            // It is good all the same; but a restart will ask for another.
            tracing::error!(host, "the new certificate cannot be kept: {error}");
        }
        Ok(pair)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}

/// When two thirds of its time are over, and up to a hundredth more.
fn renewal(not_before: Timestamp, not_after: Timestamp, random: u128) -> Timestamp {
    let lifetime_ms = not_after.0.saturating_sub(not_before.0).max(0);
    let jitter_ms = i64::try_from(random % 1000).unwrap_or(0) * (lifetime_ms / 100_000);
    Timestamp(not_before.0 + lifetime_ms / 3 * 2 + jitter_ms)
}

/// How long to wait after so many failures in a row: up to a quarter more than the plan, so that a
/// crowd of registries does not come back at once.
fn backoff(failures: u32, random: u128) -> Duration {
    let factor = 3_u32.saturating_pow(failures.saturating_sub(1));
    let plan = BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX);
    plan + plan.mul_f64(0.25) * u32::try_from(random % 1000).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_longer_and_longer() {
        let minutes = |failures, random| backoff(failures, random).as_secs() / 60;
        let waits: Vec<u64> = (1..7).map(|failures| minutes(failures, 0)).collect();
        assert_eq!(waits, [5, 15, 45, 135, 360, 360]);
        assert_eq!(minutes(u32::MAX, 999), 449);
    }

    #[test]
    fn renewal_comes_in_time() {
        let day = 24 * 3600 * 1000;
        let at = |random| renewal(Timestamp(0), Timestamp(90 * day), random).0;
        assert_eq!(at(0), 60 * day);
        assert!((60 * day..61 * day).contains(&at(999)));
        assert_eq!(renewal(Timestamp(5), Timestamp(4), 7), Timestamp(5));
    }

    #[test]
    fn hosts_must_be_named() {
        let check = |hosts: &[&str], expected: &str| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            let mut problems = Vec::new();
            super::check(Path::new("/nowhere"), &hosts, &mut problems);
            let problems = problems.join("\n");
            assert_eq!(problems.is_empty(), expected.is_empty(), "{problems}");
            assert!(problems.contains(expected), "{problems}");
        };
        check(&["registry.example.com", "localhost"], "");
        check(&[], "name the hosts");
        check(&["*.example.com"], "not the name of a host");
        check(&["127.0.0.1"], "not the name of a host");
        check(&["a b"], "not the name of a host");
        check(&["../x"], "not the name of a host");
    }
}
