//! Taking a directory over from a registry:2, or from a Layerhouse that lost its database, and giving it
//! back.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use layerhouse::Rebuild;
use layerhouse_oci::media_type::OCI_INDEX;
use serde_json::{Value, json};

use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::outside::Outside;
use crate::harness::process::Process;
use crate::harness::server::Server;

/// What a client sees of the repositories of these tests.
fn seen(client: &Client) -> Vec<(String, u16, String)> {
    let accept =
        "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    let mut paths = vec!["/v2/_catalog".to_owned()];
    for repository in ["acme/web", "acme/web/api", "tools"] {
        paths.push(format!("/v2/{repository}/tags/list"));
        for tag in ["v1", "v2", "all", "gone"] {
            paths.push(format!("/v2/{repository}/manifests/{tag}"));
        }
        for content in ["one", "two", "{}", "never"] {
            paths.push(format!(
                "/v2/{repository}/blobs/{}",
                images::digest(content)
            ));
        }
    }
    let answers = paths.into_iter().map(|path| {
        let answer = client.send("GET", &path, &[("Accept", accept)], b"");
        // What an error says is each registry's own.
        let text = if answer.status == 200 {
            answer.text()
        } else {
            String::new()
        };
        (path, answer.status, text)
    });
    answers.collect()
}

/// Images, an index, a tag that moved, and one repository below another.
fn fill(client: &Client) {
    for repository in ["acme/web", "acme/web/api"] {
        for content in ["one", "two", "{}"] {
            push_blob_in_steps(client, repository, content);
        }
    }
    let first = images::image("{}", &["one"]).to_string();
    let second = images::image("{}", &["one", "two"]).to_string();
    let index = images::index(&[&first, &second]).to_string();
    for (repository, tag, manifest) in [
        ("acme/web", "v1", &second),
        ("acme/web", "v1", &first),
        ("acme/web", "v2", &second),
        ("acme/web", "all", &index),
        ("acme/web/api", "v1", &first),
    ] {
        let pushed = images::push_manifest(client, repository, tag, manifest);
        assert_eq!(pushed.status, 201, "{}", pushed.text());
    }
}

/// I10: the directory describes itself. All that the rows said is said again by what stands in the tree.
#[test]
fn inv_i10_a_lost_database_is_made_again_from_the_tree() {
    let mut server = Server::start();
    server.may_complain();
    fill(&server.client);
    let subject = images::descriptor(images::CONFIG, "{}");
    let referrer = images::referrer(&subject, "application/vnd.example.sbom", 1).to_string();
    let name = images::digest(&referrer);
    images::push_manifest(&server.client, "acme/web", &name, &referrer);
    let referrers = format!("/v2/acme/web/referrers/{}", images::digest("{}"));
    let before = (seen(&server.client), server.client.get(&referrers).text());
    server.stop();
    for file in ["layerhouse.db", "layerhouse.db-wal", "layerhouse.db-shm"] {
        let _ = fs::remove_file(server.root().join("layerhouse").join(file));
    }
    server.restart();
    let after = (seen(&server.client), server.client.get(&referrers).text());
    assert_eq!(after, before);
}

/// A registry:2 as Debian ships it, on a directory.
struct Registry2 {
    child: Child,
    client: Client,
}

impl Registry2 {
    /// `None` where it is not installed.
    fn start(root: &Path) -> Option<Self> {
        let storage = json!({ "filesystem": { "rootdirectory": root } });
        Self::start_on(storage, root.parent()?)
    }

    /// With this section `storage`; a directory for its configuration.
    fn start_on(mut storage: Value, directory: &Path) -> Option<Self> {
        storage["delete"] = json!({ "enabled": true });
        let port = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let configuration = json!({
            "version": 0.1,
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": storage,
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        let file = directory.join("registry2.yml");
        fs::File::create(&file)
            .ok()?
            .write_all(configuration.to_string().as_bytes())
            .ok()?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            // Its client of S3 takes no authority of certificates from the environment, and ends if one is there.
            .env_remove("AWS_CA_BUNDLE")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let client = Client::new(([127, 0, 0, 1], port).into());
        let registry = Self { child, client };
        let began = Instant::now();
        while client.try_send("GET", "/v2/", &[], b"").is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "registry:2 did not start"
            );
            std::thread::yield_now();
        }
        Some(registry)
    }
}

