//! The good configurations of `tests/configs`: what registry:2 starts with, Layerhouse starts with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use super::registries::{Program, Registry, free_address};
use super::wire::Wire;
use super::{is_registry2_installed, skipped};

/// Cases that a registry:2 cannot show here, by the beginnings of their names.
const NOT_HERE: &[(&str, &str)] = &[
    ("v3-", "registry:3's"),
    ("needs-files-", "names files that are not there"),
    ("letsencrypt", "asks the internet for a certificate"),
    ("proxy.", "asks its upstream for an answer before it serves"),
    (
        "proxy-by-",
        "asks its upstream for an answer before it serves",
    ),
    (
        "proxy-for-",
        "asks its upstream for an answer before it serves",
    ),
];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/good");
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_case = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.extension().is_some_and(|end| end == "yml")
            && !NOT_HERE.iter().any(|(begin, _)| name.starts_with(begin))
    };
    paths.filter(is_case).collect()
}

/// The statuses of `/v2/` and `/v2/_catalog`; or how its start ended.
fn statuses(program: Program, case: &Path, directory: &Path) -> Result<Vec<u16>, String> {
    let variables = fs::read_to_string(case.with_extension("env")).unwrap_or_default();
    let said = fs::read_to_string(case).expect("a text") + &variables;
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    let mut environment: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // What would leave the directory, or meet another test: as the address and the root.
    let mut moved = |word: &str, name: &str, value: String| {
        if said.to_lowercase().contains(word) {
            environment.push((name.to_owned(), value));
        }
    };
    let users = directory.join("htpasswd");
    moved("net:", "REGISTRY_HTTP_NET", "tcp".to_owned());
    moved(
        "debug",
        "REGISTRY_HTTP_DEBUG_ADDR",
        free_address().to_string(),
    );
    moved(
        "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_PATH",
        users.to_string_lossy().into_owned(),
    );
    let registry = Registry::start(program, directory, case, &environment)?;
    let wire = Wire {
        address: registry.address,
        tls: None,
    };
    let ask = |path| wire.send("GET", path, &[], b"");
    let answers = ["/v2/", "/v2/_catalog"].map(ask);
    let statuses = answers
        .into_iter()
        .map(|answer| answer.map(|answer| answer.status));
    let statuses: Result<Vec<u16>, _> = statuses.collect();
    statuses.map_err(|error| format!("{error}\n{}", registry.log()))
}

#[test]
fn what_registry_2_starts_with_layerhouse_starts_with() {
    if !is_registry2_installed() {
        skipped();
        return;
    }
    let cases = Mutex::new(cases());
    assert!(20 < cases.lock().unwrap().len());
    let problems = Mutex::new(String::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Nothing is stored, so one start can follow another there.
                let [first, second] = [(); 2].map(|()| TempDir::new().expect("a directory"));
                loop {
                    let next = cases.lock().unwrap().pop();
                    let Some(case) = next else { return };
                    let look = || {
                        let left = statuses(Program::Registry2, &case, first.path());
                        (left, statuses(Program::Layerhouse, &case, second.path()))
                    };
                    let is_alike = |(left, right): &(Result<Vec<u16>, String>, _)| {
                        left.is_ok() && left == right
                    };
                    // On a busy machine a port may be taken between its choice and its use.
                    let looked = Some(look()).filter(is_alike).unwrap_or_else(look);
                    if !is_alike(&looked) {
                        let (left, right) = looked;
                        let problem = format!("{}:\n{left:#?} →\n{right:#?}\n", case.display());
                        problems.lock().unwrap().push_str(&problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{problems}");
}
