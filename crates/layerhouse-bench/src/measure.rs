//! Rounds: each server in turn, again and again, so that whatever the machine does meets them alike.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Load, Tally, Until, Work, drive};
use crate::http::origin::Origin;
use crate::process::{Processes, Usage};
use crate::server::Server;

/// Called when clients are connected and nothing is sent yet.
type Begin<'a> = &'a mut dyn FnMut() -> Result<(), String>;
/// Does one round of a case against one server.
pub(crate) type Runner = Box<dyn Fn(u32, Load, Begin<'_>) -> Result<Tally, String>>;

/// One table: the same work for every server.
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) load: Load,
    /// Reads are warmed up; what a warm-up of pushes leaves is only in the way.
    pub(crate) warms: bool,
    /// The time of the whole is a figure of its own.
    pub(crate) shows_seconds: bool,
    /// One for each server, in their order.
    pub(crate) runners: Vec<Runner>,
}

/// A runner that makes its work anew for each round, which it is given; the warm-up is round 0.
pub(crate) fn runner<W: Work>(origin: &Arc<Origin>, make: impl Fn(u32) -> W + 'static) -> Runner {
    let origin = Arc::clone(origin);
    Box::new(move |round, load, begin| drive(make(round), &origin, load, begin))
}

/// One server in one round.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) tally: Tally,
    /// CPU is that of the round.
    pub(crate) usage: Option<Usage>,
}

/// A case with its samples, by server and then by round.
pub(crate) struct Measured {
    pub(crate) title: String,
    pub(crate) shows_seconds: bool,
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// A warm-up lasts as long.
const WARM_UP: Duration = Duration::from_millis(300);

pub(crate) fn measure(
    cases: &[Case],
    servers: &[Server],
    rounds: u32,
    progress: &mut dyn Write,
) -> Result<Vec<Measured>, String> {
    let mut measured = Vec::new();
    for (number, case) in (1..).zip(cases) {
        let mut samples = vec![Vec::new(); servers.len()];
        // Round 0 warms up.
        for round in u32::from(!case.warms)..=rounds {
            for (at, server) in servers.iter().enumerate() {
                let _ = write!(
                    progress,
                    "\r\x1b[Kcase {number}/{}, round {round}/{rounds}: {}, {}",
                    cases.len(),
                    case.title,
                    server.name
                );
                let _ = progress.flush();
                let sample = sample(&case.runners[at], case, server, round)
                    .map_err(|error| format!("{}: {error}", server.name))?;
                if 0 < round {
                    samples[at].push(sample);
                }
            }
        }
        measured.push(Measured {
            title: case.title.clone(),
            shows_seconds: case.shows_seconds,
            samples,
        });
    }
    let _ = write!(progress, "\r\x1b[K");
    Ok(measured)
}

fn sample(run: &Runner, case: &Case, server: &Server, round: u32) -> Result<Sample, String> {
    let mut load = case.load;
    if round == 0 {
        load.until = Until::Elapsed(WARM_UP);
    }
    let processes = Processes::find(&server.processes)?;
    let mut before = None;
    let tally = run(round, load, &mut || {
        if !processes.is_empty() {
            processes.reset_peak();
            before = Some(processes.usage()?);
        }
        Ok(())
    })?;
    let usage = match before {
        None => None,
        Some(before) => {
            let after = processes.usage()?;
            let cpu = after.cpu.saturating_sub(before.cpu);
            Some(Usage { cpu, ..after })
        }
    };
    Ok(Sample { tally, usage })
}