impl Drop for Registry2 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_directory_goes_from_registry_2_and_back() {
    let directory = tempfile::TempDir::new().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let started = (!database::is_served()).then(|| Registry2::start(&root));
    let Some(registry2) = started.flatten() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: docker-registry is not installed, or the database is no file"
        );
        return;
    };
    fill(&registry2.client);
    let of_registry2 = seen(&registry2.client);
    drop(registry2);

    // Taken over: the same answers, without a word of configuration.
    let process = Process::start(&root, &[]);
    assert_eq!(sorted(seen(&process.client)), sorted(of_registry2));
    // Changed: a new repository, a moved tag, a removed one.
    let config = images::push_blob(&process.client, "tools", "{}");
    let tool = images::image("{}", &[]).to_string();
    images::push_manifest(&process.client, "tools", "v1", &tool);
    let moved = images::image("{}", &["two"]).to_string();
    images::push_manifest(&process.client, "acme/web", "v1", &moved);
    let removed = process
        .client
        .send("DELETE", "/v2/acme/web/manifests/v2", &[], b"");
    assert_eq!((removed.status, config), (202, images::digest("{}")));
    let of_layerhouse = seen(&process.client);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert_sound(&root);

    // Given back: registry:2 serves all of it, and Layerhouse again after that.
    let registry2 = Registry2::start(&root).expect("it started before");
    assert_eq!(
        sorted(seen(&registry2.client)),
        sorted(of_layerhouse.clone())
    );
    // Changed by it: pushes, a move, deletes, and one repository less.
    let client = &registry2.client;
    push_blob_in_steps(client, "tools", "one");
    let newer = images::image("{}", &["one"]).to_string();
    assert_eq!(
        images::push_manifest(client, "tools", "v2", &newer).status,
        201
    );
    let moved_back = images::image("{}", &["one", "two"]).to_string();
    assert_eq!(
        images::push_manifest(client, "acme/web", "v1", &moved_back).status,
        201
    );
    let all = client.send(
        "GET",
        "/v2/acme/web/manifests/all",
        &[("Accept", OCI_INDEX)],
        b"",
    );
    let index = format!("/v2/acme/web/manifests/{}", images::digest(all.body));
    assert_eq!(client.send("DELETE", &index, &[], b"").status, 202);
    let tool = format!("/v2/tools/manifests/{}", images::digest(&tool));
    assert_eq!(client.send("DELETE", &tool, &[], b"").status, 202);
    let of_registry2 = sorted(seen(client));
    drop(registry2);

    // Read again: first only looked at, then done, then there is nothing to do.
    let looked = database::rebuild(&root, Rebuild::Look).unwrap();
    assert_eq!(database::rebuild(&root, Rebuild::Look).unwrap(), looked);
    let rebuilt = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(
        !rebuilt.is_unchanged() && rebuilt.skipped().is_empty(),
        "{rebuilt}"
    );
    for line in [
        "removed: tools:v1, which pointed at",
        "removed: acme/web:all, which pointed at",
        "moved: acme/web:v1 from",
        "added: 1 manifests, 1 tags, 1 links of blobs",
        "removed: 2 manifests, 2 tags, 0 links of blobs",
    ] {
        assert!(looked.to_string().contains(line), "{line}: {looked}");
        assert!(rebuilt.to_string().contains(line), "{line}: {rebuilt}");
    }
    let again = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(again.is_unchanged(), "{again}");
    assert_sound(&root);
    let process = Process::start(&root, &[]);
    assert_eq!(sorted(seen(&process.client)), of_registry2);
    let of_layerhouse = seen(&process.client);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert_sound(&root);

    // Its collector takes bytes, and leaves links of them.
    let collected = Command::new("docker-registry")
        .args(["garbage-collect", "--delete-untagged"])
        .arg(directory.path().join("registry2.yml"))
        .output()
        .unwrap();
    assert!(collected.status.success(), "{collected:?}");
    database::rebuild(&root, Rebuild::Change).unwrap();
    let again = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(again.is_unchanged(), "{again}");
    assert_sound(&root);
    let process = Process::start(&root, &[]);
    let tags = |seen: Vec<(String, u16, String)>| -> Vec<_> {
        let is_tag = |(path, ..): &(String, _, _)| !path.contains("/blobs/");
        seen.into_iter().filter(is_tag).collect()
    };
    assert_eq!(tags(seen(&process.client)), tags(of_layerhouse));
}

