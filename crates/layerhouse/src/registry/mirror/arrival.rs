//! A blob on its way from an upstream: fetched once, staged and hashed as an upload is, and read meanwhile by all who
//! asked for it, each from where it wants and as fast as it can.
//!
//! Nobody gets the last byte of what they asked for before the whole blob was found to hash to its digest: if it
//! does not, their connections are cut, and nothing is kept (S23).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::MirrorError;
use crate::blobs::Store;
use crate::blobs::read::{BlobFile, Window};
use crate::fault::{Fault, FaultKind};
use crate::metrics;

/// Which blob of which copy: what one upstream's repository sends is nobody else's until it was verified.
pub(super) type Key = (RepositoryName, Digest);

/// The blobs that are on their way.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    open: Arc<Mutex<HashMap<Key, Arc<Arrival>>>>,
    stopping: watch::Sender<bool>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Arrival {
    state: watch::Sender<State>,
    /// How many wait for it or read it.
    aboard: watch::Sender<usize>,
    is_stopping: watch::Receiver<bool>,
    /// What other processes say who read along; absent while this one does not fetch it.
    token: OnceLock<String>,
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Absent until the upstream began to answer.
    head: Option<Head>,
    /// Bytes that can be read.
    received_bytes: u64,
    /// All of it is here and hashes to its digest.
    is_verified: bool,
    /// It is published, or will never be.
    end: Option<Result<(), MirrorError>>,
}

/// What is known from the start.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) size_bytes: u64,
    pub(super) file: BlobFile,
}

/// A place aboard; whoever leaves last may end it.
#[derive(Debug)]
pub(super) struct Ticket {
    arrival: Arc<Arrival>,
    open: Arc<Mutex<HashMap<Key, Arc<Arrival>>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Under the lock, so that an arrival that nobody waits for is not joined while it gives up.
        let _open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.arrival.aboard.send_modify(|aboard| *aboard -= 1);
    }
}

impl Arrivals {
    /// Waits for a blob with all others who do; `fetch` is begun, on a task of its own, by the first. Whether it was.
    pub(super) fn join<F>(&self, key: Key, fetch: impl FnOnce(Arc<Arrival>) -> F) -> (Ticket, bool)
    where
        F: Future<Output = Result<(), MirrorError>> + Send + 'static,
    {
        let mut open = self.lock();
        if let Some(arrival) = open.get(&key) {
            arrival.aboard.send_modify(|aboard| *aboard += 1);
            return (self.ticket(arrival), false);
        }
        let arrival = Arc::new(Arrival {
            state: watch::Sender::default(),
            aboard: watch::Sender::new(1),
            is_stopping: self.stopping.subscribe(),
            token: OnceLock::new(),
        });
        open.insert(key.clone(), Arc::clone(&arrival));
        let ticket = self.ticket(&arrival);
        drop(open);
        let (fetching, all) = (fetch(Arc::clone(&arrival)), Arc::clone(&self.open));
        tokio::spawn(async move {
            // A panic of ours must not leave all who come waiting for ever.
            let result = tokio::spawn(fetching).await;
            let result = result.unwrap_or_else(|error| {
                Err(Fault::new(FaultKind::Other, "fetching a blob", error).into())
            });
            all.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&key);
            arrival.state.send_modify(|state| state.end = Some(result));
        });
        (ticket, true)
    }

    /// A place aboard for another process, which says this of the blob of this digest.
    pub(super) fn board(&self, digest: &Digest, token: &str) -> Option<Ticket> {
        let open = self.lock();
        let is_meant = |(key, arrival): &(&Key, &Arc<Arrival>)| {
            let said = arrival.token.get().map(String::as_bytes);
            key.1 == *digest && said.is_some_and(|said| is_same(said, token.as_bytes()))
        };
        let (_, arrival) = open.iter().find(is_meant)?;
        arrival.aboard.send_modify(|aboard| *aboard += 1);
        Some(self.ticket(arrival))
    }

    fn ticket(&self, arrival: &Arc<Arrival>) -> Ticket {
        Ticket {
            arrival: Arc::clone(arrival),
            open: Arc::clone(&self.open),
        }
    }

    /// Ends all of them, and waits until they have cleaned up.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        let open: Vec<_> = self.lock().values().cloned().collect();
        for arrival in open {
            let mut state = arrival.state.subscribe();
            let _ = state.wait_for(|state| state.end.is_some()).await;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Arrival>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Lets other processes read along who say this.
    pub(super) fn show_to(&self, token: &str) {
        let _ = self.token.set(token.to_owned());
    }

    /// It can be read from now on.
    pub(super) fn begin(&self, head: Head) {
        self.state.send_modify(|state| state.head = Some(head));
    }

    /// So many bytes can be read now; how many more than before.
    pub(super) fn received(&self, received_bytes: u64) -> u64 {
        let mut before = 0;
        self.state.send_if_modified(|state| {
            before = std::mem::replace(&mut state.received_bytes, received_bytes);
            before != received_bytes
        });
        received_bytes.saturating_sub(before)
    }

    /// How many can be read.
    pub(super) fn received_bytes(&self) -> u64 {
        self.state.borrow().received_bytes
    }

    pub(super) fn verified(&self) {
        self.state.send_modify(|state| state.is_verified = true);
    }

    /// Whether anybody waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        0 < *self.aboard.borrow()
    }

    /// Whether the server stops.
    pub(super) fn is_stopping(&self) -> bool {
        *self.is_stopping.borrow()
    }

    /// Waits until the server stops.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.is_stopping.clone();
        if stopping.wait_for(|is_stopping| *is_stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it is to be given up: the server stops, or, unless it is to be finished anyway, everyone left.
    pub(super) async fn given_up(&self, finishes: bool) {
        let mut aboard = self.aboard.subscribe();
        let left = async {
            if finishes || aboard.wait_for(|aboard| *aboard == 0).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.stopped() => {}
            () = left => {}
        }
    }
}

