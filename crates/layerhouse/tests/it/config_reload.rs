//! A configuration that changes while the server runs, through the binary that users run.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::process::Process;

/// Writes a configuration as editors and Kubernetes do: another file takes the place of the old one.
fn write(directory: &Path, rest: &str) {
    let text = format!("version: 0.1\n{rest}\n");
    fs::write(directory.join("new"), text).unwrap();
    fs::rename(directory.join("new"), directory.join("config.yml")).unwrap();
}

fn start(directory: &Path) -> Process {
    let root = directory.join("root");
    let config = directory.join("config.yml");
    let arguments = [
        "--root",
        &root.to_string_lossy(),
        "--config",
        &config.to_string_lossy(),
    ];
    Process::try_run(&arguments, &[]).unwrap()
}

#[test]
fn a_changed_configuration_holds_without_a_restart() {
    let directory = tempfile::TempDir::new().unwrap();
    let directory = directory.path();
    let with_header = |value: &str| format!("http: {{ headers: {{ X-Registry: [{value}] }} }}");
    write(directory, &with_header("one"));
    let server = start(directory);
    let header = || {
        let response = server.client.get("/v2/");
        response.header("x-registry").map(ToOwned::to_owned)
    };
    assert_eq!(header().as_deref(), Some("one"));

    // Without a signal: the file is looked at.
    write(directory, &with_header("two"));
    server.wait_for_log(&["config_reload", "success", "http.headers.X-Registry"]);
    assert_eq!(header().as_deref(), Some("two"));

    // All that is wrong is said, and what held goes on.
    write(directory, "http: { headers: 5, relativeurls: maybe }");
    server.signal(Signal::HUP);
    server.wait_for_log(&["config_reload", "failure", "http.headers"]);
    server.wait_for_log(&["config_reload", "failure", "http.relativeurls"]);
    assert_eq!(header().as_deref(), Some("two"));

    let with_more = format!(
        "{}\nlayerhouse: {{ uploads: {{ max: 7 }} }}",
        with_header("three")
    );
    write(directory, &with_more);
    server.signal(Signal::HUP);
    server.wait_for_log(&["config_reload", "success", "layerhouse.uploads.max"]);
    assert_eq!(header().as_deref(), Some("three"));
    let (status, log) = server.terminate();
    assert!(status.success());
    let needs_restart = "changed=http.headers.X-Registry needs_restart=layerhouse.uploads.max";
    assert!(log.contains(needs_restart), "{log}");
}
