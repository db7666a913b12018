//! The command line: what to do, to whom, how often. Everything is checked before anything is sent.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use layerhouse_oci::name::RepositoryName;

use crate::server::{Process, Server, Url};
use crate::units;

const FIGURES: &str = "\
Figures (medians over the rounds):
  GB/s        bytes of bodies in both directions, 10^9 a second, over all clients
  op/s, req/s operations (what the table's title says) and HTTP requests a second
  p50, p99    milliseconds within which that share of operations was done, from the first byte sent to the
              last received
  first p50, p99
              milliseconds from the begin of an operation to the first byte of a layer
  seconds     from the first operation to the end of the last
  errors      operations that failed: refused, cut short, wrong length, wrong digest, stalled; all rounds
  CPU s/GB    user and system time of the server's processes (pid=), to 10 ms, for each GB moved
  CPU µs/op   the same for each operation
  peak MiB    most memory during a round (VmHWM, mapped files included); of the processes' lifetime where
              it may not be reset
  anon MiB    memory at the end of a round that no file stands behind (RssAnon)
Ratios compare the first server with each other one, round by round: median (smallest–largest).

Servers: `URL [--pid PID] [--vs URL2 [--pid2 PID]]`, or `--server NAME=URL[,pid=PID][,files=PATH]` as often as
wanted, the first one being the subject. PID+children adds all that descend from a process (nginx's
workers). files=PATH is a server of plain files, such as files=/{hex2}/{hex}/data: it can be pulled from, and a
manifest is asked for by its digest's file. It must serve what another server of the run was given.

What reads need is pushed first, into --repository, and is not measured.";

/// Drives a container registry by URL and says how fast it is, alone or beside others.
#[derive(Debug, Parser)]
#[command(name = "layerhouse-bench", version, after_help = FIGURES, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Blobs, whole
    Pull(Pull),
    /// Manifest GET by tag and by digest, HEAD of manifest and blob, GET of a 1 KiB config
    Manifest(Manifest),
    /// Blobs, images or manifests that the server does not have
    Push(Push),
    /// Blobs of one repository into others
    Mount(Mount),
    /// A catalog page in the middle of many repositories, a tags page in the middle of many tags
    List(List),
    /// Many clients, each pulling all of one image once, all at the same time
    Storm(Storm),
    /// The same through an empty mirror, once
    ProxyStorm(ProxyStorm),
    /// A server's start: time from its process to the first 200
    Start(Start),
    /// Everything at once for a long time, on a Layerhouse that is started, killed and checked
    Soak(Soak),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Pull(_) => "pull",
            Self::Manifest(_) => "manifest",
            Self::Push(_) => "push",
            Self::Mount(_) => "mount",
            Self::List(_) => "list",
            Self::Storm(_) => "storm",
            Self::ProxyStorm(_) => "proxy-storm",
            Self::Start(_) => "start",
            Self::Soak(_) => "soak",
        }
    }
}

