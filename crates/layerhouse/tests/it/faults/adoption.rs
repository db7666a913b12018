//! F01 for the first start on a registry:2's directory: killed at every commit, it goes on at the next
//! start behind the last one.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::harness::images::{digest, image};
use super::super::harness::process::Process;
use super::{quick_directory, stop_soundly};

/// Entries between two commits of an adoption are 8192: an image here has a tag, a link and three
/// manifests' worth of others, so that this many make several.
const IMAGES: usize = 3000;
const REPOSITORIES: usize = 3;

fn write(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().expect("below the root")).expect("it can be written");
    fs::write(path, content).expect("it can be written");
}

fn make_tree(root: &Path) {
    let registry = root.join("docker/registry/v2");
    let blob = |content: &str| {
        let hex = digest(content)[7..].to_owned();
        let place = registry.join("blobs/sha256").join(&hex[..2]).join(&hex);
        write(place.join("data"), content);
        hex
    };
    for number in 0..IMAGES {
        let name = format!("team/app{}", number % REPOSITORIES);
        let repository = registry.join("repositories").join(name);
        let link = |place: &str, content: &str| {
            let path = repository.join(place).join("sha256").join(blob(content));
            write(path.join("link"), &digest(content));
        };
        let layer = format!("layer {number}");
        let manifest = image("{}", &[&layer]).to_string();
        link("_layers", "{}");
        link("_layers", &layer);
        link("_manifests/revisions", &manifest);
        let tag = format!("_manifests/tags/v{number}");
        link(&format!("{tag}/index"), &manifest);
        write(
            repository.join(tag).join("current/link"),
            &digest(&manifest),
        );
    }
}

#[test]
fn fault_f01_an_adoption_that_is_killed_goes_on() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    make_tree(&root);
    // Killed at the first commit, then at the second, and so on: what is committed is not done again.
    let mut counts = Vec::new();
    for at in 1.. {
        assert!(at < 20, "it never ends");
        let accident = format!("kill@{at}");
        let Err(refused) = Process::try_start(&root, &[("LAYERHOUSE_FAULTS", &accident)]) else {
            break;
        };
        assert!(refused.status.code().is_none(), "{}", refused.log);
        let database = rusqlite::Connection::open(root.join("layerhouse/layerhouse.db"));
        let count = database.and_then(|database| {
            let sql =
                "SELECT (SELECT COUNT(*) FROM repository_blobs) + (SELECT COUNT(*) FROM tags)";
            database.query_row(sql, [], |row| row.get::<_, i64>(0))
        });
        counts.push(count.expect("the database is whole"));
    }
    assert_eq!(
        counts.first(),
        Some(&0),
        "nothing was committed before the first kill"
    );
    assert!(
        counts.is_sorted() && counts.iter().any(|count| 0 < *count),
        "{counts:?}"
    );
    let process = Process::start(&root, &[]);
    for number in [0, 1, IMAGES / 2, IMAGES - 1] {
        let path = format!("/v2/team/app{}/manifests/v{number}", number % REPOSITORIES);
        let layer = format!("layer {number}");
        let expected = image("{}", &[&layer]).to_string();
        assert_eq!(process.client.get(&path).text(), expected);
    }
    stop_soundly(process, &root);
    let report = super::survey(&root);
    let images = IMAGES as u64;
    assert_eq!(
        (report.manifests, report.tags),
        (images, images),
        "{report}"
    );
}
