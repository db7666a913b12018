//! Reads the sources and keeps the picture of ARCHITECTURE.md true: who knows whom, and who may touch what.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its comments, under its path below `src`.
struct Source {
    path: String,
    /// Lines of code with their numbers, tests included.
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        // Templates, styles and texts are beside the code of their pages.
        if path
            .extension()
            .is_none_or(|end| end != "rs" && end != "sql")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = |line: &str| line.split("//").next().unwrap_or("").to_owned();
        let lines = (1..).zip(text.lines().map(code)).collect();
        let path = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        found.push(Source { path, lines });
    }
    assert!(20 < found.len(), "the sources are elsewhere");
    found
}

/// Fails for every line that has one of these words, in files that are not in one of these places.
fn only_in(places: &[&str], words: &[&str]) {
    let mut strays = Vec::new();
    for source in sources() {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in &source.lines {
            if words.iter().any(|word| has_word(line, word)) {
                strays.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(
        strays.is_empty(),
        "only {places:?} may say {words:?}:\n{}",
        strays.join("\n")
    );
}

/// Fails for every line in these places that has one of these words, unless it is one of `exceptions`.
fn never_in(places: &[&str], words: &[&str], exceptions: &[(&str, &str)]) {
    let mut strays = Vec::new();
    for source in sources() {
        if !places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in &source.lines {
            let is_allowed = exceptions
                .iter()
                .any(|(path, text)| source.path == *path && line.trim() == *text);
            if !is_allowed && words.iter().any(|word| has_word(line, word)) {
                strays.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(
        strays.is_empty(),
        "{places:?} may not say {words:?}:\n{}",
        strays.join("\n")
    );
}

/// The word where no name goes on before or behind it.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |at: Option<char>| at.is_some_and(|at| at.is_alphanumeric() || at == '_');
    line.match_indices(word).any(|(at, _)| {
        let behind = line[at + word.len()..].chars().next();
        let is_open = word.ends_with(|last: char| !last.is_alphanumeric());
        !is_name(line[..at].chars().next_back()) && (is_open || !is_name(behind))
    })
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use crate::meta;", "crate::meta"));
    assert!(has_word("    std::fs::read(x)", "fs::"));
    assert!(!has_word("let metadata = 1;", "meta"));
    assert!(!has_word("dofs::x()", "fs::"));
    assert!(!has_word("http_body", "http"));
}

#[test]
fn http_is_known_in_api_alone() {
    // `config` reads names and values of headers, `outbound` and the object store's client ask others, `server`
    // listens.
    only_in(
        &["api/", "config/", "outbound", "blobs/objects/"],
        &[
            "http::",
            "http_body::",
            "http_body_util::",
            "form_urlencoded",
        ],
    );
    only_in(&["api/"], &["hyper::", "hyper_util::", "StatusCode"]);
    only_in(&["api/", "outbound"], &["HeaderMap", "TcpStream"]);
    // Who asks others: TLS is verified and secrets are kept back in one place.
    only_in(&["outbound"], &["reqwest", "ldap3"]);
    only_in(
        &["api/", "server.rs", "outbound/upstream/tests"],
        &["TcpListener"],
    );
    only_in(&["api/", "server.rs", "server/"], &["crate::api"]);
    only_in(&["blobs/objects/"], &["object_store"]);
}

/// Metrics, checks and outbound requests know nothing of the rest; how metrics are written is theirs.
#[test]
fn observers_are_leaves() {
    only_in(&["metrics/"], &["prometheus_client"]);
    let rest = [
        "crate::api",
        "crate::auth",
        "crate::blobs",
        "crate::jobs",
        "crate::meta",
        "crate::registry",
        "crate::server",
    ];
    // Settings of upstreams hold secrets, which tests make.
    let exceptions = [
        (
            "outbound/upstream/tests.rs",
            "use crate::auth::credentials::Secret;",
        ),
        (
            "outbound/upstream/tests.rs",
            "use crate::auth::rights::Visibility;",
        ),
    ];
    never_in(
        &["metrics/", "log/", "checks.rs", "outbound"],
        &rest,
        &exceptions,
    );
    // `config` tries whether a level is one.
    only_in(&["log/", "config/"], &["tracing_subscriber"]);
}

/// Whoever has a proof went through the policy.
#[test]
fn proofs_are_made_in_auth_alone() {
    only_in(&["auth/mod.rs"], &["GrantedBrowse(", "Granted {"]);
}

#[test]
fn sql_is_known_in_meta_alone() {
    only_in(
        &["meta/"],
        &["rusqlite", "SELECT", "INSERT", "UPDATE", "DELETE FROM"],
    );
}

#[test]
fn files_are_touched_in_blobs_and_config_alone() {
    // The database's own file is opened, locked and measured by `meta`. What `config` names for TLS is
    // read by who speaks it, whenever it changes; the file of a Unix socket is made by listening. Users
    // and keys, which are the operator's, are read where they are watched, and a file of users is made
    // in one place. So are authorities and logins of upstreams.
    only_in(
        &[
            "blobs/",
            "config/",
            "api/tls/",
            "api/sockets.rs",
            // Looks for what pages say.
            "api/ui/text/tests.rs",
            "auth/watched.rs",
            "auth/htpasswd/create.rs",
            "auth/htpasswd/update.rs",
            // Looks for statements.
            "meta/statements_tests.rs",
            "outbound/upstream/files.rs",
            "outbound/upstream/tests",
        ],
        &["fs::", "File::", "OpenOptions", "std::fs"],
    );
}

/// What a list or a pull returns is described where it is stored, and passed on as it is.
const PASSED_ON: [(&str, &str); 13] = [
    ("api/lists.rs", "use crate::meta::manifests::Referrer;"),
    (
        "api/manifests.rs",
        "use crate::meta::manifests::StoredManifest;",
    ),
    (
        "api/outlet.rs",
        "use crate::blobs::stretch::{STRETCH_BYTES_MAX, Stretch};",
    ),
    (
        "api/v1/audit.rs",
        "use crate::meta::audit::{AuditEvent as Stored, AuditId};",
    ),
    (
        "api/v1/grants.rs",
        "use crate::meta::grants::{Grant as Stored, GrantId};",
    ),
    (
        "api/v1/invitations.rs",
        "use crate::meta::invitations::{Invitation as Stored, InvitationId};",
    ),
    (
        "api/v1/organizations.rs",
        "use crate::meta::namespaces::{Namespace as Stored, NamespaceKind as StoredKind};",
    ),
    (
        "api/v1/deleted.rs",
        "use crate::meta::deleted::Holding as Stored;",
    ),
    (
        "api/v1/history.rs",
        "use crate::meta::history::TagEvent as Stored;",
    ),
    (
        "api/v1/storage.rs",
        "use crate::meta::storage::Sample as Stored;",
    ),
    ("api/v1/tags.rs", "use crate::meta::tags::Tagged as Stored;"),
    ("api/v1/teams.rs", "use crate::meta::teams::Team as Stored;"),
    (
        "api/v1/tokens.rs",
        "use crate::meta::tokens::{Token as Stored, TokenId, TokenKind};",
    ),
];

#[test]
fn arrows_point_one_way() {
    never_in(
        &["api/"],
        &["crate::meta", "crate::blobs", "crate::jobs"],
        &PASSED_ON,
    );
    never_in(
        &["registry/"],
        &["crate::api", "crate::jobs", "crate::server"],
        &[],
    );
    never_in(
        &["meta/"],
        &[
            "crate::blobs",
            "crate::registry",
            "crate::api",
            "crate::auth",
            "crate::config",
        ],
        &[],
    );
    never_in(
        &["blobs/"],
        &[
            "crate::meta",
            "crate::registry",
            "crate::api",
            "crate::auth",
            "crate::config",
        ],
        &[],
    );
    // It reads who there is; what changes them is in `index`.
    never_in(
        &["auth/"],
        &[
            "crate::api",
            "crate::registry",
            "crate::index",
            "crate::blobs",
        ],
        &[],
    );
    never_in(
        &["index/"],
        &[
            "crate::api",
            "crate::registry",
            "crate::blobs",
            "crate::jobs",
            "crate::server",
        ],
        &[],
    );
    never_in(
        &["jobs/"],
        &["crate::api", "crate::meta", "crate::blobs"],
        &[],
    );
    // The binary talks to the library through its front.
    never_in(&["main.rs"], &["rusqlite", "hyper", "http::", "fs::"], &[]);
}

#[test]
fn time_randomness_and_environment_have_one_door() {
    only_in(
        &["clock.rs"],
        &["SystemTime::now", "UNIX_EPOCH", "getrandom"],
    );
    // How long a simulation is, its tester says; and where there is a PostgreSQL.
    let simulation = "registry/collection/simulation.rs";
    let postgres = "meta/postgres/tests.rs";
    only_in(&["config/", "main.rs", simulation, postgres], &["env::"]);
}

#[test]
fn one_file_is_unsafe() {
    only_in(
        &["blobs/mapping.rs"],
        &["unsafe", "transmute", "unsafe_code"],
    );
}

/// The vocabulary's list of dependencies is the promise that it does no IO.
#[test]
fn the_vocabulary_depends_on_nothing_that_waits() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../layerhouse-oci/Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    let (_, behind) = text.split_once("[dependencies]").unwrap();
    let names: Vec<&str> = behind
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .collect();
    assert_eq!(
        names,
        [
            "percent-encoding",
            "serde",
            "serde_json",
            "sha2",
            "thiserror"
        ]
    );
}