/// What every kind of load has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The registry: http:// or https://, host and port
    #[arg(value_parser = str::parse::<Url>)]
    pub(crate) url: Option<Url>,
    /// A process of the registry at URL; repeats
    #[arg(long, requires = "url", value_name = "PID[+children]", value_parser = str::parse::<Process>)]
    pub(crate) pid: Vec<Process>,
    /// A second registry to compare with
    #[arg(long, requires = "url", value_name = "URL2", value_parser = str::parse::<Url>)]
    pub(crate) vs: Option<Url>,
    /// A process of the registry at URL2; repeats
    #[arg(long, requires = "vs", value_name = "PID[+children]", value_parser = str::parse::<Process>)]
    pub(crate) pid2: Vec<Process>,
    /// A server by name; repeats, the first is the subject
    #[arg(long, conflicts_with = "url", value_name = "NAME=URL[,pid=PID][,files=PATH]", value_parser = str::parse::<Server>)]
    pub(crate) server: Vec<Server>,
    /// Times that every server is measured, taking turns [default: 5, alone 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: Option<u32>,
    /// Threads of this tool [default: cores, at most 4]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(crate) threads: Option<u64>,
    /// Authorities to believe over https, PEM [default: the machine's]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// User for HTTP Basic, sent to every server
    #[arg(long, requires = "password_file")]
    pub(crate) user: Option<String>,
    /// File whose first line is the password
    #[arg(long, requires = "user", value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long nothing may move before an operation counts as failed
    #[arg(long, default_value = "60s", value_parser = units::duration)]
    pub(crate) timeout: Duration,
    /// Where to put what is measured
    #[arg(long, default_value = "bench", value_parser = str::parse::<RepositoryName>)]
    pub(crate) repository: RepositoryName,
    /// Decides all bytes [default: 1 for reads, which find theirs again; for pushes a new one]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Copy bodies into memory even where they are only counted (plain HTTP otherwise lets the kernel
    /// throw them away)
    #[arg(long)]
    pub(crate) copy: bool,
    /// Print JSON, with every round
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long a round is.
#[derive(Debug, Args)]
pub(crate) struct Length {
    /// Time in which operations begin [default: 2s]
    #[arg(long, conflicts_with = "count", value_parser = units::duration)]
    pub(crate) duration: Option<Duration>,
    /// Operations of a round
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) length: Length,
    /// Bytes of a blob
    #[arg(long, default_value = "1MiB", value_parser = units::size)]
    pub(crate) size: u64,
    /// Different blobs, pulled in turn [default: as many as make 64 MiB, 1 to 16]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) blobs: Option<u64>,
    /// Connections that pull
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) connections: u64,
    /// Connections that were used once and stay open (one server only)
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=50_000))]
    pub(crate) idle: u64,
    /// Hash every body and compare with its digest
    #[arg(long)]
    pub(crate) hash: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Small {
    Tag,
    Digest,
    HeadManifest,
    HeadBlob,
    Config,
}

#[derive(Debug, Args)]
pub(crate) struct Manifest {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) length: Length,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) connections: u64,
    /// Images to ask for in turn
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) images: u64,
    /// Only these kinds of request; separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Small>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pushed {
    /// One blob: POST, then PUT with everything, or PATCH by PATCH with --chunk
    Blob,
    /// A small image: layer of --size, config of 1 KiB, manifest under a tag of its own
    Image,
    /// Manifests whose blobs are there already
    Manifest,
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) length: Length,
    /// What an operation pushes
    #[arg(long, value_enum, default_value_t = Pushed::Blob)]
    pub(crate) kind: Pushed,
    /// Bytes of a blob or layer [default: 16MiB, for images 16KiB]
    #[arg(long, value_parser = units::size)]
    pub(crate) size: Option<u64>,
    /// Push in chunks of this size
    #[arg(long, value_parser = units::size)]
    pub(crate) chunk: Option<u64>,
    /// Repositories to push into, in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) repositories: u64,
    /// Clients that push at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) clients: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Mount {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) length: Length,
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) clients: u64,
    /// Blobs mounted into a repository before the next is begun
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) blobs: u64,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) length: Length,
    /// Repositories to have
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub(crate) repositories: u64,
    /// Tags to have in one repository
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    pub(crate) tags: u64,
    /// They are there already, from an earlier run or copied: load nothing
    #[arg(long)]
    pub(crate) loaded: bool,
    /// Names on a page
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) page: u64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) connections: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Storm {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) clients: u64,
    /// Bytes of all layers together
    #[arg(long, default_value = "237MB", value_parser = units::size)]
    pub(crate) image_size: u64,
    /// Layers, each half as large as the one before
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) layers: u64,
    /// Hash every body and compare with its digest
    #[arg(long)]
    pub(crate) hash: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProxyStorm {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The image as the mirror names it: library/alpine:3.20, or with @sha256:…
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) image: String,
    /// Which image of an index
    #[arg(long, default_value = "linux/amd64", value_name = "OS/ARCHITECTURE")]
    pub(crate) platform: String,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) clients: u64,
    /// Hash every body and compare with its digest
    #[arg(long)]
    pub(crate) hash: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// What answers once the server is there, as http://127.0.0.1:5000 (plain HTTP)
    #[arg(long, value_parser = str::parse::<Url>)]
    pub(crate) url: Url,
    /// The path that answers 200
    #[arg(long, default_value = "/v2/")]
    pub(crate) path: String,
    /// Times to start and stop it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// How long a start may take
    #[arg(long, default_value = "60s", value_parser = units::duration)]
    pub(crate) timeout: Duration,
    /// Print JSON, with every run
    #[arg(long)]
    pub(crate) json: bool,
    /// The server; it is stopped with SIGTERM
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// The binary of Layerhouse
    #[arg(long, value_name = "FILE")]
    pub(crate) server: PathBuf,
    /// An empty directory for its data, its backups and its log
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) minutes: u64,
    /// Instead of minutes
    #[arg(long, conflicts_with = "minutes", value_parser = units::duration)]
    pub(crate) duration: Option<Duration>,
    /// How long it lives before it is killed
    #[arg(long, default_value = "60s", value_parser = units::duration)]
    pub(crate) kill_every: Duration,
    /// Clients with repositories of their own; half as many share one
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) clients: u64,
    /// Decides what is done; when, the machine decides [default: a new one]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl Soak {
    pub(crate) fn length(&self) -> Duration {
        let minutes = Duration::from_secs(60 * self.minutes);
        self.duration.unwrap_or(minutes)
    }
}

