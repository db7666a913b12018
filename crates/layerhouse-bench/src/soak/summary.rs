//! What came of a soak, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use super::house::{House, Sample};
use super::keeper::Keeper;
use super::world::World;
use crate::figures::{float, median, short};

/// A process has what it needs by then.
const WARM: Duration = Duration::from_secs(15);

pub(super) struct Summary<'a> {
    pub(super) world: &'a World,
    pub(super) seed: u64,
    pub(super) ran: Duration,
    pub(super) kills: u64,
    pub(super) samples: &'a [Sample],
    /// What `verify` said.
    pub(super) verified: &'a str,
    pub(super) keeper: &'a Keeper,
    pub(super) wrong: &'a [String],
}

/// Proves the data directory sound; what was said.
pub(super) fn verify(house: &House) -> Result<String, String> {
    let root = house.root();
    let output = house.command(&["verify", "--root", &root.to_string_lossy()]);
    let output = output.map_err(|error| format!("verify: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("verify: {}:\n{said}", output.status))
    }
}

impl Summary<'_> {
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, value: String| {
            let _ = writeln!(text, "{what:<48} {value:>14}");
        };
        for (what, count) in self.world.done() {
            line(what, count.to_string());
        }
        line(
            "GB in bodies, both ways",
            short(float(self.world.bytes()) / 1e9),
        );
        line("seconds", short(self.ran.as_secs_f64()));
        line("kills (SIGKILL) and starts", self.kills.to_string());
        let keeper = self.keeper;
        line("backups while it served", keeper.backups.to_string());
        line(
            "backups that a kill cut short",
            keeper.interrupted.to_string(),
        );
        line(
            "longest backup, seconds",
            short(keeper.longest.as_secs_f64()),
        );
        self.trend(&mut line, "resident MiB", |sample| {
            float(sample.resident_bytes) / float(1 << 20)
        });
        self.trend(&mut line, "descriptors", |sample| float(sample.descriptors));
        line(
            "failures that a client saw",
            self.world.failed().to_string(),
        );
        let _ = writeln!(text, "seed {}", self.seed);
        for said in self.verified.lines() {
            let _ = writeln!(text, "verify: {said}");
        }
        for failure in self.world.failures().iter().chain(self.wrong) {
            let _ = writeln!(text, "FAILED {failure}");
        }
        text
    }

    /// The medians of the first and the last quarter of the samples of warm processes, and how much an hour
    /// adds, by least squares over all of them.
    fn trend(
        &self,
        line: &mut impl FnMut(&str, String),
        what: &str,
        figure: impl Fn(&Sample) -> f64,
    ) {
        let warm: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter(|sample| WARM <= sample.age)
            .map(|sample| (sample.at.as_secs_f64() / 3600.0, figure(sample)))
            .collect();
        let quarter = warm.len().div_ceil(4);
        let of = |samples: &[(f64, f64)]| median(samples.iter().map(|(_, value)| *value));
        let first = of(&warm[..quarter]);
        let last = of(&warm[warm.len() - quarter..]);
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), short);
        line(&format!("{what}, first quarter"), shown(first));
        line(&format!("{what}, last quarter"), shown(last));
        line(&format!("{what}, more each hour"), shown(slope(&warm)));
    }
}

/// By how much the second grows as the first grows by one (least squares); nothing of fewer than three.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 3 {
        return None;
    }
    let count = float(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (0.0 < below).then_some(above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0)]), None);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 3.0), (1.0, 5.0)]), None);
    }
}
