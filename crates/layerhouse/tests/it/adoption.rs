//! Taking a directory over from a registry:2, or from a Layerhouse that lost its database, and giving it
//! back.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::http::Client;
use crate::harness::images;
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
        // registry:2 has no upload in one request.
        for content in ["one", "two", "{}"] {
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
        let port = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let configuration = json!({
            "version": 0.1,
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": {
                "filesystem": { "rootdirectory": root },
                "delete": { "enabled": true },
            },
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        let file = root.parent()?.join("registry2.yml");
        fs::File::create(&file)
            .ok()?
            .write_all(configuration.to_string().as_bytes())
            .ok()?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
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
    let Some(registry2) = Registry2::start(&root) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: docker-registry is not installed"
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
    let report = layerhouse::verify(&root).unwrap();
    assert!(
        report.findings.is_empty() && report.stale_links == 0,
        "{report}"
    );

    // Given back: registry:2 serves all of it, and Layerhouse again after that.
    let registry2 = Registry2::start(&root).expect("it started before");
    assert_eq!(
        sorted(seen(&registry2.client)),
        sorted(of_layerhouse.clone())
    );
    drop(registry2);
    let process = Process::start(&root, &[]);
    assert_eq!(seen(&process.client), of_layerhouse);
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
