//! Manifests: taken in by tag and digest, served byte for byte in the form that the client reads, deleted.

use std::io::Write;

use layerhouse_oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use serde_json::json;

use crate::harness::http::read_response;
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::{Transcript, check_answer, in_chunks};

/// The blobs `{}` and `abcd` in acme/web.
const BLOBS: &str = "
    POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'      201
    POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201";

/// A server with the blobs of `image` in acme/web, and the four kinds of manifest by name.
fn given_four() -> Transcript {
    let image = images::image("{}", &["abcd"]);
    let mut docker = image.clone();
    docker["mediaType"] = json!(DOCKER_MANIFEST);
    let image = image.to_string();
    let docker = docker.to_string();
    let platform = json!({ "os": "linux", "architecture": "amd64" });
    let mut index = images::index(&[&image]);
    index["manifests"][0]["platform"] = platform.clone();
    let mut list = images::index(&[]);
    list["mediaType"] = json!(DOCKER_LIST);
    list["manifests"] = json!([images::descriptor(DOCKER_MANIFEST, &docker)]);
    list["manifests"][0]["platform"] = platform;
    let mut transcript = Transcript::start()
        .given("image", image)
        .given("docker", docker)
        .given("index", index.to_string())
        .given("list", list.to_string());
    transcript.run(BLOBS);
    transcript
}

#[test]
fn four_kinds_are_kept_by_tag_and_digest() {
    let mut transcript = given_four();
    for (name, media_type) in [
        ("image", OCI_MANIFEST),
        ("docker", DOCKER_MANIFEST),
        ("index", OCI_INDEX),
        ("list", DOCKER_LIST),
    ] {
        transcript.run(&format!(
            "PUT   /v2/acme/web/manifests/{name}  Content-Type: {media_type}  ${name}  201  Location: /v2/acme/web/manifests/$sha256(${name})  Docker-Content-Digest: $sha256(${name})  OCI-Subject: -
             GET   /v2/acme/web/manifests/{name}                  200  ${name}  Content-Type: {media_type}  Docker-Content-Digest: $sha256(${name})  ETag: \"$sha256(${name})\"
             GET   /v2/acme/web/manifests/$sha256(${name})        200  ${name}  Content-Type: {media_type}
             HEAD  /v2/acme/web/manifests/{name}                  200  ''  Content-Type: {media_type}
             PUT   /v2/acme/web/manifests/$sha256(${name})  ${name}  201
             PUT   /v2/acme/web/manifests/$sha512(${name})  Content-Type: {media_type}; charset=utf-8  ${name}  201  Docker-Content-Digest: $sha512(${name})
             GET   /v2/acme/web/manifests/$sha512(${name})        200  ${name}  Docker-Content-Digest: $sha512(${name})
             GET   /v2/acme/web/manifests/{name}  If-None-Match: \"$sha256(${name})\"  304  ETag: \"$sha256(${name})\"
             GET   /v2/acme/api/manifests/$sha256(${name})        404  MANIFEST_UNKNOWN
             GET   /v2/acme/api/manifests/{name}                  404  MANIFEST_UNKNOWN",
        ));
    }
    transcript.run(
        "GET   /v2/acme/web/tags/list     200  '{\"name\":\"acme/web\",\"tags\":[\"docker\",\"image\",\"index\",\"list\"]}'
         restart
         GET   /v2/acme/web/manifests/index     200  $index
         GET   /v2/acme/web/manifests/docker    200  $docker",
    );
}

#[test]
fn bytes_are_kept_as_they_came() {
    let odd = format!(
        "{{\n\t\"layers\" :[],\r\n\"x-unknown\": {{\"z\":1e2,\"a\":null}}, \"config\":{},\"schemaVersion\":  2 }}\n\n ",
        images::descriptor(images::CONFIG, "{}")
    );
    Transcript::start().given("odd", odd).run(&format!(
        "{BLOBS}
         PUT  /v2/acme/web/manifests/odd  $odd    201  Docker-Content-Digest: $sha256($odd)
         GET  /v2/acme/web/manifests/odd          200  $odd  Content-Type: {OCI_MANIFEST}
         PUT  /v2/acme/web/manifests/odd  Content-Type: {OCI_MANIFEST}  streamed $odd    201
         restart
         GET  /v2/acme/web/manifests/odd          200  $odd",
    ));
}