impl Ticket {
    /// Waits until it can be read; `None` if it is published already, and read like any other.
    ///
    /// # Errors
    /// It does not come.
    pub(super) async fn begun(&self) -> Result<Option<Head>, MirrorError> {
        let mut state = self.arrival.state.subscribe();
        let begun = state.wait_for(|state| state.head.is_some() || state.end.is_some());
        let Ok(state) = begun.await else {
            return Err(over().into());
        };
        match (&state.end, &state.head) {
            (Some(Err(error)), _) => Err(error.clone()),
            (Some(Ok(())), _) | (None, None) => Ok(None),
            (None, Some(head)) => Ok(Some(head.clone())),
        }
    }

    /// Waits until it is published.
    ///
    /// # Errors
    /// It is not.
    pub(super) async fn ended(&self) -> Result<(), MirrorError> {
        let mut state = self.arrival.state.subscribe();
        let ended = state.wait_for(|state| state.end.is_some()).await;
        let end = ended.ok().and_then(|state| state.end.clone());
        end.unwrap_or_else(|| Err(over().into()))
    }
}

fn is_same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn over() -> Fault {
    Fault::plain(
        FaultKind::Other,
        "a blob on its way was forgotten".to_owned(),
    )
}

type Reading = JoinHandle<std::io::Result<Bytes>>;
type Changed = Pin<Box<dyn Future<Output = watch::Receiver<State>> + Send>>;

/// Reads a blob while it arrives.
pub(crate) struct ArrivingReader {
    head: Head,
    digest: Digest,
    store: Arc<Store>,
    at: u64,
    end: u64,
    state: Option<watch::Receiver<State>>,
    changed: Option<Changed>,
    reading: Option<Reading>,
    /// Lets go of the arrival when it is dropped.
    _ticket: Ticket,
}

