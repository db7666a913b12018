//! Pulls are counted: exactly, after a clean stop.

use layerhouse_oci::media_type::OCI_MANIFEST;
use serde_json::json;

use super::search::House;
use crate::harness::images::{digest, index};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
                      application/vnd.oci.image.manifest.v1+json";

#[test]
fn pulls_are_counted_exactly() {
    let mut house = House::new("");
    let image = house.push("ann", "ann/web", "v1", &json!({}), &json!({}));
    let many = index(&[&image.to_string()]);
    house.push_manifest("ann", "ann/web", "latest", &many);
    house.push("ann", "ann/other", "v1", &json!({}), &json!({}));
    let image = digest(image.to_string());
    let send = |house: &House, method: &str, reference: &str, headers: &[(&str, &str)]| {
        let path = format!("/v2/ann/web/manifests/{reference}");
        house.send(Some("ann"), method, &path, headers, b"").status
    };
    let accept = ("Accept", ACCEPT);
    for _ in 0..7 {
        // As `docker pull` of an image for several platforms: one pull.
        assert_eq!(send(&house, "HEAD", "latest", &[accept]), 200);
        assert_eq!(send(&house, "GET", "latest", &[accept]), 200);
        assert_eq!(send(&house, "GET", &image, &[accept]), 200);
    }
    assert_eq!(send(&house, "GET", "v1", &[accept]), 200);
    // An old client is given the image in place of the index; who has it already is given nothing.
    assert_eq!(
        send(&house, "GET", "latest", &[("Accept", OCI_MANIFEST)]),
        404
    );
    let known = format!("\"{image}\"");
    assert_eq!(
        send(&house, "GET", "v1", &[accept, ("If-None-Match", &known)]),
        304
    );
    assert_eq!(send(&house, "GET", "absent", &[accept]), 404);

    house.server.restart();
    house.until_found("ann", "q=ann/", 2);
    let found = house.search(Some("ann"), "q=ann/");
    let results = &found["results"];
    assert_eq!(results[0]["name"], "ann/web");
    assert_eq!(results[0]["pull_count"], 8);
    assert_eq!(results[1]["pull_count"], 0);
    // What was written is added to.
    assert_eq!(send(&house, "GET", "v1", &[accept]), 200);
    house.until(|| house.search(Some("ann"), "q=ann/web")["results"][0]["pull_count"] == 9);
}

#[test]
fn many_pull_at_once() {
    let mut house = House::new("visibility: public");
    house.push("ann", "ann/web", "v1", &json!({}), &json!({}));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = house.client().open();
                for _ in 0..100 {
                    let answer = connection.get("/v2/ann/web/manifests/v1");
                    assert_eq!(answer.status, 200);
                }
            });
        }
    });
    house.server.restart();
    house.until_found("ann", "q=web", 1);
    assert_eq!(house.search(None, "q=web")["results"][0]["pull_count"], 800);
}
