//! F09, F10: a disk that hangs, and one that is slow. What needs no disk is answered all the same, what
//! waits for it is bounded, and when it goes on, so does everything.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};

use super::super::harness::Over;
use super::super::harness::http::Client;
use super::super::harness::images::{descriptor, digest, image, push_blob, push_manifest};
use super::super::harness::process::Process;
use super::cgroup::{Cgroup, Limit};
use super::crash::wait_until;
use super::load::usage;
use super::mount::{FileSystem, Mount};
use super::{noise, skip, stop_soundly};

/// A file system whose writers wait; it thaws when this is dropped, and when the test's process dies.
struct Frozen(Child);

impl Frozen {
    fn new(path: &Path) -> Option<Self> {
        // What ends the test at the terminal must not end this before it thaws.
        let script = "trap '' HUP INT TERM; fsfreeze -f \"$0\" || exit 1; echo frozen; \
                      read -r end; fsfreeze -u \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut told = String::new();
        let out = child.stdout.take().expect("it is piped");
        let _ = BufReader::new(out).read_line(&mut told);
        if told.trim() == "frozen" {
            Some(Self(child))
        } else {
            let _ = child.wait();
            skip("file systems cannot be frozen here");
            None
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Its input ends, for which it waits.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What was pulled before, so that nothing of it has to come from the disk.
struct Warm {
    client: Client,
    layer: Vec<u8>,
    manifest: String,
}

impl Warm {
    fn new(client: Client) -> Self {
        let layer = noise(1, 3 << 20);
        push_blob(&client, "acme/web", "{}");
        push_blob(&client, "acme/web", &layer);
        let mut manifest = image("{}", &[]);
        manifest["layers"] = vec![descriptor("application/octet-stream", &layer)].into();
        let manifest = manifest.to_string();
        let answer = push_manifest(&client, "acme/web", "v1", &manifest);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let warm = Self {
            client,
            layer,
            manifest,
        };
        warm.check();
        warm
    }

    /// All that was answered before still is.
    fn check(&self) {
        let client = self.client;
        assert_eq!(client.get("/v2/").status, 200);
        assert_eq!(client.get("/healthz").status, 200);
        let by_digest = digest(&self.manifest);
        for reference in ["v1", &by_digest] {
            let path = format!("/v2/acme/web/manifests/{reference}");
            assert_eq!(client.get(&path).text(), self.manifest);
            assert_eq!(client.send("HEAD", &path, &[], b"").status, 200);
        }
        let blob = format!("/v2/acme/web/blobs/{}", digest(&self.layer));
        assert_eq!(client.send("HEAD", &blob, &[], b"").status, 200);
        assert!(client.get(&blob).body == self.layer, "another layer");
        let part = client.send("GET", &blob, &[("Range", "bytes=1000000-1999999")], b"");
        assert!(part.body == self.layer[1_000_000..2_000_000]);
    }
}

/// Threads of a process that wait for a disk and take no signals meanwhile.
fn hanging(id: u32) -> usize {
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else {
        return 0;
    };
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let is_hanging = |stat: &String| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('D'))
    };
    stats.filter(is_hanging).count()
}

#[test]
fn fault_f09_a_disk_that_hangs_stops_only_what_needs_it() {
    const PUSHES: u64 = 40;
    let Some(mount) = Mount::new(FileSystem::Ext4, 256, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let warm = Warm::new(client);
    // Behind the answers, link files are still being written.
    let link = "docker/registry/v2/repositories/acme/web/_manifests/tags/v1/current/link";
    wait_until("the links are written", || root.join(link).exists());
    let Some(frozen) = Frozen::new(&mount.path()) else {
        return;
    };
    thread::scope(|scope| {
        // Uploads, manifests and deletes: whatever writes hangs, and nobody is told that it was done.
        let pushing: Vec<_> = (0..PUSHES)
            .map(|seed| {
                let content = noise(100 + seed, 1 << 20);
                scope.spawn(move || push_blob(&client, "acme/web", content))
            })
            .collect();
        let tagging = scope.spawn(|| push_manifest(&client, "acme/web", "v2", &warm.manifest));
        wait_until("writers hang", || 0 < hanging(process.id()));
        for _ in 0..20 {
            warm.check();
        }
        let readers: Vec<_> = (0..16).map(|_| scope.spawn(|| warm.check())).collect();
        for reader in readers {
            reader.join().expect("what needs no disk is answered");
        }
        assert!(0 < hanging(process.id()), "the disk hung all the while");
        assert!(
            pushing.iter().all(|push| !push.is_finished()),
            "a push that cannot be on the disk"
        );
        assert!(!tagging.is_finished(), "a tag that cannot be on the disk");
        let (_, threads, _) = usage(process.id());
        assert!(threads < 100, "{threads} threads");
        drop(frozen);
        for push in pushing {
            push.join().expect("it goes on");
        }
        assert_eq!(tagging.join().expect("it goes on").status, 201);
    });
    warm.check();
    for seed in 0..PUSHES {
        let path = format!("/v2/acme/web/blobs/{}", digest(noise(100 + seed, 1 << 20)));
        assert_eq!(client.send("HEAD", &path, &[], b"").status, 200);
    }
    assert_eq!(client.get("/readyz").status, 200);
    stop_soundly(process, &root);
}

#[test]
fn fault_f10_a_slow_disk_slows_only_what_needs_it() {
    const PUSHES: u64 = 4;
    let Some(mount) = Mount::new(FileSystem::Ext4, 256, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let device = mount.number();
    let limit = Limit {
        first: (
            "blkio",
            "blkio.throttle.write_bps_device",
            format!("{device} {}", 2 << 20),
        ),
        second: ("io.max", format!("{device} wbps={}", 2 << 20)),
    };
    let Some(cgroup) = Cgroup::new("slow-disk", &limit) else {
        return;
    };
    // What comes before is written by the test itself, at full speed.
    let process = Process::start(&root, &[]);
    Warm::new(process.client);
    stop_soundly(process, &root);

    let mut command = cgroup.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--root"]);
    command.arg(&root);
    let process = Process::spawn(command, &[]).unwrap_or_else(|refused| panic!("{refused:?}"));
    let client = process.client;
    let warm = Warm::new(client);
    let is_over = AtomicBool::new(false);
    let checks = thread::scope(|scope| {
        // Also if an assertion fails: the one who checks goes on until then.
        let over = Over(&is_over);
        let pushing: Vec<_> = (0..PUSHES)
            .map(|seed| {
                let content = noise(100 + seed, 1 << 20);
                scope.spawn(move || push_blob(&client, "acme/web", content))
            })
            .collect();
        let checking = scope.spawn(|| {
            let mut checks = 0;
            while !is_over.load(Ordering::SeqCst) {
                warm.check();
                checks += 1;
            }
            checks
        });
        let is_done = || pushing.iter().all(ScopedJoinHandle::is_finished);
        wait_until("writers wait, or are done", || {
            0 < hanging(process.id()) || is_done()
        });
        let (_, threads, _) = usage(process.id());
        assert!(threads < 100, "{threads} threads");
        for push in pushing {
            push.join().expect("slow, but it comes");
        }
        drop(over);
        checking.join().expect("what needs no disk is answered")
    });
    assert!(1 < checks, "{checks} checks");
    stop_soundly(process, &root);
}
