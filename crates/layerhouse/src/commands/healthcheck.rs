//! `layerhouse healthcheck`: whether the server that runs on a data directory answers, for who cannot ask it over the
//! network: an image without a shell has no curl, and a listener may want certificates.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use layerhouse::Console;
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use tokio::time::timeout;

/// As long as Docker and Kubernetes wait for more than a moment; `/readyz` answers sooner whatever is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArguments {
    /// The server's configuration
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Also whether it takes pushes: its disk, database and object store answer
    #[arg(long)]
    ready: bool,
}

/// Asks, over the console.
///
/// # Errors
/// It is not healthy, and why. To Docker every status but 0 and 1 is one of its own, so a wrong configuration is no other
/// than that.
pub(crate) fn run(arguments: HealthcheckArguments) -> Result<(), String> {
    let path = if arguments.ready {
        "/readyz"
    } else {
        "/healthz"
    };
    let arguments = Arguments {
        listen: None,
        root: arguments.root,
        config: arguments.file.or(arguments.config),
    };
    let config =
        Config::load(&arguments, &Surroundings::system()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("it cannot start: {error}"))?;
    let asked = runtime.block_on(async { timeout(PATIENCE, ask(&config, path)).await });
    asked.map_err(|_| format!("the server does not answer within {PATIENCE:?}"))?
}

async fn ask(config: &Config, path: &str) -> Result<(), String> {
    let console = Console::reach(config).await;
    let console = console.map_err(|error| error.to_string())?;
    let Some(mut console) = console else {
        let root = config.root.display();
        return Err(format!("no server runs on {root}, or it is starting"));
    };
    let reply = console.ask("GET", path, None).await;
    let reply = reply.map_err(|error| error.to_string())?;
    if reply.status == 200 {
        return Ok(());
    }
    let said = reply.body.as_str().unwrap_or("something is wrong").trim();
    Err(said.to_owned())
}
