//! Makes the health checks: each at its interval, the first after one, as registry:2 does. So many
//! failures in a row as its threshold says make a check fail; one success ends it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use crate::checks::Checks;
use crate::clock::Clock;
use crate::config::meaning::{CheckTiming, FileCheck, Health, HttpCheck, TcpCheck};
use crate::outbound::probe;
use crate::registry::Registry;

/// A disk that takes longer to answer does not answer. Time of the machine's: tests do not wait for it.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the checks that are wanted until told to stop.
pub(crate) async fn run(
    registry: Arc<Registry>,
    checks: Arc<Checks>,
    mut stop: watch::Receiver<bool>,
) {
    let mut wanted = checks.wanted();
    loop {
        let health = wanted.borrow_and_update().clone();
        checks.clear();
        let mut running = start(&registry, &checks, health);
        tokio::select! {
            _ = wanted.changed() => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        // Before anything is forgotten: one that ends later would note a failure that nothing takes back.
        running.shutdown().await;
    }
}

fn start(registry: &Arc<Registry>, checks: &Arc<Checks>, health: Health) -> JoinSet<()> {
    let mut running = JoinSet::new();
    let mut names: Vec<String> = Vec::new();
    let mut made = |name: String, timing: CheckTiming| {
        // Two checks of one thing are two.
        let count = names.iter().filter(|known| **known == name).count();
        names.push(name.clone());
        Repeated {
            name: match count {
                0 => name,
                _ => format!("{name} ({})", count + 1),
            },
            timing,
            checks: Arc::clone(checks),
            clock: registry.clock().clone(),
        }
    };
    if let Some(timing) = health.storage {
        let registry = Arc::clone(registry);
        let check = made("storagedriver_filesystem".to_owned(), timing);
        let disk = Disk::default();
        running.spawn(check.repeat(move || check_storage(disk.clone(), Arc::clone(&registry))));
    }
    for FileCheck { file, timing } in health.files {
        let check = made(file.display().to_string(), timing);
        let disk = Disk::default();
        running.spawn(check.repeat(move || check_file(disk.clone(), file.clone())));
    }
    for http in health.http {
        let check = made(without_password(&http.uri), http.timing);
        let http = Arc::new(http);
        running.spawn(check.repeat(move || check_http(Arc::clone(&http))));
    }
    for TcpCheck {
        address,
        timeout,
        timing,
    } in health.tcp
    {
        let check = made(address.clone(), timing);
        running.spawn(check.repeat(move || {
            let address = address.clone();
            async move { probe::connect(&address, timeout).await }
        }));
    }
    running
}

/// A check under its name, made again and again.
struct Repeated {
    name: String,
    timing: CheckTiming,
    checks: Arc<Checks>,
    clock: Clock,
}

impl Repeated {
    async fn repeat<C: Future<Output = Result<(), String>>>(self, check: impl Fn() -> C) {
        let mut failures = 0;
        loop {
            self.clock.sleep(self.timing.interval).await;
            match check().await {
                Ok(()) => {
                    failures = 0;
                    self.checks.note(&self.name, None);
                }
                Err(problem) => {
                    failures = self.timing.threshold.max(1).min(failures + 1);
                    if self.timing.threshold <= failures {
                        self.checks.note(&self.name, Some(problem));
                    }
                }
            }
        }
    }
}

/// Where a check looks at a disk: a look that hangs is not followed by others, which would hang as well
/// until no thread is left.
#[derive(Clone)]
struct Disk(Arc<Semaphore>);

impl Default for Disk {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Disk {
    /// `None` if the disk does not answer.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Result<T, JoinError>> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let looked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            look()
        });
        tokio::time::timeout(DISK_PATIENCE, looked).await.ok()
    }
}

/// Whether what is stored can be read. A full disk, or one that takes no writes, is no reason to refuse
/// pulls: `/readyz` tells of those.
async fn check_storage(disk: Disk, registry: Arc<Registry>) -> Result<(), String> {
    match disk.look(move || registry.check_readable()).await {
        Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(fault))) => {
            // Whoever asks for the health learns no path of ours.
            tracing::warn!(%fault, "the storage cannot be read");
            Err("the storage cannot be read; the log says why".to_owned())
        }
        Some(Err(_)) => Err("the check of the storage panicked".to_owned()),
        None => Err("the storage does not answer".to_owned()),
    }
}

/// A name is looked for and nothing is opened: an operator takes the server out of service by a file.
async fn check_file(disk: Disk, file: std::path::PathBuf) -> Result<(), String> {
    match disk.look(move || file.try_exists()).await {
        Some(Ok(Ok(false))) => Ok(()),
        Some(Ok(Ok(true))) => Err("file exists".to_owned()),
        Some(Ok(Err(error))) => Err(format!(
            "it cannot be told whether the file exists: {error}"
        )),
        Some(Err(_)) => Err("the check panicked".to_owned()),
        None => {
            Err("it cannot be told whether the file exists: the disk does not answer".to_owned())
        }
    }
}

async fn check_http(check: Arc<HttpCheck>) -> Result<(), String> {
    let shown = without_password(&check.uri);
    match probe::head_status(&check.uri, &check.headers, check.timeout).await {
        Ok(status) if status == check.status => Ok(()),
        Ok(status) => Err(format!(
            "downstream service returned unexpected status: {status}"
        )),
        Err(problem) => Err(format!("error while checking: {shown}: {problem}")),
    }
}

/// A URI as it may be shown: neither the user's part of its authority nor its query.
fn without_password(uri: &str) -> String {
    let shown = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = shown.split_once("://") else {
        return shown.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S50
    #[test]
    fn sec_s50_names_of_checks_hold_no_secrets() {
        let check = |uri: &str, shown: &str| assert_eq!(without_password(uri), shown);
        check("http://a.example/health", "http://a.example/health");
        check(
            "http://user:pass@a.example:81/x?key=1#y",
            "http://a.example:81/x",
        );
        check("https://user:p@ss@a.example", "https://a.example");
        check("http://a.example/@x", "http://a.example/@x");
    }
}
