//! F02: the power goes while clients push; every push that was acknowledged is there afterwards.

use std::thread;
use std::time::Duration;

use super::super::harness::process::Process;
use super::mount::{FileSystem, Mount};
use super::scenario::push_images;
use super::{noise, rounds, skip, stop_soundly};

const CLIENTS: u64 = 4;

/// Cuts the power of a file system again and again.
fn cut(kind: FileSystem, size_mib: u64, everyday: usize) {
    let Some(mount) = Mount::new(kind, size_mib, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let mut ledgers = Vec::new();
    let rounds = rounds("LAYERHOUSE_TEST_POWER_CUTS", everyday) as u64;
    for round in 0..rounds {
        let Some(switch) = mount.power_switch() else {
            return skip("there is no perl");
        };
        let mut process = Process::start(&root, &[]);
        let client = process.client;
        let pushing: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let seed = round * CLIENTS + number + 1;
                let repository = format!("acme/r{round}c{number}");
                thread::spawn(move || push_images(&client, &repository, seed))
            })
            .collect();
        // Long enough for some pushes, and another moment in each round.
        let moment_ms = 150 + u64::from(noise(round, 1)[0]);
        thread::sleep(Duration::from_millis(moment_ms));
        let cut = switch.cut();
        process.kill();
        let Some(moment) = cut else {
            return skip("this file system cannot be shut down");
        };
        let told: Vec<_> = pushing
            .into_iter()
            .map(|client| client.join().expect("a client only pushes"))
            .collect();
        mount.remount();

        let process = Process::start(&root, &[]);
        for mut ledger in told {
            ledger.forget_since(moment);
            ledger.check(&process.client);
            ledger.resume(&process.client, true);
            ledgers.push(ledger);
        }
        stop_soundly(process, &root);
    }
    let process = Process::start(&root, &[]);
    for ledger in &ledgers {
        ledger.check(&process.client);
    }
    stop_soundly(process, &root);
    let acknowledged: usize = ledgers
        .iter()
        .map(super::ledger::Ledger::acknowledged)
        .sum();
    assert!(
        ledgers.len() <= acknowledged,
        "only {acknowledged} requests in {rounds} rounds"
    );
}

#[test]
fn fault_f02_a_power_cut_loses_no_acknowledged_push_on_ext4() {
    cut(FileSystem::Ext4, 256, 6);
}

#[test]
fn fault_f02_a_power_cut_loses_no_acknowledged_push_on_xfs() {
    cut(FileSystem::Xfs, 320, 3);
}
