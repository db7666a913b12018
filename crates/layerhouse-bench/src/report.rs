//! What was measured, as a table or as JSON. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::figures::{self, Ratio, float, short};
use crate::measure::{Measured, Sample};
use crate::server::Server;
use crate::table::Table;

/// The figures of one round, or their medians.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    gigabytes_per_second: Option<f64>,
    operations_per_second: Option<f64>,
    requests_per_second: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    first_byte_p50_ms: Option<f64>,
    first_byte_p99_ms: Option<f64>,
    seconds: Option<f64>,
    cpu_seconds_per_gigabyte: Option<f64>,
    cpu_us_per_operation: Option<f64>,
    peak_mib: Option<f64>,
    anonymous_mib: Option<f64>,
}

/// Reads one figure.
type Read = fn(&Figures) -> Option<f64>;
/// Column or label, JSON key, value.
type Field = (&'static str, &'static str, Read);

/// In the order of the table.
const FIELDS: [Field; 12] = [
    ("GB/s", "gb_per_s", |f| f.gigabytes_per_second),
    ("op/s", "operations_per_s", |f| f.operations_per_second),
    ("req/s", "requests_per_s", |f| f.requests_per_second),
    ("p50 ms", "p50_ms", |f| f.p50_ms),
    ("p99 ms", "p99_ms", |f| f.p99_ms),
    ("first p50", "first_byte_p50_ms", |f| f.first_byte_p50_ms),
    ("first p99", "first_byte_p99_ms", |f| f.first_byte_p99_ms),
    ("seconds", "seconds", |f| f.seconds),
    ("CPU s/GB", "cpu_s_per_gb", |f| f.cpu_seconds_per_gigabyte),
    ("CPU µs/op", "cpu_us_per_operation", |f| {
        f.cpu_us_per_operation
    }),
    ("peak MiB", "peak_mib", |f| f.peak_mib),
    ("anon MiB", "anonymous_mib", |f| f.anonymous_mib),
];

/// Below this, an operation's bytes are not what it costs.
const LARGE_OPERATION_BYTES: u64 = 64 << 10;
const MIB: f64 = 1_048_576.0;

fn figures(sample: &Sample, shows_seconds: bool) -> Figures {
    let tally = &sample.tally;
    let seconds = tally.wall.as_secs_f64();
    let done = tally.operations - tally.errors;
    let large = LARGE_OPERATION_BYTES * done <= tally.bytes && 0 < done;
    let milliseconds = |time: Duration| 1_000.0 * time.as_secs_f64();
    let cpu = sample.usage.map(|usage| usage.cpu.as_secs_f64());
    let memory = |bytes: Option<u64>| bytes.map(|bytes| float(bytes) / MIB);
    Figures {
        gigabytes_per_second: large.then(|| float(tally.bytes) / 1e9 / seconds),
        operations_per_second: Some(float(done) / seconds),
        requests_per_second: Some(float(tally.requests) / seconds),
        p50_ms: tally.latencies.percentile(50).map(milliseconds),
        p99_ms: tally.latencies.percentile(99).map(milliseconds),
        first_byte_p50_ms: tally.first_bytes.percentile(50).map(milliseconds),
        first_byte_p99_ms: tally.first_bytes.percentile(99).map(milliseconds),
        seconds: shows_seconds.then_some(seconds),
        cpu_seconds_per_gigabyte: cpu
            .filter(|_| large)
            .map(|cpu| cpu / (float(tally.bytes) / 1e9)),
        cpu_us_per_operation: cpu.filter(|_| 0 < done).map(|cpu| 1e6 * cpu / float(done)),
        peak_mib: memory(sample.usage.map(|usage| usage.peak_bytes)),
        anonymous_mib: memory(sample.usage.map(|usage| usage.anonymous_bytes)),
    }
}

/// Everything about a case that is computed from its samples.
struct Summary<'a> {
    measured: &'a Measured,
    rounds: Vec<Vec<Figures>>,
}

impl<'a> Summary<'a> {
    fn of(measured: &'a Measured) -> Self {
        let rounds = measured
            .samples
            .iter()
            .map(|samples| {
                let one = |sample| figures(sample, measured.shows_seconds);
                samples.iter().map(one).collect()
            })
            .collect();
        Self { measured, rounds }
    }

    fn median(&self, server: usize, value: Read) -> Option<f64> {
        figures::median(self.rounds[server].iter().filter_map(value))
    }

    fn errors(&self, server: usize) -> u64 {
        let samples = &self.measured.samples[server];
        samples.iter().map(|sample| sample.tally.errors).sum()
    }

    fn first_error(&self, server: usize) -> Option<&str> {
        self.measured.samples[server]
            .iter()
            .find_map(|sample| sample.tally.first_error.as_deref())
    }

    /// The subject by another server.
    fn ratio(&self, server: usize, value: Read) -> Option<Ratio> {
        let values =
            |server: usize| -> Vec<Option<f64>> { self.rounds[server].iter().map(value).collect() };
        figures::ratio(&values(0), &values(server))
    }
}

/// Rate and CPU are compared by operation, which is the same work for every server.
const RATIOS: [Field; 3] = [
    ("rate", "rate", |f| f.operations_per_second),
    ("CPU", "cpu", |f| f.cpu_us_per_operation),
    ("p99", "p99", |f| f.p99_ms),
];

