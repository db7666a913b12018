//! How long it takes to read what the pages of the web UI show.
//!
//! `cargo bench -p layerhouse --bench browse -- [REPOSITORIES] [TAGS] [LARGE] [ROUNDS] [DIRECTORY]`
//!
//! Makes a registry of that many repositories (10,000) with so many tags each (70), half of them private, and one of
//! them with very many tags (300,000), each of an image of its own; then reads pages of them. A page is the
//! operation alone, without HTTP and HTML.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::measured_browse::House;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |n| n.parse().unwrap());
    // `cargo test --all-targets` runs this as well, and only wants to know that it works.
    let (repositories, tags, large, rounds) = if is_measured {
        (
            number(0, 10_000),
            number(1, 70),
            number(2, 300_000),
            number(3, 40),
        )
    } else {
        (40, 3, 200, 1)
    };
    let place = arguments
        .get(4)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::TempDir::new_in(place).unwrap();
    let began = Instant::now();
    let arguments = Arguments {
        listen: None,
        root: Some(directory.path().to_owned()),
        config: None,
    };
    let mut surroundings = Surroundings::default();
    let enabled = ("LAYERHOUSE_INDEX__ENABLED".to_owned(), "true".to_owned());
    surroundings.variables.extend([enabled]);
    let config = Config::load(&arguments, &surroundings).unwrap();
    let house = House::make(&config, repositories, tags, large);
    let bytes = std::fs::metadata(directory.path().join("layerhouse/layerhouse.db"))
        .unwrap()
        .len();
    say(&format!(
        "{repositories} repositories with {tags} tags and one with {large} were made in {:?}; the database has {} MiB",
        began.elapsed(),
        bytes >> 20
    ));
    let mut all = Vec::new();
    for (what, operation) in house.operations() {
        let mut rows = 0;
        // The first finds its statements unprepared.
        let mut times: Vec<Duration> = (0..=rounds)
            .map(|round| {
                let began = Instant::now();
                rows = operation(round);
                began.elapsed()
            })
            .skip(usize::from(is_measured))
            .collect();
        times.sort_unstable();
        let (p50, p95) = (at(&times, 50), at(&times, 95));
        say(&format!(
            "{what:<34}{rows:>5} rows  p50 {p50:>10.1?}  p95 {p95:>10.1?}"
        ));
        all.extend(times);
    }
    all.sort_unstable();
    say(&format!(
        "all: p50 {:.1?}, p95 {:.1?}",
        at(&all, 50),
        at(&all, 95)
    ));
}

/// The time that so many in a hundred stay within.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn say(text: &str) {
    stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}
