//! `layerhouse ui`: pages in front of another registry, made of what its `/v2/` tells.

use std::process::Command;

use layerhouse::clock::{Clock, Random, Timestamp};
use layerhouse::config::Surroundings;
use layerhouse::config::elsewhere::{Elsewhere, ElsewhereArguments};
use layerhouse::{Environment, Pages, show_elsewhere};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{OWN, PAGE, location, open};
use crate::harness::http::{Client, Response};
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::upstream::{Guard, Trouble, Upstream};

/// Pages of another registry; they end when this is dropped.
struct Beside {
    runtime: Runtime,
    pages: Option<Pages>,
    client: Client,
}

impl Beside {
    fn of(registry: &str) -> Self {
        Self::with(registry, |_| ())
    }

    fn with(registry: &str, change: impl Fn(&mut ElsewhereArguments)) -> Self {
        let mut arguments = ElsewhereArguments {
            registry: registry.to_owned(),
            listen: Some("127.0.0.1:0".to_owned()),
            // What the client of these tests calls everybody.
            hosts: vec!["registry".to_owned()],
            ..ElsewhereArguments::default()
        };
        change(&mut arguments);
        let settings = Elsewhere::read(&arguments, &Surroundings::default()).unwrap();
        let runtime = Runtime::new().unwrap();
        let environment = Environment {
            clock: Clock::manual(Timestamp(1_800_000_000_000)),
            random: Random::seeded(7),
        };
        let pages = runtime.block_on(show_elsewhere(&settings, environment));
        let pages = pages.unwrap();
        Self {
            client: Client::new(pages.address()),
            pages: Some(pages),
            runtime,
        }
    }

    #[track_caller]
    fn shows(&self, path: &str, texts: &[&str]) -> String {
        let answer = open(&self.client, path);
        let said = answer.text();
        assert_eq!(answer.status, 200, "{path}: {said}");
        for text in texts {
            assert!(said.contains(text), "{path} does not say {text}:\n{said}");
        }
        said
    }

    fn post(&self, path: &str, form: &str) -> Response {
        self.client.send("POST", path, &OWN, form.as_bytes())
    }

    /// What a preview says of itself, to be posted with the form.
    fn seen(&self, path: &str) -> String {
        let said = self.shows(path, &["name=\"seen\""]);
        let (_, rest) = said.split_once("name=\"seen\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            self.runtime.block_on(pages.stop());
        }
    }
}

fn address(server: &Server) -> String {
    let root = server.client.get("/v2/");
    assert_eq!(root.status, 200);
    format!("http://{}", server.client.address)
}

/// An index of two platforms, and tags of it.
fn push_index(client: &Client, repository: &str, tags: &[&str]) -> String {
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let config = json!({
            "os": "linux", "architecture": architecture,
            "config": { "Cmd": ["serve", "<b>"], "Labels": {
                "org.opencontainers.image.description": "<script>alert(1)</script>",
            }},
            "history": [{ "created_by": "RUN /bin/sh -c make # buildkit" }],
        });
        let (config, layer) = (config.to_string(), format!("layer of {architecture}"));
        images::push_blob(client, repository, &config);
        images::push_blob(client, repository, &layer);
        let manifest = images::image(&config, &[&layer]).to_string();
        let digest = images::digest(&manifest);
        assert_eq!(
            images::push_manifest(client, repository, &digest, &manifest).status,
            201
        );
        let mut descriptor =
            images::descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifests.push(descriptor);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    let index = index.to_string();
    for tag in tags {
        assert_eq!(
            images::push_manifest(client, repository, tag, &index).status,
            201
        );
    }
    images::digest(&index)
}

