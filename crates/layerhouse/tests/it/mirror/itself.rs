//! The upstream of these tests, looked at by itself: what it is told to do wrong, it does.

use crate::harness::http::Client;
use crate::harness::pull::Pull;
use crate::harness::upstream::{Guard, Trouble, Upstream};

#[test]
fn the_upstream_of_these_tests_does_as_it_is_told() {
    let upstream = Upstream::start();
    let address = upstream
        .url()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let client = Client::new(address);
    let image = upstream.give_image("library/nginx", "latest", "a layer");
    let latest = "/v2/library/nginx/manifests/latest";
    let blob = format!("/v2/library/nginx/blobs/{}", image.layer);
    assert_eq!(client.get(latest).text(), image.manifest);
    assert_eq!(client.get(&blob).text(), "a layer");
    let part = client.send("GET", &blob, &[("Range", "bytes=2-")], b"");
    assert_eq!((part.status, part.text().as_str()), (206, "layer"));
    assert_eq!(part.header("content-range"), Some("bytes 2-6/7"));
    assert_eq!(client.get("/v2/library/none/manifests/latest").status, 404);
    assert_eq!(upstream.count("GET /v2/library/nginx/blobs/"), 2);
    assert_eq!(upstream.drain().len(), 4);

    upstream.once("/blobs/", Trouble::Short { by: 1 });
    assert_eq!(client.get(&blob).text(), "a laye");
    assert_eq!(client.get(&blob).text(), "a layer");
    for trouble in [
        Trouble::BreaksOff { after: 3 },
        Trouble::Resets { after: 3 },
        Trouble::ChunkedBreaksOff { after: 3 },
        Trouble::Closes,
    ] {
        upstream.once("/blobs/", trouble.clone());
        assert!(
            client.try_send("GET", &blob, &[], b"").is_err(),
            "{trouble:?}"
        );
    }
    upstream.once("/blobs/", Trouble::Chunked);
    assert_eq!(client.get(&blob).text(), "a layer");
    upstream.once("/blobs/", Trouble::too_many("Retry-After: 3\r\n"));
    assert_eq!(client.get(&blob).header("retry-after"), Some("3"));
    upstream.once("/blobs/", Trouble::Stalls { after: 3 });
    let mut pull = Pull::begin(&client, &blob, &[]);
    assert_eq!(pull.read_up_to(3).unwrap(), b"a l");
    upstream.wait_until_stuck(1);
    upstream.open();
    assert_eq!(pull.finish().unwrap(), b"a layer");

    upstream.guard(Guard::token("ann", "secret"));
    let refused = client.get(latest);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("scope=\"repository:library/nginx:pull\""),
        "{challenge}"
    );
    assert_eq!(
        client
            .get("/token?scope=repository:library/nginx:pull")
            .status,
        401
    );
    let login = crate::auth::basic("ann", "secret");
    let token = client.send(
        "GET",
        "/token?scope=repository%3Alibrary/nginx%3Apull",
        &[("Authorization", &login)],
        b"",
    );
    let token: serde_json::Value = serde_json::from_slice(&token.body).unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let granted = client.send("GET", latest, &[("Authorization", &bearer)], b"");
    assert_eq!(granted.text(), image.manifest);

    upstream.die();
    assert!(client.try_send("GET", latest, &[], b"").is_err());
    upstream.rise();
    assert_eq!(client.get(latest).status, 401);
}
