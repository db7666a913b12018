//! Arguments, then the configuration, then `serve` or another command.

mod commands;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use commands::configuration::{CheckArguments, ConfigCommand};
use commands::console::{Alone, Group, Place};
use commands::healthcheck::HealthcheckArguments;
use commands::htpasswd::HtpasswdArguments;
use commands::index::acl::AclCommand;
use commands::index::audit::AuditCommand;
use commands::index::invitation::InvitationCommand;
use commands::index::org::OrgCommand;
use commands::index::repo::RepoCommand;
use commands::index::robot::RobotCommand;
use commands::index::team::TeamCommand;
use commands::index::token::TokenCommand;
use commands::index::user::UserCommand;
use commands::registry::backup::{self, BackupCommand};
use commands::registry::collection::{GarbageCollectArguments, GcCommand};
use commands::registry::deleted::{DeletedCommand, RemoveCommand};
use commands::registry::doctor;
use commands::registry::history::{HistoryCommand, RestoreCommand};
use commands::registry::mirror::MirrorCommand;
use commands::registry::retention::RetentionCommand;
use commands::registry::scrub::ScrubCommand;
use commands::registry::tags::TagsCommand;
use commands::ui::UiArguments;
use commands::{configuration, healthcheck, htpasswd, reload, ui};
use layerhouse::config::database_place;
use layerhouse::config::meaning::{Config, Formatter, Log};
use layerhouse::config::{Arguments, LISTEN_DEFAULT, ROOT_DEFAULT, Surroundings};
use layerhouse::{
    Address, DatabasePlace, Direction, Environment, Rebuild, Running, migrate, migrate_configured,
    rebuild, show_elsewhere, start, verify, verify_configured,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The second line is in registry:2's form, for scripts that read it: program, package, version.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nregistry layerhouse v",
    env!("CARGO_PKG_VERSION")
);

/// A container-image registry in one binary. Without a command it serves.
#[derive(Debug, Parser)]
#[command(version = VERSION, disable_version_flag = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    /// Print the version
    #[arg(short, long, short_alias = 'V', action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the registry
    Serve(ServeArguments),
    /// Check a data directory that no server uses: every row, every byte
    Verify(VerifyArguments),
    /// Read the link files again, after a registry:2 changed them: on a directory that no server uses
    Rebuild(RebuildArguments),
    /// Move what a data directory knows to a PostgreSQL, or back: on a directory that no server uses
    Migrate(MigrateArguments),
    /// Check a configuration: every mistake at once, and where each value comes from
    Check(CheckArguments),
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say by its exit status whether a server runs and answers: 0 or 1
    Healthcheck(HealthcheckArguments),
    /// Make a line for a file of users, as Apache's program does
    Htpasswd(HtpasswdArguments),
    /// Manage users
    User(Group<UserCommand>),
    /// Manage organizations and their members
    Org(Group<OrgCommand>),
    /// Manage teams
    Team(Group<TeamCommand>),
    /// Manage robots: accounts of machines
    Robot(Group<RobotCommand>),
    /// Manage users' access tokens
    Token(Group<TokenCommand>),
    /// See who may do what, and grant it
    Acl(Group<AclCommand>),
    /// Show, hide and describe repositories
    Repo(Group<RepoCommand>),
    /// Let people sign up
    Invitation(Group<InvitationCommand>),
    /// See who changed what
    Audit(Group<AuditCommand>),
    /// List the tags of a repository, with what they point at
    Tags(Alone<TagsCommand>),
    /// See what policies let go, and let it go now
    Retention(Group<RetentionCommand>),
    /// Show where tags pointed, who moved them and when; the last first
    History(Alone<HistoryCommand>),
    /// Have a tag point where it did, and what was deleted back
    Restore(Alone<RestoreCommand>),
    /// List what was deleted and can come back, and until when
    Deleted(Alone<DeletedCommand>),
    /// Delete a tag, a manifest or a repository; it can be restored for a while
    Rm(Alone<RemoveCommand>),
    /// Say what nothing needs any more, or collect it now: the server does so by itself
    Gc(Alone<GcCommand>),
    /// Collect what nothing needs, with the arguments of registry:2
    GarbageCollect(GarbageCollectArguments),
    /// See how the mirror of other registries does, fetch images ahead, and let copies go
    Mirror(Group<MirrorCommand>),
    /// See how far the hashing of what is stored is, and what is damaged
    Scrub(Alone<ScrubCommand>),
    /// Say in words what is wrong with a data directory, and what to do
    Doctor(Place),
    /// Browse another registry in a browser, and delete there
    Ui(UiArguments),
    /// Make backups, look at them, and restore one
    Backup {
        #[command(subcommand)]
        command: BackupCommand,
    },
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// A configuration file in registry:2's format
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// Where to listen, as 127.0.0.1:5000 or :5000
    #[arg(long, value_name = "ADDR", help = format!("Where to listen, as HOST:PORT or :PORT [default: {LISTEN_DEFAULT}]"))]
    listen: Option<String>,
    /// Where the data is
    #[arg(long, value_name = "DIR", help = format!("The data directory [default: ./{ROOT_DEFAULT}]"))]
    root: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// The data directory
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    root: Option<PathBuf>,
    /// The database, as layerhouse.database says it; without it, the one in the directory
    #[arg(long, value_name = "URL", value_parser = database_place, conflicts_with = "config")]
    database: Option<DatabasePlace>,
    /// The server's configuration, for a registry whose blobs are in an object store
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RebuildArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The database, as layerhouse.database says it; without it, the one in the directory
    #[arg(long, value_name = "URL", value_parser = database_place)]
    database: Option<DatabasePlace>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Also when more than half of the manifests would be removed
    #[arg(long)]
    remove_most: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("direction").required(true))]