/// What it wrote into a directory, under the same keys in a bucket: it shows the same.
#[test]
fn a_bucket_that_registry_2_filled_shows_the_same() {
    let directory = tempfile::TempDir::new().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let Some(registry2) = Registry2::start(&root) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: docker-registry is not installed"
        );
        return;
    };
    fill(&registry2.client);
    let deleted = images::digest(images::image("{}", &["one", "two"]).to_string());
    let path = format!("/v2/acme/web/manifests/{deleted}");
    let of_fill = sorted(seen(&registry2.client));
    let bucket = Bucket::start();
    copy(&root, &bucket);
    let configuration = bucket.configuration("redirect: {disable: true}");
    let server = Server::configured(&configuration);
    assert_eq!(sorted(seen(&server.client)), of_fill);
    drop(server);

    // Its delete takes the tag along, and leaves an index without an image.
    let client = &registry2.client;
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    let of_registry2 = sorted(seen(client));
    assert_ne!(of_registry2, of_fill);
    let bucket = Bucket::start();
    copy(&root, &bucket);
    let server = Server::configured(&bucket.configuration("redirect: {disable: true}"));
    assert_eq!(sorted(seen(&server.client)), of_registry2);
}

/// The same at a server of S3 that registry:2 itself writes to.
#[test]
fn a_bucket_that_registry_2_wrote_to_shows_the_same() {
    let Some(bucket) = Outside::make("adopted") else {
        return;
    };
    let directory = tempfile::TempDir::new().unwrap();
    let Some(registry2) = Registry2::start_on(bucket.of_registry_2(), directory.path()) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: docker-registry is not installed"
        );
        return;
    };
    fill(&registry2.client);
    let of_registry2 = sorted(seen(&registry2.client));
    drop(registry2);
    let written = bucket.keys();
    let mut server = Server::configured(&bucket.configuration("redirect: {disable: true}"));
    assert_eq!(sorted(seen(&server.client)), of_registry2);
    assert_eq!(bucket.keys(), written, "no object was written or moved");
    server.restart();
    assert_eq!(sorted(seen(&server.client)), of_registry2);
}

/// All files below a directory become objects below the root that the harness configures.
fn copy(root: &Path, bucket: &Bucket) {
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            let below = path.strip_prefix(root).unwrap();
            let key = format!("of/registry/{}", below.to_str().unwrap());
            bucket.put(&key, fs::read(&path).unwrap());
        }
    }
}

fn assert_sound(root: &Path) {
    let report = database::verify(root).unwrap();
    assert!(
        report.findings.is_empty() && report.stale_links == 0,
        "{report}"
    );
}

/// registry:2 has no upload in one request.
fn push_blob_in_steps(client: &Client, repository: &str, content: &str) {
    let path = format!("/v2/{repository}/blobs/uploads/");
    let opened = client.send("POST", &path, &[], b"");
    let location = opened.header("location").expect("an upload").to_owned();
    let location = location
        .find("/v2/")
        .map_or(&*location, |at| &location[at..]);
    let mark = if location.contains('?') { '&' } else { '?' };
    let put = format!("{location}{mark}digest={}", images::digest(content));
    let put = client.send("PUT", &put, &[], content.as_bytes());
    assert_eq!(put.status, 201, "{}", put.text());
}

