//! What tests of identity from outside have in common: tokens, what they open, and rows that nothing else
//! makes for them.

use serde_json::Value;

use crate::auth::basic;
use crate::harness::database;
use crate::harness::http::{Client, Response};
use crate::harness::server::Server;

/// `acme` has the team `dev`, which pushes to `acme/web`, and the robot `acme+ci`, which pushes to all of it.
pub(super) const ACME: &str = "
    INSERT INTO namespaces (id, name, kind, created_at) VALUES (900, 'acme', 'organization', 0);
    INSERT INTO teams (id, namespace_id, name, created_at) VALUES (901, 900, 'dev', 0);
    INSERT INTO accounts (id, name, kind, source, created_at) VALUES (902, 'acme+ci', 'robot', 'local', 0);
    INSERT INTO grants (id, namespace_id, team_id, pattern, role, created_at)
        VALUES (903, 900, 901, 'acme/web', 'writer', 0);
    INSERT INTO grants (id, namespace_id, account_id, pattern, role, created_at)
        VALUES (904, 900, 902, 'acme/*', 'writer', 0);
";

/// Stops the server, changes its rows and starts it again.
pub(super) fn write(server: &mut Server, statements: &str) {
    server.stop();
    database::change(&server.root(), statements);
    server.restart();
}

/// Asks for a token with this password.
pub(super) fn ask(client: &Client, user: &str, password: &str, query: &str) -> Response {
    let authorization = basic(user, password);
    let headers = [("Authorization", &*authorization)];
    let path = format!("/auth/token?{query}");
    client.send("GET", &path, &headers, b"")
}

pub(super) fn json(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Whether they may begin an upload, with a token that they are given for it.
pub(super) fn may_push(client: &Client, user: &str, password: &str, repository: &str) -> bool {
    let query = format!("scope=repository:{repository}:pull,push");
    let token = json(&ask(client, user, password, &query));
    begins(client, token["token"].as_str().unwrap(), repository)
}

/// Whether a token begins an upload.
pub(super) fn begins(client: &Client, token: &str, repository: &str) -> bool {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", &*authorization)];
    let path = format!("/v2/{repository}/blobs/uploads/");
    let status = client.send("POST", &path, &headers, b"").status;
    assert!(matches!(status, 202 | 401 | 404), "{status}");
    status == 202
}