struct MigrateArguments {
    /// The data directory; its blobs stay where they are
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    root: Option<PathBuf>,
    /// The server's configuration, for a registry whose blobs are in an object store
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Move the directory's database there; it must be empty, or have been begun by this command
    #[arg(long, value_name = "URL", value_parser = database_place, group = "direction")]
    to: Option<DatabasePlace>,
    /// Move the directory's database back from there
    #[arg(long, value_name = "URL", value_parser = database_place, group = "direction")]
    from: Option<DatabasePlace>,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let result = match line.command {
        Some(Command::Verify(arguments)) => return check(arguments),
        Some(Command::Rebuild(arguments)) => read_again(&arguments),
        Some(Command::Migrate(arguments)) => move_database(&arguments),
        Some(Command::Check(arguments)) => return configuration::check(arguments),
        Some(Command::Config(command)) => return configuration::run(command),
        Some(Command::Healthcheck(arguments)) => healthcheck::run(arguments),
        Some(Command::Htpasswd(arguments)) => htpasswd::run(&arguments),
        Some(Command::User(group)) => return group.run(),
        Some(Command::Org(group)) => return group.run(),
        Some(Command::Team(group)) => return group.run(),
        Some(Command::Robot(group)) => return group.run(),
        Some(Command::Token(group)) => return group.run(),
        Some(Command::Acl(group)) => return group.run(),
        Some(Command::Repo(group)) => return group.run(),
        Some(Command::Invitation(group)) => return group.run(),
        Some(Command::Audit(group)) => return group.run(),
        Some(Command::Tags(alone)) => return alone.run(),
        Some(Command::Retention(group)) => return group.run(),
        Some(Command::History(alone)) => return alone.run(),
        Some(Command::Restore(alone)) => return alone.run(),
        Some(Command::Deleted(alone)) => return alone.run(),
        Some(Command::Rm(alone)) => return alone.run(),
        Some(Command::Gc(alone)) => return alone.run(),
        Some(Command::GarbageCollect(arguments)) => return arguments.run(),
        Some(Command::Mirror(group)) => return group.run(),
        Some(Command::Scrub(alone)) => return alone.run(),
        Some(Command::Doctor(place)) => return doctor::run(&place),
        Some(Command::Backup { command }) => return backup::run(command),
        Some(Command::Ui(arguments)) => show_pages(arguments),
        Some(Command::Serve(arguments)) => serve(arguments),
        None => serve_bare(line.serve),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say_error(&message);
            ExitCode::FAILURE
        }
    }
}

