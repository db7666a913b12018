//! What the configuration of registry:2 switches: where paths begin, what `Location` says, how long a
//! page is, which URLs a manifest may name, which images an index may lack, what is purged.

use std::collections::BTreeSet;

use crate::harness::images;
use crate::harness::transcript::Transcript;

/// Runs a transcript that may speak of an image and an index of it.
fn check_configured(configuration: &str, transcript: &str) {
    let image = images::image("{}", &["abcd"]).to_string();
    Transcript::configured(configuration)
        .given("index", images::index(&[&image]).to_string())
        .given("image", image)
        .run(transcript);
}

#[test]
fn a_prefix_moves_everything_but_what_a_watchdog_asks() {
    check_configured(
        "http: {prefix: /images/}",
        "GET   /images/v2/                               200  '{}'
         GET   /images/                                  404
         GET   /                                         200
         GET   /v2/                                      404
         GET   /imagesv2/                                404
         GET   /healthz                                  200
         GET   /images/readyz                            404
         POST  /images/v2/acme/web/blobs/uploads/        202  Location: /images/v2/acme/web/blobs/uploads/…
         PUT   $upload?digest=$sha256({})  '{}'          201  Location: /images/v2/acme/web/blobs/$sha256({})
         PUT   /images/v2/acme/web/manifests/v1  $image  404  MANIFEST_BLOB_UNKNOWN
         GET   /images/v2/_catalog?n=0                   200",
    );
}

#[test]
fn a_host_stands_before_locations_unless_they_are_to_be_relative() {
    check_configured(
        "http: {host: 'https://registry.example.com'}",
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201  Location: https://registry.example.com/v2/acme/web/blobs/$sha256({})",
    );
    check_configured(
        "http: {host: 'https://registry.example.com', relativeurls: true}",
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201  Location: /v2/acme/web/blobs/$sha256({})",
    );
}

/// What a client says of hosts decides nothing: no header of it comes back.
#[test]
fn sec_s35_hosts_that_clients_say_decide_nothing() {
    for header in [
        "Host: evil.example",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "Forwarded: host=evil.example;proto=https",
        "X-Original-Host: evil.example",
    ] {
        check_configured(
            "layerhouse: {http: {trustedproxies: []}}",
            &format!(
                "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({{}})  {header}  '{{}}'  201  Location: /v2/acme/web/blobs/$sha256({{}})"
            ),
        );
    }
}

#[test]
fn pages_are_as_long_as_the_operator_lets_them_be() {
    check_configured(
        "catalog: {maxentries: 1}\ntags: {maxtags: 1}",
        "POST  /v2/acme/a/blobs/uploads/?digest=$sha256({})  '{}'      201
         POST  /v2/acme/a/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST  /v2/acme/b/blobs/uploads/?digest=$sha256({})  '{}'      201
         PUT   /v2/acme/a/manifests/v1  $image                         201
         PUT   /v2/acme/a/manifests/v2  $image                         201
         GET   /v2/_catalog        200  '{\"repositories\":[\"acme/a\"]}'
         GET   /v2/_catalog?n=10   200  '{\"repositories\":[\"acme/a\"]}'
         GET   /v2/acme/a/tags/list?n=10  200  '{\"name\":\"acme/a\",\"tags\":[\"v1\"]}'  Link: </v2/acme/a/tags/list?last=v1&n=1>; rel=\"next\"",
    );
}

#[test]
fn an_index_may_lack_images_if_the_operator_says_so() {
    let index = "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'      201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         PUT   /v2/acme/web/manifests/all  $index";
    check_configured("", &format!("{index}  404  MANIFEST_BLOB_UNKNOWN"));
    check_configured(
        "validation: {manifests: {indexes: {platforms: none}}}",
        &format!(
            "{index}  201
             GET     /v2/acme/web/manifests/all                200
             restart
             PUT     /v2/acme/web/manifests/v1  $image         201
             DELETE  /v2/acme/web/manifests/$sha256($image)    405  UNSUPPORTED
             DELETE  /v2/acme/web/manifests/$sha256($index)    202
             DELETE  /v2/acme/web/manifests/$sha256($image)    202"
        ),
    );
}

