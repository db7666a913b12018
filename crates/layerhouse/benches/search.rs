//! How long a search takes, and what the count of a pull costs.
//!
//! `cargo bench -p layerhouse --bench search -- [REPOSITORIES] [ROUNDS] [DIRECTORY]`
//!
//! Makes a database of that many repositories (100,000 in namespaces of ten), half of them private, each with
//! a description, a third of those in Chinese, and a README of 300 words; then searches it for common, rare,
//! Chinese and absent words as nobody, as a member of a thousand namespaces and of ten, and as an
//! administrator. A search is the operation behind `/v1/search`, without HTTP and sign-in.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::measured::{House, Pulls, Who};
use layerhouse_oci::name::RepositoryName;

const QUERIES: [(&str, &str); 14] = [
    ("common", "app"),
    ("common, two words", "app web"),
    ("common beginning", "se"),
    ("common letter", "a"),
    ("common in README", "the"),
    ("common within", "ervic"),
    ("rare", "unique4711"),
    ("rare beginning", "unique471"),
    ("name", "team4711/"),
    ("Chinese", "容器镜像"),
    ("Chinese character", "据"),
    ("mixed", "redis 缓存"),
    ("absent", "zzzzzz"),
    ("everything", ""),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |n| n.parse().unwrap());
    // `cargo test --all-targets` runs this as well, and only wants to know that it works.
    let (repositories, rounds) = if is_measured {
        (number(0, 100_000), number(1, 100))
    } else {
        (200, 1)
    };
    let place = arguments
        .get(2)
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
    let house = House::make(&config, repositories);
    let bytes = std::fs::metadata(directory.path().join("layerhouse.db"))
        .unwrap()
        .len();
    say(&format!(
        "{repositories} repositories were indexed in {:?}; the database has {} MiB",
        began.elapsed(),
        bytes >> 20
    ));
    let mut all = Vec::new();
    for who in [
        Who::Anonymous,
        Who::Member,
        Who::MemberOfFew,
        Who::Everything,
    ] {
        for (what, text) in QUERIES {
            let (hits, found) = house.search(who, text, 100);
            let mut times = times(rounds, || {
                let _ = house.search(who, text, 100);
            });
            times.sort_unstable();
            let (p50, p99) = (at(&times, 50), at(&times, 99));
            say(&format!(
                "{:<14}{what:<20}{text:<16}{hits:>4} of {found:>4}  p50 {p50:>10.1?}  p99 {p99:>10.1?}",
                format!("{who:?}")
            ));
            all.extend(times);
        }
    }
    all.sort_unstable();
    say(&format!(
        "all: p50 {:.1?}, p99 {:.1?}",
        at(&all, 50),
        at(&all, 99)
    ));
    if !is_measured {
        assert_eq!(house.search(Who::Everything, "", 100), (100, 200));
    }
    count_pulls(if is_measured { 5_000_000 } else { 100 });
}

fn times(rounds: usize, mut work: impl FnMut()) -> Vec<Duration> {
    let time = |_| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    (0..rounds).map(time).collect()
}

/// The time that so many in a hundred stay within.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// By one thread, and by two at once.
fn count_pulls(pulls: u32) {
    let names: Vec<RepositoryName> = (0..1000)
        .map(|number| format!("team{number}/app-{number}").parse().unwrap())
        .collect();
    for threads in [1, 2] {
        let tally = Pulls::default();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for name in names.iter().cycle().take(pulls as usize) {
                        tally.count(name);
                    }
                });
            }
        });
        let each = began.elapsed() / pulls;
        say(&format!(
            "a pull is counted in {each:?} by each of {threads} threads"
        ));
    }
}

fn say(text: &str) {
    stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}