/// Without a command: a file must look like one, or each slip of the pen in a command would be one.
fn serve_bare(arguments: ServeArguments) -> Result<(), String> {
    let file = arguments.file.as_deref();
    let extension = file
        .and_then(Path::extension)
        .and_then(|text| text.to_str());
    match file {
        Some(file) if !matches!(extension, Some("yml" | "yaml")) => Err(format!(
            "{}: neither a command nor a file that ends in .yml; see --help",
            file.display()
        )),
        _ => serve(arguments),
    }
}

/// Serves until a signal says stop.
fn serve(arguments: ServeArguments) -> Result<(), String> {
    let ServeArguments {
        file,
        listen,
        root,
        config,
    } = arguments;
    let arguments = Arguments {
        listen,
        root,
        config: file.or(config),
    };
    let config =
        Config::load(&arguments, &Surroundings::system()).map_err(|error| error.to_string())?;
    let log = layerhouse::log::start(&config.log)?;
    if let Some(unread) = &config.unread {
        let path = unread.display();
        tracing::info!("{path} exists and is not read; to take it over: layerhouse serve {path}");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    let result = runtime.block_on(async {
        // First, or a signal that comes while it greets would end it without a word.
        let mut signals = Signals::listen()?;
        let hangup = signal(SignalKind::hangup()).map_err(Signals::fault)?;
        // A start may read a large directory; what it leaves is what a crash leaves.
        let server = tokio::select! {
            started = start(&config, Environment::system()) => {
                started.map_err(|error| error.to_string())?
            }
            () = signals.next() => {
                tracing::info!("stopped while it was starting");
                return Ok(());
            }
        };
        greet(&server, &config);
        tokio::select! {
            () = signals.wait_for_stop() => {}
            never = reload::forever(&server, &log, &arguments, config, hangup) => match never {},
        }
        server.stop().await;
        Ok(())
    });
    // A thread that a hung disk holds must not hold the end of the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    log.flush();
    result
}

/// Shows the pages of another registry until a signal says stop.
fn show_pages(arguments: UiArguments) -> Result<(), String> {
    let settings = ui::settings(arguments)?;
    let log = start_log()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let pages = show_elsewhere(&settings, Environment::system()).await?;
        say(&ui::greeting(&settings, pages.address()));
        signals.next().await;
        pages.stop().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    log.flush();
    result
}

/// What an operator stops us with: SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Self::fault)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Self::fault)?,
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
    fn fault(error: std::io::Error) -> String {
        format!("signals cannot be received: {error}")
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The first one asks for a stop; a second one does not wait for it.
    async fn wait_for_stop(mut self) {
        self.next().await;
        tracing::info!("stopping: requests in flight are finished");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }
}

/// What a newcomer needs to know, in a few lines.
fn greet(server: &Running, config: &Config) {
    let kind = if config.is_open() {
        "an open registry"
    } else {
        "a registry"
    };
    let root = &config.root;
    let scheme = if server.has_tls() { "https" } else { "http" };
    let host = match server.address() {
        // Docker takes loopback addresses without TLS; an address for all interfaces is no name to
        // push to.
        Address::Tcp(address) if address.ip().is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        Address::Tcp(address) => address.to_string(),
        Address::Nowhere => return,
        Address::Unix(path) => {
            let path = path.display();
            return say(&format!(
                "Layerhouse {} is {kind} at the socket {path}\n\
                 Data: {}\n\
                 \n\
                 See what is there:\n\
                 \x20 curl --unix-socket {path} {scheme}://localhost/v2/_catalog\n",
                env!("CARGO_PKG_VERSION"),
                root.display(),
            ));
        }
    };
    say(&format!(
        "Layerhouse {} is {kind} at {scheme}://{host}\n\
         Data: {}\n\
         \n\
         Push a first image:\n\
         \x20 docker tag IMAGE {host}/IMAGE\n\
         \x20 docker push {host}/IMAGE\n\
         See what is there:\n\
         \x20 curl {scheme}://{host}/v2/_catalog\n",
        env!("CARGO_PKG_VERSION"),
        root.display(),
    ));
    greet_first(server, &format!("{scheme}://{host}"), root);
}

/// The index has no administrator yet.
fn greet_first(server: &Running, url: &str, root: &Path) {
    if let Some(code) = server.setup_code() {
        let root = root.display();
        say(&format!(
            "\nThere is no administrator yet. Make one on this machine:\n\
             \x20 layerhouse user create NAME --admin --root {root}\n\
             or from anywhere, with the code that is good once, until the next start:\n\
             \x20 curl {url}/api/v1/users -H 'Content-Type: application/json' \\\n\
             \x20   -d '{{\"name\": \"NAME\", \"password\": \"…\", \"code\": \"{code}\"}}'\n"
        ));
    }
}

fn check(arguments: VerifyArguments) -> ExitCode {
    let VerifyArguments {
        root,
        database,
        config,
    } = arguments;
    let verified = match (root, config) {
        (Some(root), None) => verify(&root, database.as_ref()).map_err(|error| error.to_string()),
        (root, config) => {
            let arguments = Arguments {
                listen: None,
                root,
                config,
            };
            Config::load(&arguments, &Surroundings::system())
                .map_err(|error| error.to_string())
                .and_then(|config| verify_configured(&config).map_err(|error| error.to_string()))
        }
    };
    match verified {
        Ok(report) => {
            say(&report.to_string());
            if report.findings.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn read_again(arguments: &RebuildArguments) -> Result<(), String> {
    let log = start_log()?;
    let kind = match (arguments.dry_run, arguments.remove_most) {
        (true, _) => Rebuild::Look,
        (false, false) => Rebuild::Change,
        (false, true) => Rebuild::ChangeMost,
    };
    let rebuilt = rebuild(&arguments.root, arguments.database.as_ref(), kind);
    log.flush();
    let report = rebuilt.map_err(|error| error.to_string())?;
    say(&report.to_string());
    Ok(())
}

fn move_database(arguments: &MigrateArguments) -> Result<(), String> {
    let (place, direction, end) = match (&arguments.to, &arguments.from) {
        (Some(place), _) => (
            place,
            Direction::ToServer,
            "from now on start with layerhouse.database",
        ),
        (None, Some(place)) => (
            place,
            Direction::ToDirectory,
            "from now on start without layerhouse.database",
        ),
        (None, None) => return Err("say --to URL or --from URL".to_owned()),
    };
    let log = start_log()?;
    let moved = match (&arguments.root, &arguments.config) {
        (Some(root), None) => migrate(root, place, direction).map_err(|error| error.to_string()),
        (root, config) => {
            let arguments = Arguments {
                listen: None,
                root: root.clone(),
                config: config.clone(),
            };
            Config::load(&arguments, &Surroundings::system())
                .map_err(|error| error.to_string())
                .and_then(|config| {
                    let moved = migrate_configured(&config, place, direction);
                    moved.map_err(|error| error.to_string())
                })
        }
    };
    log.flush();
    let rows = moved?;
    say(&format!("{rows} rows are moved, and compared: {end}\n"));
    Ok(())
}

/// The log of what has no configuration.
fn start_log() -> Result<layerhouse::log::LogHandle, String> {
    layerhouse::log::start(&Log {
        filter: "info".to_owned(),
        formatter: Formatter::Auto,
        fields: Vec::new(),
        has_access_log: false,
    })
}

/// Nobody may read it: a closed pipe is no reason to end.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "layerhouse: {text}");
}