#[test]
fn foreign_layers_may_come_only_from_where_the_operator_says() {
    let mut image = images::image("{}", &["abcd"]);
    image["layers"][0]["mediaType"] =
        "application/vnd.oci.image.layer.nondistributable.v1.tar".into();
    image["layers"][0]["urls"] = vec!["https://elsewhere.example/layer"].into();
    let check = |configuration, expected| {
        Transcript::configured(configuration)
            .given("image", image.to_string())
            .run(&format!(
                "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({{}})  '{{}}'  201
                 PUT   /v2/acme/web/manifests/v1  $image  {expected}"
            ));
    };
    check("", "201");
    check(
        "validation: {manifests: {urls: {allow: ['^https://elsewhere']}}}",
        "201",
    );
    check(
        "validation: {manifests: {urls: {allow: ['^https://here']}}}",
        "400  MANIFEST_INVALID",
    );
    check(
        "validation: {manifests: {urls: {deny: [elsewhere]}}}",
        "400  MANIFEST_INVALID",
    );
    check(
        "validation: {disabled: true, manifests: {urls: {deny: [elsewhere]}}}",
        "201",
    );
}

#[test]
fn purging_can_be_switched_off_and_tried_out() {
    let check = |purging: &str, transcript: &str| {
        let configuration = format!("storage: {{maintenance: {{uploadpurging: {purging}}}}}");
        check_configured(
            &configuration,
            &format!("POST  /v2/acme/web/blobs/uploads/  202\n{transcript}"),
        );
    };
    // The purge of the last line has had every chance to come before it.
    let kept = "advance 600000s\n GET  $upload  204\n".repeat(20);
    check("{enabled: false}", &kept);
    check("{dryrun: true, interval: 1m}", &kept);
    check("{age: 1m}", "eventually GET  $upload  404");
}

/// HAProxy adds a line behind the client's own; what the client invented stands before it. The host of
/// the last proxy counts, and only where it is trusted.
#[test]
fn sec_s35_the_realm_is_what_a_trusted_proxy_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let users = directory.path().join("htpasswd");
    std::fs::write(&users, "").expect("it can be written");
    let realm = |trusted: &str, headers: &str| {
        let configuration = format!(
            "http: {{prefix: /images/}}
auth: {{htpasswd: {{realm: r, path: '{}'}}}}
layerhouse: {{auth: {{anonymous: pull}}, http: {{trustedproxies: [{trusted}]}}}}",
            users.display()
        );
        let mut transcript = Transcript::configured(&configuration);
        transcript.may_complain();
        let headers: Vec<_> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let realms = transcript.servers().map(|server| {
            let answer = server.client.send("GET", "/images/v2/", &headers, b"");
            assert_eq!(answer.status, 401);
            let realm = answer.header("www-authenticate").expect("a challenge");
            realm.split('"').nth(1).expect("a realm").to_owned()
        });
        let realms: BTreeSet<String> = realms.collect();
        let realm = realms.iter().next().expect("one over each").clone();
        assert_eq!(realms.len(), 1, "{realms:?}");
        // Where it sends clients there is a token for who only pulls.
        transcript.run("GET  /images/v2/token  200\nGET  /v2/token  404");
        realm
    };
    let forwarded = "X-Forwarded-Host: evil.example\nX-Forwarded-Host: registry.example\nX-Forwarded-Proto: https";
    assert_eq!(
        realm("127.0.0.1", forwarded),
        "https://registry.example/images/v2/token"
    );
    let distrusted = realm("", forwarded);
    assert!(distrusted.starts_with("https://registry/"), "{distrusted}");
    assert!(distrusted.ends_with("/images/v2/token"), "{distrusted}");
}