#[test]
fn clients_get_the_form_that_they_read() {
    let mut transcript = given_four();
    for name in ["image", "docker", "index", "list"] {
        transcript.run(&format!("PUT  /v2/acme/web/manifests/{name}  ${name}  201"));
    }
    let unacceptable = "404  MANIFEST_UNKNOWN";
    for (accept, reference, expected) in [
        (OCI_MANIFEST, "image", "200  $image"),
        (DOCKER_MANIFEST, "image", unacceptable),
        (DOCKER_MANIFEST, "docker", "200  $docker"),
        ("text/html", "docker", "200  $docker"),
        (OCI_INDEX, "index", "200  $index"),
        ("*/*", "index", "200  $index"),
        ("application/*;q=0.1", "list", "200  $list"),
        (
            OCI_MANIFEST,
            "index",
            "200  $image  Docker-Content-Digest: $sha256($image)",
        ),
        (
            DOCKER_MANIFEST,
            "list",
            "200  $docker  Docker-Content-Digest: $sha256($docker)",
        ),
        (DOCKER_MANIFEST, "$sha256($list)", "200  $list"),
        (OCI_MANIFEST, "$sha256($index)", unacceptable),
        ("text/html", "index", unacceptable),
        ("application/json", "list", unacceptable),
    ] {
        transcript.run(&format!(
            "GET   /v2/acme/web/manifests/{reference}  Accept: {accept}  {expected}"
        ));
    }
    let docker_20 = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v1+prettyjws, application/json, application/vnd.oci.image.manifest.v1+json";
    for name in ["image", "docker", "index", "list"] {
        transcript.run(&format!(
            "GET   /v2/acme/web/manifests/{name}  Accept: {docker_20}  200  ${name}"
        ));
    }
}

#[test]
fn schema_1_is_refused_in_words() {
    Transcript::start().given("old", "{\"schemaVersion\":1,\"name\":\"acme/web\"}").run(
        "PUT  /v2/acme/web/manifests/v1  Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws  $old  400  MANIFEST_INVALID  '{\"errors\":[{\"code\":\"MANIFEST_INVALID\",\"message\":\"manifests of schema 1 are not kept here; push with Docker 1.10 or later\"}]}'
         PUT  /v2/acme/web/manifests/v1  Content-Type: application/vnd.docker.distribution.manifest.v1+json  $old  400  MANIFEST_INVALID
         PUT  /v2/acme/web/manifests/v1  $old  400  MANIFEST_INVALID
         GET  /v2/_catalog                     200  '{\"repositories\":[]}'",
    );
}

#[test]
fn a_manifest_waits_for_what_it_needs() {
    let image = images::image("{}", &["abcd"]).to_string();
    let index = images::index(&[&image]).to_string();
    Transcript::start().given("image", image).given("index", index).run(
        "PUT    /v2/acme/web/manifests/v1  $image                       404  MANIFEST_BLOB_UNKNOWN
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'    201
         PUT    /v2/acme/web/manifests/v1  $image                       404  MANIFEST_BLOB_UNKNOWN
         PUT    /v2/acme/web/manifests/$sha256($image)  $image          404  MANIFEST_BLOB_UNKNOWN
         PUT    /v2/acme/web/manifests/v1  $index                       404  MANIFEST_BLOB_UNKNOWN
         GET    /v2/acme/web/manifests/v1                               404  MANIFEST_UNKNOWN
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         PUT    /v2/acme/web/manifests/v1  $image                       201
         PUT    /v2/acme/web/manifests/all  $index                      201
         PUT    /v2/acme/api/manifests/all  $index                      404  MANIFEST_BLOB_UNKNOWN
         GET    /v2/_catalog                                            200  '{\"repositories\":[\"acme/web\"]}'",
    );
}

/// S08: bytes of another repository do not make a manifest of this one whole.
#[test]
fn sec_s08_a_manifest_grants_nothing_it_names() {
    let image = images::image("{}", &["abcd"]).to_string();
    Transcript::start().given("image", image).run(
        "POST   /v2/acme/secret/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'         201
         PUT    /v2/acme/web/manifests/v1  $image       404  MANIFEST_BLOB_UNKNOWN
         GET    /v2/acme/web/blobs/$sha256(abcd)        404  BLOB_UNKNOWN
         GET    /v2/acme/web/manifests/v1               404  MANIFEST_UNKNOWN",
    );
}

