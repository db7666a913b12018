//! `docker search` and `podman search`, as their requests are, and what repositories are found by.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::token_service::{PASSWORD, basic, body, text, users};
use crate::harness::http::{Client, Response};
use crate::harness::images::{descriptor, digest, image, index};
use crate::harness::server::Server;
use crate::harness::transcript::check;

/// A server with the users ann and bob, whose repositories are private unless they say otherwise.
pub(super) struct House {
    pub(super) server: Server,
    _directory: TempDir,
}

impl House {
    pub(super) fn new(settings: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("htpasswd");
        users(&path, &["ann", "bob"]);
        let configuration = format!(
            "auth: {{htpasswd: {{realm: r, path: {}}}}}
layerhouse: {{index: {{htpasswdrole: none, {settings}}}}}",
            path.display()
        );
        Self {
            server: Server::configured(&configuration),
            _directory: directory,
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.server.client
    }

    /// A request of somebody's, or nobody's.
    pub(super) fn send(
        &self,
        user: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        content: &[u8],
    ) -> Response {
        let authorization = user.map(|user| basic(user, PASSWORD));
        let mut headers = headers.to_vec();
        headers.extend(
            authorization
                .iter()
                .map(|value| ("Authorization", &**value)),
        );
        self.client().send(method, path, &headers, content)
    }

    pub(super) fn push_blob(&self, user: &str, repository: &str, content: &str) {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(content));
        let answer = self.send(Some(user), "POST", &path, &[], content.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    pub(super) fn push_manifest(
        &self,
        user: &str,
        repository: &str,
        reference: &str,
        manifest: &Value,
    ) {
        let media_type = manifest["mediaType"].as_str().unwrap();
        let headers = [("Content-Type", media_type)];
        let path = format!("/v2/{repository}/manifests/{reference}");
        let content = manifest.to_string();
        let answer = self.send(Some(user), "PUT", &path, &headers, content.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Pushes an image with these annotations and labels.
    pub(super) fn push(
        &self,
        user: &str,
        repository: &str,
        tag: &str,
        annotations: &Value,
        labels: &Value,
    ) -> Value {
        let config = json!({ "config": { "Labels": labels } }).to_string();
        self.push_blob(user, repository, &config);
        self.push_blob(user, repository, "layer");
        let mut manifest = image(&config, &["layer"]);
        manifest["annotations"] = annotations.clone();
        self.push_manifest(user, repository, tag, &manifest);
        manifest
    }

    pub(super) fn show(&self, user: &str, repository: &str, visibility: &str) {
        let path = format!("/api/v1/repositories/{repository}");
        let headers = [("Content-Type", "application/json")];
        let content = json!({ "visibility": visibility }).to_string();
        let answer = self.send(Some(user), "PATCH", &path, &headers, content.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(super) fn search(&self, user: Option<&str>, query: &str) -> Value {
        let answer = self.send(user, "GET", &format!("/v1/search?{query}"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        body(&answer)
    }

    pub(super) fn names(&self, user: Option<&str>, query: &str) -> Vec<String> {
        let found = self.search(user, query);
        let results = found["results"].as_array().unwrap();
        let names: Vec<_> = results.iter().map(|result| text(&result["name"])).collect();
        assert_eq!(found["num_results"], names.len(), "{query}");
        names
    }

    /// Until what was pushed is indexed, at most.
    pub(super) fn until(&self, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "it does not hold"
            );
            self.server.advance(Duration::from_secs(1));
            std::thread::yield_now();
        }
    }

    /// Until somebody finds so many.
    pub(super) fn until_found(&self, user: &str, query: &str, count: usize) {
        self.until(|| self.names(Some(user), query).len() == count);
    }
}

#[test]
fn without_an_index_there_is_none() {
    check(
        "GET /v1/_ping              404  NAME_UNKNOWN
         GET /v1/search?q=a&n=25    404  NAME_UNKNOWN",
    );
}

/// What dockerd sends, by hand: `docker search --limit 10 host:5000/web`.
#[test]
fn docker_searches() {
    let house = House::new("");
    let description = json!({ "org.opencontainers.image.description": "Our\n web  server" });
    house.push("ann", "ann/web", "latest", &description, &json!({}));
    house.push("bob", "bob/web", "latest", &json!({}), &json!({}));
    house.show("bob", "bob/web", "public");
    // Its name is found before what its image says of it was read.
    house.until(|| {
        let found = house.search(Some("ann"), "q=ann/web");
        found["results"][0]["description"] == "Our web server"
    });
    house.until_found("ann", "q=web", 2);

    let agent = "docker/27.3.1 go/go1.22.7 kernel/6.1.0 os/linux arch/amd64";
    let ping = house
        .client()
        .send("GET", "/v1/_ping", &[("User-Agent", agent)], b"");
    assert_eq!(ping.status, 200);
    assert_eq!(ping.header("x-docker-registry-standalone"), Some("true"));
    assert_eq!(body(&ping), json!({ "standalone": true }));

    // Over HTTPS it sends name and password along.
    let headers = [("User-Agent", agent), ("X-Docker-Token", "true")];
    let path = "/v1/search?q=web&n=10";
    let answer = house.send(Some("ann"), "GET", path, &headers, b"");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let result = |name: &str, description: &str| {
        json!({
            "name": name, "description": description, "star_count": 0, "pull_count": 0,
            "is_official": false, "is_automated": false,
        })
    };
    let expected = json!({
        "query": "web", "num_results": 2, "num_pages": 1, "page": 1, "page_size": 10,
        "results": [result("ann/web", "Our web server"), result("bob/web", "")],
    });
    assert_eq!(body(&answer), expected);

    // With an identity token it asks for a token of a scope of its own.
    let query =
        "account=ann&service=layerhouse&scope=registry%3Acatalog%3Asearch&offline_token=true";
    let token = house.send(
        Some("ann"),
        "GET",
        &format!("/auth/token?{query}"),
        &[],
        b"",
    );
    let bearer = format!("Bearer {}", text(&body(&token)["token"]));
    let headers = [("Authorization", &*bearer), ("X-Docker-Token", "true")];
    let answer = house.client().send("GET", path, &headers, b"");
    assert_eq!(body(&answer), expected);
    // That one is for nothing else.
    let answer = house.client().send("GET", "/v2/_catalog", &headers, b"");
    assert_eq!(answer.status, 401);
    // Nobody finds, and counts, what is public.
    assert_eq!(house.names(None, "q=web&n=25"), ["bob/web"]);
    assert_eq!(house.names(None, "q=server&n=25"), [""; 0]);
    let wrong = basic("ann", "wrong");
    let headers = [("Authorization", &*wrong)];
    assert_eq!(house.client().send("GET", path, &headers, b"").status, 401);
}

/// podman searches without a name first; refused, it lists the catalog with one.
#[test]
fn podman_searches() {
    let house = House::new("");
    house.push("ann", "ann/web", "latest", &json!({}), &json!({}));
    house.until_found("ann", "q=web", 1);
    let path = "/v1/search?n=25&q=web";
    let headers = [(
        "User-Agent",
        "containers/5.32.0 (github.com/containers/image)",
    )];
    let answer = house.client().send("GET", path, &headers, b"");
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"http"), "{challenge}");
    assert!(
        challenge.contains("scope=\"registry:catalog:search\""),
        "{challenge}"
    );
    let catalog = house.send(Some("ann"), "GET", "/v2/_catalog", &headers, b"");
    assert_eq!(body(&catalog), json!({ "repositories": ["ann/web"] }));
    house.show("ann", "ann/web", "public");
    house.until(|| house.client().send("GET", path, &headers, b"").status == 200);
    assert_eq!(house.names(None, "q=web"), ["ann/web"]);
    // Hidden again, at once.
    house.show("ann", "ann/web", "private");
    assert_eq!(house.client().send("GET", path, &headers, b"").status, 401);
    assert_eq!(house.names(Some("bob"), "q=web"), [""; 0]);
    house.until_found("ann", "q=web", 1);

    let house = House::new("visibility: public, anonymous: none");
    house.push("ann", "ann/web", "latest", &json!({}), &json!({}));
    house.until_found("bob", "q=web", 1);
    assert_eq!(house.client().send("GET", path, &headers, b"").status, 401);
}

/// What an image says of itself, by the tag `latest` or else the newest one.
#[test]
fn images_describe_their_repositories() {
    let house = House::new("");
    let says = |text: &str| json!({ "org.opencontainers.image.description": text });
    let description = |repository: &str| {
        let found = house.search(Some("ann"), &format!("q={repository}&n=1"));
        text(&found["results"][0]["description"])
    };
    let labels = json!({ "org.opencontainers.image.description": "of labels", "team": "payments" });
    house.push("ann", "ann/web", "v1", &json!({}), &labels);
    house.until(|| house.names(Some("ann"), "q=ann/web").len() == 1);
    house.until(|| description("ann/web") == "of labels");
    assert_eq!(house.names(Some("ann"), "q=payments"), ["ann/web"]);
    house.push("ann", "ann/web", "v2", &says("of annotations"), &labels);
    house.until(|| description("ann/web") == "of annotations");
    house.push("ann", "ann/web", "latest", &says("of the latest"), &labels);
    house.until(|| description("ann/web") == "of the latest");
    house.push("ann", "ann/web", "v3", &says("of another"), &labels);
    house.push("ann", "ann/next", "v1", &says("next"), &labels);
    house.until(|| house.names(Some("ann"), "q=next").len() == 1);
    assert_eq!(description("ann/web"), "of the latest");

    // An index says it for its images.
    let image = house.push("ann", "ann/many", "v1", &json!({}), &labels);
    let mut many = index(&[&image.to_string()]);
    many["annotations"] = says("of the index");
    house.push_manifest("ann", "ann/many", "latest", &many);
    house.until(|| house.names(Some("ann"), "q=many").len() == 1);
    house.until(|| description("ann/many") == "of the index");
    assert_eq!(house.names(Some("ann"), "q=payments").len(), 3);
}

/// What was pushed before there was an index is found when there is one.
#[test]
fn what_was_there_is_found() {
    let mut server = Server::start();
    for repository in ["old/web", "nginx"] {
        crate::harness::images::push_image(&server.client, repository, "latest", "layer");
    }
    server.reconfigure("layerhouse: {index: {visibility: public}}");
    let begin = Instant::now();
    loop {
        let answer = server.client.get("/v1/search?q=&n=25");
        if answer.status == 200 && body(&answer)["num_results"] == 2 {
            let results = &body(&answer)["results"];
            assert_eq!(results[0]["name"], "nginx");
            assert_eq!(results[0]["is_official"], true);
            assert_eq!(results[1]["name"], "old/web");
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20));
        server.advance(Duration::from_secs(1));
    }
    assert_eq!(
        body(&server.client.get("/v1/search?q=library/nginx"))["results"][0]["name"],
        "nginx"
    );
}

/// S51: whatever is asked for is a value; numbers are numbers.
#[test]
fn sec_s51_queries_are_values() {
    let house = House::new("");
    house.push("ann", "ann/secret", "latest", &json!({}), &json!({}));
    house.push("bob", "bob/web", "latest", &json!({}), &json!({}));
    house.show("bob", "bob/web", "public");
    house.until_found("ann", "q=", 2);
    for payload in [
        "'%20OR%201=1--",
        "%22)%20OR%20(%22axsecret",
        "words:secret",
        "secret*",
        "%7Bwords%7D:secret",
        "NEAR(a%20b)",
        "%00",
        "%F0%9F%98%80",
        "%FF%FE",
        "a%00secret",
        "%25",
        "_ecret",
        "%5C",
        "secret%20OR%20web",
        "%27%3B%20DROP%20TABLE%20search_documents%3B--",
    ] {
        let found = house.search(None, &format!("q={payload}"));
        assert!(
            !found["results"].to_string().contains("ann/secret"),
            "{payload}"
        );
        let sorted = house.search(
            None,
            &format!("q=web&sort={payload}&order={payload}&filter={payload}"),
        );
        assert_eq!(sorted["num_results"], 1, "{payload}");
    }
    let long = "a%20".repeat(1500);
    assert_eq!(house.search(None, &format!("q={long}"))["num_results"], 0);
    for (query, status) in [
        ("q=web&n=x", 400),
        ("q=web&n=-1", 400),
        ("q=web&n=", 400),
        ("q=web&page=1%20UNION", 400),
        ("q=web&n=0", 200),
        ("q=web&n=99999999999999999999999", 200),
        ("q=web&page=18446744073709551615", 200),
        ("q=web&page=99999999999999999999999", 200),
        ("", 200),
    ] {
        let answer = house.client().get(&format!("/v1/search?{query}"));
        assert_eq!(answer.status, status, "{query}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(
            house
                .client()
                .send(method, "/v1/search?q=web", &[], b"")
                .status,
            405
        );
        assert_eq!(
            house.client().send(method, "/v1/_ping", &[], b"").status,
            405
        );
    }
}

/// Configs of any kind and size are pushed; none of them stops the index.
#[test]
fn strange_configs_are_passed_over() {
    let house = House::new("");
    for (number, config) in [
        "[]",
        "{\"config\":3}",
        "{\"config\":{\"Labels\":{\"a\":1}}}",
        "\u{0}",
        "no JSON",
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("ann/strange{number}");
        house.push_blob("ann", &repository, config);
        let manifest = image(config, &[]);
        house.push_manifest("ann", &repository, "latest", &manifest);
    }
    let config = "x".repeat(9 << 20);
    house.push_blob("ann", "ann/large", &config);
    let mut manifest = image("{}", &[]);
    manifest["config"] = descriptor("application/vnd.oci.image.config.v1+json", &config);
    house.push_manifest("ann", "ann/large", "latest", &manifest);
    house.until_found("ann", "q=ann/", 6);
}
