//! What people in the house ask of the registry and of its token service.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::{House, PASSWORD, bearer, parsed, text};
use crate::harness::http::Response;
use crate::harness::images;

impl House {
    /// `Authorization` of a name and a password that nobody remembers as wrong: each try comes from elsewhere.
    pub(crate) fn place(&self) -> String {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        format!("198.51.{}.{}", number >> 8 & 255, number & 255)
    }

    /// Sends a request with this `Authorization`; none, if it is empty.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &[u8],
    ) -> Response {
        let place = self.place();
        let mut headers = vec![("X-Forwarded-For", &*place)];
        if !authorization.is_empty() {
            headers.push(("Authorization", authorization));
        }
        self.server.client.send(method, path, &headers, body)
    }

    /// What the token service says to this `Authorization`.
    pub(crate) fn token_answer(
        &self,
        authorization: &str,
        scopes: &[&str],
        more: &str,
    ) -> Response {
        let mut path = format!("/auth/token?service=layerhouse{more}");
        for scope in scopes {
            let _ = write!(path, "&scope={scope}");
        }
        self.send("GET", &path, authorization, b"")
    }

    /// `Authorization` of an access token for scopes.
    #[track_caller]
    pub(crate) fn access(&self, authorization: &str, scopes: &[&str]) -> String {
        let answer = self.token_answer(authorization, scopes, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        bearer(&text(&parsed(&answer)["token"]))
    }

    /// What Docker keeps of who signed in.
    #[track_caller]
    pub(crate) fn refresh_token(&self, authorization: &str) -> String {
        let answer = self.token_answer(authorization, &[], "&offline_token=true&client_id=docker");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&parsed(&answer)["refresh_token"])
    }

    /// What the token service says to a refresh token.
    pub(crate) fn redeem(&self, refresh: &str, scope: &str) -> Response {
        let form = format!(
            "grant_type=refresh_token&service=layerhouse&client_id=docker&refresh_token={refresh}&scope={scope}"
        );
        let place = self.place();
        let headers = [
            ("X-Forwarded-For", &*place),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let client = self.server.client;
        client.send("POST", "/auth/token", &headers, form.as_bytes())
    }

    /// A session of the web's, as the cookie has it.
    #[track_caller]
    pub(crate) fn session(&self, name: &str) -> String {
        let form = json!({ "user": name, "password": PASSWORD });
        let answer = self.try_ask("POST", "/session", "", &form);
        assert!((200..300).contains(&answer.status), "{}", answer.text());
        let cookie = answer.header("set-cookie").expect("a cookie");
        let (pair, _) = cookie.split_once(';').expect("attributes");
        let (_, secret) = pair.split_once('=').expect("a value");
        secret.to_owned()
    }

    /// Pushes an image of one layer, by root; its manifest.
    #[track_caller]
    pub(crate) fn push(&self, repository: &str, tag: &str, layer: &str) -> String {
        self.push_as(&self.root, repository, tag, layer)
    }

    #[track_caller]
    pub(crate) fn push_as(&self, who: &str, repository: &str, tag: &str, layer: &str) -> String {
        for blob in ["{}", layer] {
            let digest = images::digest(blob);
            let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
            let answer = self.send("POST", &path, who, blob.as_bytes());
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        let manifest = images::image("{}", &[layer]).to_string();
        let path = format!("/v2/{repository}/manifests/{tag}");
        let headers = [
            ("Authorization", who),
            ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
        ];
        let client = self.server.client;
        let answer = client.send("PUT", &path, &headers, manifest.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        manifest
    }

    /// Whether somebody may pull, push and delete, as far as they are let in; nothing is changed by it.
    pub(crate) fn rights(&self, authorization: &str, repository: &str) -> String {
        let tries = [
            ("pull", "GET", "tags/list"),
            ("push", "PUT", "manifests/probe"),
            ("delete", "DELETE", "manifests/none"),
        ];
        let mut connection = self.server.client.open();
        let headers = [("Authorization", authorization)];
        let headers = if authorization.is_empty() {
            &[][..]
        } else {
            &headers
        };
        let may = tries.into_iter().filter(|(_, method, rest)| {
            let path = format!("/v2/{repository}/{rest}");
            let status = connection.send(method, &path, headers, b"").status;
            let is_known = matches!(status, 200 | 400 | 401 | 404);
            assert!(is_known, "{method} {path}: {status}");
            status != 401
        });
        may.map(|(right, ..)| right).collect::<Vec<_>>().join(" ")
    }
}