#[test]
fn a_subject_need_not_exist() {
    let image = images::image("{}", &["abcd"]).to_string();
    let subject = images::descriptor(OCI_MANIFEST, &image);
    let signature = images::referrer(&subject, "application/x.signature", 1).to_string();
    Transcript::start().given("image", image).given("signature", signature).run(&format!(
        "{BLOBS}
         PUT    /v2/acme/web/manifests/$sha256($signature)  $signature   201  OCI-Subject: $sha256($image)
         GET    /v2/acme/web/manifests/$sha256($image)                   404
         PUT    /v2/acme/web/manifests/v1  $image                        201  OCI-Subject: -
         GET    /v2/acme/web/referrers/$sha256($image)                   200  Content-Type: {OCI_INDEX}
         DELETE /v2/acme/web/manifests/$sha256($image)                   202
         GET    /v2/acme/web/manifests/$sha256($signature)               200  $signature",
    ));
}

#[test]
fn tags_move_and_go_alone_manifests_take_theirs_along() {
    let mut transcript = given_four();
    transcript.run(
        "PUT    /v2/acme/web/manifests/v1  $image        201
         PUT    /v2/acme/web/manifests/v2  $image        201
         PUT    /v2/acme/web/manifests/v3  $docker       201
         PUT    /v2/acme/web/manifests/v2  $docker       201
         GET    /v2/acme/web/manifests/v2                200  $docker
         GET    /v2/acme/web/manifests/v1                200  $image
         PUT    /v2/acme/web/manifests/v2  $image        201
         DELETE /v2/acme/web/manifests/v1                202
         DELETE /v2/acme/web/manifests/v1                404  MANIFEST_UNKNOWN
         GET    /v2/acme/web/manifests/v1                404  MANIFEST_UNKNOWN
         GET    /v2/acme/web/manifests/v2                200  $image
         PUT    /v2/acme/web/manifests/v1  $image        201
         DELETE /v2/acme/web/manifests/$sha256($image)   202
         DELETE /v2/acme/web/manifests/$sha256($image)   404  MANIFEST_UNKNOWN
         GET    /v2/acme/web/manifests/v1                404
         GET    /v2/acme/web/manifests/v2                404
         GET    /v2/acme/web/manifests/v3                200  $docker
         GET    /v2/acme/web/tags/list                   200  '{\"name\":\"acme/web\",\"tags\":[\"v3\"]}'
         DELETE /v2/acme/web/manifests/v3                202
         GET    /v2/acme/web/manifests/$sha256($docker)  200  $docker
         DELETE /v2/acme/none/manifests/v3               404  MANIFEST_UNKNOWN
         restart
         GET    /v2/acme/web/tags/list                   200  '{\"name\":\"acme/web\",\"tags\":[]}'",
    );
}

#[test]
fn inv_i1_a_child_stays_as_long_as_its_index() {
    let mut transcript = given_four();
    transcript.run(
        "PUT    /v2/acme/web/manifests/$sha256($image)  $image   201
         PUT    /v2/acme/web/manifests/child  $image             201
         PUT    /v2/acme/web/manifests/all  $index               201
         DELETE /v2/acme/web/manifests/$sha256($image)           405  UNSUPPORTED
         DELETE /v2/acme/web/manifests/child                     202
         GET    /v2/acme/web/manifests/$sha256($image)           200  $image
         DELETE /v2/acme/web/manifests/all                       202
         DELETE /v2/acme/web/manifests/$sha256($image)           405  UNSUPPORTED
         DELETE /v2/acme/web/manifests/$sha256($index)           202
         DELETE /v2/acme/web/manifests/$sha256($image)           202",
    );
}

