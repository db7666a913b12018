//! Rate limits, in Docker Hub's form.

use std::time::Duration;

use serde_json::json;

use super::{PASSWORD, Who, World};
use crate::harness::http::Response;

fn world(limits: &str) -> World {
    let world = World::new(&format!("visibility: public, ratelimit: {{{limits}}}"));
    world.user("ann");
    world.push(&Who::User("ann"), "ann/web");
    world
}

fn pull(world: &World, method: &str, who: &Who) -> Response {
    let headers = who.headers();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    world
        .server
        .client
        .send(method, "/v2/ann/web/manifests/v1", &headers, b"")
}

fn left(answer: &Response) -> (u16, Option<&str>, Option<&str>, Option<&str>) {
    let header = |name| answer.header(name);
    (
        answer.status,
        header("ratelimit-limit"),
        header("ratelimit-remaining"),
        header("docker-ratelimit-source"),
    )
}

#[test]
fn pulls_are_counted_by_address_and_by_account() {
    let world = world("anonymous: 2/6h, account: 3/6h");
    let nobody = |method| pull(&world, method, &Who::Nobody);
    let here = Some("127.0.0.1");
    let of = |remaining| (200, Some("2;w=21600"), Some(remaining), here);
    assert_eq!(left(&nobody("HEAD")), of("2;w=21600"));
    assert_eq!(left(&nobody("GET")), of("1;w=21600"));
    assert_eq!(left(&nobody("HEAD")), of("1;w=21600"));
    assert_eq!(left(&nobody("GET")), of("0;w=21600"));
    assert_eq!(left(&nobody("HEAD")), of("0;w=21600"));
    world.server.advance(Duration::from_hours(1));
    let refused = nobody("GET");
    assert_eq!(
        left(&refused),
        (429, Some("2;w=21600"), Some("0;w=21600"), here)
    );
    assert_eq!(refused.header("retry-after"), Some("18000"));
    let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["errors"][0]["code"], "TOOMANYREQUESTS");

    let ann = pull(&world, "GET", &Who::User("ann"));
    assert_eq!(
        left(&ann),
        (200, Some("3;w=21600"), Some("2;w=21600"), Some("ann"))
    );
    // Blobs, lists and pushes do not count.
    let blob = format!("/v2/ann/web/blobs/{}", crate::harness::images::digest("{}"));
    assert_eq!(
        left(&world.server.client.get(&blob)),
        (200, None, None, None)
    );
    world.server.advance(Duration::from_hours(5));
    assert_eq!(left(&nobody("GET")), of("1;w=21600"));
}

#[test]
fn without_limits_there_are_no_headers() {
    let world = world("");
    assert_eq!(
        left(&pull(&world, "GET", &Who::Nobody)),
        (200, None, None, None)
    );
}

#[test]
fn requests_to_the_api_are_counted_by_address() {
    let world = World::new("ratelimit: {api: 5/1m}");
    // Two were needed to come this far.
    for _ in 0..3 {
        world.get(&Who::Nobody, "");
    }
    let refused = world.send(&Who::Nobody, "GET", "", None);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("60"));
    let answer = world.server.client.get("/auth/token");
    assert_eq!(answer.status, 429);
    let form = json!({ "user": "root", "password": PASSWORD });
    world.does(&Who::Nobody, "POST", "/session", Some(&form), 429);
    // The registry is not the API.
    assert_eq!(world.server.client.get("/v2/").status, 401);
    world.server.advance(Duration::from_mins(1));
    world.get(&Who::Nobody, "");
}
