//! Taking over the bucket that a registry:2 filled: everything is served, and no object of it changes.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use layerhouse_oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{STREAMED, follow, wait_until};
use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::images::{
    descriptor, digest, image, index, push_blob, push_image, push_manifest, referrer,
};
use crate::harness::process::{self, Process};
use crate::harness::server::Server;

/// What the harness configures.
const ROOT: &str = "of/registry/";
/// What nobody needs goes at once.
const COLLECTING: &str =
    "delete: {enabled: true}\nlayerhouse: {collection: {grace: 0s, promise: 0s, undelete: 0s}}";

/// Writes objects as a registry:2 does.
struct Registry2<'a> {
    bucket: &'a Bucket,
    root: &'a str,
}

impl<'a> Registry2<'a> {
    fn of(bucket: &'a Bucket) -> Self {
        Self { bucket, root: ROOT }
    }

    fn key(&self, below: &str) -> String {
        format!("{}docker/registry/v2/{below}", self.root)
    }

    fn put(&self, below: &str, content: impl AsRef<[u8]>) {
        self.bucket.put(&self.key(below), content);
    }

    fn blob(&self, content: impl AsRef<[u8]>) -> String {
        let digest = digest(&content);
        self.put(&data(&digest), content);
        digest
    }

    fn link(&self, place: &str, digest: &str) {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        let below = format!("repositories/{place}/{algorithm}/{hex}/link");
        self.put(&below, digest);
    }

    fn layer(&self, repository: &str, content: impl AsRef<[u8]>) -> String {
        let digest = self.blob(content);
        self.link(&format!("{repository}/_layers"), &digest);
        digest
    }

    fn manifest(&self, repository: &str, content: &str) -> String {
        let digest = self.blob(content);
        self.link(&format!("{repository}/_manifests/revisions"), &digest);
        digest
    }

    fn tag(&self, repository: &str, tag: &str, digest: &str) {
        let place = format!("{repository}/_manifests/tags/{tag}");
        self.link(&format!("{place}/index"), digest);
        self.put(&format!("repositories/{place}/current/link"), digest);
    }

    fn image(&self, repository: &str, tag: &str, layers: &[&str]) -> String {
        self.layer(repository, "{}");
        for layer in layers {
            self.layer(repository, layer);
        }
        let image = image("{}", layers).to_string();
        let digest = self.manifest(repository, &image);
        self.tag(repository, tag, &digest);
        image
    }

    /// Somebody wrote it on the first of that month.
    fn date(&self, below: &str, month: u64) {
        let file = fs::File::options()
            .write(true)
            .open(self.bucket.path(&self.key(below)));
        // 2026-01-01, and months of 30 days.
        let seconds = 1_767_225_600 + (month - 1) * 30 * 86_400;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.unwrap().set_modified(at).unwrap();
    }
}

/// Where a blob is below registry:2's root.
fn data(digest: &str) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    format!("blobs/{algorithm}/{}/{hex}/data", &hex[..2])
}

/// All that is in the bucket, byte for byte.
fn contents(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let content = |key: String| {
        let content = fs::read(bucket.path(&key)).unwrap();
        (key, content)
    };
    bucket.keys().into_iter().map(content).collect()
}

fn get(client: &Client, path: &str) -> (u16, String) {
    let accept = format!("{OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}, */*");
    let answer = client.send("GET", path, &[("Accept", &accept)], b"");
    (answer.status, answer.text())
}

fn tags(client: &Client, repository: &str) -> Value {
    let (_, list) = get(client, &format!("/v2/{repository}/tags/list"));
    serde_json::from_str::<Value>(&list).unwrap()["tags"].clone()
}

