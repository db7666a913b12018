//! An endpoint of notifications: takes events, or behaves badly when told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// No event takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Answer(u16),
    /// 200, and a body that never ends.
    Endless,
    /// 307 to this URL.
    Redirect(String),
    /// Says nothing until the mode changes, and then nothing either.
    Hang,
    /// Closes the connection.
    Close,
}

/// A request that it took with 2xx.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// First line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Taken {
    /// The one event in it.
    pub(crate) fn event(&self) -> Value {
        let mut envelope: Value = serde_json::from_str(&self.body).expect("it is JSON");
        assert_eq!(envelope["events"].as_array().map(Vec::len), Some(1));
        envelope["events"][0].take()
    }

    /// `push acme/web sha256:… v1`, as far as it has them.
    pub(crate) fn line(&self) -> String {
        let event = self.event();
        let target = &event["target"];
        let texts = [
            &event["action"],
            &target["repository"],
            &target["digest"],
            &target["tag"],
        ];
        let texts: Vec<&str> = texts.into_iter().filter_map(Value::as_str).collect();
        texts.join(" ")
    }
}

#[derive(Debug)]
struct State {
    mode: Mode,
    taken: Vec<Taken>,
    /// Connections that ended before a request was understood, and requests.
    attempts: usize,
}

/// An endpoint that listens until the test's process ends.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        Self::listen(None)
    }

    /// With a certificate that nobody has reason to trust.
    pub(crate) fn self_signed() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("names of hosts");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a key and its certificate");
        Self::listen(Some(Arc::new(config)))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let state = State {
            mode: Mode::Answer(200),
            taken: Vec::new(),
            attempts: 0,
        };
        let sink = Self {
            address: listener.local_addr().expect("it listens"),
            scheme: if tls.is_some() { "https" } else { "http" },
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let own = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sink, tls) = (own.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => sink.serve(stream),
                    Some(config) => {
                        let session = ServerConnection::new(config).expect("a whole config");
                        sink.serve(StreamOwned::new(session, stream));
                    }
                });
            }
        });
        sink
    }

    /// Takes one request after the other from a connection.
    fn serve(&self, mut stream: impl Read + Write) {
        while let Some((head, body)) = read_request(&mut stream) {
            let mut state = self.lock();
            state.attempts += 1;
            self.shared.1.notify_all();
            while state.mode == Mode::Hang {
                state = self.shared.1.wait(state).expect("nobody panicked");
                if state.mode != Mode::Hang {
                    return;
                }
            }
            let answer = match state.mode.clone() {
                Mode::Answer(status) => {
                    if (200..300).contains(&status) {
                        state.taken.push(Taken { head, body });
                        self.shared.1.notify_all();
                    }
                    format!("HTTP/1.1 {status} As told\r\nContent-Length: 2\r\n\r\nok")
                }
                Mode::Redirect(url) => format!(
                    "HTTP/1.1 307 Elsewhere\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"
                ),
                Mode::Endless => {
                    state.taken.push(Taken { head, body });
                    self.shared.1.notify_all();
                    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok".to_owned()
                }
                Mode::Hang | Mode::Close => return,
            };
            drop(state);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        let mut state = self.lock();
        state.attempts += 1;
        self.shared.1.notify_all();
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.lock().mode = mode;
        self.shared.1.notify_all();
    }

    pub(crate) fn attempts(&self) -> usize {
        self.lock().attempts
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// Waits until it took so many, and fails if it took more.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Taken> {
        let taken = self.wait(|state| count <= state.taken.len());
        let lines: Vec<_> = taken.iter().map(Taken::line).collect();
        assert_eq!(taken.len(), count, "{lines:#?}");
        taken
    }

    pub(crate) fn wait_for_attempts(&self, count: usize) {
        self.wait(|state| count <= state.attempts);
    }

    fn wait(&self, is_so: impl Fn(&State) -> bool) -> Vec<Taken> {
        let (state, waited) = self
            .shared
            .1
            .wait_timeout_while(self.lock(), PATIENCE, |state| !is_so(state))
            .expect("nobody panicked");
        assert!(!waited.timed_out(), "it has only {:#?}", *state);
        state.taken.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("nobody panicked")
    }
}

pub(super) fn read_request(stream: &mut impl Read) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// For a test that wants no connection at all: an address where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    drop(listener);
    let _ = TcpStream::connect(address).expect_err("nobody listens");
    format!("http://{address}/hook")
}