impl Common {
    /// The servers of the run, the subject first; their names differ.
    pub(crate) fn servers(&self) -> Result<Vec<Server>, String> {
        let named = |url: &Url, processes: &[Process]| Server {
            name: url.authority(),
            url: url.clone(),
            processes: processes.to_vec(),
            files: None,
        };
        let mut servers = self.server.clone();
        servers.extend(self.url.as_ref().map(|url| named(url, &self.pid)));
        servers.extend(self.vs.as_ref().map(|url| named(url, &self.pid2)));
        if servers.is_empty() {
            return Err("say which registry: a URL, or --server NAME=URL".to_owned());
        }
        for (at, server) in servers.iter().enumerate() {
            if servers[..at].iter().any(|other| other.name == server.name) {
                return Err(format!("two servers are called {}", server.name));
            }
        }
        let tls = servers.iter().any(|server| server.url.tls);
        if !tls && (self.insecure || self.ca.is_some()) {
            return Err("--ca and --insecure are for https, and no server is https".to_owned());
        }
        Ok(servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    fn servers(line: &str) -> Result<Vec<Server>, String> {
        let Command::Pull(pull) = parse(line).map_err(|error| error.to_string())?.command else {
            unreachable!("only pulls are asked for here");
        };
        pull.common.servers()
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn servers_come_in_two_forms() {
        let two = servers("b pull http://a:1 --pid 7 --vs http://b:2 --pid2 8+children").unwrap();
        assert_eq!((two[0].name.as_str(), two[1].name.as_str()), ("a:1", "b:2"));
        assert!(two[1].processes[0].children);
        let three =
            servers("b pull --server x=http://a:1 --server y=http://a:2 --server z=http://c");
        assert_eq!(three.unwrap().len(), 3);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "b pull",
            "b pull http://a --server x=http://b",
            "b pull --vs http://a",
            "b pull http://a --vs http://a",
            "b pull --server x=http://a --server x=http://b",
            "b pull http://a --pid2 3",
            "b pull http://a --insecure",
            "b pull https://a --insecure --ca x",
            "b pull http://a --count 1 --duration 1s",
            "b pull http://a --size 0",
            "b pull http://a --connections 0",
            "b pull http://a --rounds 0",
            "b pull http://a --repository Upper",
            "b pull http://a --user x",
            "b start --url http://a",
        ] {
            assert!(servers(line).is_err(), "{line}");
        }
    }
}
