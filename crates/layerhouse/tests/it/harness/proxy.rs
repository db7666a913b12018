//! A network between a client and a server that does what networks do: resets, silence, a narrow line.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::http::Client;

/// How often a copying thread looks whether its connection is over.
const LOOK: Duration = Duration::from_millis(20);

/// Passes bytes on; each connection meets the next trouble that was ordered, or none.
pub(crate) struct Proxy {
    /// A client of the server behind it.
    pub(crate) client: Client,
    address: SocketAddr,
    troubles: Arc<Mutex<VecDeque<Trouble>>>,
    over: Arc<AtomicBool>,
}

/// What befalls a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) way: Way,
    /// After so many bytes went that way.
    pub(crate) after_bytes: usize,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Both ends are told (RST).
    Reset,
    /// No end is told anything: nothing more arrives, either way, and nothing closes.
    Silence,
    /// From here on so many bytes a second pass, for the rest of the connection.
    Narrow { bytes_per_second: usize },
}

/// What the two threads of a connection share; the sockets close when both let go.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    is_reset: AtomicBool,
    is_silent: AtomicBool,
    over: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let address = listener.local_addr().expect("it listens");
        let troubles = Arc::<Mutex<VecDeque<Trouble>>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let (ordered, ended) = (Arc::clone(&troubles), Arc::clone(&over));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let trouble = ordered.lock().expect("nobody panics with it").pop_front();
                // A server that is not there is one that closes at once.
                if let Ok(server) = TcpStream::connect(server) {
                    connect(client, server, trouble, &ended);
                }
            }
        });
        Self {
            client: Client::new(address),
            address,
            troubles,
            over,
        }
    }

    /// The next connection that has none ordered before it meets this.
    pub(crate) fn order(&self, way: Way, after_bytes: usize, what: What) {
        let mut troubles = self.troubles.lock().expect("nobody panics with it");
        troubles.push_back(Trouble {
            way,
            after_bytes,
            what,
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Its listener waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(client: TcpStream, server: TcpStream, trouble: Option<Trouble>, over: &Arc<AtomicBool>) {
    for socket in [&client, &server] {
        socket
            .set_read_timeout(Some(LOOK))
            .expect("a time-out above zero");
        let _ = socket.set_nodelay(true);
    }
    let pair = Arc::new(Pair {
        client,
        server,
        is_reset: AtomicBool::new(false),
        is_silent: AtomicBool::new(false),
        over: Arc::clone(over),
    });
    for way in [Way::Up, Way::Down] {
        let pair = Arc::clone(&pair);
        let trouble = trouble.filter(|trouble| trouble.way == way);
        thread::spawn(move || {
            pair.copy(way, trouble);
        });
    }
}

impl Pair {
    fn copy(&self, way: Way, mut trouble: Option<Trouble>) {
        let (mut from, mut to) = match way {
            Way::Up => (&self.client, &self.server),
            Way::Down => (&self.server, &self.client),
        };
        let mut buffer = vec![0; 16 << 10];
        let mut passed_bytes = 0;
        let mut narrow = None;
        loop {
            let may = trouble.map_or(buffer.len(), |trouble| trouble.after_bytes - passed_bytes);
            if may == 0 {
                match trouble.take().map(|trouble| trouble.what) {
                    Some(What::Reset) => self.is_reset.store(true, Ordering::SeqCst),
                    Some(What::Silence) => self.is_silent.store(true, Ordering::SeqCst),
                    Some(What::Narrow { bytes_per_second }) => narrow = Some(bytes_per_second),
                    None => {}
                }
                continue;
            }
            if self.is_reset.load(Ordering::SeqCst) || self.over.load(Ordering::SeqCst) {
                // Closing then says RST instead of FIN.
                for socket in [&self.client, &self.server] {
                    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
                }
                return;
            }
            if self.is_silent.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
                continue;
            }
            let most = may
                .min(buffer.len())
                .min(narrow.unwrap_or(usize::MAX) / 20 + 1);
            match from.read(&mut buffer[..most]) {
                Ok(0) => {
                    let _ = to.shutdown(std::net::Shutdown::Write);
                    return;
                }
                Ok(read) => {
                    if to.write_all(&buffer[..read]).is_err() {
                        let _ = from.shutdown(std::net::Shutdown::Read);
                        return;
                    }
                    passed_bytes += read;
                    if narrow.is_some() {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => {
                    self.is_reset.store(true, Ordering::SeqCst);
                }
            }
        }
    }
}
