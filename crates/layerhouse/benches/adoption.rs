//! How fast the directory of a registry:2 is read into rows: manifests per second, as a start takes them.
//!
//! `cargo bench -p layerhouse --bench adoption -- [MANIFESTS] [REPOSITORIES] [DIRECTORY]`
//!
//! Makes a tree of that many images (100,000 in 100 repositories), each with a config and a layer of its
//! own, a layer that its repository shares, and a tag; then starts a server on it twice.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Environment, start, verify};
use layerhouse_oci::digest::{Algorithm, Digest};
use serde_json::{Value, json};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |n| n.parse().unwrap());
    // `cargo test --all-targets` runs this as well, and only wants to know that it works.
    let (manifests, repositories) = if is_measured {
        (number(0, 100_000), number(1, 100))
    } else {
        (100, 2)
    };
    let place = arguments
        .get(2)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::TempDir::new_in(place).unwrap();
    let root = directory.path().join("root");
    let made = Instant::now();
    make_tree(&root.join("docker/registry/v2"), manifests, repositories);
    say(&format!(
        "{manifests} manifests in {repositories} repositories were made in {:?}",
        made.elapsed()
    ));
    let cpu_before = cpu_seconds();
    let adopted = time_start(&root);
    let cpu = cpu_seconds() - cpu_before;
    let again = time_start(&root);
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    let rate = manifests as f64 / adopted.as_secs_f64();
    say(&format!(
        "adopted in {adopted:?}: {rate:.0} manifests per second; {cpu:.2} s of CPU; the next start took {again:?}"
    ));
    if !is_measured {
        let report = verify(&root, None).unwrap();
        assert_eq!(
            (report.findings.len(), report.manifests),
            (0, 100),
            "{report}"
        );
    }
}

/// How long a server takes from nothing until it listens.
fn time_start(root: &Path) -> Duration {
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(root.to_owned()),
        config: None,
    };
    let config = Config::load(&arguments, &Surroundings::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let began = Instant::now();
    let running = runtime
        .block_on(start(&config, Environment::system()))
        .unwrap();
    let took = began.elapsed();
    runtime.block_on(running.stop());
    took
}

/// What this process used of all cores: on a busy machine it says more than the time does.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (_, behind) = stat.rsplit_once(')').unwrap_or_default();
    let ticks: Vec<f64> = behind
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    // Linux counts in hundredths, whatever the kernel's own tick.
    ticks.iter().sum::<f64>() / 100.0
}

fn make_tree(registry: &Path, manifests: usize, repositories: usize) {
    let per_repository = manifests.div_ceil(repositories);
    for number in 0..manifests {
        let name = format!("team-{}/app-{}", number % 10, number / per_repository);
        let repository = registry.join("repositories").join(name);
        let config =
            json!({ "architecture": "amd64", "os": "linux", "number": number }).to_string();
        let layers = [
            format!("layer {number}"),
            format!("base {}", number / per_repository),
        ];
        let [config, own, base] = [&config, &layers[0], &layers[1]].map(|content| {
            let digest = blob(registry, content);
            link(&repository.join("_layers"), &digest);
            (digest, content.len())
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
            "layers": [
                descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &base),
                descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &own),
            ],
        });
        let digest = blob(registry, &serde_json::to_string_pretty(&manifest).unwrap());
        link(&repository.join("_manifests/revisions"), &digest);
        let tag = repository.join(format!("_manifests/tags/v{number}"));
        link(&tag.join("index"), &digest);
        file(&tag.join("current/link"), digest.as_str());
    }
}

fn descriptor(media_type: &str, (digest, size): &(Digest, usize)) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size })
}

fn blob(registry: &Path, content: &str) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
    let hex = digest.hex();
    let path = registry.join("blobs/sha256").join(&hex[..2]).join(hex);
    file(&path.join("data"), content);
    digest
}

fn link(place: &Path, digest: &Digest) {
    file(
        &place.join("sha256").join(digest.hex()).join("link"),
        digest.as_str(),
    );
}

fn file(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn say(text: &str) {
    stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}
