//! F14: upstreams that are killed, reset, go silent or are slow. Clients get all bytes or a clear end, and
//! nothing wrong is ever kept.

use std::time::{Duration, Instant};

use super::{COPY, LATEST, Mirror, NGINX, section};
use crate::faults::noise;
use crate::harness::files::quick_directory;
use crate::harness::process::Process;
use crate::harness::pull::Pull;
use crate::harness::upstream::{Trouble, Upstream};

const BLOBS: &str = "GET /v2/library/nginx/blobs/";
const SIZE: usize = 3 << 20;

/// A body that ends early is asked for from there on, and its clients never notice.
#[test]
fn fault_f14_mirror_goes_on_where_an_upstream_broke_off() {
    let rows = [
        Trouble::BreaksOff { after: SIZE / 2 },
        Trouble::BreaksOff { after: 1 },
        Trouble::BreaksOff { after: SIZE - 1 },
        Trouble::Resets { after: SIZE / 2 },
        Trouble::ChunkedBreaksOff { after: SIZE / 2 },
    ];
    for (number, trouble) in (0..).zip(rows) {
        let mirror = Mirror::troubled("", "");
        let content = noise(number, SIZE);
        let digest = mirror.upstream.give_blob(NGINX, &content);
        mirror.upstream.once(BLOBS, trouble.clone());
        let path = format!("{COPY}/blobs/{digest}");
        assert!(mirror.pull(&path).body == content, "{trouble:?}");
        let asked = mirror.upstream.asked(BLOBS);
        assert_eq!(asked.len(), 2, "{trouble:?}");
        let range = asked[1].header("range").expect("from where it broke off");
        let from: usize = range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'))
            .and_then(|from| from.parse().ok())
            .unwrap_or_else(|| panic!("{range}"));
        assert!(0 < from && from < SIZE, "{trouble:?}: {range}");
        assert!(mirror.pull(&path).body == content);
        assert_eq!(mirror.upstream.count(BLOBS), 2, "{trouble:?}");
    }
}

