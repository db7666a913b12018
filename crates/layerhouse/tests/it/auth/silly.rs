//! `auth.silly`: any header does, as tests of clients need it.

use crate::harness::images;
use crate::harness::server::Server;

#[test]
fn any_header_does() {
    let server = Server::configured("auth: {silly: {realm: silly-realm, service: svc}}");
    let challenge = |method: &str, path: &str| {
        let answer = server.client.send(method, path, &[], b"");
        assert_eq!(answer.status, 401);
        answer.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(
        challenge("GET", "/v2/"),
        r#"Bearer realm="silly-realm",service="svc""#
    );
    assert_eq!(
        challenge("GET", "/v2/_catalog"),
        r#"Bearer realm="silly-realm",service="svc",scope="registry:catalog:*""#
    );
    let mount = format!(
        "/v2/n/a/blobs/uploads/?mount={}&from=b",
        images::digest("x")
    );
    assert_eq!(
        challenge("POST", &mount),
        r#"Bearer realm="silly-realm",service="svc",scope="repository:n/a:pull repository:n/a:push repository:b:pull""#
    );
    for value in ["x", "Basic YTpi", "Bearer a.b.c"] {
        let headers = [("Authorization", value)];
        assert_eq!(
            server
                .client
                .send("GET", "/v2/_catalog", &headers, b"")
                .status,
            200
        );
    }
}