/// S20 (CVE-2021-41190): bytes have one type, whoever pushes them how.
#[test]
fn sec_s20_bytes_are_never_two_kinds() {
    let image = images::image("{}", &["abcd"]);
    let index = images::index(&[&image.to_string()]);
    let mut both = image.clone();
    both["manifests"] = index["manifests"].clone();
    let mut index_with_layers = index.clone();
    index_with_layers["layers"] = image["layers"].clone();
    let mut untyped = image.clone();
    untyped.as_object_mut().unwrap().remove("mediaType");
    let (image, untyped) = (image.to_string(), untyped.to_string());
    let twice = image.replacen('{', "{\"layers\":[],", 1);
    let escaped = image.replacen('{', "{\"l\\u0061yers\":[],", 1);
    let other_case = image.replacen("\"layers\"", "\"Layers\"", 1);
    let refused = "400  MANIFEST_INVALID";
    let mut transcript = Transcript::start().given("image", image.clone());
    transcript.run(BLOBS);
    transcript.run("PUT  /v2/acme/web/manifests/v1  $image  201");
    for (media_type, content) in [
        (OCI_INDEX, image.clone()),
        (DOCKER_MANIFEST, image.clone()),
        (DOCKER_LIST, image.clone()),
        ("application/json", image.clone()),
        ("application/vnd.oci.image.config.v1+json", image.clone()),
        ("nonsense", image.clone()),
        (OCI_INDEX, untyped.clone()),
        (DOCKER_MANIFEST, untyped),
        (OCI_MANIFEST, both.to_string()),
        (OCI_INDEX, both.to_string()),
        (OCI_INDEX, index_with_layers.to_string()),
        (OCI_MANIFEST, twice),
        (OCI_MANIFEST, escaped),
        (OCI_MANIFEST, other_case),
        (OCI_MANIFEST, format!("\u{feff}{image}")),
        (OCI_MANIFEST, format!("{image}{{}}")),
        (OCI_MANIFEST, format!("{image}\0")),
        (OCI_MANIFEST, image[..image.len() - 1].to_owned()),
        (OCI_MANIFEST, String::new()),
        (OCI_MANIFEST, "[]".to_owned()),
        (OCI_MANIFEST, "null".to_owned()),
    ] {
        transcript = transcript.given("content", content);
        transcript.run(&format!(
            "PUT  /v2/acme/web/manifests/v1  Content-Type: {media_type}  $content  {refused}
             GET  /v2/acme/web/manifests/v1  200  $image  Content-Type: {OCI_MANIFEST}"
        ));
    }
}

/// S21: one canonical text for a digest, and the header names what was asked for.
#[test]
fn sec_s21_digests_are_not_confused() {
    let mut transcript = given_four();
    transcript.run(
        "PUT   /v2/acme/web/manifests/$sha256($image)  $docker   400  DIGEST_INVALID
         PUT   /v2/acme/web/manifests/$sha512($image)  $docker   400  DIGEST_INVALID
         GET   /v2/acme/web/manifests/$sha512($image)            404  MANIFEST_UNKNOWN
         PUT   /v2/acme/web/manifests/$sha512($image)  $image    201  Docker-Content-Digest: $sha512($image)
         GET   /v2/acme/web/manifests/$sha512($image)            200  $image  Docker-Content-Digest: $sha512($image)
         GET   /v2/acme/web/manifests/$sha256($image)            404  MANIFEST_UNKNOWN
         GET   /v2/acme/web/blobs/$sha512(abcd)                  404  BLOB_UNKNOWN",
    );
    let digits = "0".repeat(64);
    for digest in [
        format!("sha256:{}", &digits[1..]),
        format!("sha256:{digits}0"),
        format!("sha256:{}A", &digits[1..]),
        format!("SHA256:{digits}"),
        format!("sha512:{digits}"),
        format!("sha384:{digits}"),
        format!("md5:{}", &digits[..32]),
        format!(":{digits}"),
        "sha256:".to_owned(),
        format!("sha256:%30{digits}"),
        format!("sha256:sha256:{digits}"),
    ] {
        transcript.run(&format!(
            "GET     /v2/acme/web/blobs/{digest}                  400  DIGEST_INVALID
             DELETE  /v2/acme/web/blobs/{digest}                  400  DIGEST_INVALID
             GET     /v2/acme/web/referrers/{digest}              400  DIGEST_INVALID
             POST    /v2/acme/web/blobs/uploads/?digest={digest}  400  DIGEST_INVALID
             POST    /v2/acme/web/blobs/uploads/?mount={digest}   400  DIGEST_INVALID"
        ));
    }
}

/// S24: 8 MiB are taken and one byte more is not, however it is sent.
#[test]
fn sec_s24_the_size_of_a_manifest_is_bounded() {
    const BYTES_MAX: usize = 8 << 20;
    let server = Server::start();
    images::push_blob(&server.client, "acme/web", "{}");
    let mut manifest = images::image("{}", &[]);
    manifest["annotations"] = json!({ "pad": "" });
    let pad = "x".repeat(BYTES_MAX - manifest.to_string().len());
    manifest["annotations"] = json!({ "pad": pad });
    let largest = manifest.to_string();
    let path = "/v2/acme/web/manifests/large";
    assert_eq!(
        server
            .client
            .send("PUT", path, &[], largest.as_bytes())
            .status,
        201
    );
    assert_eq!(server.client.get(path).body, largest.as_bytes());
    let chunked = [("Transfer-Encoding", "chunked")];
    let encoded = in_chunks(largest.as_bytes(), 1 << 20);
    assert_eq!(
        server.client.send("PUT", path, &chunked, &encoded).status,
        201
    );

    let larger = format!("{largest} ");
    for (headers, body) in [
        (&[][..], larger.clone().into_bytes()),
        (&chunked[..], in_chunks(larger.as_bytes(), 1 << 20)),
    ] {
        let answer = server
            .client
            .send("PUT", "/v2/acme/web/manifests/larger", headers, &body);
        assert_eq!(answer.status, 413);
        check_answer("PUT", &answer, &server.root()).unwrap();
    }
    // The bound is told from the head alone, before any of the body.
    let mut stream = server.client.connect();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: registry\r\nContent-Length: {}\r\n\r\n",
        BYTES_MAX + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream, false).unwrap().status, 413);
    assert_eq!(
        server.client.get("/v2/acme/web/manifests/larger").status,
        404
    );
}