impl std::fmt::Debug for ArrivingReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ArrivingReader")
            .field("digest", &self.digest)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl ArrivingReader {
    /// Reads the bytes from `first` to before `end`, which is within the blob.
    pub(super) fn new(
        store: &Arc<Store>,
        digest: &Digest,
        (ticket, head): (Ticket, Head),
        first: u64,
        end: u64,
    ) -> Self {
        assert!(
            first <= end && end <= head.size_bytes,
            "a range of the blob"
        );
        Self {
            state: Some(ticket.arrival.state.subscribe()),
            digest: digest.clone(),
            store: Arc::clone(store),
            at: first,
            end,
            head,
            changed: None,
            reading: None,
            _ticket: ticket,
        }
    }

    /// Bytes still to come.
    pub(crate) fn remaining_bytes(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes, as soon as there are some; nothing at the end.
    pub(crate) fn poll_window(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let window = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                let window =
                    window.map_err(|error| Fault::new(FaultKind::Other, "reading a blob", error));
                let window = window.and_then(|window| window.map_err(|error| self.broken(error)));
                return Poll::Ready(Some(
                    window.inspect(|window| self.at += window.len() as u64),
                ));
            }
            if self.at == self.end {
                return Poll::Ready(None);
            }
            if let Some(changed) = &mut self.changed {
                self.state = Some(ready!(changed.as_mut().poll(context)));
                self.changed = None;
            }
            let Some(mut state) = self.state.take() else {
                return Poll::Ready(Some(Err(over())));
            };
            let readable = readable(&state.borrow_and_update(), self.end);
            match readable {
                Ok(until) if self.at < until => {
                    self.state = Some(state);
                    if let Some(window) = self.read(until) {
                        return Poll::Ready(Some(window));
                    }
                }
                Ok(_) => {
                    self.changed = Some(Box::pin(async move {
                        // Its sender goes after it said how it ended.
                        let _ = state.changed().await;
                        state
                    }));
                }
                Err(error) => {
                    self.state = Some(state);
                    let what = format!("blob {} from its upstream: {error}", self.digest);
                    return Poll::Ready(Some(Err(Fault::plain(FaultKind::Other, what))));
                }
            }
        }
    }

    /// What is in the page cache; nothing, if it is being read from the disk now.
    fn read(&mut self, until: u64) -> Option<Result<Bytes, Fault>> {
        let buffers = self.store.buffers();
        match self.head.file.cached_window(buffers, self.at, until) {
            Ok(Window::Ready(window)) => {
                self.at += window.len() as u64;
                Some(Ok(window))
            }
            Ok(Window::OnDisk) => {
                let (store, file, at) = (Arc::clone(&self.store), self.head.file.clone(), self.at);
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let _timed = store.actions().time(metrics::Action::Reader);
                    file.window(store.buffers(), at, until)
                }));
                None
            }
            Err(error) => Some(Err(self.broken(error))),
        }
    }

    fn broken(&self, error: std::io::Error) -> Fault {
        Fault::io(
            format!("reading blob {} while it arrives", self.digest),
            error,
        )
    }
}

/// Up to where somebody may read who wants the bytes before `end`.
fn readable(state: &State, end: u64) -> Result<u64, MirrorError> {
    if state.is_verified {
        return Ok(end);
    }
    if let Some(Err(error)) = &state.end {
        return Err(error.clone());
    }
    Ok(state.received_bytes.min(end.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_waits_until_the_blob_is_verified() {
        let mut state = State::default();
        assert_eq!(readable(&state, 10).ok(), Some(0));
        state.received_bytes = 5;
        assert_eq!(readable(&state, 10).ok(), Some(5));
        // Of a range within what is here, too.
        assert_eq!(readable(&state, 5).ok(), Some(4));
        state.received_bytes = 10;
        assert_eq!(readable(&state, 10).ok(), Some(9));
        state.is_verified = true;
        assert_eq!(readable(&state, 10).ok(), Some(10));
        // That it could not be published is no matter to who reads it.
        state.end = Some(Err(MirrorError::Offline));
        assert_eq!(readable(&state, 10).ok(), Some(10));
        state.is_verified = false;
        assert!(readable(&state, 10).is_err());
    }

    #[tokio::test]
    async fn who_leaves_last_ends_it() {
        let arrivals = Arrivals::default();
        let key: Key = (
            "up/web".parse().expect("a name"),
            Digest::of(layerhouse_oci::digest::Algorithm::Sha256, b"layer"),
        );
        let fetch = |arrival: Arc<Arrival>| async move {
            arrival.given_up(false).await;
            Err(MirrorError::Offline)
        };
        let (first, began) = arrivals.join(key.clone(), fetch);
        let (second, joined) = arrivals.join(key.clone(), fetch);
        assert!(began && !joined);
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(arrivals.count(), 1);
        let mut state = second.arrival.state.subscribe();
        drop(second);
        let ended = state.wait_for(|state| state.end.is_some()).await;
        assert!(ended.is_ok());
        drop(ended);
        assert_eq!(arrivals.count(), 0);
    }
}
