//! A registry that others mirror: serves what it was given, remembers what it was asked, and does wrong what
//! a test tells it to. Written against the specification alone, so that a mistake of ours is not in both.

mod guard;
mod serve;
mod trouble;

pub(crate) use guard::Guard;
pub(crate) use trouble::Trouble;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use layerhouse_oci::media_type::OCI_MANIFEST;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::images;
use super::tls::Issued;

/// Nothing that a test waits for takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request that it read, whatever it answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /v2/library/nginx/manifests/latest`, without the query.
    pub(crate) line: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What it serves under a path.
#[derive(Clone, Debug)]
struct Goods {
    content: Vec<u8>,
    media_type: String,
}

/// What befalls requests whose line contains a text.
#[derive(Clone, Debug)]
struct Order {
    part: String,
    trouble: Trouble,
    /// How many more; `None` for all.
    times: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    goods: BTreeMap<String, Goods>,
    /// Of repositories: tags in their order.
    tags: BTreeMap<String, Vec<String>>,
    /// Tags in a page, whatever was asked for; `None` for no bound.
    page_max: Option<usize>,
    orders: Vec<Order>,
    guard: Option<Guard>,
    asked: Vec<Asked>,
    /// Requests that wait for [`Upstream::open`].
    waiting: usize,
    /// How often it was opened: who waits goes on when it grows.
    opened: usize,
    /// Connections that it took, and those of them that are open.
    connections: usize,
    open: BTreeMap<usize, TcpStream>,
    is_dead: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// An upstream on loopback; it ends when it is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    shared: Shared,
}

