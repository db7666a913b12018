//! Without the index all is as it was: what it answers is not there, and it leaves nothing behind.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::auth::service::Signer;
use crate::auth::{basic, htpasswd, undated};
use crate::harness::files::tree;
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;

/// What answers where the index is on.
const PATHS: [&str; 22] = [
    "/auth",
    "/auth/",
    "/auth/token",
    "/auth/token?service=layerhouse&scope=repository:acme/web:pull",
    "/auth/jwks.json",
    "/auth/certificate.pem",
    "/auth/oidc/dex",
    "/auth/oidc/dex/callback?code=a&state=b",
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v1/openapi.json",
    "/api/v1/users",
    "/api/v1/user",
    "/api/v1/sessions",
    "/api/v1/repositories/acme/web",
    "/api/v1/search?q=a",
    "/v1",
    "/v1/",
    "/v1/_ping",
    "/v1/search?q=a",
    "/v1/search?q=a&n=25",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Every way to run without it: how callers sign in, and the section that switches it off.
fn configurations(directory: &Path) -> Vec<String> {
    let at = |name: &str| directory.join(name);
    fs::write(at("htpasswd"), htpasswd::line("ann", "right")).unwrap();
    fs::write(at("bundle.pem"), Signer::new("ES256").pem).unwrap();
    let htpasswd = format!(
        "auth: {{htpasswd: {{realm: r, path: {}}}}}",
        at("htpasswd").display()
    );
    let token = format!(
        "auth: {{token: {{realm: r, service: s, issuer: i, rootcertbundle: {}}}}}",
        at("bundle.pem").display()
    );
    vec![
        String::new(),
        "layerhouse: {index: {enabled: false, anonymous: none, signup: open}}".to_owned(),
        htpasswd.clone(),
        format!("{htpasswd}\nlayerhouse: {{auth: {{anonymous: pull}}}}"),
        format!("{htpasswd}\nlayerhouse: {{index: {{enabled: false}}}}"),
        token,
    ]
}

#[test]
fn what_the_index_answers_is_not_there() {
    let directory = TempDir::new().unwrap();
    for configuration in configurations(directory.path()) {
        let server = Server::configured(&configuration);
        let right = basic("ann", "right");
        let signed_in = [("Authorization", &*right)];
        for headers in [&[][..], &signed_in] {
            for method in METHODS {
                let ask = |path| undated(server.client.send(method, path, headers, b""));
                let nothing = ask("/nothing/there");
                assert_eq!(nothing.status, 404, "{method}");
                for path in PATHS {
                    assert_eq!(ask(path), nothing, "{method} {path}: {configuration}");
                }
            }
        }
    }
}

/// Not even a key, or a line of the metrics.
#[test]
fn it_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let debug = "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}";
    for configuration in configurations(directory.path()) {
        let server = Server::configured(&format!("{configuration}\n{debug}"));
        server.client.get("/auth/token");
        server.client.get("/v2/acme/web/manifests/v1");
        let metrics = server.debug().get("/metrics").text();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            // The set of this label is closed: what does not happen is counted as such.
            let is_zero = line.contains("method=\"index\"") && line.ends_with(" 0");
            let is_new = ["index", "account", "token_", "search", "star"]
                .iter()
                .any(|word| line.split('{').next().unwrap_or(line).contains(word));
            assert!(!is_new, "{line}");
            assert!(is_zero || !line.contains("index"), "{line}");
        }
        let files = tree(&server.root(), &[]);
        let is_of_index = |path: &&String| [".pem", "key"].iter().any(|word| path.contains(word));
        let strays: Vec<_> = files.keys().filter(is_of_index).collect();
        assert!(strays.is_empty(), "{strays:?}");
    }
}

/// The answers themselves, header by header: nothing new stands in them.
#[test]
fn answers_have_the_headers_that_they_had() {
    let server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "abcd");
    let names = |answer: &Response| {
        let names = answer.headers.iter().map(|(name, _)| name.clone());
        names.collect::<Vec<_>>().join(" ")
    };
    let always = "docker-distribution-api-version x-content-type-options connection date";
    let check = |path: &str, status: u16, expected: &str| {
        let answer = server.client.get(path);
        assert_eq!(answer.status, status, "{path}");
        let mut found: Vec<_> = names(&answer).split(' ').map(str::to_owned).collect();
        let mut expected: Vec<_> = expected.split(' ').chain(always.split(' ')).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{path}");
    };
    let digest = images::digest(&manifest);
    let own = "content-type content-length";
    check("/v2/", 200, own);
    check("/v2/_catalog", 200, own);
    check("/v2/acme/web/tags/list", 200, own);
    check("/v2/acme/none/tags/list", 404, own);
    let content = "content-type content-length docker-content-digest etag";
    check(&format!("/v2/acme/web/manifests/{digest}"), 200, content);
}

/// `library/nginx` and `nginx` are two, as they are for registry:2.
#[test]
fn library_is_a_name_like_others() {
    let server = Server::start();
    let client = &server.client;
    images::push_image(client, "library/nginx", "v1", "abcd");
    assert_eq!(client.get("/v2/nginx/tags/list").status, 404);
    images::push_image(client, "nginx", "v2", "efgh");
    let catalog: serde_json::Value =
        serde_json::from_slice(&client.get("/v2/_catalog").body).unwrap();
    assert_eq!(catalog, json!({"repositories": ["library/nginx", "nginx"]}));
}
