//! Our tokens in the hands of Docker's own registry, as Debian packages it: it trusts our certificates and
//! lets in whom we let in.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::token_service::{PASSWORD, basic, body, part, push, text, users};
use crate::differential::registries::{Program, Registry, is_registry2_installed};
use crate::harness::http::Client;
use crate::harness::process::Process;

/// Our server, on the machine's clock, as the other one is.
fn start(directory: &Path) -> Process {
    let htpasswd = directory.join("htpasswd");
    users(&htpasswd, &["ann", "bob"]);
    let config = directory.join("config.yml");
    let text = format!(
        "version: 0.1
auth: {{htpasswd: {{realm: r, path: {}}}}}
layerhouse: {{index: {{htpasswdrole: none, tokens: {{issuer: us, services: [other]}}}}}}",
        htpasswd.display()
    );
    fs::write(&config, text).unwrap();
    let root = directory.join("root");
    let arguments = [
        "--root",
        &root.to_string_lossy(),
        "--config",
        &config.to_string_lossy(),
    ];
    Process::try_run(&arguments, &[]).unwrap()
}

fn start_registry2(directory: &Path, realm: &str, bundle: &Path) -> Registry {
    let directory = directory.join("registry2");
    fs::create_dir(&directory).unwrap();
    let config = directory.join("config.yml");
    fs::write(
        &config,
        "version: 0.1\nlog: {level: debug}\nhttp: {addr: ':0'}\nstorage: {filesystem: {}, delete: {enabled: true}}\n",
    )
    .unwrap();
    let bundle = bundle.to_string_lossy().into_owned();
    let environment = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", realm),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "other"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "us"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", &bundle),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Registry::start(Program::Registry2, &directory, &config, &environment).unwrap()
}

#[test]
fn docker_registry_believes_our_tokens() {
    if !is_registry2_installed() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let server = start(directory.path());
    let certificates = server.client.get("/auth/certificate.pem");
    assert_eq!(certificates.text().matches("BEGIN CERTIFICATE").count(), 2);
    let bundle = directory.path().join("bundle.pem");
    fs::write(&bundle, &certificates.body).unwrap();
    let realm = format!("http://{}/auth/token", server.client.address);
    let registry = start_registry2(directory.path(), &realm, &bundle);
    let other = Client::new(registry.address);

    let token = |user: Option<&str>, query: &str| -> String {
        let authorization = user.map(|user| basic(user, PASSWORD));
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("Authorization", &**value))
            .collect();
        let path = format!("/auth/token?{query}");
        let answer = server.client.send("GET", &path, &headers, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&body(&answer)["token"])
    };
    let send = |method: &str, path: &str, token: &str| {
        let authorization = format!("Bearer {token}");
        // Without, it says that there is no such manifest.
        let accept = ("Accept", "application/vnd.oci.image.manifest.v1+json");
        let headers = [("Authorization", &*authorization), accept];
        other.send(method, path, &headers, b"")
    };
    let status = |method: &str, path: &str, token: &str| send(method, path, token).status;

    // As clients do: what the other one asks for is what we are asked for.
    let challenge = other.get("/v2/ann/web/manifests/v1");
    assert_eq!(challenge.status, 401);
    assert_eq!(
        challenge.header("www-authenticate"),
        Some(&*format!(
            r#"Bearer realm="{realm}",service="other",scope="repository:ann/web:pull""#
        ))
    );
    let all = "service=other&scope=repository:ann/web:pull,push,delete";
    let good = token(Some("ann"), all);
    assert_eq!(status("GET", "/v2/", &good), 200, "{}", registry.log());
    push(&other, "ann/web", &good);
    let path = "/v2/ann/web/manifests/v1";
    let pull = token(Some("ann"), "service=other&scope=repository:ann/web:pull");
    assert_eq!(status("GET", path, &pull), 200);
    assert_eq!(status("POST", "/v2/ann/web/blobs/uploads/", &pull), 401);
    assert_eq!(status("GET", "/v2/ann/api/tags/list", &pull), 401);

    // Who has no rights here has none there.
    let bobs = token(Some("bob"), all);
    assert_eq!(part(&bobs, 1)["access"], json!([]));
    assert_eq!(status("GET", path, &bobs), 401);
    assert_eq!(status("GET", path, &token(None, all)), 401);
    // Lists there show all names, so they are for administrators.
    let lists = token(Some("ann"), "service=other&scope=registry:catalog:*");
    assert_eq!(status("GET", "/v2/_catalog", &lists), 401);
    // A token for us is none for it; nor is one that nobody signed.
    let ours = token(Some("ann"), "scope=repository:ann/web:pull");
    assert_eq!(part(&ours, 1)["aud"], "layerhouse");
    assert_eq!(status("GET", path, &ours), 401);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    assert_eq!(status("GET", path, &forged), 401);
    let answer = send("GET", path, &pull);
    let digest = answer.header("docker-content-digest").unwrap();
    let path = format!("/v2/ann/web/manifests/{digest}");
    assert_eq!(status("DELETE", &path, &pull), 401);
    assert_eq!(status("DELETE", &path, &good), 202, "{}", registry.log());
    server.terminate();
}
