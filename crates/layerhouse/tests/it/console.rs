//! The console of a server without accounts: what of the API its operator reaches there, and nobody else.

use serde_json::{Value, json};

use crate::harness::bucket::Bucket;
use crate::harness::console::{ask, send};
use crate::harness::images;
use crate::harness::machine::Machine;
use crate::harness::process::output;
use crate::harness::server::Server;

#[test]
fn the_operator_is_answered() {
    let server = Server::start();
    let root = server.root();
    let digest = images::push_image(&server.client, "acme/web", "v1", "abcd");
    images::push_image(&server.client, "acme/web", "v2", "efghijkl");
    let (status, storage) = ask(&root, "GET", "/storage", None);
    assert_eq!(status, 200, "{storage}");
    assert_eq!(storage["repositories"], 1);
    assert_eq!(storage["tags"], 2);
    let (status, tags) = ask(&root, "GET", "/repositories/acme/web/-/tags?n=1", None);
    assert_eq!(status, 200, "{tags}");
    assert_eq!(tags["next"], "v1");
    let first = &tags["items"][0];
    assert_eq!(first["name"], "v1");
    assert_eq!(first["digest"], images::digest(&digest));
    assert_eq!(first["moved_at"], "2027-01-15T08:00:00Z");
    // The manifest, its configuration of two bytes, and its layer.
    assert_eq!(first["size"], digest.len() + 2 + 4, "{first}");
    let (_, rest) = ask(&root, "GET", "/repositories/acme/web/-/tags?after=v1", None);
    let names = rest["items"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|tag| tag["name"].clone()).collect();
    assert_eq!(names, ["v2"]);
    assert_eq!(rest["next"], Value::Null);
}

/// What is not there, what cannot be, and what needs accounts.
#[test]
fn the_rest_is_refused() {
    let server = Server::start();
    let root = server.root();
    let check = |method: &str, path: &str, expected: u16| {
        let (status, said) = ask(&root, method, path, None);
        assert_eq!(status, expected, "{method} {path}: {said}");
    };
    check("GET", "", 404);
    check("GET", "/openapi.json", 404);
    check("GET", "/users", 404);
    check("GET", "/me", 404);
    check("GET", "/search?q=a", 404);
    check("GET", "/repositories/acme/web", 404);
    check("GET", "/repositories/acme/web/-/tags", 404);
    check("GET", "/repositories/Acme/-/tags", 404);
    check("GET", "/storage?x=1", 422);
    check("DELETE", "/storage", 405);
    assert_eq!(send(&root, "GET", "/auth/token", None).status, 404);
    assert_eq!(send(&root, "GET", "/v1/search?q=a", None).status, 404);
    assert_eq!(send(&root, "GET", "/v2/", None).status, 200);
}

/// Over the network it is not there: not even who has all rights in the registry finds it.
#[test]
fn nobody_else_is_answered() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let nothing = server.client.get("/nothing").status;
    for path in ["/api/v1/storage", "/api/v1/repositories/acme/web/-/tags"] {
        assert_eq!(server.client.get(path).status, nothing, "{path}");
    }
}

/// The paths that a proxy asks for are others; the console's are what they are.
#[test]
fn a_prefix_is_the_networks() {
    let server = Server::configured("http: {prefix: /hub/}");
    assert_eq!(ask(&server.root(), "GET", "/storage", None).0, 200);
}

fn tags(machine: &Machine) {
    let table = machine.does("tags acme/web", "");
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("TAG  SIZE"), "{table}");
    assert!(lines.next().unwrap().starts_with("v1   "), "{table}");
    let listed = machine.does("tags acme/web -o json", "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["name"], "v1");
    assert_eq!(machine.refuses("tags acme/none", "").0, 3);
}

/// On a server that runs and on one that is stopped, as with accounts.
#[test]
fn commands_need_no_accounts() {
    let machine = Machine::new();
    let server = machine.serve();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    tags(&machine);
    assert!(server.terminate().0.success());
    assert!(!machine.root().join("layerhouse/admin.sock").exists());
    tags(&machine);
}

/// With accounts the same endpoints are there for all who may, and the console's operator.
#[test]
fn with_accounts_the_operator_is_answered_as_well() {
    let server = Server::configured("layerhouse: {index: {}}");
    let (status, storage) = ask(&server.root(), "GET", "/storage", None);
    assert_eq!((status, &storage["repositories"]), (200, &json!(0)));
    assert_eq!(server.client.get("/api/v1/storage").status, 401);
}

/// What asks for a health check knows no more than the configuration.
#[test]
fn a_health_check_says_by_its_status_how_the_server_is() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(""));
    server.may_complain();
    let root = server.root();
    let root = root.to_str().expect("it is UTF-8");
    let check = |more: &[&str]| {
        let arguments = [&["healthcheck", "--root", root], more].concat();
        let (status, said) = output(&arguments, &[]);
        (status.code(), said)
    };
    assert_eq!(check(&[]), (Some(0), String::new()));
    assert_eq!(check(&["--ready"]), (Some(0), String::new()));
    bucket.refuse("", usize::MAX);
    assert_eq!(check(&[]), (Some(0), String::new()));
    let (status, said) = check(&["--ready"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("not ready: pushes are refused"), "{said}");
    bucket.mend();
    assert_eq!(check(&["--ready"]), (Some(0), String::new()));
    server.stop();
    let (status, said) = check(&[]);
    assert_eq!(status, Some(1));
    assert!(said.contains("no server runs on"), "{said}");
    // 2 is one of Docker's own.
    assert_eq!(check(&["/nowhere.yml"]).0, Some(1));
}