pub(crate) fn text(measured: &[Measured], servers: &[Server]) -> String {
    let mut text = String::new();
    for measured in measured {
        let summary = Summary::of(measured);
        let _ = writeln!(text, "{}", measured.title);
        let mut head = vec!["server"];
        head.extend(FIELDS.iter().map(|(column, ..)| *column));
        head.push("errors");
        let mut table = Table::new(&head);
        for (at, server) in servers.iter().enumerate() {
            let mut row = vec![server.name.clone()];
            row.extend(FIELDS.iter().map(|(_, _, value)| {
                summary
                    .median(at, *value)
                    .map_or_else(|| "–".to_owned(), short)
            }));
            row.push(summary.errors(at).to_string());
            table.row(row);
        }
        text.push_str(&table.render());
        for (at, server) in servers.iter().enumerate() {
            if let Some(error) = summary.first_error(at) {
                let _ = writeln!(text, "first error of {}: {error}", server.name);
            }
        }
        for (at, server) in servers.iter().enumerate().skip(1) {
            let ratios: Vec<String> = RATIOS
                .iter()
                .filter_map(|(label, _, value)| {
                    let Ratio { median, min, max } = summary.ratio(at, *value)?;
                    Some(format!(
                        "{label} {} × ({}–{})",
                        short(median),
                        short(min),
                        short(max)
                    ))
                })
                .collect();
            let _ = writeln!(
                text,
                "{} / {}: {}",
                servers[0].name,
                server.name,
                ratios.join(", ")
            );
        }
        text.push('\n');
    }
    text
}

pub(crate) fn json(measured: &[Measured], servers: &[Server], command: &str, seed: u64) -> Value {
    let case = |measured: &Measured| {
        let summary = Summary::of(measured);
        let server = |(at, server): (usize, &Server)| {
            let fields = |value: &dyn Fn(Read) -> Option<f64>| {
                let pairs = FIELDS
                    .iter()
                    .map(|(_, key, field)| ((*key).to_owned(), json!(value(*field))));
                Value::Object(pairs.collect())
            };
            let rounds = measured.samples[at].iter().zip(&summary.rounds[at]);
            let rounds: Vec<Value> = rounds
                .map(|(sample, figures)| {
                    let mut round = fields(&|field| field(figures));
                    round["bytes"] = json!(sample.tally.bytes);
                    round["operations"] = json!(sample.tally.operations);
                    round["errors"] = json!(sample.tally.errors);
                    round["wall_s"] = json!(sample.tally.wall.as_secs_f64());
                    round["cpu_s"] = json!(sample.usage.map(|usage| usage.cpu.as_secs_f64()));
                    round
                })
                .collect();
            json!({
                "name": server.name,
                "median": fields(&|field| summary.median(at, field)),
                "errors": summary.errors(at),
                "first_error": summary.first_error(at),
                "rounds": rounds,
            })
        };
        let ratios = |(at, server): (usize, &Server)| {
            let mut entry = json!({ "to": server.name });
            for (_, key, value) in RATIOS {
                entry[key] = match summary.ratio(at, value) {
                    None => Value::Null,
                    Some(Ratio { median, min, max }) => {
                        json!({ "median": median, "min": min, "max": max })
                    }
                };
            }
            entry
        };
        json!({
            "title": measured.title,
            "servers": servers.iter().enumerate().map(server).collect::<Vec<_>>(),
            "ratios": servers.iter().enumerate().skip(1).map(ratios).collect::<Vec<_>>(),
        })
    };
    json!({
        "tool": "layerhouse-bench",
        "version": env!("CARGO_PKG_VERSION"),
        "command": command,
        "seed": seed,
        "cases": measured.iter().map(case).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::Tally;
    use crate::process::Usage;

    fn sample(megabytes: u64, cpu_ms: u64) -> Sample {
        let mut tally = Tally {
            wall: Duration::from_secs(1),
            bytes: megabytes * 1_000_000,
            requests: megabytes,
            operations: megabytes + 1,
            errors: 1,
            first_error: Some("it broke".to_owned()),
            ..Tally::default()
        };
        tally.latencies.record(Duration::from_millis(2));
        let usage = Some(Usage {
            cpu: Duration::from_millis(cpu_ms),
            peak_bytes: 3 << 20,
            anonymous_bytes: 1 << 20,
        });
        Sample { tally, usage }
    }

    fn measured() -> (Vec<Measured>, Vec<Server>) {
        let servers = ["ours=http://a", "theirs=http://b"];
        let servers = servers.map(|text| text.parse().unwrap());
        let case = Measured {
            title: "pull".to_owned(),
            shows_seconds: false,
            samples: vec![
                vec![sample(2_000, 200), sample(4_000, 400), sample(3_000, 300)],
                vec![sample(1_000, 200), sample(1_000, 200), sample(1_000, 400)],
            ],
        };
        (vec![case], servers.to_vec())
    }

    #[test]
    fn the_table_says_medians_ratios_and_the_first_error() {
        let (measured, servers) = measured();
        assert_eq!(
            text(&measured, &servers),
            "pull\n\
             server  GB/s  op/s  req/s  p50 ms  p99 ms  CPU s/GB  CPU µs/op  peak MiB  anon MiB  errors\n\
             ours    3.00  3000   3000    2.00    2.00     0.100        100      3.00      1.00       3\n\
             theirs  1.00  1000   1000    2.00    2.00     0.200        200      3.00      1.00       3\n\
             first error of ours: it broke\n\
             first error of theirs: it broke\n\
             ours / theirs: rate 3.00 × (2.00–4.00), CPU 0.500 × (0.250–0.500), p99 1.00 × (1.00–1.00)\n\n"
        );
    }

    #[test]
    fn json_has_every_round() {
        let (measured, servers) = measured();
        let value = json(&measured, &servers, "pull", 7);
        let case = &value["cases"][0];
        assert_eq!(case["servers"][0]["median"]["gb_per_s"], 3.0);
        assert_eq!(case["servers"][1]["rounds"][2]["cpu_s"], 0.4);
        assert_eq!(case["ratios"][0]["rate"]["max"], 4.0);
        assert_eq!(case["ratios"][0]["to"], "theirs");
    }
}
