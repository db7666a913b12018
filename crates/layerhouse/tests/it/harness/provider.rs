//! An issuer of tokens: says of itself what a test has it say, and signs what a test has it sign.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::sink::read_request;
use crate::auth::service::{NOW, Signer};

/// A request that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// First line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

struct State {
    /// `/.well-known/openid-configuration`, changed over what it would be.
    metadata: Value,
    keys: Vec<Value>,
    /// What the token endpoint answers: a status and a body.
    token: (u16, String),
    /// Instead of any answer, a redirection there.
    redirects: HashMap<String, String>,
    asked: Vec<Asked>,
}

/// An issuer on loopback, until the test's process ends.
#[derive(Clone)]
pub(crate) struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    pub(crate) signer: Arc<Signer>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let signer = Arc::new(Signer::new("ES256"));
        let provider = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                metadata: json!({}),
                keys: vec![named(&signer, "one")],
                token: (200, "{}".to_owned()),
                redirects: HashMap::new(),
                asked: Vec::new(),
            })),
            signer,
        };
        let own = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        provider
    }

    fn serve(&self, mut stream: impl Read + Write) {
        while let Some((head, body)) = read_request(&mut stream) {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut state = self.lock();
            state.asked.push(Asked { head, body });
            let (status, more, content) = if let Some(to) = state.redirects.get(&path) {
                (307, format!("Location: {to}\r\n"), String::new())
            } else {
                let (status, content) = match path.as_str() {
                    "/.well-known/openid-configuration" => (200, self.metadata(&state).to_string()),
                    "/keys" => (200, json!({ "keys": state.keys }).to_string()),
                    "/token" => state.token.clone(),
                    _ => (404, String::new()),
                };
                (status, String::new(), content)
            };
            drop(state);
            let answer = format!(
                "HTTP/1.1 {status} As told\r\nContent-Type: application/json\r\n{more}\
                 Content-Length: {}\r\n\r\n{content}",
                content.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn metadata(&self, state: &State) -> Value {
        let url = self.url();
        let mut metadata = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/keys"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
        });
        for (name, value) in state.metadata.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        metadata
    }

    /// What it calls itself.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says this of itself from now on.
    pub(crate) fn say(&self, name: &str, value: Value) {
        self.lock().metadata[name] = value;
    }

    pub(crate) fn redirect(&self, path: &str, to: &str) {
        let (path, to) = (path.to_owned(), to.to_owned());
        self.lock().redirects.insert(path, to);
    }

    /// Has these keys from now on, and no others.
    pub(crate) fn publish(&self, keys: &[(&Signer, &str)]) {
        self.lock().keys = keys.iter().map(|(signer, id)| named(signer, id)).collect();
    }

    /// Answers who brings a code.
    pub(crate) fn answer(&self, status: u16, content: &Value) {
        self.lock().token = (status, content.to_string());
    }

    /// What it was asked at a path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let is_there = |asked: &&Asked| asked.head.split(' ').nth(1) == Some(path);
        self.lock().asked.iter().filter(is_there).cloned().collect()
    }

    /// Claims of somebody, for the client `layerhouse` and now.
    pub(crate) fn claims(&self, subject: &str, more: &Value) -> Value {
        let mut claims = json!({
            "iss": self.url(),
            "aud": "layerhouse",
            "sub": subject,
            "exp": NOW + 300,
            "iat": NOW,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    /// A token with its own key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signer
            .token(&json!({ "kid": "one" }), &claims.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn named(signer: &Signer, id: &str) -> Value {
    let mut key = signer.jwk();
    key["kid"] = json!(id);
    key
}