fn blob(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

fn delete(client: &Client, path: &str) -> u16 {
    client.send("DELETE", path, &[], b"").status
}

/// Stopped, a directory and its bucket are sound, and nothing in it is left over.
fn assert_sound(process: Process, arguments: [&str; 4]) {
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let [_, root, _, config] = arguments;
    let (status, said) = process::output(&["verify", "--root", root, "--config", config], &[]);
    assert!(status.success() && said.contains("sound"), "{said}");
}

#[test]
fn a_bucket_of_registry_2_is_adopted_in_place() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let first = registry2.image("acme/web", "v1", &["one"]);
    // Moved, and below and beside another repository.
    let second = registry2.image("acme/web", "v1", &["one", "two", ""]);
    let (before, now) = (digest(&first), digest(&second));
    let tag = "repositories/acme/web/_manifests/tags/v1";
    registry2.date(&format!("{tag}/index/sha256/{}/link", &before[7..]), 1);
    registry2.date(&format!("{tag}/index/sha256/{}/link", &now[7..]), 3);
    registry2.date(&format!("{tag}/current/link"), 3);
    registry2.image("acme/web/api", "v1", &["one"]);
    registry2.image("acme/1", "v1", &["three"]);
    registry2.image("acme", "v1", &["four"]);
    let both = index(&[&first, &second]).to_string();
    let both_digest = registry2.manifest("acme/web", &both);
    registry2.tag("acme/web", "all", &both_digest);
    let subject = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        second.as_bytes(),
    );
    let signature = referrer(&subject, "application/vnd.example.sbom", 1).to_string();
    let signature_digest = registry2.manifest("acme/web", &signature);
    // Docker's own types.
    let docker = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor("application/vnd.docker.container.image.v1+json", "{}"),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", "one")],
    });
    let docker = docker.to_string();
    let docker_digest = registry2.manifest("acme/web", &docker);
    let mut child = descriptor(DOCKER_MANIFEST, &docker);
    child["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [child] });
    let list = list.to_string();
    let list_digest = registry2.manifest("acme/web", &list);
    registry2.tag("acme/web", "docker", &list_digest);
    // What it was in the middle of.
    registry2.put("repositories/acme/web/_uploads/1/startedat", "yesterday");
    registry2.put("repositories/acme/web/_uploads/1/data", "half");
    registry2.put("repositories/begun/_uploads/2/data", "");
    let large = super::content(2_000_000);
    let large_digest = registry2.layer("acme/web", &large);
    let held = contents(&bucket);

    // Nothing is warned of: this is what is to happen.
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    assert_eq!(contents(&bucket), held);
    for _ in 0..2 {
        let client = &server.client;
        let names = json!({ "repositories": ["acme", "acme/1", "acme/web", "acme/web/api"] });
        assert_eq!(get(client, "/v2/_catalog").1.trim(), names.to_string());
        assert_eq!(tags(client, "acme/web"), json!(["all", "docker", "v1"]));
        for (reference, expected) in [
            ("v1", &second),
            ("all", &both),
            ("docker", &list),
            (&*before, &first),
            (&*docker_digest, &docker),
            (&*signature_digest, &signature),
        ] {
            let path = format!("/v2/acme/web/manifests/{reference}");
            assert_eq!(get(client, &path), (200, expected.clone()));
        }
        let (_, referrers) = get(client, &format!("/v2/acme/web/referrers/{now}"));
        assert!(referrers.contains(&signature_digest), "{referrers}");
        // As it was in February.
        let path = "/v2/acme/web/manifests/v1.at-20260210";
        assert_eq!(get(client, path), (200, first.clone()));
        for content in ["one", "two", "{}", ""] {
            let path = blob("acme/web", &digest(content));
            assert_eq!(get(client, &path), (200, content.to_owned()));
        }
        assert_eq!(client.get(&blob("acme/web", &large_digest)).body, large);
        // Only where it is linked.
        assert_eq!(get(client, &blob("acme/web/api", &digest("two"))).0, 404);
        server.restart();
    }
    server.reconfigure(&bucket.configuration(""));
    let answer = server.client.get(&blob("acme/web", &large_digest));
    assert!(follow(&answer, "").body == large);
    let path = blob("acme/web", &large_digest);
    let asked = server.client.send("HEAD", &path, &[], b"");
    assert_eq!(asked.header("content-length"), Some("2000000"));
    // It goes on from here: what comes new is Layerhouse's own, a mount is a row.
    push_image(&server.client, "acme/web", "v2", "new");
    let mount = format!(
        "/v2/other/blobs/uploads/?mount={}&from=acme/web",
        digest("two")
    );
    assert_eq!(server.client.send("POST", &mount, &[], b"").status, 201);
    let after = contents(&bucket);
    let (of_registry2, own): (Vec<_>, Vec<_>) = after
        .into_iter()
        .partition(|(key, _)| held.contains_key(key));
    assert_eq!(BTreeMap::from_iter(of_registry2), held);
    let is_own = |(key, _): &(String, _)| key.starts_with("of/registry/layerhouse/blobs/");
    assert!(own.iter().all(is_own) && !own.is_empty(), "{own:?}");
    // `verify`, when the server is dropped, finds that all of it is sound, and nothing left over.
}

