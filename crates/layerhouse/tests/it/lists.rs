//! Lists, page by page: repositories, tags.

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

/// A repository acme/web with one image under these tags.
fn given_tags(tags: &[&str]) -> Transcript {
    let image = images::image("{}", &[]).to_string();
    let mut transcript = Transcript::start().given("image", image);
    transcript.run("POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201");
    for tag in tags {
        transcript.run(&format!("PUT  /v2/acme/web/manifests/{tag}  $image  201"));
    }
    transcript
}

#[test]
fn tags_are_listed_in_byte_order_a_page_at_a_time() {
    given_tags(&["b", "a", "_z", "Z", "10", "2", "a.b", "a-b"]).run(
        "GET  /v2/acme/web/tags/list              200  '{\"name\":\"acme/web\",\"tags\":[\"10\",\"2\",\"Z\",\"_z\",\"a\",\"a-b\",\"a.b\",\"b\"]}'  Link: -  Content-Type: application/json
         GET  /v2/acme/web/tags/list?n=3          200  '{\"name\":\"acme/web\",\"tags\":[\"10\",\"2\",\"Z\"]}'  Link: </v2/acme/web/tags/list?last=Z&n=3>; rel=\"next\"
         GET  $next                               200  '{\"name\":\"acme/web\",\"tags\":[\"_z\",\"a\",\"a-b\"]}'
         GET  $next                               200  '{\"name\":\"acme/web\",\"tags\":[\"a.b\",\"b\"]}'  Link: -
         GET  /v2/acme/web/tags/list?n=8          200  Link: -
         GET  /v2/acme/web/tags/list?last=a-c     200  '{\"name\":\"acme/web\",\"tags\":[\"a.b\",\"b\"]}'
         GET  /v2/acme/web/tags/list?last=zz      200  '{\"name\":\"acme/web\",\"tags\":[]}'  Link: -
         GET  /v2/acme/web/tags/list?last=%F0%9F%8D%8B%00   200  '{\"name\":\"acme/web\",\"tags\":[]}'
         GET  /v2/acme/web/tags/list?last=&n=1    200  '{\"name\":\"acme/web\",\"tags\":[\"10\"]}'
         GET  /v2/acme/web/tags/list?n=0          200  '{\"name\":\"acme/web\",\"tags\":[]}'  Link: -
         GET  /v2/acme/web/tags/list?n=99999999999999999999999  200
         GET  /v2/acme/web/tags/list?n=-1         400  PAGINATION_NUMBER_INVALID
         GET  /v2/acme/web/tags/list?n=           400  PAGINATION_NUMBER_INVALID
         GET  /v2/acme/web/tags/list?n=1e3        400  PAGINATION_NUMBER_INVALID
         GET  /v2/acme/web/tags/list?n=+1         400  PAGINATION_NUMBER_INVALID
         GET  /v2/acme/web/tags/list?n=two        400  PAGINATION_NUMBER_INVALID
         GET  /v2/acme/none/tags/list             404  NAME_UNKNOWN",
    );
}

#[test]
fn repositories_are_listed_in_byte_order_a_page_at_a_time() {
    Transcript::start().run(
        "POST  /v2/b/blobs/uploads/?digest=$sha256()          201
         POST  /v2/a/b/blobs/uploads/?digest=$sha256()        201
         POST  /v2/a-b/blobs/uploads/?digest=$sha256()        201
         POST  /v2/a/tags/list/blobs/uploads/?digest=$sha256()  201
         POST  /v2/9/blobs/uploads/                           202
         GET   /v2/_catalog              200  '{\"repositories\":[\"a-b\",\"a/b\",\"a/tags/list\",\"b\"]}'  Link: -
         GET   /v2/_catalog?n=2          200  '{\"repositories\":[\"a-b\",\"a/b\"]}'  Link: </v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"
         GET   $next                     200  '{\"repositories\":[\"a/tags/list\",\"b\"]}'  Link: -
         GET   /v2/_catalog?last=a/a     200  '{\"repositories\":[\"a/b\",\"a/tags/list\",\"b\"]}'
         GET   /v2/_catalog?n=0          200  '{\"repositories\":[]}'  Link: -
         GET   /v2/_catalog?n=two        400  PAGINATION_NUMBER_INVALID
         GET   /v2/a/tags/list/tags/list  200  '{\"name\":\"a/tags/list\",\"tags\":[]}'",
    );
}

/// S40 (CVE-2023-2253): what `n` asks for is not what is reserved.
#[test]
fn sec_s40_pages_are_bounded_whatever_n_says() {
    let server = Server::start();
    let client = &server.client;
    images::push_blob(client, "acme/web", "{}");
    let image = images::image("{}", &[]).to_string();
    // Together, for commits are grouped.
    std::thread::scope(|scope| {
        for writer in 0..11 {
            let (image, client) = (&image, *client);
            scope.spawn(move || {
                let mut connection = client.open();
                for number in writer * 91..(writer + 1) * 91 {
                    let path = format!("/v2/acme/web/manifests/t{number:04}");
                    let answer = connection.send("PUT", &path, &[], image.as_bytes());
                    assert_eq!(answer.status, 201);
                }
            });
        }
    });
    let huge = "9".repeat(4000);
    for n in [
        "1001",
        "1000000000",
        "9223372036854775808",
        "18446744073709551616",
        &huge,
    ] {
        let answer = client.get(&format!("/v2/acme/web/tags/list?n={n}"));
        assert_eq!(answer.status, 200);
        let tags: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(tags["tags"].as_array().unwrap().len(), 1000);
        let link = "</v2/acme/web/tags/list?last=t0999&n=1000>; rel=\"next\"";
        assert_eq!(answer.header("link"), Some(link));
        assert_eq!(client.get(&format!("/v2/_catalog?n={n}")).status, 200);
    }
    assert_eq!(
        client
            .get("/v2/acme/web/tags/list?last=t0999&n=1000")
            .text(),
        "{\"name\":\"acme/web\",\"tags\":[\"t1000\"]}\n"
    );
}
