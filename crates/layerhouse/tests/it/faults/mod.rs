//! What goes wrong, on purpose: the process is killed, the disk is full, fails or lies, the power is
//! cut, clients vanish. Each test drives the binary that users run, and at its end the directory is
//! sound and nothing that a client was told is lost.
//!
//! Some need root, loop devices or a `mkfs`; where those are missing they say `skipped:` and why.

mod abandoned;
mod adoption;
mod backup;
mod bit_rot;
mod cgroup;
mod clock;
mod collecting;
mod collection_steps;
pub(crate) mod crash;
mod failing_disk;
mod full_disk;
mod junk;
mod ledger;
mod load;
mod many;
mod mount;
mod network;
mod power_cut;
mod publication;
mod scenario;
mod slow_disk;
mod small_memory;
mod start;
mod torn;
mod unreadable;
mod upgrade;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::harness::database::verify_process;
use super::harness::files::quick_directory;
use super::harness::process::{Process, Refused};
use layerhouse::{OpenError, Report};

/// Says on the terminal that a test did not run; the test harness swallows what `eprintln!` says.
fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr().lock(), "skipped: {test}: {reason}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Starts a server on `root` below a directory with more configuration, in YAML, than where its data is.
fn start_configured(directory: &Path, configuration: &str) -> Process {
    start_with(directory, configuration, &[])
}

/// The same with variables.
fn start_with(directory: &Path, configuration: &str, variables: &[(&str, &str)]) -> Process {
    try_start_with(directory, configuration, variables)
        .unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// The same, where it may die before it listens.
fn try_start_with(
    directory: &Path,
    configuration: &str,
    variables: &[(&str, &str)],
) -> Result<Process, Refused> {
    let file = directory.join("config.yml");
    let text =
        format!("version: 0.1\nstorage: {{ delete: {{ enabled: true }} }}\n{configuration}\n");
    std::fs::write(&file, text).expect("it can be written");
    let (root, file) = (directory.join("root"), file.to_string_lossy().into_owned());
    let arguments = ["--root", &*root.to_string_lossy(), "--config", &*file];
    Process::try_run(&arguments, variables)
}

/// Stops a server cleanly and proves its directory sound.
fn stop_soundly(process: Process, root: &Path) {
    let (status, log) = process.terminate();
    assert!(status.success(), "{status}: {log}");
    assert_sound(root);
}

/// Proves the directory of a server that was stopped cleanly sound.
fn assert_sound(root: &Path) {
    let report = survey(root);
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!(
        report.stale_links, 0,
        "a clean stop writes every link file: {report}"
    );
}

/// Makes `to` what `from` is.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([from, to])
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "cp copies");
}

/// What `verify` finds in a directory that no server uses.
///
/// The lock of an earlier look is held for a moment longer if another test starts a process meanwhile:
/// until that runs its binary it has our descriptors.
fn survey(root: &Path) -> Report {
    for _ in 0..100 {
        match verify_process(root) {
            Ok(report) => return report,
            Err(OpenError::InUse { .. }) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{} stays in use", root.display());
}

/// Runs our binary to its end.
fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_layerhouse"))
        .args(arguments)
        .output()
        .expect("the binary was built with the tests")
}

/// The published file of a digest.
fn blob_path(root: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').expect("a digest");
    let blobs = root.join("docker/registry/v2/blobs").join(algorithm);
    blobs.join(&hex[..2]).join(hex).join("data")
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    entries
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

/// Bytes that do not compress and differ from seed to seed (SplitMix64).
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A number from the environment, for longer runs than the everyday one.
pub(crate) fn rounds(variable: &str, everyday: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(everyday)
}
