//! Every target on its seeds and on many mutations of them, the same ones each time, on stable.
//!
//! This keeps the targets and their properties alive between the long runs of libFuzzer.

use std::fs;
use std::path::Path;

use layerhouse_fuzz::TARGETS;

/// For each target; all together take about a second without optimization.
const MUTATIONS: u32 = 20_000;

/// What chance alone would not find soon.
const WORDS: [&[u8]; 32] = [
    b"/",
    b"..",
    b"//",
    b"%2f",
    b"%2e",
    b"%00",
    b"%",
    b":",
    b"-",
    b"_",
    b".",
    b",",
    b";q=0",
    b"*/*",
    b"application/*",
    b"blobs",
    b"uploads/",
    b"manifests",
    b"tags/list",
    b"sha256:",
    b"0",
    b"A",
    b"18446744073709551615",
    b"bytes=",
    b"{",
    b"}",
    b"[]",
    b"null",
    b"\"manifests\":[],",
    b"\\u0061",
    b"\xc5\xbf",
    b"\xff",
];

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a usize has up to 64 bits");
        usize::try_from(self.next() % end).expect("less than a usize")
    }
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(data.len() + 1);
    let end = at + random.below(data.len() - at + 1).min(16);
    match random.below(7) {
        0 => drop(data.drain(at..end)),
        1 => data.truncate(at),
        2 => {
            let copy = data[at..end].to_vec();
            data.splice(at..at, copy);
        }
        3 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        4 if at < data.len() => data[at] ^= 1 << random.below(8),
        5 if at < data.len() => data[at] = b' ' + u8::try_from(random.below(95)).expect("ASCII"),
        _ => {
            let word = WORDS[random.below(WORDS.len())];
            let end = if random.below(2) == 0 { at } else { end };
            data.splice(at..end, word.iter().copied());
        }
    }
}

fn check(name: &str) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(own, _)| *own == name)
        .expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("every target has seeds")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    let seeds: Vec<_> = files
        .iter()
        .map(|file| fs::read(file).expect("a readable seed"))
        .collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    target(b"");
    for seed in &seeds {
        target(seed);
    }
    let mut random = Random(name.bytes().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    }));
    // A whole configuration takes fifty times as long as a header.
    let mutations = if name == "config" {
        MUTATIONS / 20
    } else {
        MUTATIONS
    };
    for number in 0..mutations {
        let mut data = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut data, &seeds, &mut random);
        }
        let run = std::panic::catch_unwind(|| target(&data));
        assert!(
            run.is_ok(),
            "mutation {number} fails {name}: {:?}",
            String::from_utf8_lossy(&data)
        );
    }
}

macro_rules! smoke {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn every_target_is_run() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!(names.as_slice(), [$(stringify!($name)),+]);
        }
    };
}

smoke!(
    accept,
    address,
    authorization,
    challenge,
    config,
    digest,
    docker_config,
    keys,
    manifest,
    markdown,
    media_type,
    name,
    range,
    reference,
    route,
    scopes,
    token,
    upload_id,
    users
);
