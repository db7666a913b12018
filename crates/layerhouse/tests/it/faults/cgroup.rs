//! A control group of a test's own, in which the server has little of something; removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{is_root, skip};

const TOP: &str = "/sys/fs/cgroup";

/// A limit as the two versions of control groups say it.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// The controller, its file, and what to write there.
    pub(super) first: (&'static str, &'static str, String),
    pub(super) second: (&'static str, String),
}

#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one, or says why the test is skipped.
    pub(super) fn new(name: &str, limit: &Limit) -> Option<Self> {
        if !is_root() {
            skip("control groups need root");
            return None;
        }
        let (controller, file, value) = &limit.first;
        let name = format!("layerhouse-test-{}-{name}", std::process::id());
        let ways = [
            (Path::new(TOP).join(controller), *file, value),
            (PathBuf::from(TOP), limit.second.0, &limit.second.1),
        ];
        for (parent, file, value) in ways {
            let group = parent.join(&name);
            if !parent.join("cgroup.procs").exists() || fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            if fs::write(group.0.join(file), value).is_ok() {
                return Some(group);
            }
        }
        skip(&format!(
            "no control group can be given {value:?} in {file}"
        ));
        None
    }

    /// A command that runs our binary within it; arguments follow.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .arg(env!("CARGO_BIN_EXE_layerhouse"));
        command
    }

    /// How often the kernel killed a process of it for want of memory.
    pub(super) fn kills(&self) -> usize {
        let told = ["memory.oom_control", "memory.events"]
            .iter()
            .find_map(|file| fs::read_to_string(self.0.join(file)).ok());
        let told = told.expect("the kernel tells");
        let kills = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.map_or(0, |kills| kills.trim().parse().expect("a number"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes that were killed are members until they were waited for, and a moment longer.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