#[test]
fn adopted_blobs_are_collected_as_others_are() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let gone = registry2.image("acme/web", "gone", &["of gone", "of both"]);
    let kept = registry2.image("acme/web", "kept", &["of both"]);
    let alone = registry2.layer("acme/web", "no manifest needs it");
    let unlinked = registry2.blob("no repository links it");
    let config = bucket.configuration(&format!("{STREAMED}\n  {COLLECTING}"));
    let mut server = Server::configured(&config);
    let is_there = |digest: &str| bucket.path(&registry2.key(&data(digest))).exists();
    wait_until(&server, Duration::from_mins(2), || {
        !is_there(&alone) && !is_there(&unlinked)
    });
    let path = format!("/v2/acme/web/manifests/{}", digest(&gone));
    assert_eq!(delete(&server.client, &path), 202);
    wait_until(&server, Duration::from_mins(2), || {
        !is_there(&digest("of gone"))
    });
    // The copies of manifests are nobody's, and stay.
    for there in [
        digest("of both"),
        digest("{}"),
        digest(&gone),
        digest(&kept),
    ] {
        assert!(is_there(&there), "{there}");
    }
    server.restart();
    let client = &server.client;
    assert_eq!(tags(client, "acme/web"), json!(["kept"]));
    assert_eq!(get(client, &blob("acme/web", &digest("of gone"))).0, 404);
    let path = blob("acme/web", &digest("of both"));
    assert_eq!(get(client, &path), (200, "of both".to_owned()));
    // What comes again gets a key of its own.
    push_image(client, "acme/web", "gone", "of gone");
    assert!(!is_there(&digest("of gone")));
    let path = blob("acme/web", &digest("of gone"));
    assert_eq!(get(client, &path), (200, "of gone".to_owned()));
}

