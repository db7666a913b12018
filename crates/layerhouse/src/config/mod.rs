//! What the operator said, by arguments, file and environment, turned into what it means: every bound
//! checked, every mistake reported at once. The environment is read here alone.

mod file;
pub mod meaning;
mod units;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use self::meaning::{
    Auth, Config, Formatter, Health, Http, Listen, Log, Notifications, Validation,
};
use crate::steps::Steps;

/// Where the registry listens if nothing else is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:5000";
/// Where the data is if nothing else is said, beside where the server is started.
pub const ROOT_DEFAULT: &str = "layerhouse-data";
/// An accident for the tests, as `steps` reads it.
const FAULTS_VARIABLE: &str = "LAYERHOUSE_FAULTS";
/// What is logged; wins over the file.
const LOG_VARIABLE: &str = "LAYERHOUSE_LOG";

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--listen`
    pub listen: Option<String>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
}

/// Everything wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file that the arguments name, if they do, and the environment.
    ///
    /// # Errors
    /// Every problem found, a line each.
    pub fn load(arguments: &Arguments) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = match &arguments.config {
            Some(path) => read_file(path, &mut problems),
            None => file::File::default(),
        };
        let listen = arguments.listen.clone().or_else(|| file.http.addr.clone());
        let listen = listen.as_deref().unwrap_or(LISTEN_DEFAULT);
        let listen = parse_address(listen).unwrap_or_else(|problem| {
            problems.push(problem);
            SocketAddr::from(([127, 0, 0, 1], 0))
        });
        let root = arguments
            .root
            .clone()
            .or_else(|| {
                file.storage
                    .filesystem
                    .as_ref()?
                    .rootdirectory
                    .clone()
                    .map(PathBuf::from)
            })
            .unwrap_or_else(|| PathBuf::from(ROOT_DEFAULT));
        let headers = headers(&file.http.headers, &mut problems);
        let bounds = file.layerhouse;
        let connections_max = bounds.connections.max.unwrap_or_else(connections_default);
        if connections_max == 0 {
            problems.push("layerhouse.connections.max: at least 1".to_owned());
        }
        let steps = match env::var(FAULTS_VARIABLE) {
            Ok(text) => Steps::parse(&text).unwrap_or_else(|problem| {
                problems.push(format!("{FAULTS_VARIABLE}={problem}"));
                Steps::default()
            }),
            Err(_) => Steps::default(),
        };
        let config = Self {
            file: arguments.config.clone(),
            listen: Listen::Tcp(listen),
            root: std::path::absolute(&root).unwrap_or(root),
            allows_delete: file.storage.delete.enabled.unwrap_or(true),
            is_read_only: file.storage.maintenance.readonly.enabled.unwrap_or(false),
            http: Http {
                prefix: "/".to_owned(),
                headers,
                has_http2: true,
                ..Http::default()
            },
            tls: None,
            debug: None,
            auth: Auth::None,
            validation: Validation::default(),
            catalog_max: 1000,
            tags_max: 1000,
            health: Health::default(),
            notifications: Notifications::default(),
            warnings: Vec::new(),
            log: Log {
                filter: env::var(LOG_VARIABLE)
                    .ok()
                    .or(file.log.level)
                    .unwrap_or_else(|| "info".to_owned()),
                formatter: Formatter::Auto,
                fields: Vec::new(),
                has_access_log: false,
            },
            limits: bounds.limits(&mut problems),
            timeouts: bounds.timeouts(&mut problems),
            connections_max,
            drain_max: units::duration(
                "layerhouse.connections.drain",
                bounds.connections.drain.as_deref(),
                Duration::from_secs(30),
                &mut problems,
            ),
            steps,
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(problems))
        }
    }
}

fn read_file(path: &Path, problems: &mut Vec<String>) -> file::File {
    let shown = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{shown}: {error}"));
            return file::File::default();
        }
    };
    match file::parse(&text) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(format!("{shown}: {problem}"));
            file::File::default()
        }
    }
}

/// `host:port`, or `:port` for every address of the machine, as registry:2 writes it.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    full.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("cannot listen on {text:?}: write it as 127.0.0.1:5000 or :5000"))
}

fn headers(
    given: &BTreeMap<String, Vec<String>>,
    problems: &mut Vec<String>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, values) in given {
        for value in values {
            match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => problems.push(format!("http.headers: {name}: {value:?} is not a header")),
            }
        }
    }
    headers
}

/// Half of the descriptors that we may open, for an answer may need a file beside its connection;
/// some are kept for the database and for saying that we are full.
fn connections_default() -> usize {
    /// Database, log, lock, listener, runtime.
    const KEPT: u64 = 48;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let descriptors = limit.current.unwrap_or(65_536);
    usize::try_from(descriptors.saturating_sub(KEPT) / 2)
        .unwrap_or(usize::MAX)
        .clamp(8, 32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_example_is_a_valid_configuration() {
        let example = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/config.example.yml"
        );
        let arguments = Arguments {
            config: Some(example.into()),
            ..Arguments::default()
        };
        let config = Config::load(&arguments).expect("the example parses");
        assert_eq!(config.limits.uploads_max, 4096);
    }

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = parse_address(text).ok().map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        };
        check("127.0.0.1:5000", Some("127.0.0.1:5000"));
        check(":5000", Some("[::]:5000"));
        check("[::1]:0", Some("[::1]:0"));
        check("127.0.0.1", None);
        check("5000", None);
        check("", None);
    }
}
