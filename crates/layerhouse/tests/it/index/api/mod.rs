//! `/api/v1`: every endpoint with every kind of credentials, what tenants must not reach of each other, and
//! that all answers are as the API's own description says.

mod accounts;
mod description;
mod isolation;
mod matrix;
mod rates;
mod requests;
mod schema;
mod sessions;
mod tending;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use self::schema::Description;
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;

pub(super) const PASSWORD: &str = "correct horse";

/// What a request signs in with.
#[derive(Clone, Debug)]
enum Who {
    Nobody,
    User(&'static str),
    Bearer(String),
    /// A session's cookie, and what the browser says of the page that asks.
    Cookie(String, Option<&'static str>),
}

impl Who {
    fn headers(&self) -> Vec<(String, String)> {
        match self {
            Self::Nobody => Vec::new(),
            Self::User(user) => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{PASSWORD}"));
                vec![("Authorization".to_owned(), format!("Basic {pair}"))]
            }
            Self::Bearer(token) => vec![("Authorization".to_owned(), format!("Bearer {token}"))],
            Self::Cookie(session, origin) => {
                let cookie = format!("layerhouse_session={session}");
                let mut headers = vec![("Cookie".to_owned(), cookie)];
                headers.extend(origin.map(|origin| ("Origin".to_owned(), origin.to_owned())));
                headers
            }
        }
    }
}

/// A server with the administrator `root`, and what its API says of itself.
struct World {
    server: Server,
    description: Description,
}

const ROOT: Who = Who::User("root");

impl World {
    /// The section `layerhouse.index`, without braces.
    fn new(index: &str) -> Self {
        let server = Server::configured(&format!("layerhouse: {{index: {{{index}}}}}"));
        let document = server.client.get("/api/v1/openapi.json");
        assert_eq!(document.status, 200);
        let document = serde_json::from_slice(&document.body).unwrap();
        let description = Description::new(document);
        let world = Self {
            server,
            description,
        };
        let root = json!({
            "name": "root",
            "password": PASSWORD,
            "code": world.server.setup_code(),
        });
        world.does(&Who::Nobody, "POST", "/users", Some(&root), 201);
        world
    }

    /// Sends a request; its answer is as the description says.
    fn send(&self, who: &Who, method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut headers = who.headers();
        headers.extend(body.map(|_| ("Content-Type".to_owned(), "application/json".to_owned())));
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let content = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        let whole = format!("/api/v1{path}");
        let answer = self.server.client.send(method, &whole, &headers, &content);
        self.description.check(method, path, &answer);
        answer
    }

    /// Sends a request that has this status; what its answer says.
    fn does(
        &self,
        who: &Who,
        method: &str,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> Value {
        let answer = self.send(who, method, path, body);
        assert_eq!(
            answer.status,
            status,
            "{who:?} {method} {path}: {}",
            answer.text()
        );
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    fn get(&self, who: &Who, path: &str) -> Value {
        self.does(who, "GET", path, None, 200)
    }

    fn user(&self, name: &str) {
        let user = json!({ "name": name, "password": PASSWORD });
        self.does(&ROOT, "POST", "/users", Some(&user), 201);
    }

    /// The session of a user who signed in with a browser.
    fn session(&self, user: &str) -> String {
        let form = json!({ "user": user, "password": PASSWORD });
        let answer = self.send(&Who::Nobody, "POST", "/session", Some(&form));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Max-Age=43200; Path=/; HttpOnly; SameSite=Strict"
        );
        pair.strip_prefix("layerhouse_session=").unwrap().to_owned()
    }

    /// Pushes a small image.
    fn push(&self, who: &Who, repository: &str) {
        let mut headers = who.headers();
        let client = &self.server.client;
        let send = |method: &str, path: &str, headers: &[(String, String)], body: &[u8]| {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let answer = client.send(method, path, &headers, body);
            assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        };
        let digest = images::digest("{}");
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        send("POST", &path, &headers, b"{}");
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        headers.push(("Content-Type".to_owned(), media_type.to_owned()));
        let manifest = images::image("{}", &[]).to_string();
        let path = format!("/v2/{repository}/manifests/v1");
        send("PUT", &path, &headers, manifest.as_bytes());
    }
}