/// A damaged entry is said and left, and hides no other; while anything was left out nothing is collected.
#[test]
fn what_is_damaged_is_left_and_the_rest_is_adopted() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let web = "repositories/acme/web";
    let whole = registry2.image("acme/web", "whole", &["one"]);
    let cut = registry2.image("acme/web", "cut", &["cut short"]);
    registry2.put(&data(&digest("cut short")), "");
    let lacking = registry2.image("acme/web", "lacking", &["never pushed"]);
    fs::remove_file(bucket.path(&registry2.key(&data(&digest("never pushed"))))).unwrap();
    let bare = registry2.image("acme/web", "bare", &["three"]);
    fs::remove_file(bucket.path(&registry2.key(&data(&digest(&bare))))).unwrap();
    // A manifest that says what is not so takes nobody's layer away.
    let lie = whole.replace("\"size\":3", "\"size\":4");
    assert_ne!(lie, whole);
    let lie = registry2.manifest("acme/web", &lie);
    let first_schema = json!({ "schemaVersion": 1, "name": "acme/web", "tag": "old" });
    let first_schema = registry2.manifest("acme/web", &first_schema.to_string());
    registry2.tag("acme/web", "old", &first_schema);
    let other = digest("one");
    let wrong = digest("wrong link");
    registry2.blob("wrong link");
    let wrong_link = format!("{web}/_layers/sha256/{}/link", &wrong[7..]);
    registry2.put(&wrong_link, &other);
    registry2.put(&format!("{web}/_manifests/tags/junk/current/link"), "junk");
    registry2.put(
        &format!("{web}/_manifests/tags/huge/current/link"),
        [b'a'; 5000],
    );
    let nowhere = digest("nowhere");
    registry2.put(
        &format!("{web}/_manifests/tags/nowhere/current/link"),
        nowhere,
    );
    registry2.link("acme/web/_manifests/tags/headless/index", &digest(&whole));
    registry2.put(
        &format!("{web}/_manifests/tags/~no~tag/current/link"),
        &other,
    );
    registry2.put(&format!("{web}/_layers/sha256/abc/link"), "abc");
    registry2.put("repositories/Upper/Case/_layers/x", "x");
    registry2.put("repositories/README", "mine");
    registry2.put("blobs/sha256/00/README", "mine");
    registry2.put("unheard-of/file", "mine");
    registry2.put("zzz", "mine");
    registry2.image("last", "v1", &["one"]);
    registry2.blob("no repository links it");
    let held = contents(&bucket);

    let config = bucket.configuration(&format!("{STREAMED}\n  {COLLECTING}"));
    let mut server = Server::configured(&config);
    server.may_complain();
    let client = server.client;
    assert_eq!(tags(&client, "acme/web"), json!(["whole"]));
    assert_eq!(tags(&client, "last"), json!(["v1"]));
    let manifest = |reference: &str| get(&client, &format!("/v2/acme/web/manifests/{reference}"));
    assert_eq!(manifest("whole"), (200, whole.clone()));
    assert_eq!(manifest(&lie).0, 200);
    for reference in [
        &digest(&cut),
        &digest(&lacking),
        &digest(&bare),
        &first_schema,
    ] {
        assert_eq!(manifest(reference).0, 404);
    }
    let blob_status = |content: &str| get(&client, &blob("acme/web", &digest(content))).0;
    assert_eq!(blob_status("one"), 200);
    for content in ["cut short", "never pushed", "wrong link"] {
        assert_eq!(blob_status(content), 404, "{content}");
    }
    let path = format!("/v2/acme/web/manifests/{}", digest(&whole));
    let lie = format!("/v2/acme/web/manifests/{lie}");
    assert_eq!((delete(&client, &path), delete(&client, &lie)), (202, 202));
    // What was deleted goes, for it was known what needed it; what seemed to be nobody's at the start does not.
    for _ in 0..50 {
        server.advance(Duration::from_mins(10));
    }
    server.restart();
    let client = server.client;
    assert_eq!(tags(&client, "last"), json!(["v1"]));
    assert_eq!(get(&client, &blob("last", &digest("one"))).0, 200);
    for (key, content) in &held {
        // What was hashed and is not what it is called is nobody's, and goes.
        if *key == registry2.key(&data(&digest("cut short"))) {
            continue;
        }
        assert_eq!(
            fs::read(bucket.path(key)).ok().as_ref(),
            Some(content),
            "{key}"
        );
    }
    // A push heals.
    push_image(&client, "acme/web", "cut", "cut short");
    let path = blob("acme/web", &digest("cut short"));
    assert_eq!(get(&client, &path), (200, "cut short".to_owned()));
}

/// The prefix is what registry:2 takes it for.
#[test]
fn rootdirectory_means_what_it_means_to_registry_2() {
    for (said, root) in [
        ("\"\"", ""),
        ("/", ""),
        ("/team", "team/"),
        ("team/", "team/"),
        ("\"/~team #1/é\"", "~team #1/é/"),
    ] {
        let bucket = Bucket::start();
        let registry2 = Registry2 {
            bucket: &bucket,
            root,
        };
        let image = registry2.image("acme/web", "v1", &["one"]);
        let said = format!("rootdirectory: {said}");
        let config = bucket
            .configuration(STREAMED)
            .replace("rootdirectory: /of/registry", &said);
        let mut server = Server::configured(&config);
        let path = "/v2/acme/web/manifests/v1";
        assert_eq!(get(&server.client, path), (200, image), "{said}");
        let path = blob("acme/web", &digest("one"));
        assert_eq!(get(&server.client, &path), (200, "one".to_owned()));
        let new = push_blob(&server.client, "acme/web", "new");
        server.reconfigure(&config.replace("disable: true", "disable: false"));
        for (digest, content) in [(new, "new"), (digest("one"), "one")] {
            let answer = server.client.get(&blob("acme/web", &digest));
            assert_eq!(follow(&answer, "").text(), content, "{said}");
        }
    }
}

