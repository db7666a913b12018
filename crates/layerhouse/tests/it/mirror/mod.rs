//! The mirror: what clients of other registries are served from here, how often those are asked, and what
//! comes through when they, or somebody between, do wrong.
//!
//! The upstreams are [`Upstream`]s on loopback: `url` names their addresses literally, which allows those.

mod addresses;
mod chaos;
mod command;
mod credentials;
mod eviction;
mod faults;
mod freshness;
mod hostile;
mod itself;
mod numbers;
mod objects;
mod redirects;
mod reload;
mod replicas;
mod routing;
mod status;
mod streaming;
mod sync;
mod warm;
mod ways;

use serde_json::Value;

use crate::harness::http::Response;
use crate::harness::server::Server;
use crate::harness::transcript::check_answer;
use crate::harness::upstream::Upstream;

/// The repository that all tests pull, as the upstream calls it.
const NGINX: &str = "library/nginx";

/// Its copies, by prefix.
const COPY: &str = "/v2/up1/library/nginx";

const LATEST: &str = "/v2/up1/library/nginx/manifests/latest";

/// A server that mirrors one upstream, `up1`, which is its default, too.
struct Mirror {
    server: Server,
    upstream: Upstream,
}

impl Mirror {
    fn start() -> Self {
        Self::configured("", "")
    }

    /// `keys` are more of the upstream's, `more` of the section; in YAML, without a comma at either end.
    fn configured(keys: &str, more: &str) -> Self {
        Self::of(Upstream::start(), keys, more)
    }

    fn of(upstream: Upstream, keys: &str, more: &str) -> Self {
        let server = Server::configured(&section(&[("up1", &upstream.url(), keys)], "up1", more));
        Self { server, upstream }
    }

    /// One whose upstream will do wrong, of which the server may warn.
    fn troubled(keys: &str, more: &str) -> Self {
        let mut mirror = Self::configured(keys, more);
        mirror.server.may_complain();
        mirror
    }

    fn get(&self, path: &str) -> Response {
        self.server.client.get(path)
    }

    /// An answer that must be the content of this digest.
    #[track_caller]
    fn pull(&self, path: &str) -> Response {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        self.check("GET", &answer);
        answer
    }

    #[track_caller]
    fn blob(&self, digest: &str) -> String {
        self.pull(&format!("{COPY}/blobs/{digest}")).text()
    }

    /// A refusal with a status of these that says which upstream it is about.
    #[track_caller]
    fn refuses(&self, path: &str, statuses: &[u16]) -> Response {
        let answer = self.get(path);
        let text = answer.text();
        assert!(
            statuses.contains(&answer.status),
            "{path}: {} {text}",
            answer.status
        );
        self.check("GET", &answer);
        assert!(text.contains("up1"), "{path} names no upstream: {text}");
        answer
    }

    /// What holds for every answer.
    #[track_caller]
    fn check(&self, method: &str, answer: &Response) {
        let root = self.server.root();
        check_answer(method, answer, &root)
            .unwrap_or_else(|problem| panic!("{problem}: {answer:?}"));
    }
}

/// A section with these upstreams: name, URL, more keys.
fn section(upstreams: &[(&str, &str, &str)], default: &str, more: &str) -> String {
    let upstreams: Vec<String> = upstreams
        .iter()
        .map(|(name, url, keys)| {
            format!("{{ {} }}", keys_of(&[("name", name), ("url", url)], keys))
        })
        .collect();
    let upstreams = upstreams.join(", ");
    let mut keys = format!("upstreams: [{upstreams}]");
    if !default.is_empty() {
        keys = format!("{keys}, default: {default}");
    }
    if !more.is_empty() {
        keys = format!("{keys}, {more}");
    }
    format!("layerhouse: {{ mirror: {{ {keys} }} }}")
}

fn keys_of(pairs: &[(&str, &str)], more: &str) -> String {
    let said = pairs
        .iter()
        .map(|(name, value)| format!("{name}: \"{value}\""));
    let more = (!more.is_empty()).then(|| more.to_owned());
    said.chain(more).collect::<Vec<_>>().join(", ")
}

/// The header of an answer that the upstream was not asked about, or could not be.
fn is_stale(answer: &Response) -> bool {
    answer.header("warning") == Some("110 - \"Response is Stale\"")
}

/// The first error: code and message.
fn error(answer: &Response) -> (String, String) {
    let body: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
    let text = |name: &str| body["errors"][0][name].as_str().expect("a text").to_owned();
    (text("code"), text("message"))
}

/// Waits for what the server does by itself, soon; panics if it does not.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came to be that {what}");
}
