//! Commands that ask a server, on a data directory that one serves and on one that none does alike: each is a
//! client of `/api/v1` over the console.

pub(crate) mod question;
pub(crate) mod session;
pub(crate) mod shown;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Console, Needs};

use self::session::{Failure, Session};
use self::shown::Form;

/// What every one of these commands takes.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The server's configuration
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The server's data directory
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t = Form::Table, global = true)]
    output: Form,
}

impl Place {
    /// By a configuration alone, for people.
    pub(crate) fn of_config(config: Option<PathBuf>) -> Self {
        Self {
            config,
            root: None,
            output: Form::Table,
        }
    }

    /// The server's configuration.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let arguments = Arguments {
            listen: None,
            root: self.root.clone(),
            config: self.config.clone(),
        };
        let config = Config::load(&arguments, &Surroundings::system());
        config.map_err(|error| Failure::usage(error.to_string()))
    }

    pub(crate) fn form(&self) -> Form {
        self.output
    }
}

/// A command with its own ones below it.
#[derive(Debug, Args)]
pub(crate) struct Group<C: Subcommand> {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: C,
}

/// A command without others below it.
#[derive(Debug, Args)]
pub(crate) struct Alone<C: Args> {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    command: C,
}

/// What a command does with the API.
pub(crate) trait Act {
    /// What a server must have for it.
    const NEEDS: Needs;

    async fn act(self, session: &mut Session) -> Result<(), Failure>;
}

impl<C: Subcommand + Act> Group<C> {
    /// See [`run`].
    pub(crate) fn run(self) -> ExitCode {
        run(&self.place, self.command)
    }
}

impl<C: Args + Act> Alone<C> {
    /// See [`run`].
    pub(crate) fn run(self) -> ExitCode {
        run(&self.place, self.command)
    }
}

/// Does it, and says how it went: 0 done, 1 failed, 2 wrongly asked, 3 not found, 4 may not, 5 refused,
/// 6 done, and something is wrong.
pub(crate) fn run<C: Act>(place: &Place, command: C) -> ExitCode {
    let config = match place.config() {
        Ok(config) => config,
        Err(failure) => return failed(&failure),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::failed(format!("it cannot start: {error}"))),
    };
    let done = runtime.block_on(async {
        let console = Console::open(&config, C::NEEDS).await;
        let console = console.map_err(|error| Failure::of_console(&error))?;
        let mut session = Session::new(console, place.output);
        let done = command.act(&mut session).await;
        session.close().await;
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

pub(crate) fn failed(failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        crate::say_error(&failure.message);
    }
    ExitCode::from(failure.code)
}

/// What is not data: where nobody who reads the data sees it.
fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
