//! F01: the process is killed at every durable step, one after the other, and started again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::harness::process::Process;
use super::ledger::Ledger;
use super::scenario::{collecting, everything};
use super::{names, quick_directory, stop_soundly};

/// A log of the durable steps, and of what went wrong.
pub(super) const STEPS_LOGGED: (&str, &str) = ("LAYERHOUSE_LOG", "layerhouse::steps=debug,warn");

#[test]
fn fault_f01_every_durable_step_may_be_the_last() {
    let mut visited = BTreeSet::new();
    for number in 1.. {
        match die_at(number) {
            Some(step) => visited.insert(step),
            None => break,
        };
        assert!(number < 1000, "the scenario does not end");
    }
    visited.extend(super::collection_steps::die_everywhere());
    let missed: Vec<String> = step_names()
        .into_iter()
        .filter(|step| !visited.contains(step))
        .collect();
    assert!(
        missed.is_empty(),
        "no kill at {missed:?}; visited: {visited:?}"
    );
}

/// Runs the scenario until the server dies before its n-th step, then starts it again and goes on
/// where it died; the name of the step, or nothing if the scenario ended before.
fn die_at(number: usize) -> Option<String> {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let accident = format!("kill@{number}");
    let mut process = Process::start(&root, &[("LAYERHOUSE_FAULTS", &accident), STEPS_LOGGED]);
    let mut operations = collecting(&root);
    operations.extend(everything());
    let mut ledger = Ledger::new("acme/web");
    let died_in = operations
        .iter()
        .position(|operation| operation.run(&process.client, &mut ledger, false).is_err());
    if died_in.is_none() {
        // It may die while it stops, or have died while nobody asked for anything.
        process.signal_terminate();
    }
    let (status, log) = process.wait();
    if status.success() {
        assert!(
            died_in.is_none(),
            "step {number}: a request failed without an accident: {log}"
        );
        super::assert_sound(&root);
        return None;
    }
    // Two threads may take steps at once, so the fatal one need not be the last in the log.
    let fatal = steps(&log).into_iter().find(|(at, _)| *at == number);
    let (_, step) = fatal.unwrap_or_else(|| panic!("{status} before step {number}: {log}"));

    process = Process::start(&root, &[]);
    ledger.check(&process.client);
    let rest = died_in.map_or(&[][..], |at| &operations[at..]);
    ledger.resume(&process.client, false);
    for operation in rest {
        if let Err(failure) = operation.run(&process.client, &mut ledger, true) {
            panic!("after a kill at step {number}, {step}: {failure}");
        }
    }
    ledger.resume(&process.client, false);
    ledger.check(&process.client);
    stop_soundly(process, &root);
    assert_nothing_staged_beyond_sessions(&root);
    Some(step)
}

/// I6: staged bytes belong to a session; the only one open may be that of a cancellation cut short.
fn assert_nothing_staged_beyond_sessions(root: &Path) {
    let report = super::survey(root);
    let staged = names(&root.join("layerhouse/uploads"));
    assert!(staged.len() as u64 <= report.uploads, "{staged:?} {report}");
    assert_eq!(
        names(&root.join("layerhouse/scratch")),
        Vec::<String>::new()
    );
}

#[test]
fn inv_i2_a_kill_between_any_two_requests_loses_nothing() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let operations = everything();
    let mut ledger = Ledger::new("acme/web");
    let mut process = Process::start(&root, &[]);
    for operation in &operations {
        operation
            .run(&process.client, &mut ledger, false)
            .expect("there is no accident");
        process.kill();
        process = Process::start(&root, &[]);
        ledger.check(&process.client);
    }
    ledger.resume(&process.client, false);
    ledger.check(&process.client);
    stop_soundly(process, &root);
}

#[test]
fn inv_i6_a_crash_and_a_restart_leave_no_bytes_behind() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let mut process = Process::start(&root, &[]);
    let mut ledger = Ledger::new("acme/web");
    for operation in everything() {
        operation
            .run(&process.client, &mut ledger, false)
            .expect("there is no accident");
    }
    // A push in one request has no session that anybody could go on with.
    let digest = super::super::harness::images::digest("never finished");
    let mut half = process.client.open();
    let head = format!(
        "POST /v2/acme/web/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: registry\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    half.write(head.as_bytes()).expect("it listens");
    half.write(&vec![7; 600_000]).expect("it takes bytes");
    let uploads = root.join("layerhouse/uploads");
    wait_until("its bytes are staged", || 2 <= names(&uploads).len());
    process.kill();
    fs::write(root.join("layerhouse/scratch/left"), "by a crash").expect("it can be written");

    let process = Process::start(&root, &[]);
    let open = ledger.upload.take().expect("one was left open");
    let answer = process.client.send("DELETE", &open.location, &[], b"");
    assert_eq!(answer.status, 204, "{}", answer.text());
    stop_soundly(process, &root);
    let report = super::survey(&root);
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
    assert_eq!(names(&uploads), Vec::<String>::new());
    assert_eq!(
        names(&root.join("layerhouse/scratch")),
        Vec::<String>::new()
    );
}

/// Waits for what another process does soon; panics if it does not.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came to be that {what}");
}

/// The durable steps in a log: number and name.
pub(super) fn steps(log: &str) -> Vec<(usize, String)> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["msg"] == "durable step")
        .filter_map(|line| {
            let number = usize::try_from(line["number"].as_u64()?).ok()?;
            Some((number, line["name"].as_str()?.to_owned()))
        })
        .collect()
}

/// Every step that the sources name.
fn step_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the sources are here") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("sources are text");
            let found = text
                .split("take(\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            names.extend(found.map(str::to_owned));
        }
    }
    assert!(
        names.contains("stage.sync"),
        "the steps are named otherwise now: {names:?}"
    );
    names
}