#[test]
fn a_listing_has_pages() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    for number in 0..400 {
        let name = format!("team/app{}", number % 50);
        registry2.layer(&name, "{}");
        let mut image = image("{}", &[]);
        image["annotations"] = json!({ "number": number.to_string() });
        let digest = registry2.manifest(&name, &image.to_string());
        registry2.tag(&name, &format!("v{number}"), &digest);
    }
    let keys = bucket.keys().len();
    assert!((1500..2000).contains(&keys), "two pages: {keys}");
    bucket.came();
    let server = Server::configured(&bucket.configuration(STREAMED));
    let came = bucket.came();
    // One for each page, and some looks before and after.
    let listings = came.iter().filter(|target| target.contains("list-type=2"));
    assert!(listings.count() < 10);
    for number in 0..50 {
        let list = tags(&server.client, &format!("team/app{number}"));
        assert_eq!(list.as_array().unwrap().len(), 8);
    }
}

/// Neither another database, nor one that was begun without the bucket, nor a directory with a tree of its own.
#[test]
fn only_a_new_database_adopts_a_bucket() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    registry2.image("acme/web", "v1", &["one"]);
    let held = contents(&bucket);
    let config = bucket.configuration(STREAMED);
    let mut begun = Server::start();
    push_image(&begun.client, "own", "v1", "of files");
    let refusal = begun.refusal(&config);
    assert!(refusal.contains("was filled by a registry:2"), "{refusal}");
    begun.restart();
    assert_eq!(tags(&begun.client, "own"), json!(["v1"]));
    assert_eq!(contents(&bucket), held);
    assert!(!bucket.path("of/registry/layerhouse/registry").exists());

    let server = Server::configured(&config);
    assert_eq!(tags(&server.client, "acme/web"), json!(["v1"]));
    let mut other = Server::start();
    let refusal = other.refusal(&config);
    let said = "the bucket of another database";
    assert!(refusal.contains(said), "{refusal}");
    other.restart();
    assert_eq!(contents(&bucket), held);
}

/// A store that fails in the middle is no damage: nothing is left out for it.
#[test]
fn an_adoption_that_the_store_broke_off_goes_on() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let images: Vec<String> = ["a", "b", "c"]
        .map(|name| registry2.image(name, "v1", &[name]))
        .into();
    let held = contents(&bucket);
    let mut server = Server::start();
    server.may_complain();
    server.stop();
    let fresh = || {
        fs::remove_dir_all(server.root()).unwrap();
        database::remove(&server.root());
    };
    fresh();
    let manifest = format!("GET /images/{}", registry2.key(&data(&digest(&images[1]))));
    let link = registry2.key("repositories/c/_manifests/tags/v1/current/link");
    let link = format!("GET /images/{link}");
    let config = bucket.configuration(STREAMED);
    for beginning in ["GET /images?list-type", "PUT /images/", &manifest, &link] {
        bucket.refuse(beginning, usize::MAX);
        let refusal = server.refusal(&config);
        assert!(
            !refusal.is_empty() && contents(&bucket) == held,
            "{refusal}"
        );
    }
    bucket.mend();
    server.reconfigure(&config);
    for (name, image) in ["a", "b", "c"].into_iter().zip(images) {
        assert_eq!(tags(&server.client, name), json!(["v1"]));
        let path = format!("/v2/{name}/manifests/v1");
        assert_eq!(get(&server.client, &path), (200, image));
        let path = blob(name, &digest(name));
        assert_eq!(get(&server.client, &path), (200, name.to_owned()));
    }
}

