//! What the operator said, by arguments, file and environment, turned into what it means: every bound
//! checked, every mistake reported at once. The environment is read here alone.
//!
//! `tree.rs` makes a tree of YAML whose nodes know their place, `reader.rs` reads it key by key with the
//! variables over it, `sections/` is the schema, one function a section, and `meaning.rs` what comes out.

pub mod elsewhere;
pub mod meaning;
mod notes;
mod reader;
mod sections;
pub(crate) mod show;
mod tree;
mod units;
mod variables;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};

use self::meaning::{Auth, Config};
pub use self::notes::Said;
use self::notes::{Notes, did_you_mean};
use self::reader::{Section, Unknown, quoted};
pub use self::sections::ours::database_place;
pub use self::show::Change;
use self::tree::{Node, Origin};
pub use self::variables::Surroundings;
use self::variables::Variables;
pub use self::watch::Watch;
use crate::blobs::objects::settings::Buckets;
use crate::blobs::redirection;
use crate::steps::Steps;

/// Where the registry listens if nothing else is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:5000";
/// Where the data is if nothing else is said, beside where the server is started.
pub const ROOT_DEFAULT: &str = "layerhouse-data";
/// What a program that we stand in for is called.
const REGISTRY_PROGRAM: &str = "registry";
/// An accident for the tests, as `steps` reads it.
const FAULTS_VARIABLE: &str = "LAYERHOUSE_FAULTS";
/// What is logged; wins over the file.
const LOG_VARIABLE: &str = "LAYERHOUSE_LOG";
/// The file, if no argument names it.
const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";
/// Longer files are no configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--listen`
    pub listen: Option<String>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--config`, or the file that was named without it.
    pub config: Option<PathBuf>,
}

/// What an operator lists in a file, a line each; lines that begin with `#` are remarks.
///
/// # Errors
/// The file cannot be read, or is no text; in words.
pub fn listed_in(path: &Path) -> Result<Vec<String>, String> {
    let content = std::fs::read_to_string(path);
    let content = content.map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = content.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Everything wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError {
    /// A line each, with the place.
    pub problems: Vec<String>,
    /// What would have been said of a configuration without problems.
    pub warnings: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file that the arguments or the surroundings name, if they do, and the environment.
    ///
    /// # Errors
    /// Every problem found, a line each.
    pub fn load(arguments: &Arguments, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let (path, unread) = choose_file(arguments, surroundings);
        // Before it is read: who writes it meanwhile is seen at the next look.
        let watch = path.clone().map(Watch::new);
        let notes = Notes::default();
        let text = path.as_deref().and_then(|path| {
            read_file(path)
                .map_err(|error| notes.problem(format!("{}: {error}", path.display())))
                .ok()
        });
        let name = path.as_deref().map(|path| path.display().to_string());
        let given = text
            .as_deref()
            .map(|text| (name.as_deref().unwrap_or(""), text));
        let mut config = Self::read(given, arguments, surroundings, notes)?;
        config.file = path;
        config.watch = watch;
        config.unread = unread;
        Ok(config)
    }

    /// Reads a file's text as if it had this name; for whoever has no file.
    ///
    /// # Errors
    /// Every problem found, a line each.
    pub fn parse(name: &str, text: &str, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let arguments = Arguments::default();
        Self::read(
            Some((name, text)),
            &arguments,
            surroundings,
            Notes::default(),
        )
    }

    fn read(
        given: Option<(&str, &str)>,
        arguments: &Arguments,
        surroundings: &Surroundings,
        notes: Notes,
    ) -> Result<Self, ConfigError> {
        let node = given.and_then(|(name, text)| document(name, text, &notes));
        let registry = Variables::with_prefix(surroundings, "REGISTRY_");
        let layerhouse = Variables::with_prefix(surroundings, "LAYERHOUSE_");
        // A file that cannot be read is one problem; what it lacks is none.
        let is_readable = given.is_none() || node.is_some();
        let source = Source {
            node,
            has_file: given.is_some(),
            arguments,
            is_activated: surroundings.is_activated,
        };
        let config = read_all(source, &notes, &registry, &layerhouse);
        if is_readable {
            note_unused(&registry, &layerhouse, &notes, config.auth == Auth::None);
        }
        let (problems, warnings, said) = notes.into_parts();
        if problems.is_empty() {
            Ok(Self {
                warnings,
                said,
                ..config
            })
        } else {
            Err(ConfigError { problems, warnings })
        }
    }
}

/// The file to read; and one that stands where registry:2 would look, which is not read.
fn choose_file(
    arguments: &Arguments,
    surroundings: &Surroundings,
) -> (Option<PathBuf>, Option<PathBuf>) {
    if let Some(path) = &arguments.config {
        return (Some(path.clone()), None);
    }
    let named = surroundings.variables.get(PATH_VARIABLE);
    if let Some(path) = named.filter(|path| !path.is_empty()) {
        return (Some(PathBuf::from(path)), None);
    }
    let mut standard = surroundings.standard_paths.iter();
    let standard = standard.find(|path| path.is_file()).cloned();
    let is_stand_in = || {
        surroundings.program == REGISTRY_PROGRAM || {
            let registry = Variables::with_prefix(surroundings, "REGISTRY_");
            let layerhouse = Variables::with_prefix(&Surroundings::default(), "LAYERHOUSE_");
            let source = Source {
                node: None,
                has_file: false,
                arguments,
                is_activated: false,
            };
            read_all(source, &Notes::default(), &registry, &layerhouse);
            registry.is_any_used()
        }
    };
    // registry:2 has no such arguments: who gives them starts Layerhouse, with the variables of before.
    let is_ours = arguments.root.is_some() || arguments.listen.is_some();
    match standard {
        Some(path) if !is_ours && is_stand_in() => (Some(path), None),
        unread => (None, unread),
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if FILE_BYTES_MAX < size.len() {
        return Err("is too long for a configuration".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())
}

/// The tree of a file; `None` is noted as a problem.
fn document(name: &str, text: &str, notes: &Notes) -> Option<Node> {
    let document = tree::parse_file(name, text);
    let has_problems = !document.problems.is_empty();
    for problem in document.problems {
        notes.problem(format!("{}: {}", problem.origin, problem.message));
    }
    if document.has_more {
        notes.warning(format!(
            "{name}: only the first document is read, up to the second ---"
        ));
    }
    if document.node.is_none() && !has_problems {
        notes.problem(format!("{name}: version: 0.1 is missing at the top"));
    }
    document.node
}

/// What [`read_all`] reads besides variables.
struct Source<'given> {
    node: Option<Node>,
    has_file: bool,
    arguments: &'given Arguments,
    is_activated: bool,
}

fn read_all(
    source: Source<'_>,
    notes: &Notes,
    registry: &Variables,
    layerhouse: &Variables,
) -> Config {
    let Source {
        node,
        has_file,
        arguments,
        is_activated,
    } = source;
    let has_node = node.is_some();
    let root = Section::root(notes, registry, node);
    if has_node {
        version(&root);
    }
    let ours = root.subsection(
        "layerhouse",
        layerhouse,
        "LAYERHOUSE_",
        "__",
        Unknown::Refused,
    );
    let log_filter = layerhouse.take(LOG_VARIABLE).map(|(_, filter)| filter);
    let log = sections::log::read(&root, has_file, log_filter);
    let needs_driver = arguments.root.is_none() && has_node;
    let storage = sections::storage::read(&root, has_file, needs_driver);
    let (timeouts, connections_max, drain_max) = sections::ours::connections(&ours);
    let listen = arguments.listen.as_deref();
    let http = sections::http::read(&root, &ours, listen, is_activated, drain_max);
    let (catalog_max, tags_max) = sections::other::pages(&root);
    let own_storage = ours.section("storage");
    let (named, placement) = sections::stores::read(&ours, &own_storage);
    let mut mirror = sections::mirror::read(&root, &ours);
    if let Some(mirror) = &mut mirror {
        // A copy would be written.
        mirror.is_offline |= storage.is_read_only;
    }
    sections::other::accepted(&root);
    let auth = sections::auth::read(&root, &ours.section("auth"));
    let mut index = sections::index::read(&ours, &auth, http.tls.as_ref());
    let is_open = index.is_none() && matches!(auth, Auth::None | Auth::Silly { .. });
    if !is_open
        && storage
            .redirection
            .iter()
            .any(redirection::Change::is_unsigned)
    {
        let what = "redirect sends pulls to addresses that ask for no login: whoever knows a digest may pull it there, \
                    unless that server asks";
        root.section("middleware").warn("storage", what);
    }
    if let (Some(index), Some(mirror)) = (&mut index, &mirror) {
        index.copies = mirror.copies();
    }
    let allows_delete = storage.allows_delete.unwrap_or(true);
    let is_passed_by = !storage.redirection.is_empty();
    let buckets = Buckets {
        default: storage.bucket.clone(),
        named,
    };
    let cache = sections::cache::read(&ours, &buckets, is_passed_by);
    let mut limits = sections::ours::limits(&ours, &own_storage, storage.purging);
    if cache.is_some() {
        // Files of the cache and files of the data directory share what may stay open.
        limits.open_files_max /= 2;
    }
    Config {
        file: None,
        watch: None,
        unread: None,
        listen: http.listen,
        root: data_directory(&root, &ours, arguments, &storage),
        database: sections::ours::database(&ours),
        advertise: sections::ours::advertise(&ours),
        buckets,
        placement,
        cache,
        redirection: storage.redirection,
        log,
        http: http.http,
        tls: http.tls,
        debug: http.debug,
        auth,
        index,
        mirror,
        has_pages: ours.section("ui").flag("enabled", true),
        allows_delete,
        is_read_only: storage.is_read_only,
        validation: sections::other::validation(&root),
        catalog_max,
        tags_max,
        health: sections::health::read(&root),
        notifications: sections::notifications::read(&root),
        limits,
        policies: sections::policies::read(&ours, allows_delete, storage.is_read_only),
        timeouts,
        connections_max,
        drain_max: http.drain_max,
        steps: steps(layerhouse, notes),
        warnings: Vec::new(),
        said: Vec::new(),
    }
}

/// `version: 0.1`, which says that this is a configuration of registry:2, and cannot be a variable.
fn version(root: &Section<'_>) {
    match root.file_text("version").as_deref() {
        Some("0.1") => {}
        Some(other) => root.refuse("version", format!("{other:?} is not known; only 0.1 is")),
        None => root.refuse("version", "0.1 is missing at the top"),
    }
}

fn data_directory(
    root: &Section<'_>,
    ours: &Section<'_>,
    arguments: &Arguments,
    storage: &sections::storage::Storage,
) -> PathBuf {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let beside = ours.text("directory").map(PathBuf::from);
    if storage.bucket.is_some() {
        // What is beside the bucket: database, lock and console.
        if let Some(path) = &arguments.root {
            let shown = quoted(&path.display().to_string());
            ours.say("directory", shown, &Origin::Argument("--root"));
        } else if beside.is_none() {
            ours.say("directory", quoted(ROOT_DEFAULT), &Origin::Default);
        }
        let path = arguments.root.clone().or(beside);
        return absolute(path.unwrap_or_else(|| PathBuf::from(ROOT_DEFAULT)));
    }
    if beside.is_some() {
        ours.refuse(
            "directory",
            "goes with an object store; here storage.filesystem.rootdirectory says where the data is",
        );
    }
    let configured = storage.root.clone();
    let filesystem = root.quiet(&["storage", "filesystem"]);
    if let Some(path) = &arguments.root {
        let shown = path.display().to_string();
        filesystem.say("rootdirectory", quoted(&shown), &Origin::Argument("--root"));
    } else if configured.is_none() {
        filesystem.say("rootdirectory", quoted(ROOT_DEFAULT), &Origin::Default);
    }
    let path = arguments.root.clone().or(configured);
    let path = path.unwrap_or_else(|| PathBuf::from(ROOT_DEFAULT));
    absolute(path)
}

fn steps(layerhouse: &Variables, notes: &Notes) -> Steps {
    let Some((name, text)) = layerhouse.take(FAULTS_VARIABLE) else {
        return Steps::default();
    };
    Steps::parse(text).unwrap_or_else(|problem| {
        notes.problem(format!("{name}={problem}"));
        Steps::default()
    })
}

/// Kubernetes puts `REGISTRY_PORT` and the like into every container beside a service `registry`, so
/// what we do not know harms nothing there; of our own variables it is a mistake.
fn note_unused(registry: &Variables, layerhouse: &Variables, notes: &Notes, is_open: bool) {
    for (name, similar) in registry.unused() {
        if name != PATH_VARIABLE {
            let hint = did_you_mean(similar);
            let is_of_auth = name.to_uppercase().starts_with("REGISTRY_AUTH_");
            if is_open && is_of_auth && !is_of_others(name) {
                notes.problem(format!(
                    "{name} is not a known variable{hint}; without it the registry would be open to \
                     everyone"
                ));
                continue;
            }
            notes.warning(format!(
                "Ignoring unrecognized environment variable {name}{hint}"
            ));
        }
    }
    for (name, similar) in layerhouse.unused() {
        if is_of_others(name) {
            continue;
        }
        let hint = did_you_mean(similar);
        notes.problem(format!("{name} is not a known variable{hint}"));
    }
}

/// Of our prefix, but not ours: what Kubernetes says of a service that is called `layerhouse…`, and
/// what our own scripts and tests say to themselves.
fn is_of_others(name: &str) -> bool {
    let name = name.to_uppercase();
    name == "LAYERHOUSE_BIN"
        || name.starts_with("LAYERHOUSE_TEST_")
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
}

#[cfg(test)]
mod tests;
