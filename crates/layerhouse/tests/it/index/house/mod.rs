//! A server with the index on and people in it, made over `/api/v1` as anybody would: the first administrator
//! with the code that the server says at its start, the others by them.

mod asking;

use std::sync::atomic::AtomicU32;

use serde_json::{Value, json};

use crate::auth::basic;
use crate::harness::http::Response;
use crate::harness::server::Server;

/// Of everyone.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Members of `acme`, by their roles.
pub(crate) const MEMBERS: [(&str, &str); 4] = [
    ("olga", "owner"),
    ("max", "maintainer"),
    ("will", "writer"),
    ("rita", "reader"),
];

/// The server, and who rules it.
pub(crate) struct House {
    pub(crate) server: Server,
    /// `Authorization` of the administrator, `root`.
    pub(crate) root: String,
    places: AtomicU32,
}

impl House {
    /// With nobody but `root`; `index` is what stands in the section, `more` beside it.
    pub(crate) fn empty(index: &str, more: &str) -> Self {
        let server = Server::configured(&configuration(index, more));
        let code = server.offered_code().expect("nobody is there yet");
        let mut house = Self {
            server,
            root: String::new(),
            places: AtomicU32::new(0),
        };
        let root = json!({ "name": "root", "password": PASSWORD, "code": code });
        house.ask("POST", "/users", "", &root, 201);
        // A token, for it costs no hash.
        house.root = basic("root", PASSWORD);
        house.root = bearer(&house.token("root", &Value::Null));
        house
    }

    /// With `otto`, who is nothing to anybody, and the organization `acme` with a member of each role.
    pub(crate) fn new() -> Self {
        Self::configured("", "")
    }

    pub(crate) fn configured(index: &str, more: &str) -> Self {
        let house = Self::empty(index, more);
        house.user("otto");
        house.organization("acme");
        for (name, role) in MEMBERS {
            house.user(name);
            house.member("acme", name, role);
        }
        house
    }

    /// Asks the API, and reads what comes back.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &Value,
        status: u16,
    ) -> Value {
        let answer = self.try_ask(method, path, authorization, body);
        let text = answer.text();
        assert_eq!(answer.status, status, "{method} {path}: {text}");
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    pub(crate) fn try_ask(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &Value,
    ) -> Response {
        let mut headers = vec![("Content-Type", "application/json")];
        if !authorization.is_empty() {
            headers.push(("Authorization", authorization));
        }
        let content = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = if body.is_null() {
            &headers[1..]
        } else {
            &headers
        };
        let path = format!("/api/v1{path}");
        let client = self.server.client;
        client.send(method, &path, headers, content.as_bytes())
    }

    /// As [`House::ask`], by the administrator.
    #[track_caller]
    pub(crate) fn rule(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        self.ask(method, path, &self.root, body, status)
    }

    #[track_caller]
    pub(crate) fn user(&self, name: &str) {
        let user = json!({ "name": name, "password": PASSWORD });
        self.rule("POST", "/users", &user, 201);
    }

    #[track_caller]
    pub(crate) fn disable(&self, name: &str, is_disabled: bool) {
        let change = json!({ "is_disabled": is_disabled });
        self.rule("PATCH", &format!("/users/{name}"), &change, 200);
    }

    #[track_caller]
    pub(crate) fn organization(&self, name: &str) {
        self.rule("PUT", &format!("/organizations/{name}"), &json!({}), 201);
    }

    /// Gives somebody a role in a namespace, or another one.
    #[track_caller]
    pub(crate) fn member(&self, organization: &str, name: &str, role: &str) {
        let path = format!("/organizations/{organization}/members/{name}");
        self.rule("PUT", &path, &json!({ "role": role }), 204);
    }

    #[track_caller]
    pub(crate) fn leave(&self, organization: &str, name: &str) {
        let path = format!("/organizations/{organization}/members/{name}");
        self.rule("DELETE", &path, &Value::Null, 204);
    }

    #[track_caller]
    pub(crate) fn team(&self, organization: &str, name: &str) {
        let path = format!("/organizations/{organization}/teams/{name}");
        self.rule("PUT", &path, &json!({}), 201);
    }

    #[track_caller]
    pub(crate) fn join(&self, organization: &str, team: &str, name: &str) {
        let path = format!("/organizations/{organization}/teams/{team}/members/{name}");
        self.rule("PUT", &path, &Value::Null, 204);
    }

    /// `grantee` is `("team", name)` or `("account", name)`; its id.
    #[track_caller]
    pub(crate) fn grant(
        &self,
        namespace: &str,
        pattern: &str,
        role: &str,
        grantee: (&str, &str),
    ) -> Value {
        let path = format!("/namespaces/{namespace}/grants");
        let grant = json!({ "pattern": pattern, "role": role, grantee.0: grantee.1 });
        self.rule("POST", &path, &grant, 201)["id"].clone()
    }

    /// A robot that may `role` in all of a namespace; its secret.
    #[track_caller]
    pub(crate) fn robot(&self, namespace: &str, name: &str, role: &str) -> String {
        let path = format!("/namespaces/{namespace}/robots");
        let made = self.rule("POST", &path, &json!({ "name": name }), 201);
        let account = format!("{namespace}+{name}");
        self.grant(
            namespace,
            &format!("{namespace}/*"),
            role,
            ("account", &account),
        );
        text(&made["secret"])
    }

    /// A personal token of somebody's, with these limits or none.
    #[track_caller]
    pub(crate) fn token(&self, name: &str, limits: &Value) -> String {
        self.token_with_id(name, limits).0
    }

    #[track_caller]
    pub(crate) fn token_with_id(&self, name: &str, limits: &Value) -> (String, String) {
        let mut token = json!({ "name": "test" });
        if !limits.is_null() {
            token["limits"] = limits.clone();
        }
        let path = format!("/users/{name}/tokens");
        let made = self.rule("POST", &path, &token, 201);
        (text(&made["token"]), text(&made["id"]))
    }

    #[track_caller]
    pub(crate) fn visibility(&self, repository: &str, visibility: &str) {
        let path = format!("/repositories/{repository}");
        let change = json!({ "visibility": visibility });
        self.rule("PATCH", &path, &change, 200);
    }
}

/// What [`House::empty`] takes as the index's section, and `section` of ours (`mirror: {…}`) beside it.
pub(crate) fn with_section(index: &str, section: &str) -> String {
    // The index's section is the first of ours, and is closed behind what it is given.
    let section = section.strip_suffix('}').expect("a whole section");
    format!("{index}}}, {section}")
}

/// The section, and what stands beside it.
fn configuration(index: &str, more: &str) -> String {
    format!("layerhouse: {{index: {{{index}}}}}\n{more}")
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// `Authorization` of somebody with their password.
pub(crate) fn of(name: &str) -> String {
    basic(name, PASSWORD)
}

#[track_caller]
pub(crate) fn parsed(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// A text, or what else an id may be, as text.
pub(crate) fn text(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("{value} is no text"))
}

/// Limits of a token: actions for a pattern.
pub(crate) fn limit(pattern: &str, actions: &[&str]) -> Value {
    json!([{ "pattern": pattern, "actions": actions }])
}

/// An answer without the date, and with one repository's name in the place of another's.
pub(crate) fn alike(mut answer: Response, name: &str) -> Response {
    answer.headers.retain(|(header, _)| header != "date");
    for (_, value) in &mut answer.headers {
        *value = value.replace(name, "ANY");
    }
    answer.body = answer.text().replace(name, "ANY").into_bytes();
    answer
}
