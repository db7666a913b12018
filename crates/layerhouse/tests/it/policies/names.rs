//! `tag_names`: what new tags may be called.

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

#[test]
fn a_new_tag_is_called_as_a_policy_says() {
    let (one, other) = (images::image("{}", &[]), images::image("{}", &["a"]));
    let hex = images::digest(one.to_string());
    let hex = hex.strip_prefix("sha256:").unwrap();
    let mut transcript = Transcript::start()
        .given("one", one.to_string())
        .given("other", other.to_string());
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a)   'a'   201
         POST  /v2/other/web/blobs/uploads/?digest=$sha256({})  '{}'  201
         PUT   /v2/acme/web/manifests/before  $one  201",
    );
    transcript.reconfigure(
        "layerhouse: { policies: [
            { repositories: [acme/*], tag_names: { allow: [main, 'v*'], regex: 'pr-[0-9]+' } },
            { repositories: ['**'], tag_names: { regex: '[^x]*' } } ] }",
    );
    transcript.run(
        "PUT   /v2/acme/web/manifests/latest  $one  403  DENIED
         GET   /v2/acme/web/manifests/latest        404  MANIFEST_UNKNOWN
         PUT   /v2/acme/web/manifests/main    $one  201
         PUT   /v2/acme/web/manifests/v1.2    $one  201
         PUT   /v2/acme/web/manifests/pr-12   $one  201
         PUT   /v2/acme/web/manifests/xpr-12  $one  403  DENIED
         PUT   /v2/acme/web/manifests/pr-12a  $one  403  DENIED
         PUT   /v2/acme/web/manifests/vx      $one  403  DENIED
         PUT   /v2/other/web/manifests/latest  $one  201",
    );
    // What is there can be pushed to, and a digest has no name that could be wrong.
    transcript.run(
        "PUT   /v2/acme/web/manifests/before  $other  201
         PUT   /v2/acme/web/manifests/$sha256($other)  $other  201",
    );
    // Signatures belong to what they sign.
    transcript.run(&format!(
        "PUT   /v2/acme/web/manifests/sha256-{hex}.sig  $other  201
         PUT   /v2/acme/web/manifests/sha256-{}.sig  $other  403  DENIED",
        &hex[1..]
    ));
}

#[test]
fn who_is_refused_is_told_the_rule() {
    let server = Server::configured(
        "layerhouse: { policies: [
            { repositories: ['**'], tag_names: { allow: [main, 'v*'], regex: 'pr-[0-9]+' } } ] }",
    );
    images::push_blob(&server.client, "acme/web", "{}");
    let image = images::image("{}", &[]).to_string();
    let answer = images::push_manifest(&server.client, "acme/web", "latest", &image);
    let expected = "no tag here may be called latest: allowed is main, v* or the expression \
                    pr-[0-9]+ (layerhouse.policies[0]: tag_names)";
    assert!(answer.text().contains(expected), "{}", answer.text());
}