/// S25: chains, fans and diamonds cost what they weigh; each step is one manifest deep.
#[test]
fn sec_s25_graphs_of_manifests_stay_cheap() {
    let server = Server::start();
    let client = &server.client;
    let image = images::push_image(client, "acme/web", "leaf", "abcd");
    // Every index names the one before it twice: 2^30 paths lead down.
    let mut below = image.clone();
    for _ in 0..30 {
        let mut diamond = images::index(&[&below, &below]);
        diamond["manifests"][0]["mediaType"] = json!(OCI_INDEX);
        diamond["manifests"][1]["mediaType"] = json!(OCI_INDEX);
        below = diamond.to_string();
        let digest = images::digest(&below);
        assert_eq!(
            images::push_manifest(client, "acme/web", &digest, &below).status,
            201
        );
    }
    assert_eq!(
        images::push_manifest(client, "acme/web", "diamond", &below).status,
        201
    );
    assert_eq!(client.get("/v2/acme/web/manifests/diamond").text(), below);

    let child = images::descriptor(OCI_MANIFEST, &image);
    let fan = |count: usize| {
        let mut fan = images::index(&[]);
        fan["manifests"] = json!(vec![child.clone(); count]);
        fan.to_string()
    };
    let answer = images::push_manifest(client, "acme/web", "fan", &fan(10_000));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = images::push_manifest(client, "acme/web", "fan", &fan(10_001));
    assert_eq!(answer.status, 400, "{}", answer.text());
    check_answer("PUT", &answer, &server.root()).unwrap();

    for deep in ["[".repeat(1 << 20), "{\"a\":".repeat(1 << 18)] {
        assert_eq!(
            images::push_manifest(client, "acme/web", "deep", &deep).status,
            400
        );
    }
    let many = format!("{{\"schemaVersion\":2,\"x\":[{}1]}}", "1,".repeat(3 << 20));
    assert_eq!(
        images::push_manifest(client, "acme/web", "many", &many).status,
        400
    );

    // A circle cannot be made of digests; two that name each other's repository as subject can.
    let subject = images::descriptor(OCI_MANIFEST, &image);
    let first = images::referrer(&subject, "application/x.note", 1).to_string();
    let second = images::referrer(
        &images::descriptor(OCI_MANIFEST, &first),
        "application/x.note",
        2,
    );
    for (tag, manifest) in [("second", second.to_string()), ("first", first)] {
        assert_eq!(
            images::push_manifest(client, "acme/web", tag, &manifest).status,
            201
        );
    }
}

/// S27 (CVE-2020-15157): the `urls` of a layer are the vendor's; nobody here calls there.
#[test]
fn sec_s27_foreign_layers_are_not_fetched() {
    let vendor = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = vendor.local_addr().unwrap();
    let server = Server::start();
    images::push_blob(&server.client, "acme/web", "{}");
    let mut image = images::image("{}", &["abcd"]);
    image["layers"][0]["mediaType"] =
        json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    image["layers"][0]["urls"] = json!([format!("http://{address}/latest/meta-data/")]);
    image["mediaType"] = json!(DOCKER_MANIFEST);
    let image = image.to_string();
    assert_eq!(
        images::push_manifest(&server.client, "acme/web", "v1", &image).status,
        201
    );
    assert_eq!(server.client.get("/v2/acme/web/manifests/v1").text(), image);
    let layer = format!("/v2/acme/web/blobs/{}", images::digest("abcd"));
    assert_eq!(server.client.get(&layer).status, 404);
    drop(server);
    vendor.set_nonblocking(true).unwrap();
    let called = vendor.accept();
    assert_eq!(called.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