#[test]
fn pages_say_what_the_registry_tells() {
    let server = Server::start();
    let registry = &server.client;
    let digest = push_index(registry, "acme/web", &["2", "2.0"]);
    for tag in ["1.9", "1.10", "latest"] {
        images::push_image(registry, "acme/web", tag, tag);
    }
    images::push_image(registry, "acme/web/tools", "v1", "tool");
    images::push_image(registry, "base", "v1", "base");
    let beside = Beside::of(&address(&server));
    let short = &digest[..19];

    let home = beside.shows(
        "/ui/",
        &["acme/web", "acme/web/tools", "base", "3 repositories"],
    );
    assert!(
        !home.contains("/ui/help") && !home.contains("/ui/login"),
        "{home}"
    );
    let found = beside.shows("/ui/search?q=tools", &["acme/web/tools", "1 repository"]);
    assert!(!found.contains("/ui/r/base"), "{found}");
    beside.shows("/ui/n/acme", &["acme/web", "2 repositories"]);
    beside.shows("/ui/r/acme", &["acme/web"]);
    beside.shows(
        "/ui/r/acme/web",
        &[
            "latest",
            "docker pull",
            "acme/web/tools",
            "linux/arm64",
            "/-/tags",
        ],
    );
    let tags = beside.shows(
        "/ui/r/acme/web/-/tags",
        &["1.10", short, "linux/amd64", "2.0"],
    );
    let at = |tag: &str| tags.find(&format!("/-/t/{tag}\"")).unwrap();
    assert!(
        at("2.0") < at("1.10") && at("1.10") < at("1.9") && at("1.9") < at("latest"),
        "{tags}"
    );
    assert!(!tags.contains("sort=pushed"), "{tags}");
    beside.shows("/ui/r/acme/web/-/tags?q=1.&sort=name", &["1.9"]);
    beside.shows(
        "/ui/r/acme/web/-/t/2",
        &[short, "linux/arm64", "serve", "&#60;b&#62;", "docker pull"],
    );
    beside.shows("/ui/r/acme/web/-/t/2/layers", &["<svg", "RUN make"]);
    beside.shows(
        &format!("/ui/r/acme/web/-/m/{digest}/raw"),
        &["manifests", "download=manifest"],
    );
    beside.shows("/ui/r/acme/web/-/t/2/referrers", &["Nothing refers"]);
    beside.shows("/ui/r/acme/web/-/compare?tag=1.9&tag=1.10", &["<svg"]);
    for path in [
        "/ui/r/none",
        "/ui/r/acme/web/-/t/none",
        "/ui/r/acme/web/-/history",
        "/ui/r/acme/web/-/settings",
        "/ui/admin",
        "/ui/login",
        "/ui/help",
        "/ui/nothing/of/ours",
    ] {
        assert_eq!(open(&beside.client, path).status, 404, "{path}");
    }
    for (path, to) in [
        ("/", "/ui/"),
        ("/acme/web:2", "/ui/r/acme/web/-/t/2"),
        ("/ui/search?q=acme/web:2", "/ui/r/acme/web/-/t/2"),
    ] {
        assert_eq!(location(&open(&beside.client, path)), to, "{path}");
    }
    // S49, S52: what others wrote is text, and scripts are files of ours.
    let answer = open(&beside.client, "/ui/r/acme/web");
    assert!(
        !answer.text().contains("<script>alert"),
        "{}",
        answer.text()
    );
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let chinese = beside.shows("/ui/?lang=zh-CN", &["lang=\"zh-CN\""]);
    assert!(chinese.contains("仓库"), "{chinese}");
}

#[test]
fn images_are_deleted_with_their_tags_once_those_were_seen() {
    let server = Server::start();
    let registry = &server.client;
    push_index(registry, "acme/web", &["2", "2.0"]);
    images::push_image(registry, "acme/web", "keep", "kept");
    let beside = Beside::of(&address(&server));
    let delete = "/ui/r/acme/web/-/delete";
    let preview = format!("{delete}?tag=2");
    let seen = beside.seen(&preview);
    beside.shows(&preview, &["2.0"]);

    // Meanwhile another tag of the image is made: it is not deleted unseen.
    push_index(registry, "acme/web", &["new"]);
    let fresh = beside;
    let refused = fresh.post(delete, &format!("tag=2&what=images&seen={seen}"));
    assert_eq!(refused.status, 409, "{}", refused.text());
    let seen = fresh.seen(&preview);
    let done = fresh.post(delete, &format!("tag=2&what=images&seen={seen}"));
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!(
        location(&done),
        "/ui/r/acme/web/-/tags?said=elsewhere_images"
    );
    let tags = registry.get("/v2/acme/web/tags/list").text();
    assert!(tags.contains("[\"keep\"]"), "{tags}");
    fresh.shows(location(&done), &["Deleted, with all tags.", "keep"]);

    // A tag alone, and an image by its digest.
    let digest = images::digest(images::push_image(registry, "acme/web", "one", "kept"));
    let seen = fresh.seen(&format!("{delete}?tag=one"));
    let done = fresh.post(delete, &format!("tag=one&what=tags&seen={seen}"));
    assert_eq!(location(&done), "/ui/r/acme/web/-/tags?said=elsewhere_tags");
    let tags = registry.get("/v2/acme/web/tags/list").text();
    assert!(tags.contains("[\"keep\"]"), "{tags}");
    let seen = fresh.seen(&format!("{delete}?digest={digest}"));
    let done = fresh.post(delete, &format!("digest={digest}&what=images&seen={seen}"));
    assert_eq!(done.status, 303, "{}", done.text());
    let gone = registry.get(&format!("/v2/acme/web/manifests/{digest}"));
    assert_eq!(gone.status, 404);
    assert_eq!(open(&fresh.client, delete).status, 422);
    assert_eq!(
        open(&fresh.client, &format!("{delete}?digest=x")).status,
        422
    );
}