/// An image of one layer, as it was given to an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: String,
    pub(crate) digest: String,
    pub(crate) layer: String,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1")
    }

    /// On another address of this machine: another host to its clients.
    pub(crate) fn at(host: &str) -> Self {
        Self::listen(host, None)
    }

    /// With this certificate.
    pub(crate) fn secure(issued: &Issued) -> Self {
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key in PEM");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![issued.der()], key)
            .expect("a key and its certificate");
        Self::listen("127.0.0.1", Some(Arc::new(config)))
    }

    fn listen(host: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a free port");
        let upstream = Self {
            address: listener.local_addr().expect("it listens"),
            tls,
            shared: Shared::default(),
        };
        serve::accept(listener, upstream.tls.clone(), &upstream.shared);
        upstream
    }

    /// `http://127.0.0.1:4711`.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    // --- What it has ---

    /// Serves an image of one layer under a tag and by digest.
    pub(crate) fn give_image(&self, repository: &str, tag: &str, layer: &str) -> Image {
        self.give_blob(repository, "{}");
        let layer_digest = self.give_blob(repository, layer);
        let manifest = images::image("{}", &[layer]).to_string();
        let digest = self.give_manifest(repository, tag, &manifest);
        Image {
            manifest,
            digest,
            layer: layer_digest,
        }
    }

    /// Serves a manifest by digest and, unless the reference is one, under a tag; its digest.
    pub(crate) fn give_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &str,
    ) -> String {
        let digest = images::digest(manifest);
        let parsed: Value = serde_json::from_str(manifest).expect("a manifest is JSON");
        let media_type = parsed["mediaType"].as_str().unwrap_or(OCI_MANIFEST);
        let goods = Goods {
            content: manifest.as_bytes().to_vec(),
            media_type: media_type.to_owned(),
        };
        let mut state = self.lock();
        for reference in [reference, &digest] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            state.goods.insert(path, goods.clone());
        }
        if !reference.contains(':') {
            let tags = state.tags.entry(repository.to_owned()).or_default();
            tags.retain(|tag| tag != reference);
            tags.push(reference.to_owned());
            tags.sort();
        }
        digest
    }

    /// Its digest.
    pub(crate) fn give_blob(&self, repository: &str, content: impl AsRef<[u8]>) -> String {
        let digest = images::digest(&content);
        let goods = Goods {
            content: content.as_ref().to_vec(),
            media_type: "application/octet-stream".to_owned(),
        };
        let path = format!("/v2/{repository}/blobs/{digest}");
        self.lock().goods.insert(path, goods);
        digest
    }

    /// Has a tag, or anything else under such a path, no more.
    pub(crate) fn take_away(&self, path: &str) {
        let mut state = self.lock();
        state.goods.remove(path).expect("it had that");
        if let Some((repository, tag)) = path.split_once("/manifests/") {
            let repository = repository.trim_start_matches("/v2/");
            if let Some(tags) = state.tags.get_mut(repository) {
                tags.retain(|name| name != tag);
            }
        }
    }

    /// Lists no more tags at once, whatever is asked for.
    pub(crate) fn list_at_most(&self, tags: usize) {
        self.lock().page_max = Some(tags);
    }

    /// Lets in only whom this lets in.
    pub(crate) fn guard(&self, guard: Guard) {
        self.lock().guard = Some(guard);
    }

    // --- What it does wrong ---

    /// Every request whose line (`GET /v2/…`) contains this text meets this trouble; the order given last
    /// comes first.
    pub(crate) fn always(&self, part: &str, trouble: Trouble) {
        self.order(part, trouble, None);
    }

    /// Only the next so many requests do.
    pub(crate) fn times(&self, times: usize, part: &str, trouble: Trouble) {
        self.order(part, trouble, Some(times));
    }

    pub(crate) fn once(&self, part: &str, trouble: Trouble) {
        self.times(1, part, trouble);
    }

    fn order(&self, part: &str, trouble: Trouble, times: Option<usize>) {
        let order = Order {
            part: part.to_owned(),
            trouble,
            times,
        };
        self.lock().orders.insert(0, order);
    }

    /// Does everything right from now on. Who waits goes on waiting.
    pub(crate) fn heal(&self) {
        self.lock().orders.clear();
    }

    /// Lets those go on that wait in the middle of an answer.
    pub(crate) fn open(&self) {
        self.lock().opened += 1;
        self.shared.1.notify_all();
    }

    /// Waits until so many requests stand still.
    pub(crate) fn wait_until_stuck(&self, requests: usize) {
        self.wait("it stands still", |state| requests <= state.waiting);
    }

    /// Waits until it was asked so often.
    pub(crate) fn wait_until_asked(&self, part: &str, times: usize) {
        self.wait(part, |state| times <= count(state, part));
    }

    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let (state, changed) = &*self.shared;
        let state = state.lock().expect("nobody panicked");
        let (state, waited) = changed
            .wait_timeout_while(state, PATIENCE, |state| !is_so(state))
            .expect("nobody panicked");
        assert!(!waited.timed_out(), "{what}: {:#?}", lines(&state));
    }

    /// Ends as a process does that is killed: connections are reset, and nobody listens.
    pub(crate) fn die(&self) {
        let mut state = self.lock();
        if state.is_dead {
            return;
        }
        state.is_dead = true;
        for stream in state.open.values() {
            serve::reset(stream);
        }
        state.open.clear();
        drop(state);
        self.shared.1.notify_all();
        // Its listener waits for somebody.
        let _ = TcpStream::connect(self.address);
        self.wait("nobody listens", |state| state.connections == usize::MAX);
    }

    /// Listens again, at the same address.
    pub(crate) fn rise(&self) {
        let listener = TcpListener::bind(self.address).expect("nobody else took the port");
        let mut state = self.lock();
        state.is_dead = false;
        state.connections = 0;
        drop(state);
        serve::accept(listener, self.tls.clone(), &self.shared);
    }

    // --- What it was asked ---

    /// Requests whose line contains this text: `GET /v2/`, a digest.
    pub(crate) fn count(&self, part: &str) -> usize {
        count(&self.lock(), part)
    }

    pub(crate) fn asked(&self, part: &str) -> Vec<Asked> {
        let state = self.lock();
        let asked = state.asked.iter().filter(|asked| asked.line.contains(part));
        asked.cloned().collect()
    }

    /// Lines of all requests, in their order; then it remembers none of them.
    pub(crate) fn drain(&self) -> Vec<String> {
        let mut state = self.lock();
        let lines = lines(&state);
        state.asked.clear();
        lines
    }

    /// Connections that it ever took, whatever came over them.
    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("nobody panicked")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.die();
        }
    }
}

fn count(state: &State, part: &str) -> usize {
    let asked = state.asked.iter().filter(|asked| asked.line.contains(part));
    asked.count()
}

fn lines(state: &State) -> Vec<String> {
    state.asked.iter().map(|asked| asked.line.clone()).collect()
}
