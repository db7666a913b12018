//! `middleware.storage`: where pulls are sent instead of to the store itself.

use std::fmt::Write;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::harness::bucket::Bucket;
use crate::harness::google;
use crate::harness::images::push_blob;
use crate::harness::server::Server;

/// `middleware` with these, each a name and its options.
fn middleware(changes: &[(&str, &str)]) -> String {
    let mut text = "\nmiddleware:\n  storage:".to_owned();
    for (name, options) in changes {
        let _ = write!(text, "\n  - {{name: {name}, options: {{{options}}}}}");
    }
    text
}

/// Where a pull of a blob is sent.
fn location(server: &Server, digest: &str) -> String {
    let answer = server.client.get(&format!("/v2/acme/web/blobs/{digest}"));
    assert_eq!(answer.status, 307, "{}", answer.text());
    assert_eq!(answer.header("docker-content-digest"), Some(digest));
    answer.header("location").unwrap().to_owned()
}

#[test]
fn files_are_pulled_from_another_server() {
    let changes = [("redirect", "baseurl: 'https://mirror.example.com/of/'")];
    let mut server = Server::configured(&middleware(&changes));
    let digest = push_blob(&server.client, "acme/web", "abcd");
    let hex = digest.strip_prefix("sha256:").unwrap();
    let expected = format!(
        "https://mirror.example.com/of/docker/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    );
    assert_eq!(location(&server, &digest), expected);
    let below = expected.strip_prefix("https://mirror.example.com/of/");
    assert!(server.blob_path(&digest).ends_with(below.unwrap()));
    let path = format!("/v2/acme/web/blobs/{digest}");
    let head = server.client.send("HEAD", &path, &[], b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("4"))
    );
    // Whoever may not pull is not sent anywhere.
    let missing = server.client.get(&format!("/v2/other/web/blobs/{digest}"));
    assert_eq!(missing.status, 404);
    let changes = [
        changes[0],
        ("rewrite", "scheme: http, host: 'cache:81'"),
        ("rewrite", "trimpathprefix: /of/docker"),
    ];
    server.reconfigure(&middleware(&changes));
    let expected = format!(
        "http://cache:81/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    );
    assert_eq!(location(&server, &digest), expected);
    server.reconfigure("storage: {redirect: {disable: true}}");
    assert_eq!(server.client.get(&path).body, b"abcd");
}

#[test]
fn objects_are_pulled_from_another_server() {
    let bucket = Bucket::start();
    let redirect = middleware(&[("redirect", "baseurl: 'http://cdn.example.com:8080'")]);
    let mut server = Server::configured(&bucket.configuration(&redirect));
    let digest = push_blob(&server.client, "acme/web", "abcd");
    let key = bucket.keys()[0].clone();
    let below_root = key.strip_prefix("of/registry/").unwrap();
    assert_eq!(
        location(&server, &digest),
        format!("http://cdn.example.com:8080/{below_root}")
    );
    let options = "scheme: https, host: cdn.example.com, trimpathprefix: /images";
    server.reconfigure(&bucket.configuration(&middleware(&[("rewrite", options)])));
    let found = location(&server, &digest);
    let (address, query) = found.split_once('?').unwrap();
    assert_eq!(address, format!("https://cdn.example.com/{key}"));
    assert!(query.contains("X-Amz-Signature="), "{query}");
}

/// The address is what CloudFront's documentation says, and its signature the key's.
#[test]
fn cloudfront_is_given_what_it_checks() {
    let bucket = Bucket::start();
    let files = tempfile::TempDir::new().unwrap();
    let key = files.path().join("key.pem");
    fs::write(&key, google::key().serialize_pem()).unwrap();
    let options = format!(
        "baseurl: d111111abcdef8.cloudfront.net, keypairid: K2JCJMDEHXQW5F, privatekey: '{}', duration: 90s",
        key.display()
    );
    let configuration = bucket.configuration(&middleware(&[("cloudfront", &options)]));
    let mut server = Server::configured(&configuration);
    let digest = push_blob(&server.client, "acme/web", "abcd");
    let found = location(&server, &digest);
    let (address, query) = found.split_once('?').unwrap();
    let object = &bucket.keys()[0];
    assert_eq!(
        address,
        format!("https://d111111abcdef8.cloudfront.net/{object}")
    );
    let rest = query.strip_prefix("Expires=1800000090&Signature=").unwrap();
    let signature = rest
        .strip_suffix("&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256")
        .unwrap();
    let signature = signature
        .replace('-', "+")
        .replace('_', "=")
        .replace('~', "/");
    let signature = STANDARD.decode(signature).unwrap();
    let policy = format!(
        r#"{{"Statement":[{{"Resource":"{address}","Condition":{{"DateLessThan":{{"AWS:EpochTime":1800000090}}}}}}]}}"#
    );
    assert!(google::is_ours(&policy, &signature));

    fs::write(&key, "no key").unwrap();
    let refusal = server.refusal(&configuration);
    assert!(refusal.contains("is no RSA key in PEM"), "{refusal}");
    fs::remove_file(&key).unwrap();
    let refusal = server.refusal(&configuration);
    assert!(
        refusal.contains("reading the key of CloudFront"),
        "{refusal}"
    );
}