/// An image of an index is not deleted as if nobody needed it, and the registry's own reason is told.
#[test]
fn who_needs_an_image_is_told_before_it_goes() {
    let server = Server::start();
    push_index(&server.client, "acme/web", &["2", "2.0"]);
    let index = server.client.get("/v2/acme/web/manifests/2").text();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let beside = Beside::of(&address(&server));
    let delete = "/ui/r/acme/web/-/delete";
    let preview = format!("{delete}?digest={child}");
    beside.shows(&preview, &["can no longer be pulled", ">2<", ">2.0<"]);
    let seen = beside.seen(&preview);
    let refused = beside.post(delete, &format!("digest={child}&what=images&seen={seen}"));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("index first"), "{}", refused.text());
}

#[test]
fn a_registry_that_does_not_delete_is_told_of() {
    let server = Server::configured("storage: {delete: {enabled: false}}");
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let beside = Beside::of(&address(&server));
    let delete = "/ui/r/acme/web/-/delete";
    let seen = beside.seen(&format!("{delete}?tag=v1"));
    for (what, why) in [
        ("images", "REGISTRY_STORAGE_DELETE_ENABLED=true"),
        ("images", "<q>"),
        ("tags", "many delete no single tags"),
    ] {
        let refused = beside.post(delete, &format!("tag=v1&what={what}&seen={seen}"));
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    let careful = Beside::with(&address(&server), |said| said.is_read_only = true);
    let tags = careful.shows("/ui/r/acme/web/-/tags", &["v1"]);
    assert!(!tags.contains("/-/delete"), "{tags}");
    assert_eq!(
        open(&careful.client, &format!("{delete}?tag=v1")).status,
        403
    );
    let refused = careful.post(delete, &format!("tag=v1&what=images&seen={seen}"));
    assert_eq!(refused.status, 403);
}

/// S30: the login is told to the registry and to its own token service.
#[test]
fn sec_s30_the_login_is_for_the_registry() {
    for guard in [
        Guard::basic("ann", "open sesame"),
        Guard::token("ann", "open sesame"),
    ] {
        let upstream = Upstream::start();
        upstream.give_image("acme/web", "v1", "layer");
        upstream.guard(guard);
        let login = ("ann".to_owned(), "open sesame".to_owned());
        let beside = Beside::with(&upstream.url(), |said| said.login = Some(login.clone()));
        beside.shows("/ui/r/acme/web", &["v1"]);
        // Nobody, and somebody else, see why not, and what to do.
        for login in [None, Some(("eve".to_owned(), "guess".to_owned()))] {
            let beside = Beside::with(&upstream.url(), |said| said.login = login.clone());
            let refused = open(&beside.client, "/ui/r/acme/web");
            assert_eq!(refused.status, 403, "{}", refused.text());
            assert!(refused.text().contains("--user"), "{}", refused.text());
            assert!(!refused.text().contains("guess"), "{}", refused.text());
        }
    }
    let (upstream, thief) = (Upstream::start(), Upstream::at("127.0.0.2"));
    upstream.give_image("acme/web", "v1", "layer");
    upstream.guard(Guard::token_of(format!("{}/token", thief.url())));
    let beside = Beside::with(&upstream.url(), |said| {
        said.login = Some(("ann".to_owned(), "open sesame".to_owned()));
        said.private = vec!["127.0.0.0/8".to_owned()];
    });
    // Whatever it gives to everyone, it may.
    open(&beside.client, "/ui/r/acme/web");
    assert!(0 < thief.count("/token"));
    for asked in thief.asked("/token") {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
    }
}

/// A page asks the registry for no more than it shows.
#[test]
fn a_page_asks_for_what_it_shows() {
    let upstream = Upstream::start();
    for number in 0..300 {
        let tag = format!("1.{number}");
        upstream.give_image("acme/web", &tag, &tag);
    }
    upstream.list_at_most(100);
    let beside = Beside::of(&upstream.url());
    beside.shows("/ui/r/acme/web/-/tags", &["1.299", "Page 1 of 12"]);
    let first = upstream.drain().len();
    assert!(first <= 100, "{first}");
    beside.shows("/ui/r/acme/web/-/tags", &["1.299"]);
    let again = upstream.drain();
    assert!(again.is_empty(), "{again:?}");
    beside.shows("/ui/r/acme/web/-/tags?page=12", &["1.0"]);
    let last = upstream.drain().len();
    assert!(last <= 75, "{last}");
    // One of three hundred is looked for among the first hundred tags, and the page says so.
    beside.shows("/ui/r/acme/web/-/delete?tag=1.299", &["more than 100 tags"]);
    // What a registry of three hundred tags on three pages was asked: each of the hundred as it is now.
    let preview = upstream.drain();
    assert!(preview.len() <= 220, "{}", preview.len());
    // It has no catalog.
    beside.shows("/ui/", &["Type the name of one"]);
}

#[test]
fn a_registry_in_trouble_is_told_of() {
    let upstream = Upstream::start();
    upstream.give_image("acme/web", "v1", "layer");
    let beside = Beside::of(&upstream.url());
    let failing = Trouble::Answer {
        status: 503,
        headers: "",
        body: "",
    };
    upstream.always("/v2/", failing);
    let refused = open(&beside.client, "/ui/r/acme/web");
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(
        refused.text().contains("it answers 503"),
        "{}",
        refused.text()
    );
    upstream.heal();
    beside.shows("/ui/r/acme/web", &["v1"]);
    upstream.die();
    let refused = open(&beside.client, "/ui/r/acme/other");
    assert_eq!(refused.status, 502, "{}", refused.text());
    upstream.rise();
}

/// S53, and the same for who has a browser believe that a name of theirs is ours.
#[test]
fn sec_s53_no_other_page_acts_or_reads() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let beside = Beside::of(&address(&server));
    let delete = "/ui/r/acme/web/-/delete";
    let seen = beside.seen(&format!("{delete}?tag=v1"));
    let form = format!("tag=v1&what=images&seen={seen}");
    for strange in [
        &[][..],
        &[("Origin", "http://elsewhere")],
        &[("Origin", "null")],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "http://registry"),
        ],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        let refused = beside.client.send("POST", delete, strange, form.as_bytes());
        assert_eq!(refused.status, 403, "{strange:?}");
    }
    assert_eq!(beside.client.send("DELETE", delete, &OWN, b"").status, 405);
    let strict = Beside::with(&address(&server), |said| said.hosts.clear());
    for path in ["/", "/ui/", "/ui/assets/x/style.css", "/healthz"] {
        let refused = strict.client.send("GET", path, &[PAGE], b"");
        assert_eq!(refused.status, 421, "{path}: {}", refused.text());
        assert!(refused.text().contains("--host"), "{}", refused.text());
    }
    assert!(
        server
            .client
            .get("/v2/acme/web/tags/list")
            .text()
            .contains("v1")
    );
}

#[test]
fn the_command_says_where_the_pages_are() {
    let (server, folder) = (Server::start(), crate::harness::files::quick_directory());
    let folder = folder.path().to_str().unwrap();
    let registry = address(&server);
    let variables = [("HOME", folder)];
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
    command.args(["ui", "--registry", &registry, "--listen", "127.0.0.1:0"]);
    let process = Process::spawn(command, &variables).unwrap();
    process.wait_for_output("Login: none");
    assert_eq!(open(&process.client, "/").status, 421);
    let (status, _) = process.terminate();
    assert!(status.success(), "{status}");
    for (arguments, says) in [
        (&["ui"][..], "--registry"),
        (
            &["ui", "--registry", "https://u:p@h"],
            "a login cannot stand in it",
        ),
        (&["ui", "--registry", "h", "--listen", "x"], "--listen: x"),
        (&["ui", "--registry", "h", "--ca", "/none.pem"], "/none.pem"),
    ] {
        let (status, said) = crate::harness::process::output(arguments, &variables);
        assert!(!status.success(), "{arguments:?}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}