/// An upstream that does not understand ranges sends all again: what is there already is passed over.
#[test]
fn fault_f14_mirror_goes_on_without_ranges() {
    let mirror = Mirror::troubled("", "");
    let content = noise(20, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror.upstream.always(BLOBS, Trouble::IgnoresRange);
    mirror
        .upstream
        .once(BLOBS, Trouble::BreaksOff { after: SIZE / 2 });
    let path = format!("{COPY}/blobs/{digest}");
    assert!(mirror.pull(&path).body == content);
}

/// One that sends another part than it was asked for is not believed.
#[test]
fn sec_s23_a_part_that_was_not_asked_for() {
    let mirror = Mirror::troubled("", "");
    let content = noise(21, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror.upstream.always(BLOBS, Trouble::WrongRange);
    mirror
        .upstream
        .once(BLOBS, Trouble::BreaksOff { after: SIZE / 2 });
    let path = format!("{COPY}/blobs/{digest}");
    let answer = mirror.server.client.try_send("GET", &path, &[], b"");
    assert!(answer.is_err(), "cut");
    mirror.upstream.heal();
    mirror.server.advance(Duration::from_mins(5));
    assert!(mirror.pull(&path).body == content);
}

/// One that breaks off every time ends somewhere, too.
#[test]
fn fault_f14_mirror_gives_up_on_who_breaks_off_every_time() {
    for after in [0, 1000] {
        let mirror = Mirror::troubled("", "");
        let content = noise(22, SIZE);
        let digest = mirror.upstream.give_blob(NGINX, &content);
        mirror.upstream.always(BLOBS, Trouble::Resets { after });
        let path = format!("{COPY}/blobs/{digest}");
        let begun = Instant::now();
        let answer = mirror.server.client.try_send("GET", &path, &[], b"");
        let is_clear = answer.as_ref().map_or(true, |answer| answer.status == 502);
        assert!(is_clear, "{:?}", answer.map(|answer| answer.status));
        assert!(begun.elapsed() < Duration::from_secs(30));
        let asked = mirror.upstream.count(BLOBS);
        assert!(asked <= 10, "asked {asked} times");
        mirror.upstream.heal();
        mirror.server.advance(Duration::from_mins(5));
        assert!(mirror.pull(&path).body == content);
    }
}

#[test]
fn fault_f14_mirror_upstream_killed_in_the_middle() {
    let mirror = Mirror::troubled("", "");
    let content = noise(23, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror
        .upstream
        .once(BLOBS, Trouble::Stalls { after: SIZE / 2 });
    let path = format!("{COPY}/blobs/{digest}");
    let client = mirror.server.client;
    let mut pulls: Vec<Pull> = (0..3).map(|_| Pull::begin(&client, &path, &[])).collect();
    for pull in &mut pulls {
        pull.read_up_to(1000).unwrap();
    }
    mirror.upstream.die();
    for pull in pulls {
        assert!(pull.finish().is_err(), "cut: nobody has the rest");
    }
    mirror.refuses(&path, &[502]);
    assert!(!mirror.server.holds(&digest));
    mirror.upstream.rise();
    mirror.server.advance(Duration::from_mins(5));
    assert!(mirror.pull(&path).body == content);
}

/// It accepts and never answers: clients are told within the time that is configured.
#[test]
fn fault_f14_mirror_half_open_upstream() {
    let mirror = Mirror::troubled("timeout: 1s, stall: 1s", "");
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.upstream.always("", Trouble::Silent);
    for path in [LATEST.to_owned(), format!("{COPY}/blobs/{}", image.layer)] {
        let begun = Instant::now();
        mirror.refuses(&path, &[504]);
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{path}: {:?}",
            begun.elapsed()
        );
    }
    mirror.upstream.heal();
    mirror.upstream.open();
    mirror.server.advance(Duration::from_mins(5));
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
}

/// It goes silent in the middle of a blob: the rest is asked for again.
#[test]
fn fault_f14_mirror_upstream_goes_silent_in_the_middle() {
    let mirror = Mirror::troubled("timeout: 5s, stall: 1s", "");
    let content = noise(24, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror
        .upstream
        .once(BLOBS, Trouble::Stalls { after: SIZE / 2 });
    let path = format!("{COPY}/blobs/{digest}");
    assert!(mirror.pull(&path).body == content);
    let asked = mirror.upstream.asked(BLOBS);
    assert_eq!(asked.len(), 2);
    assert!(asked[1].header("range").is_some());
    // And again, when it never goes on.
    let content = noise(25, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror
        .upstream
        .always(BLOBS, Trouble::Stalls { after: 1000 });
    let path = format!("{COPY}/blobs/{digest}");
    let begun = Instant::now();
    let answer = mirror.server.client.try_send("GET", &path, &[], b"");
    assert!(answer.is_err(), "cut");
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "{:?}",
        begun.elapsed()
    );
}

/// Slow is not silent: it takes longer than silence may, and all of it comes.
#[test]
fn fault_f14_mirror_throttled_upstream() {
    let mirror = Mirror::troubled("timeout: 1s, stall: 1s", "");
    let content = noise(26, 300_000);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let bytes_per_second = 120_000;
    mirror
        .upstream
        .always(BLOBS, Trouble::Paced { bytes_per_second });
    let path = format!("{COPY}/blobs/{digest}");
    let begun = Instant::now();
    let client = mirror.server.client;
    let mut first = Pull::begin(&client, &path, &[]);
    first.read_up_to(1).unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "bytes come as they arrive"
    );
    let second = mirror.pull(&path);
    assert!(second.body == content);
    assert!(first.finish().unwrap() == content);
    assert!(Duration::from_secs(1) < begun.elapsed());
    assert_eq!(mirror.upstream.count(BLOBS), 1);
}

/// We are killed while we fetch: the next process has nothing wrong, and fetches what is missing.
#[test]
fn fault_f14_mirror_killed_while_it_fetches() {
    let directory = quick_directory();
    let upstream = Upstream::start();
    let content = noise(27, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let file = directory.path().join("config.yml");
    let configuration = section(&[("up1", &upstream.url(), "")], "up1", "");
    std::fs::write(&file, format!("version: 0.1\n{configuration}\n")).unwrap();
    let root = directory.path().join("root");
    let (root_text, file) = (root.to_string_lossy(), file.to_string_lossy());
    let arguments = ["--root", &root_text, "--config", &file];
    let path = format!("{COPY}/blobs/{digest}");
    for after in [0, 1000, SIZE / 2, SIZE - 1] {
        let mut process = Process::try_run(&arguments, &[]).unwrap();
        upstream.once(BLOBS, Trouble::Stalls { after });
        let stream = Pull::ask(&process.client, &path, &[]);
        upstream.wait_until_stuck(1);
        assert_eq!(process.client.get(LATEST).text(), image.manifest);
        process.kill();
        upstream.open();
        drop(stream);
    }
    let process = Process::try_run(&arguments, &[]).unwrap();
    assert!(process.client.get(&path).body == content);
    assert_eq!(process.client.get(LATEST).text(), image.manifest);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let report = crate::harness::database::verify_process(&root).unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
}
