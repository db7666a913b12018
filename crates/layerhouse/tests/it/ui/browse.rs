//! Finding and understanding images: what the pages show, to whom, and that what others wrote stays text.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{location, open};
use crate::auth::basic;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::server::Server;
use crate::index::house::{House, PASSWORD};

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// What a page says; it is there.
#[track_caller]
fn page(client: &Client, path: &str) -> String {
    let answer = open(client, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// A page that has these texts.
#[track_caller]
fn shows(client: &Client, path: &str, texts: &[&str]) {
    let said = page(client, path);
    for text in texts {
        assert!(said.contains(text), "{path} does not say {text}:\n{said}");
    }
}

/// A page once it has a text that a job brings.
#[track_caller]
fn shows_soon(server: &Server, path: &str, text: &str) {
    let begun = Instant::now();
    while !page(&server.client, path).contains(text) {
        server.advance(Duration::from_secs(2));
        assert!(begun.elapsed() < Duration::from_secs(20), "{path}: {text}");
        std::thread::yield_now();
    }
}

/// Pushes an image whose config says all sorts of things.
fn push(client: &Client, repository: &str, tag: &str, layers: &[&str], variable: &str) -> String {
    let history: Vec<_> = layers
        .iter()
        .map(|layer| json!({ "created_by": format!("RUN /bin/sh -c make {layer} # buildkit") }))
        .collect();
    let config = json!({
        "os": "linux",
        "architecture": "arm64",
        "config": {
            "Env": ["PATH=/bin", variable],
            "Cmd": ["serve", HOSTILE],
            "ExposedPorts": { "8080/tcp": {} },
            "Labels": {
                "evil": HOSTILE,
                "org.opencontainers.image.source": "https://git.example/acme",
                "org.opencontainers.image.url": "javascript:alert(3)",
            },
        },
        "history": history,
    });
    let config = config.to_string();
    images::push_blob(client, repository, &config);
    for layer in layers {
        images::push_blob(client, repository, layer);
    }
    let manifest = images::image(&config, layers).to_string();
    let answer = images::push_manifest(client, repository, tag, &manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    manifest
}

#[test]
fn an_empty_registry_says_how_to_push() {
    let server = Server::start();
    shows(
        &server.client,
        "/ui/",
        &["docker push registry/my-image", "docker tag"],
    );
    push(&server.client, "acme/web", "v1", &["one"], "A=1");
    shows(
        &server.client,
        "/ui/",
        &[
            "/ui/r/acme/web/-/t/v1",
            "/ui/n/acme",
            "docker push registry/my-image",
        ],
    );
}

#[test]
fn a_repository_says_how_to_pull_it() {
    let server = Server::start();
    push(&server.client, "acme/web", "v1", &["one"], "A=1");
    push(&server.client, "acme/web/base", "v1", &["one"], "A=1");
    shows(
        &server.client,
        "/ui/r/acme/web",
        &[
            "docker pull registry/acme/web:v1",
            "crane pull registry/acme/web:v1",
            "href=\"https://git.example/acme\"",
            "/ui/r/acme/web/-/tags",
            "/ui/r/acme/web/base",
        ],
    );
    // A name that is none of a repository is that of what is below it.
    shows(
        &server.client,
        "/ui/r/acme",
        &["2 repositories", "/ui/r/acme/web/base"],
    );
    shows(
        &server.client,
        "/ui/n/acme",
        &["2 repositories", "/ui/r/acme/web"],
    );
}

#[test]
fn tags_are_sorted_filtered_and_put_together() {
    let server = Server::start();
    for tag in ["1.9.0", "1.10.0", "latest"] {
        push(&server.client, "acme/web", tag, &["one", tag], "A=1");
    }
    let manifest = push(&server.client, "acme/web", "1.11.0", &["one"], "A=1");
    images::push_manifest(&server.client, "acme/web", "newest", &manifest);
    let order = |path: &str| -> Vec<String> {
        let said = page(&server.client, path);
        let rows = said.split("name=\"tag\" value=\"").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned())
            .collect()
    };
    let tags = "/ui/r/acme/web/-/tags";
    assert_eq!(
        order(&format!("{tags}?sort=name&order=asc"))[..2],
        ["1.10.0", "1.11.0"]
    );
    assert_eq!(
        order(&format!("{tags}?sort=semver"))[..3],
        ["1.11.0", "1.10.0", "1.9.0"]
    );
    assert_eq!(order(&format!("{tags}?q=10&page=1")), ["1.10.0"]);
    assert_eq!(order(&format!("{tags}?q=none")), [""; 0]);
    shows(
        &server.client,
        &format!("{tags}?sort=name&order=desc"),
        &["aria-sort=\"descending\""],
    );
    // Each of two tags of a digest names the other.
    shows(
        &server.client,
        &format!("{tags}?q=newest"),
        &["href=\"/ui/r/acme/web/-/t/1.11.0\""],
    );
    shows_soon(&server, tags, "linux/arm64");
}

#[test]
fn an_image_shows_how_it_runs_and_how_it_was_made() {
    let server = Server::start();
    push(&server.client, "acme/other", "v1", &["one"], "A=1");
    let manifest = push(
        &server.client,
        "acme/web",
        "v1",
        &["one", "two"],
        "MODE=fast",
    );
    let digest = images::digest(&manifest);
    let image = "/ui/r/acme/web/-/t/v1";
    shows(
        &server.client,
        image,
        &[
            "linux/arm64",
            "MODE",
            "fast",
            "8080/tcp",
            "docker pull registry/acme/web:v1",
        ],
    );
    shows(
        &server.client,
        &format!("/ui/r/acme/web/-/m/{digest}"),
        &[
            &format!("docker pull registry/acme/web@{digest}"),
            "href=\"/ui/r/acme/web/-/t/v1\"",
        ],
    );
    shows(
        &server.client,
        &format!("{image}/layers"),
        &[
            "RUN make one",
            "RUN make two",
            "role=\"img\"",
            "/ui/r/acme/other",
        ],
    );
    let subject = images::descriptor(layerhouse_oci::media_type::OCI_MANIFEST, &manifest);
    let signature = images::referrer(&subject, "application/vnd.cncf.notary.signature", 1);
    let signature = signature.to_string();
    let reference = images::digest(&signature);
    images::push_blob(&server.client, "acme/web", "{}");
    images::push_manifest(&server.client, "acme/web", &reference, &signature);
    shows(
        &server.client,
        &format!("{image}/referrers"),
        &["Signature", &format!("/ui/r/acme/web/-/m/{reference}")],
    );
    shows(&server.client, &format!("{image}/raw"), &["schemaVersion"]);
    let answer = open(&server.client, &format!("{image}/raw?download=manifest"));
    assert_eq!(answer.text(), manifest);
    let disposition = answer.header("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\"manifest-sha256-"),
        "{disposition}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let answer = open(&server.client, &format!("{image}/history"));
    assert_eq!(
        (answer.status, location(&answer)),
        (303, "/ui/r/acme/web/-/history?tag=v1")
    );
}

#[test]
fn two_images_are_compared() {
    let server = Server::start();
    push(
        &server.client,
        "acme/web",
        "v1",
        &["one", "old"],
        "MODE=slow",
    );
    push(
        &server.client,
        "acme/web",
        "v2",
        &["one", "new"],
        "MODE=fast",
    );
    let compare = "/ui/r/acme/web/-/compare";
    let both = [
        "MODE=",
        "slow",
        "fast",
        "class=\"added\"",
        "class=\"removed\"",
        "class=\"same\"",
    ];
    shows(&server.client, &format!("{compare}?a=v1&b=v2"), &both[1..]);
    // As the table of tags asks.
    shows(
        &server.client,
        &format!("{compare}?tag=v1&tag=v2"),
        &both[1..],
    );
    shows(
        &server.client,
        &format!("{compare}?a=v1&b=none"),
        &["aria-invalid=\"true\""],
    );
    shows(&server.client, compare, &["<datalist id=\"tags\">"]);
}

#[test]
fn what_was_copied_leads_to_its_page() {
    let server = Server::start();
    let manifest = push(&server.client, "acme/web", "v1", &["one"], "A=1");
    let digest = images::digest(&manifest);
    let by_digest = format!("/ui/r/acme/web/-/m/{digest}");
    let check = |text: &str, expected: &str| {
        let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let answer = open(&server.client, &format!("/ui/search?q={query}"));
        assert_eq!(
            (answer.status, location(&answer)),
            (303, expected),
            "{text}"
        );
    };
    check("acme/web:v1", "/ui/r/acme/web/-/t/v1");
    check("registry/acme/web", "/ui/r/acme/web");
    check("docker pull registry/acme/web:v1", "/ui/r/acme/web/-/t/v1");
    check(&format!("acme/web:v1@{digest}"), &by_digest);
    check(&digest, &by_digest);
    check(&digest[7..19], &by_digest);
    // What is not there is looked for as words.
    shows(
        &server.client,
        "/ui/search?q=acme/web:none",
        &["acme/web:none"],
    );
    shows(&server.client, "/ui/search?q=web", &["/ui/r/acme/web"]);
    shows(
        &server.client,
        "/ui/search?q=nothing",
        &["Nothing was found"],
    );
    shows_soon(&server, "/ui/search?q=web&arch=arm64", "/ui/r/acme/web");
    let none = page(&server.client, "/ui/search?q=web&arch=amd64");
    assert!(!none.contains("/ui/r/acme/web\""), "{none}");
}

#[test]
fn all_repositories_can_be_turned_to() {
    let server = Server::start();
    for number in 0..55 {
        images::push_image(&server.client, &format!("acme/r{number:02}"), "v1", "layer");
    }
    let names = |path: &str| -> Vec<String> {
        let said = page(&server.client, path);
        let rows = said.split("href=\"/ui/r/acme/").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned())
            .collect()
    };
    for path in ["/ui/search?", "/ui/search?q=acme&", "/ui/n/acme?"] {
        let (first, second) = (
            names(&format!("{path}page=1")),
            names(&format!("{path}page=2")),
        );
        assert_eq!((first.len(), second.len()), (50, 5), "{path}");
        assert!(second.iter().all(|name| !first.contains(name)), "{path}");
        shows(
            &server.client,
            path,
            &["55 repositories", "rel=\"next\"", "Page 1 of 2"],
        );
        assert_eq!(names(&format!("{path}page=99")), [""; 0]);
    }
}

/// The repositories of a list, in its order.
fn listed(page: &str) -> Vec<&str> {
    let rows = page.split("<a class=\"mono\" href=\"/ui/r/").skip(1);
    rows.filter_map(|row| row.split('"').next()).collect()
}

#[test]
fn repositories_are_sorted() {
    let server = Server::start();
    for (repository, layer) in [
        ("acme/b", "large as it is"),
        ("acme/c", "larger, as it is"),
        ("acme/a", "one"),
    ] {
        images::push_image(&server.client, repository, "v1", layer);
        server.advance(Duration::from_secs(1));
    }
    let check = |query: &str, expected: [&str; 3]| {
        let said = page(&server.client, &format!("/ui/search?{query}"));
        assert_eq!(listed(&said), expected, "{query}: {said}");
    };
    let by_push = ["acme/a", "acme/c", "acme/b"];
    check("", by_push);
    check("q=acme", by_push);
    check("sort=name", ["acme/a", "acme/b", "acme/c"]);
    check("q=acme&sort=size", ["acme/c", "acme/b", "acme/a"]);
    // Of what is not offered, nothing can be chosen.
    for sort in ["best", "stars", "x"] {
        check(&format!("sort={sort}"), by_push);
    }
    let said = page(&server.client, "/ui/search?q=acme&sort=size&page=2");
    assert!(!said.contains("sort=stars"), "{said}");
    shows(
        &server.client,
        "/ui/search?q=acme&sort=size",
        &[
            "href=\"?q=acme&#38;sort=name\"",
            "href=\"?q=acme&#38;sort=size\" aria-current=\"true\">Size",
        ],
    );
}

/// With accounts the best come first that words find, unless something else is asked for.
#[test]
fn what_words_find_is_sorted() {
    let house = House::new();
    for repository in ["acme/web", "acme/webs", "acme/old-web"] {
        house.push(repository, "v1", "layer");
        house.visibility(repository, "public");
        house.server.advance(Duration::from_secs(1));
    }
    let otto = basic("otto", PASSWORD);
    for (who, repository) in [
        (&house.root, "acme/webs"),
        (&otto, "acme/webs"),
        (&otto, "acme/web"),
    ] {
        let star = format!("/repositories/{repository}/-/star");
        house.ask("PUT", &star, who, &json!(null), 200);
    }
    let cookie = format!("layerhouse_session={}", house.session("otto"));
    let headers = [super::PAGE, ("Cookie", cookie.as_str())];
    let ask = |query: &str| {
        let path = format!("/ui/search?{query}");
        house.server.client.send("GET", &path, &headers, b"").text()
    };
    let begun = Instant::now();
    while listed(&ask("q=web")).len() < 3 {
        house.server.advance(Duration::from_secs(2));
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    let check = |query: &str, expected: [&str; 3]| {
        let said = ask(query);
        assert_eq!(listed(&said), expected, "{query}: {said}");
    };
    check(
        "q=web&sort=stars",
        ["acme/webs", "acme/web", "acme/old-web"],
    );
    check("q=web&sort=name", ["acme/old-web", "acme/web", "acme/webs"]);
    check(
        "q=web&sort=pushed",
        ["acme/old-web", "acme/webs", "acme/web"],
    );
    check("sort=stars", ["acme/webs", "acme/web", "acme/old-web"]);
    // It is what is looked for.
    assert_eq!(listed(&ask("q=web"))[0], "acme/web");
    assert_eq!(listed(&ask("q=web&sort=stars&page=2")), [""; 0]);
}

#[test]
fn what_is_signed_can_be_chosen() {
    let server = Server::start();
    images::push_image(&server.client, "acme/plain", "v1", "layer");
    let manifest = push(&server.client, "acme/kept", "v1", &["one"], "A=1");
    let digest = images::digest(&manifest);
    // As cosign does by itself: the tag that was pushed last is the signature's.
    let signature = format!("{}.sig", digest.replace(':', "-"));
    images::push_image(&server.client, "acme/kept", &signature, "signature");
    shows(
        &server.client,
        "/ui/search",
        &[
            "href=\"?signed=yes\">Signed <span class=\"muted\">1</span>",
            "href=\"?signed=no\">Not signed <span class=\"muted\">1</span>",
        ],
    );
    let said = page(&server.client, "/ui/search?signed=yes");
    assert_eq!(listed(&said), ["acme/kept"], "{said}");
    let said = page(&server.client, "/ui/search?signed=no&q=acme");
    assert_eq!(listed(&said), ["acme/plain"], "{said}");
}

/// Labels, commands and names are whoever's who may push (S52).
#[test]
fn sec_s52_what_others_wrote_is_text() {
    let server = Server::start();
    push(
        &server.client,
        "acme/web",
        "v1",
        &["one"],
        &format!("X={HOSTILE}"),
    );
    push(&server.client, "acme/web", "v2", &["two"], "X=2");
    for path in [
        "/ui/r/acme/web",
        "/ui/r/acme/web/-/t/v1",
        "/ui/r/acme/web/-/t/v1/layers",
        "/ui/r/acme/web/-/t/v1/raw",
        "/ui/r/acme/web/-/compare?a=v1&b=v2",
        "/ui/r/acme/web/-/tags?q=%3Cscript%3Ealert(1)%3C/script%3E%22'%3E%3Cimg%20src=x%20onerror=alert(2)%3E",
        "/ui/search?q=%3Cscript%3Ealert(1)%3C/script%3E%22'%3E%3Cimg%20src=x%20onerror=alert(2)%3E",
    ] {
        let said = page(&server.client, path);
        assert!(
            !said.contains("<script>") && !said.contains("<img src=x"),
            "{path}: {said}"
        );
        assert!(!said.contains("href=\"javascript"), "{path}");
    }
}

#[test]
fn sec_s52_a_readme_is_harmless() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let readme =
        "# Use\n\n[go](https://docs.example) [bad](javascript:alert(1)) <script>alert(1)</script>";
    let changes = json!({ "description": HOSTILE, "readme": readme });
    house.rule("PATCH", "/repositories/acme/web", &changes, 200);
    house.visibility("acme/web", "public");
    let said = page(&house.server.client, "/ui/r/acme/web");
    assert!(said.contains("<h3 id=\"readme-use\">Use</h3>"), "{said}");
    assert!(
        said.contains("<a href=\"https://docs.example\" rel=\"nofollow"),
        "{said}"
    );
    assert!(
        !said.contains("<script>") && !said.contains("href=\"javascript"),
        "{said}"
    );
}

/// What somebody may not see is as what is not there.
#[test]
fn sec_what_is_private_is_not_there() {
    let house = House::new();
    house.push("acme/secret", "v1", "layer");
    house.user("eve");
    let cookie = format!("layerhouse_session={}", house.session("eve"));
    let ask = |path: &str| {
        let headers = [super::PAGE, ("Cookie", &cookie)];
        let answer = house.server.client.send("GET", path, &headers, b"");
        let text = answer.text();
        // The number of the request and the page's own address differ.
        let body = text
            .split("<section class=\"refusal\">")
            .nth(1)
            .unwrap_or_default();
        (
            answer.status,
            body.split("<dl").next().unwrap_or_default().to_owned(),
        )
    };
    for part in [
        "",
        "/-/tags",
        "/-/t/v1",
        "/-/t/v1/layers",
        "/-/compare?a=v1&b=v1",
    ] {
        let hidden = ask(&format!("/ui/r/acme/secret{part}"));
        let absent = ask(&format!("/ui/r/acme/nothing{part}"));
        assert_eq!(hidden.0, 404, "{part}");
        assert_eq!(hidden, absent, "{part}");
    }
    assert_eq!(ask("/ui/n/acme"), ask("/ui/n/nobody"));
    // Who did not sign in is asked to, whatever there is.
    for path in [
        "/ui/r/acme/secret",
        "/ui/r/acme/nothing",
        "/ui/n/acme",
        "/ui/n/nobody",
    ] {
        let answer = open(&house.server.client, path);
        assert_eq!(answer.status, 303, "{path}");
        assert!(location(&answer).starts_with("/ui/login?next="), "{path}");
    }
    let (status, body) = ask("/ui/search?q=secret");
    assert_eq!(status, 200);
    assert!(!body.contains("acme/secret"), "{body}");
}
