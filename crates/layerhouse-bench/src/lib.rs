//! A load generator for container registries: drives any of them by URL, and knows nothing of their insides.
//!
//! Arguments become servers and a kind of load; the load sets up what it needs and gives cases; cases are
//! measured in rounds, and rounds become a table or JSON. `main.rs` only lends the terminal, so tests run it
//! all in their own process.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "in a test, a panic is the report")
)]

mod arguments;
mod content;
mod drive;
mod figures;
mod histogram;
mod http;
mod image;
mod measure;
mod process;
mod report;
mod server;
mod soak;
mod table;
mod units;
mod work;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arguments::{Arguments, Command, Common};
use clap::Parser as _;
use http::origin::{Credentials, Origin};
use http::tls;
use measure::Case;
use server::Server;
use work::Scene;

/// Why a run ended without a result.
#[derive(Debug)]
pub enum Stop {
    /// The arguments were not understood, or ask for help.
    Usage(clap::Error),
    /// What went wrong, for people.
    Failed(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// Does what the arguments say. The result goes to `out`, and what is going on to `progress`.
///
/// # Errors
/// [`Stop`], with nothing in `out`, if there is no result; or if there is one and no operation succeeded.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    progress: &mut dyn Write,
) -> Result<(), Stop> {
    let arguments = Arguments::try_parse_from(arguments).map_err(Stop::Usage)?;
    let command = &arguments.command;
    let name = command.name();
    let said = |error: std::io::Error| Stop::Failed(format!("cannot print: {error}"));
    let (common, writes) = match command {
        Command::Start(start) => {
            let text = work::start::run(start)?;
            return out.write_all(text.as_bytes()).map_err(said);
        }
        Command::Soak(soak) => {
            // What failed is the result, too.
            let (text, is_well) = match soak::run(soak) {
                Ok(text) => (text, true),
                Err(text) => (text, false),
            };
            out.write_all(text.as_bytes()).map_err(said)?;
            let failed = || Stop::Failed("the soak failed".to_owned());
            return is_well.then_some(()).ok_or_else(failed);
        }
        Command::Pull(load) => (&load.common, false),
        Command::Manifest(load) => (&load.common, false),
        Command::Push(load) => (&load.common, true),
        Command::Mount(load) => (&load.common, true),
        Command::List(load) => (&load.common, false),
        Command::Storm(load) => (&load.common, false),
        Command::ProxyStorm(load) => (&load.common, false),
    };
    let servers = common.servers()?;
    let scene = scene(common, &servers, writes)?;
    let _ = write!(progress, "\r\x1b[Ksetting up");
    let _ = progress.flush();
    let cases = prepare(command, &scene)?;
    let default = if servers.len() == 1 { 3 } else { 5 };
    let rounds = if matches!(command, Command::ProxyStorm(_)) {
        1
    } else {
        common.rounds.unwrap_or(default)
    };
    let measured = measure::measure(&cases, &servers, rounds, progress)?;
    let text = if common.json {
        format!(
            "{:#}\n",
            report::json(&measured, &servers, name, scene.seed)
        )
    } else {
        let mut text = report::text(&measured, &servers);
        let _ = writeln!(text, "{rounds} rounds, seed {}", scene.seed);
        text
    };
    out.write_all(text.as_bytes()).map_err(said)?;
    let succeeded = measured
        .iter()
        .flat_map(|case| case.samples.iter().flatten());
    if succeeded
        .into_iter()
        .any(|sample| sample.tally.errors < sample.tally.operations)
    {
        Ok(())
    } else {
        Err(Stop::Failed("no operation succeeded".to_owned()))
    }
}

fn prepare(command: &Command, scene: &Scene) -> Result<Vec<Case>, String> {
    match command {
        Command::Pull(load) => work::pull::prepare(scene, load),
        Command::Manifest(load) => work::manifest::prepare(scene, load),
        Command::Push(load) => work::push::prepare(scene, load),
        Command::Mount(load) => work::mount::prepare(scene, load),
        Command::List(load) => work::list::prepare(scene, load),
        Command::Storm(load) => work::storm::prepare(scene, load),
        Command::ProxyStorm(load) => work::proxy_storm::prepare(scene, load),
        Command::Start(_) | Command::Soak(_) => Ok(Vec::new()),
    }
}

/// Everything that the load is given; resolved, read and checked.
fn scene(common: &Common, servers: &[Server], writes: bool) -> Result<Scene, String> {
    let settings = if servers.iter().any(|server| server.url.tls) {
        Some(tls::settings(common.ca.as_deref(), common.insecure)?)
    } else {
        None
    };
    let credentials = match (&common.user, &common.password_file) {
        (Some(user), Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let password = text.lines().next().unwrap_or("");
            Some(Credentials::basic(user, password))
        }
        _ => None,
    };
    let origins = servers
        .iter()
        .map(|server| {
            Origin::of(
                server,
                settings.as_ref(),
                credentials.as_ref(),
                common.timeout,
                common.copy,
            )
            .map(Arc::new)
        })
        .collect::<Result<_, _>>()?;
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get() as u64);
    let seed = match common.seed {
        Some(seed) => seed,
        None if writes => {
            let random = getrandom::u64().map_err(|error| format!("no seed: {error}"))?;
            // Short enough for JSON's numbers.
            random >> 16
        }
        None => 1,
    };
    Ok(Scene {
        origins,
        repository: common.repository.to_string(),
        seed,
        threads: common.threads.unwrap_or(cores.min(4)),
    })
}
