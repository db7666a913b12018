//! The corpus of `tests/configs`: what each configuration comes to, or what is wrong with it.
//!
//! Beside a case may be its variables (`.env`); beside it is what is expected: of a good one each value
//! that was said with its origin, and the warnings; of a bad one the problems. With
//! `LAYERHOUSE_TEST_BLESS=1` what is found is written there, to be read before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use layerhouse::config::Surroundings;
use layerhouse::config::meaning::Config;

use crate::harness::process::output;

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/configs")
        .join(folder);
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    cases.sort();
    assert!(30 < cases.len());
    cases
}

fn load(case: &Path) -> Result<Config, layerhouse::config::ConfigError> {
    let mut surroundings = Surroundings::default();
    if let Ok(variables) = fs::read_to_string(case.with_extension("env")) {
        let pairs = variables.lines().filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        surroundings.variables = pairs.collect();
    }
    let name = case.file_name().expect("a file").to_string_lossy();
    let text = fs::read_to_string(case).expect("a text");
    Config::parse(&name, &text, &surroundings)
}

/// Compares with what is beside the case; a difference is returned.
fn compare(case: &Path, found: &str) -> Option<String> {
    let path = case.with_extension("expected");
    if std::env::var_os("LAYERHOUSE_TEST_BLESS").is_some() {
        fs::write(&path, found).expect("it can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    (expected != found).then(|| format!("{}:\n{found}", case.display()))
}

#[test]
fn good_configurations_come_to_what_they_say() {
    let check = |case: &PathBuf| match load(case) {
        Ok(config) => {
            let mut found = config.origins(false);
            for warning in &config.warnings {
                found.push_str("warning: ");
                found.push_str(warning);
                found.push('\n');
            }
            compare(case, &found)
        }
        Err(error) => Some(format!("{}: {error}", case.display())),
    };
    let wrong: Vec<_> = cases("good").iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_configurations_are_told_what_is_wrong() {
    let check = |case: &PathBuf| match load(case) {
        Ok(_) => Some(format!("{}: accepted", case.display())),
        Err(error) => compare(case, &format!("{error}\n")),
    };
    let wrong: Vec<_> = cases("bad").iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is printed means the same again, where nothing was hidden.
#[test]
fn what_is_printed_is_a_configuration() {
    for case in cases("good") {
        let config = load(&case).expect("a good case");
        let printed = config.to_yaml();
        assert!(!printed.contains("asecret"), "{printed}");
        if printed.contains("<hidden>") {
            continue;
        }
        let again = Config::parse("printed", &printed, &Surroundings::default());
        let again = again.unwrap_or_else(|error| panic!("{}: {error}\n{printed}", case.display()));
        let changes = config.changes(&again);
        // A section's variable, and what stands in for old keys, is printed as what it means.
        let is_version = |key: &str| key == "version" || key == "validation.disabled";
        assert!(
            changes.iter().all(|change| is_version(&change.key)),
            "{}: {changes:?}\n{printed}",
            case.display()
        );
    }
}

#[test]
fn the_command_line_is_the_registrys() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("config.yml");
    fs::write(&file, "version: 0.1\nstorage: {oss: {bucket: b}}\n").expect("it can be written");
    let file = file.to_string_lossy();
    let check = |arguments: &[&str], variables: &[(&str, &str)], ok: bool, expected: &str| {
        let (status, text) = output(arguments, variables);
        assert_eq!(status.success(), ok, "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    };
    let refused = "config.yml:2:16: storage.oss: this release stores in a directory, in S3, in Google's cloud or in Azure";
    check(&["serve", &file], &[], false, refused);
    check(&["serve", "--config", &file], &[], false, refused);
    check(&[&file], &[], false, refused);
    check(&["check", &file], &[], false, refused);
    check(&["config", "print", &file], &[], false, refused);
    let variable = [("REGISTRY_CONFIGURATION_PATH", &*file)];
    check(&["serve"], &variable, false, refused);
    check(&[], &variable, false, refused);
    check(&["-v"], &[], true, "registry layerhouse v");
    check(&["--version"], &[], true, "layerhouse 0.");
    check(
        &["garbage-collect", &file, "-m", "--dry-run"],
        &[],
        false,
        refused,
    );
    check(&["serv"], &[], false, "neither a command nor a file");

    let replaced = [("REGISTRY_STORAGE", "{filesystem: {rootdirectory: /data}}")];
    check(&["check", &file], &replaced, true, "0 errors, 0 warnings");
    check(
        &["config", "print", &file],
        &replaced,
        true,
        "    rootdirectory: /data  # REGISTRY_STORAGE\n",
    );
    let doubtful = [replaced[0], ("REGISTRY_HTP_ADDR", "x")];
    let warning = "warning: Ignoring unrecognized environment variable REGISTRY_HTP_ADDR; \
                   did you mean REGISTRY_HTTP_ADDR?";
    check(&["check", &file], &doubtful, true, warning);
    check(&["check", "--strict", &file], &doubtful, false, warning);
    let missing = [
        replaced[0],
        ("REGISTRY_HTTP_TLS", "{certificate: /no/c, key: /no/k}"),
    ];
    check(
        &["check", &file],
        &missing,
        false,
        "http.tls.key: /no/k: No such file",
    );
}

/// The standard paths are read by who stands in for `registry`, and pointed at else.
#[test]
fn standard_paths_are_read_by_a_stand_in() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("config.yml");
    let text = "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\n";
    fs::write(&file, text).expect("it can be written");
    let check = |program: &str, variables: &[(&str, &str)], is_read: bool| {
        let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let surroundings = Surroundings {
            variables: variables.iter().map(pair).collect(),
            standard_paths: vec![directory.path().join("missing.yml"), file.clone()],
            program: program.to_owned(),
            is_activated: false,
        };
        let config = Config::load(&layerhouse::config::Arguments::default(), &surroundings);
        let config = config.expect("nothing is wrong");
        assert_eq!(config.file.is_some(), is_read, "{program} {variables:?}");
        assert_eq!(config.unread.is_none(), is_read, "{program} {variables:?}");
    };
    check("layerhouse", &[], false);
    check("registry", &[], true);
    check(
        "layerhouse",
        &[("REGISTRY_HTTP_ADDR", "127.0.0.1:5000")],
        true,
    );
    check("layerhouse", &[("REGISTRY_HTTP_HEADERS_X-A", "[b]")], true);
    check(
        "layerhouse",
        &[("REGISTRY_PORT", "tcp://10.0.0.1:5000")],
        false,
    );
    // An argument that registry:2 does not have says that it is Layerhouse that is started.
    let with_root = layerhouse::config::Arguments {
        root: Some(directory.path().join("root")),
        ..layerhouse::config::Arguments::default()
    };
    let surroundings = Surroundings {
        variables: [("REGISTRY_HTTP_ADDR".to_owned(), "127.0.0.1:5000".to_owned())].into(),
        standard_paths: vec![file.clone()],
        ..Surroundings::default()
    };
    let config = Config::load(&with_root, &surroundings).expect("nothing is wrong");
    assert_eq!((config.file, config.unread), (None, Some(file)));
}