/// registry:2 lists tags in the order of its directory, and ends JSON with a line feed.
fn sorted(seen: Vec<(String, u16, String)>) -> Vec<(String, u16, String)> {
    let normal = |(path, status, text): (String, u16, String)| {
        let text = match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(mut list) if list.get("tags").is_some() => {
                let mut tags: Vec<String> =
                    serde_json::from_value(list["tags"].clone()).unwrap_or_default();
                tags.sort();
                list["tags"] = json!(tags);
                list.to_string()
            }
            Ok(list) if list.get("repositories").is_some() => list.to_string(),
            _ => text,
        };
        (path, status, text)
    };
    seen.into_iter().map(normal).collect()
}

/// The directory of a repository in registry:2's layout.
fn repository(root: &Path, name: &str) -> std::path::PathBuf {
    root.join("docker/registry/v2/repositories").join(name)
}

/// Everything that the database says, row by row.
fn rows(root: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(root.join("layerhouse/layerhouse.db")).unwrap();
    let mut found = Vec::new();
    let mut tables = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for table in tables.map(Result::unwrap) {
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut answer = statement.query([]).unwrap();
        while let Some(row) = answer.next().unwrap() {
            let values = (0..columns).map(|at| format!("{:?}", row.get_ref_unwrap(at)));
            found.push(format!(
                "{table}: {}",
                values.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    found.sort();
    found
}

#[test]
fn rebuild_of_what_nobody_changed_changes_nothing() {
    let mut server = Server::start();
    fill(&server.client);
    server.stop();
    let before = rows(&server.root());
    for kind in [Rebuild::Look, Rebuild::Change, Rebuild::Change] {
        let report = database::rebuild(&server.root(), kind).unwrap();
        assert!(
            report.is_unchanged() && report.skipped().is_empty(),
            "{report}"
        );
        assert_eq!(rows(&server.root()), before);
    }
}

/// What the tree does not say removes rows only where it surely is not there, and never what something
/// that stays needs.
#[test]
fn rebuild_removes_only_what_surely_was_removed() {
    let mut server = Server::start();
    fill(&server.client);
    server.stop();
    let root = server.root();
    let before = seen_after(&mut server);
    let web = repository(&root, "acme/web");
    let first = images::digest(images::image("{}", &["one"]).to_string());
    let (one, two) = (images::digest("one"), images::digest("two"));
    // Damaged: a tag's link, a manifest's link, and one that cannot be reached.
    fs::write(web.join("_manifests/tags/v1/current/link"), "junk").unwrap();
    let revisions = web.join("_manifests/revisions/sha256");
    fs::write(revisions.join(&first[7..]).join("link"), &two).unwrap();
    let layer = web.join("_layers/sha256").join(&two[7..]);
    fs::remove_dir_all(&layer).unwrap();
    fs::write(&layer, "in its place").unwrap();
    // Gone, and needed by manifests that stay.
    fs::remove_dir_all(web.join("_layers/sha256").join(&one[7..])).unwrap();
    let report = database::rebuild(&root, Rebuild::Change).unwrap();
    let said = report.to_string();
    assert!(
        said.contains("removed: 0 manifests, 0 tags, 0 links of blobs"),
        "{said}"
    );
    assert!(
        said.contains(&format!("kept: blob {one} of acme/web, which manifest")),
        "{said}"
    );
    assert_eq!(report.skipped().len(), 3, "{said}");
    let again = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(again.is_unchanged(), "{again}");
    fs::remove_file(&layer).unwrap();
    server.leave_unverified();
    assert_eq!(seen_after(&mut server), before);
    // The link file of what was kept is there again.
    assert!(
        web.join("_layers/sha256")
            .join(&one[7..])
            .join("link")
            .exists()
    );
}

/// Starts, looks and stops.
fn seen_after(server: &mut Server) -> Vec<(String, u16, String)> {
    server.restart();
    let seen = seen(&server.client);
    server.stop();
    seen
}

/// A link file that was not written yet is older than its row, whatever it says.
#[test]
fn rebuild_leaves_what_was_not_written_yet() {
    if database::is_served() {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    fill(&process.client);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    // Killed at the first link file: everything of this run is still to be written.
    let mut process = Process::start(&root, &[("LAYERHOUSE_FAULTS", "ENOSPC@100000")]);
    for (method, path) in [
        ("DELETE", "/v2/acme/web/manifests/v2"),
        ("DELETE", "/v2/acme/web/manifests/all"),
    ] {
        assert_eq!(process.client.send(method, path, &[], b"").status, 202);
    }
    process.kill();
    let report = database::rebuild(&root, Rebuild::Change).unwrap();
    let said = report.to_string();
    assert!(said.contains("added: 0 manifests, 0 tags"), "{said}");
    let process = Process::start(&root, &[]);
    for tag in ["v2", "all"] {
        let path = format!("/v2/acme/web/manifests/{tag}");
        assert_eq!(process.client.get(&path).status, 404, "{said}");
    }
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert_sound(&root);
}

/// A repository whose directory is gone is gone, and its tags are on record as removed.
#[test]
fn rebuild_notices_a_repository_that_was_removed() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    fill(&server.client);
    server.stop();
    let root = server.root();
    fs::remove_dir_all(repository(&root, "acme/web/api")).unwrap();
    let report = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(
        report
            .to_string()
            .contains("removed: 1 manifests, 1 tags, 3 links of blobs"),
        "{report}"
    );
    let database = rusqlite::Connection::open(root.join("layerhouse/layerhouse.db")).unwrap();
    let removals: i64 = database
        .query_row(
            "SELECT COUNT(*) FROM tag_events WHERE actor = 'rebuild' AND to_digest IS NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(removals, 1);
    drop(database);
    assert!(
        database::rebuild(&root, Rebuild::Change)
            .unwrap()
            .is_unchanged()
    );
}

/// A mistyped or unmounted directory does not empty the database.
#[test]
fn rebuild_without_a_tree_is_refused() {
    let mut server = Server::start();
    fill(&server.client);
    server.stop();
    let root = server.root();
    let before = rows(&root);
    let hidden = root.join("elsewhere");
    fs::rename(root.join("docker"), &hidden).unwrap();
    let refused = database::rebuild(&root, Rebuild::Change)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("repositories is not there"), "{refused}");
    assert_eq!(rows(&root), before);
    // Also when what was found is empty: a disk that is not mounted, where a start made directories.
    fs::create_dir_all(root.join("docker/registry/v2/repositories")).unwrap();
    for kind in [Rebuild::Look, Rebuild::Change, Rebuild::ChangeMost] {
        let refused = database::rebuild(&root, kind).unwrap_err().to_string();
        assert!(refused.contains("has no repository"), "{refused}");
        assert_eq!(rows(&root), before);
    }
    fs::remove_dir_all(root.join("docker")).unwrap();
    fs::rename(&hidden, root.join("docker")).unwrap();
}

/// Most of it gone is more likely an accident than a clean-up: it wants a word more.
#[test]
fn rebuild_removes_most_only_when_told_to() {
    let mut server = Server::start();
    fill(&server.client);
    server.stop();
    let root = server.root();
    let before = rows(&root);
    fs::remove_dir_all(repository(&root, "acme/web/_manifests")).unwrap();
    let refused = database::rebuild(&root, Rebuild::Change).unwrap_err();
    let words = "would remove 3 of 4 manifests";
    assert!(refused.to_string().contains(words), "{refused}");
    assert_eq!(rows(&root), before);
    let looked = database::rebuild(&root, Rebuild::Look).unwrap();
    assert!(looked.to_string().contains("--remove-most"), "{looked}");
    let rebuilt = database::rebuild(&root, Rebuild::ChangeMost).unwrap();
    let line = "removed: 3 manifests, 3 tags";
    assert!(rebuilt.to_string().contains(line), "{rebuilt}");
    assert!(!rebuilt.to_string().contains("--remove-most"), "{rebuilt}");
}

/// registry:3 may take an index whose images are not all there; who served it before goes on serving it.
#[test]
fn an_index_that_lacks_an_image_is_adopted_as_it_is() {
    if database::is_served() {
        return;
    }
    let mut server = Server::configured("validation: {manifests: {indexes: {platforms: none}}}");
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let absent = images::image("{}", &["absent"]).to_string();
    let index = images::index(&[&absent]).to_string();
    let pushed = images::push_manifest(&server.client, "acme/web", "all", &index);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    server.stop();
    std::fs::remove_file(server.root().join("layerhouse/layerhouse.db")).unwrap();
    server.may_complain();
    server.restart();
    let path = "/v2/acme/web/manifests/all";
    let pulled = server.client.get(path);
    assert_eq!((pulled.status, pulled.text()), (200, index));
    // Once the image is there, the index needs it.
    images::push_blob(&server.client, "acme/web", "absent");
    images::push_manifest(&server.client, "acme/web", "image", &absent);
    let path = format!("/v2/acme/web/manifests/{}", images::digest(&absent));
    let refused = server.client.send("DELETE", &path, &[], b"");
    assert_eq!(refused.status, 405, "{}", refused.text());
}

/// A repository that was moved to a disk that is not mounted was not removed.
#[test]
fn rebuild_takes_no_dangling_link_for_a_removal() {
    let mut server = Server::start();
    fill(&server.client);
    images::push_image(&server.client, "tools", "v1", "layer");
    server.stop();
    let root = server.root();
    let before = rows(&root);
    let blobs = root.join("docker/registry/v2/blobs/sha256");
    let prefix = blobs.join(&images::digest("one")[7..9]);
    let tag = repository(&root, "tools").join("_manifests/tags/v1/current");
    for moved in [repository(&root, "acme"), prefix, tag] {
        let elsewhere = root.join("elsewhere");
        fs::rename(&moved, &elsewhere).unwrap();
        std::os::unix::fs::symlink(root.join("unmounted"), &moved).unwrap();
        let report = database::rebuild(&root, Rebuild::ChangeMost).unwrap();
        assert!(report.is_unchanged(), "{}: {report}", moved.display());
        assert!(!report.skipped().is_empty(), "{}", moved.display());
        assert_eq!(rows(&root), before, "{}", moved.display());
        fs::remove_file(&moved).unwrap();
        fs::rename(&elsewhere, &moved).unwrap();
    }
}

/// What a database that is made anew says of a tree, and what rebuild makes of the one that is there.
#[test]
fn rebuild_and_a_lost_database_come_to_the_same() {
    if database::is_served() {
        return;
    }
    for (takes, lines) in [
        // registry:2 deletes an image, whatever index names it.
        ("child", "removed: 1 manifests, 0 tags, 0 links of blobs"),
        ("bytes", "removed: 3 manifests, 3 tags, 2 links of blobs"),
    ] {
        let mut server = Server::start();
        let layers = ["one", "two", "three"].map(|layer| images::image("{}", &[layer]).to_string());
        for (layer, manifest) in ["one", "two", "three"].iter().zip(&layers) {
            for content in [layer, "{}"] {
                push_blob_in_steps(&server.client, "acme/web", content);
            }
            let name = images::digest(manifest);
            images::push_manifest(&server.client, "acme/web", &name, manifest);
        }
        for tag in ["v1", "v2"] {
            images::push_manifest(&server.client, "acme/web", tag, &layers[1]);
        }
        let lacking = images::image("{}", &["one", "two"]).to_string();
        images::push_manifest(&server.client, "acme/web", "v3", &lacking);
        let index = images::index(&[&layers[0], &layers[2]]).to_string();
        let pushed = images::push_manifest(&server.client, "acme/web", "all", &index);
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        server.stop();
        let root = server.root();
        if takes == "child" {
            let child = &images::digest(&layers[0])[7..];
            let revisions = repository(&root, "acme/web").join("_manifests/revisions/sha256");
            fs::remove_dir_all(revisions.join(child)).unwrap();
        } else {
            for content in ["one", "two"] {
                let hex = &images::digest(content)[7..];
                let blobs = root.join("docker/registry/v2/blobs/sha256");
                fs::remove_dir_all(blobs.join(&hex[..2]).join(hex)).unwrap();
            }
        }
        let looked = database::rebuild(&root, Rebuild::Look).unwrap();
        let rebuilt = database::rebuild(&root, Rebuild::ChangeMost).unwrap();
        assert_eq!(
            looked.to_string().lines().next(),
            rebuilt.to_string().lines().next()
        );
        assert!(rebuilt.to_string().contains(lines), "{rebuilt}");
        let again = database::rebuild(&root, Rebuild::Change).unwrap();
        assert!(again.is_unchanged(), "{again}");
        let report = database::verify(&root).unwrap();
        let lacks = |invariant| report.findings.iter().any(|at| at.invariant == invariant);
        assert!(!lacks("I1") && !lacks("I3") && !lacks("I4"), "{report}");
        // Links of what is not there any more outlive the rows, for registry:2 to have back.
        assert_eq!(report.findings.is_empty(), takes == "child", "{report}");
        let rows_of = |root: &Path| {
            let telling = [
                "repository_blobs",
                "manifests",
                "manifest_blobs",
                "manifest_children",
                "absent_children",
                "tags",
            ];
            let database = root.join("layerhouse/layerhouse.db");
            let database = rusqlite::Connection::open(database).unwrap();
            telling.map(|table| {
                let columns = match table {
                    "tags" => "name || digest",
                    "repository_blobs" | "manifests" => "digest",
                    _ => "manifest || digest",
                };
                let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
                let mut statement = database.prepare(&sql).unwrap();
                let found = statement.query_map([], |row| row.get::<_, String>(0));
                found.unwrap().map(Result::unwrap).collect::<Vec<_>>()
            })
        };
        let of_rebuild = rows_of(&root);
        fs::remove_file(root.join("layerhouse/layerhouse.db")).unwrap();
        server.may_complain();
        server.leave_unverified();
        server.restart();
        server.stop();
        assert_eq!(rows_of(&root), of_rebuild, "{takes}");
    }
}

/// A crash of registry:2 leaves files without their bytes: such a layer is not there, and a push heals it.
#[test]
fn a_truncated_layer_is_not_adopted() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    let client = server.client;
    let cut = images::push_image(&client, "acme/web", "cut", "a layer of some length");
    let whole = images::push_image(&client, "acme/web", "whole", "another layer");
    // A manifest that says what is not so takes nobody's layer away.
    let lie = whole.replace("\"size\":13", "\"size\":12");
    assert_ne!(lie, whole);
    let pushed = images::push_manifest(&client, "acme/web", "lie", &lie);
    server.stop();
    let root = server.root();
    let hex = images::digest("a layer of some length")[7..].to_owned();
    let blobs = root.join("docker/registry/v2/blobs/sha256");
    fs::write(blobs.join(&hex[..2]).join(&hex).join("data"), b"").unwrap();
    fs::remove_file(root.join("layerhouse/layerhouse.db")).unwrap();
    server.may_complain();
    server.leave_unverified();
    server.restart();
    let client = server.client;
    let status = |method, path: &str| client.send(method, path, &[], b"").status;
    let layer = format!("/v2/acme/web/blobs/sha256:{hex}");
    assert_eq!(status("HEAD", &layer), 404);
    assert_eq!(status("GET", "/v2/acme/web/manifests/cut"), 404);
    assert_eq!(status("GET", "/v2/acme/web/manifests/whole"), 200);
    let of_lie = if pushed.status == 201 { 200 } else { 404 };
    assert_eq!(status("GET", "/v2/acme/web/manifests/lie"), of_lie);
    server.stop();
    let again = database::rebuild(&root, Rebuild::Change).unwrap();
    assert!(again.is_unchanged(), "{again}");
    assert!(
        again.to_string().contains("is damaged: it has 0 bytes"),
        "{again}"
    );
    server.restart();
    let client = server.client;
    images::push_blob(&client, "acme/web", "a layer of some length");
    images::push_manifest(&client, "acme/web", "cut", &cut);
    assert_eq!(client.get(&layer).text(), "a layer of some length");
    assert_eq!(client.get("/v2/acme/web/manifests/cut").text(), cut);
    server.stop();
    assert_sound(&root);
}
