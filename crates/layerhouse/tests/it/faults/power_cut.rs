//! F02: the power goes while clients push; every push that was acknowledged is there afterwards.

use std::thread;
use std::time::Duration;

use super::super::harness::http::Client;
use super::super::harness::images::digest;
use super::ledger::{Key, Ledger};
use super::mount::{FileSystem, Mount};
use super::scenario::{churn_images, push_images};
use super::{noise, rounds, skip, start_configured, stop_soundly};

const CLIENTS: u64 = 4;

/// What clients do meanwhile, told of in what they were answered.
type Load = fn(&Client, &str, u64) -> Ledger;

/// What a client is told is there is kept for it for this long only, and all else goes at once.
const EAGER: &str =
    "layerhouse: { collection: { interval: 5ms, grace: 0s, promise: 150ms, undelete: 0s } }";

/// Cuts the power of a file system again and again.
fn cut(kind: FileSystem, size_mib: u64, everyday: usize, configuration: &str, load: Load) {
    let Some(mount) = Mount::new(kind, size_mib, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let start = || start_configured(&mount.path(), configuration);
    let mut ledgers = Vec::new();
    let rounds = rounds("LAYERHOUSE_TEST_POWER_CUTS", everyday) as u64;
    for round in 0..rounds {
        let Some(switch) = mount.power_switch() else {
            return skip("there is no perl");
        };
        let mut process = start();
        let client = process.client;
        let pushing: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let seed = round * CLIENTS + number + 1;
                let repository = format!("acme/r{round}c{number}");
                thread::spawn(move || load(&client, &repository, seed))
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

        let process = start();
        for mut ledger in told {
            ledger.forget_since(moment);
            ledger.check(&process.client);
            let resumed = ledger.upload.as_ref().map(|upload| digest(&upload.content));
            ledger.resume(&process.client, true);
            // No manifest needs it.
            ledger.doubt(
                resumed
                    .map(|digest| (Key::Blob(digest), None))
                    .into_iter()
                    .collect(),
            );
            ledgers.push(ledger);
        }
        stop_soundly(process, &root);
    }
    let process = start();
    for ledger in &ledgers {
        ledger.check(&process.client);
    }
    if configuration == EAGER {
        super::collecting::await_collection(&process.client, &root);
    }
    stop_soundly(process, &root);
    if configuration == EAGER {
        let report = super::survey(&root);
        assert_eq!((report.unlinked_blobs, report.removals), (0, 0), "{report}");
    }
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
    cut(FileSystem::Ext4, 256, 6, "", push_images);
}

#[test]
fn fault_f02_a_power_cut_loses_no_acknowledged_push_on_xfs() {
    cut(FileSystem::Xfs, 320, 3, "", push_images);
}

#[test]
fn fault_f02_a_power_cut_beside_collection_loses_and_leaves_nothing_on_ext4() {
    cut(FileSystem::Ext4, 256, 4, EAGER, churn_images);
}

#[test]
fn fault_f02_a_power_cut_beside_collection_loses_and_leaves_nothing_on_xfs() {
    cut(FileSystem::Xfs, 320, 2, EAGER, churn_images);
}
