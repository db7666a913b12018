//! Takes over a configuration that changed: on SIGHUP, and when its file is another one.

use std::convert::Infallible;
use std::time::Duration;

use layerhouse::Running;
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Change, ConfigError, Surroundings, Watch};
use layerhouse::log::LogHandle;
use tokio::signal::unix::Signal;

/// Between two looks at the file: soon enough for who just wrote it, and a `stat` costs nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Reloads until it is dropped.
pub(crate) async fn forever(
    server: &Running,
    log: &LogHandle,
    arguments: &Arguments,
    mut config: Config,
    mut hangup: Signal,
) -> Infallible {
    let mut watch = config.watch.clone();
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                // What comes now is read now, and not again at the next look.
                look(&mut watch).await;
                if let Some(watch) = &mut watch {
                    watch.accept();
                }
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {
                if !look(&mut watch).await {
                    continue;
                }
            }
        }
        let again = arguments.clone();
        let loaded = blocking(move || Config::load(&again, &Surroundings::system())).await;
        match loaded {
            Some(Ok(new)) => match server.reload(&new) {
                Ok(()) => {
                    if let Err(problem) = log.reload(&new.log) {
                        tracing::error!(problem, "the log stays as it was");
                    }
                    report(&config, &new);
                    config = new;
                }
                Err(error) => {
                    server.note_reload(false);
                    tracing::error!(
                        event = "config_reload",
                        outcome = "failure",
                        problem = %error,
                        "the configuration is wrong, and the one before still holds"
                    );
                }
            },
            Some(Err(error)) => {
                server.note_reload(false);
                refuse(&error);
            }
            None => {}
        }
    }
}

/// Whether the file is another one; on a thread that may hang with its disk.
async fn look(watch: &mut Option<Watch>) -> bool {
    let Some(mut looking) = watch.clone() else {
        return false;
    };
    let looked = blocking(move || {
        let has_changed = looking.has_changed();
        (looking, has_changed)
    });
    let Some((looked, has_changed)) = looked.await else {
        return false;
    };
    *watch = Some(looked);
    has_changed
}

async fn blocking<Value: Send + 'static>(
    work: impl FnOnce() -> Value + Send + 'static,
) -> Option<Value> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read again");
            None
        }
    }
}

fn report(old: &Config, new: &Config) {
    let changes = old.changes(new);
    let join = |needs_restart: bool| {
        let keys = changes
            .iter()
            .filter(|change| change.needs_restart == needs_restart);
        let keys: Vec<&str> = keys.map(|Change { key, .. }| key.as_str()).collect();
        keys.join(", ")
    };
    for warning in &new.warnings {
        if !old.warnings.contains(warning) {
            tracing::warn!("{warning}");
        }
    }
    tracing::info!(
        event = "config_reload",
        outcome = "success",
        changed = join(false),
        needs_restart = join(true),
        "the configuration was read again"
    );
}

fn refuse(error: &ConfigError) {
    for problem in &error.problems {
        tracing::error!(
            event = "config_reload",
            outcome = "failure",
            problem,
            "the configuration is wrong, and the one before still holds"
        );
    }
}
