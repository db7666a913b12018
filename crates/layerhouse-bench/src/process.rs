//! What the processes of a server used: CPU time and memory, from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::server::Process;

/// The processes of a server, found once before a measurement.
#[derive(Debug)]
pub(crate) struct Processes {
    roots: Vec<u32>,
    all: Vec<u32>,
}

/// Of all processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of all threads, living and dead, to 10 ms.
    pub(crate) cpu: Duration,
    /// The most memory since the last [`Processes::reset_peak`], mapped files and shared pages included.
    pub(crate) peak_bytes: u64,
    /// Memory now that no file stands behind.
    pub(crate) anonymous_bytes: u64,
}

/// Fields of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Of children that ended and were waited for.
    ended_ticks: u64,
}

impl Processes {
    /// # Errors
    /// A process that is not there or not ours to look at.
    pub(crate) fn find(processes: &[Process]) -> Result<Self, String> {
        let mut all: BTreeSet<u32> = BTreeSet::new();
        let mut with_children: BTreeSet<u32> = BTreeSet::new();
        for process in processes {
            stat(process.id)?;
            all.insert(process.id);
            if process.children {
                with_children.insert(process.id);
            }
        }
        let roots = all.iter().copied().collect();
        if !with_children.is_empty() {
            let family = parents();
            // Children have higher numbers than parents only mostly, so until nothing is added.
            loop {
                let before = with_children.len();
                for (id, parent) in &family {
                    if with_children.contains(parent) {
                        with_children.insert(*id);
                    }
                }
                if with_children.len() == before {
                    break;
                }
            }
        }
        all.extend(with_children);
        let all = all.into_iter().collect();
        Ok(Self { roots, all })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets peaks begin anew; `false` where that is not permitted, and peaks are those of a lifetime.
    pub(crate) fn reset_peak(&self) -> bool {
        self.all
            .iter()
            .all(|id| fs::write(format!("/proc/{id}/clear_refs"), "5").is_ok())
    }

    /// # Errors
    /// A process that is not there any more.
    pub(crate) fn usage(&self) -> Result<Usage, String> {
        let mut ticks = 0;
        let mut peak_bytes = 0;
        let mut anonymous_bytes = 0;
        for id in &self.all {
            let stat = stat(*id)?;
            ticks += stat.own_ticks;
            if self.roots.contains(id) {
                ticks += stat.ended_ticks;
            }
            let path = format!("/proc/{id}/status");
            let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            peak_bytes += kilobytes(&status, "VmHWM:") << 10;
            anonymous_bytes += kilobytes(&status, "RssAnon:") << 10;
        }
        let tick = Duration::from_secs(1) / ticks_per_second();
        Ok(Usage {
            cpu: tick * u32::try_from(ticks).map_err(|_| "more CPU time than fits")?,
            peak_bytes,
            anonymous_bytes,
        })
    }
}

fn ticks_per_second() -> u32 {
    u32::try_from(rustix::param::clock_ticks_per_second())
        .unwrap_or(100)
        .max(1)
}

fn stat(id: u32) -> Result<Stat, String> {
    let path = format!("/proc/{id}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("process {id}: {error}"))?;
    parse_stat(&text).ok_or_else(|| format!("{path} is not what proc(5) says"))
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, stat(id).ok()?.parent)))
        .collect()
}

/// The second field is a name in parentheses that may hold anything, so fields count from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) numbers from 1: state is 3, ppid 4, utime 14, stime 15, cutime 16, cstime 17.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        own_ticks: number(14)? + number(15)?,
        ended_ticks: number(16)? + number(17)?,
    })
}

fn kilobytes(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_name() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let expected = Stat {
            parent: 3,
            own_ticks: 33,
            ended_ticks: 77,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("7 (a) S 3"), None);
    }

    #[test]
    fn status_fields() {
        let status = "Name:\tx\nVmHWM:\t  1234 kB\nRssAnon:\t 12 kB\n";
        assert_eq!(kilobytes(status, "VmHWM:"), 1234);
        assert_eq!(kilobytes(status, "RssFile:"), 0);
    }

    #[test]
    fn this_process_is_there() {
        let id = std::process::id();
        let children = true;
        let processes = Processes::find(&[Process { id, children }]).unwrap();
        let usage = processes.usage().unwrap();
        assert!(0 < usage.peak_bytes && 0 < usage.anonymous_bytes);
    }
}