/// Killed at every step of the first start, it goes on at the next.
#[test]
fn an_adoption_that_is_killed_goes_on() {
    if database::is_served() {
        return;
    }
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let images: Vec<String> = ["a", "b", "c"]
        .map(|name| registry2.image(name, "v1", &[name]))
        .into();
    let unlinked = registry2.blob("no repository links it");
    let held = contents(&bucket);
    let directory = TempDir::new().unwrap();
    let (root, config) = (
        directory.path().join("root"),
        directory.path().join("config.yml"),
    );
    let (root, file) = (root.to_str().unwrap(), config.to_str().unwrap());
    let text = bucket.configuration(STREAMED);
    fs::write(&config, format!("version: 0.1\n{text}\n")).unwrap();
    let arguments = ["--root", root, "--config", file];
    let mut kills = 0;
    let process = loop {
        let accident = format!("kill@{}", kills + 1);
        match Process::try_run(&arguments, &[("LAYERHOUSE_FAULTS", &accident)]) {
            Ok(process) => break process,
            Err(refused) => assert!(refused.status.code().is_none(), "{}", refused.log),
        }
        assert_eq!(contents(&bucket), held);
        kills += 1;
        assert!(kills < 50, "it never ends");
    };
    assert!(
        2 <= kills,
        "behind the blobs, and behind the repositories: {kills}"
    );
    drop(process);
    let process = Process::try_run(&arguments, &[]).unwrap();
    for (name, image) in ["a", "b", "c"].into_iter().zip(images) {
        let path = format!("/v2/{name}/manifests/v1");
        assert_eq!(get(&process.client, &path), (200, image));
        assert_eq!(tags(&process.client, name), json!(["v1"]));
    }
    assert_eq!(get(&process.client, &blob("a", &unlinked)).0, 404);
    assert_sound(process, arguments);
    assert_eq!(contents(&bucket), held);
}

/// Two that start at once on one database: one adopts, the other waits for it.
#[test]
fn replicas_that_start_at_once_adopt_a_bucket_once() {
    if !database::is_served() {
        return;
    }
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let images: Vec<(String, String)> = (0..40)
        .map(|number| {
            let name = format!("team/app{number:02}");
            let image = registry2.image(&name, "v1", &[&name]);
            (name, image)
        })
        .collect();
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("config.yml");
    let text = bucket.configuration(STREAMED);
    fs::write(&config, format!("version: 0.1\n{text}\n")).unwrap();
    let url = database::url_of(directory.path()).unwrap();
    let start = |name: &str| {
        let root = directory.path().join(name);
        let (root, config) = (root.to_str().unwrap(), config.to_str().unwrap());
        let arguments = ["--root", root, "--config", config];
        Process::try_run(&arguments, &[("LAYERHOUSE_DATABASE", &url)]).unwrap()
    };
    let processes = std::thread::scope(|scope| {
        let starts = ["one", "two", "three"].map(|name| scope.spawn(move || start(name)));
        starts.map(|start| start.join().unwrap())
    });
    for process in &processes {
        for (name, image) in &images {
            let path = format!("/v2/{name}/manifests/v1");
            assert_eq!(get(&process.client, &path), (200, image.clone()));
        }
    }
    let logs = processes.map(|process| process.terminate().1).concat();
    assert_eq!(logs.matches("the bucket is adopted").count(), 1, "{logs}");
    let moves = "SELECT tag || ' ' || COUNT(*) FROM tag_events GROUP BY repository_id, tag";
    let moves = database::texts(directory.path(), moves);
    assert_eq!((moves.len(), &*moves[0]), (40, "v1 1"), "{moves:?}");
    assert!(moves.iter().all(|row| row == "v1 1"), "{moves:?}");
    database::remove(directory.path());
}

/// An index that lacks an image, and the other way round: it comes before what it needs in the order of keys.
#[test]
fn an_index_is_adopted_whatever_comes_first() {
    let bucket = Bucket::start();
    let registry2 = Registry2::of(&bucket);
    let images = ["one", "two", "three"].map(|layer| registry2.image("acme/web", layer, &[layer]));
    let absent = image("{}", &["absent"]).to_string();
    let indexes = [
        index(&[&images[0], &images[1]]).to_string(),
        index(&[&images[2], &absent]).to_string(),
    ];
    for index in &indexes {
        registry2.manifest("acme/web", index);
    }
    let server = Server::configured(&bucket.configuration(STREAMED));
    for index in indexes {
        let path = format!("/v2/acme/web/manifests/{}", digest(&index));
        assert_eq!(get(&server.client, &path), (200, index));
    }
    // What an index needs cannot go, and what it lacks may come.
    let path = format!("/v2/acme/web/manifests/{}", digest(&images[0]));
    assert_eq!(delete(&server.client, &path), 405);
    push_blob(&server.client, "acme/web", "absent");
    let pushed = push_manifest(&server.client, "acme/web", "absent", &absent);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
}
