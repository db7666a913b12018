//! One client's connection: requests whose connection may break only where the server was killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use layerhouse_oci::digest::{Algorithm, Digest};
use tokio::runtime::Runtime;

use super::world::{Killed, World};
use crate::content::Blob;
use crate::http::client::{Answer, Client};
use crate::http::origin::Origin;

/// A client that waits while the server is away.
pub(super) struct Talk {
    runtime: Runtime,
    origin: Arc<Origin>,
    client: Client,
    pub(super) world: Arc<World>,
    /// The server's life in which the connection was made.
    life: u64,
    name: String,
    /// Uploads that a kill cut short: their client does not go on with them, and says so.
    forsaken: Vec<String>,
}

impl Talk {
    pub(super) fn new(
        world: &Arc<World>,
        origin: &Arc<Origin>,
        name: &str,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a client: {error}"))?;
        Ok(Self {
            runtime,
            origin: Arc::clone(origin),
            client: Client::new(Arc::clone(origin)),
            world: Arc::clone(world),
            life: 0,
            name: name.to_owned(),
            forsaken: Vec::new(),
        })
    }

    /// The server's life that the last request belonged to.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// A request without a body.
    pub(super) fn ask(&mut self, method: &str, path: &str) -> Result<Answer, Killed> {
        self.send(method, path, "", &Blob::of(&[]), 0..0)
    }

    /// A request with a part of a blob as its body.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        fields: &str,
        blob: &Blob,
        range: std::ops::Range<u64>,
    ) -> Result<Answer, Killed> {
        let length = range.end - range.start;
        let life = self.world.life().ok_or(Killed)?;
        if self.life != life {
            self.life = life;
            self.client = Client::new(Arc::clone(&self.origin));
        }
        let asked = self.client.exchange(method, path, fields, blob, range);
        match self.runtime.block_on(asked) {
            Ok(answer) => {
                self.world.moved(length + answer.body.len() as u64);
                if 500 <= answer.status {
                    self.fail(format!(
                        "{method} {path}: {} {}",
                        answer.status,
                        answer.text()
                    ));
                }
                Ok(answer)
            }
            Err(failure) => {
                self.client = Client::new(Arc::clone(&self.origin));
                if self.world.is_life(life) {
                    self.fail(format!("{method} {path}: {failure}, and nobody was killed"));
                }
                Err(Killed)
            }
        }
    }

    pub(super) fn location(&self, answer: &Answer) -> Option<String> {
        match self.client.location(answer) {
            Ok(location) => Some(location),
            Err(failure) => {
                self.fail(format!("{}: {failure}", answer.status));
                None
            }
        }
    }

    /// Whether the status is one of these; if not, that is a failure.
    pub(super) fn expect(&self, what: &str, answer: &Answer, expected: &[u16]) -> bool {
        let is_expected = expected.contains(&answer.status);
        if !is_expected {
            self.fail(format!(
                "{what}: {} instead of {expected:?}: {}",
                answer.status,
                answer.text()
            ));
        }
        is_expected
    }

    pub(super) fn fail(&self, what: impl AsRef<str>) {
        self.world.fail(format!("{}: {}", self.name, what.as_ref()));
    }

    /// Pulls what is under a digest or tag; its bytes hash to what is said of them. Nothing if there is none.
    pub(super) fn pull(&mut self, path: &str) -> Result<Option<(Digest, Vec<u8>)>, Killed> {
        let answer = self.ask("GET", path)?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !self.expect(&format!("GET {path}"), &answer, &[200]) {
            return Ok(None);
        }
        let digest = Digest::of(Algorithm::Sha256, &answer.body);
        if answer.header("docker-content-digest") != Some(digest.as_str()) {
            self.fail(format!(
                "GET {path}: its bytes hash to {digest}, and it says otherwise"
            ));
        }
        Ok(Some((digest, answer.body)))
    }

    /// Pushes a blob in one of the ways there are; whether the server said that it has it, and since when.
    pub(super) fn push_blob(
        &mut self,
        repository: &str,
        blob: &Blob,
        way: Way,
    ) -> Result<Option<Instant>, Killed> {
        let what = format!("pushing {} to {repository}, {way:?}", blob.digest);
        let opening = format!("/v2/{repository}/blobs/uploads/");
        let whole = 0..blob.length;
        if way == Way::AtOnce {
            let path = format!("{opening}?digest={}", blob.digest);
            let said = Instant::now();
            let answer = self.send("POST", &path, "", blob, whole)?;
            return Ok(self.expect(&what, &answer, &[201]).then_some(said));
        }
        let opened = self.ask("POST", &opening)?;
        if !self.expect(&what, &opened, &[202]) {
            return Ok(None);
        }
        let Some(location) = self.location(&opened) else {
            return Ok(None);
        };
        self.fill(&what, &location, blob, way)
    }

    /// Cancels the uploads that kills cut short, which may be over, too.
    pub(super) fn cancel_forsaken(&mut self) -> Result<(), Killed> {
        while let Some(location) = self.forsaken.last().cloned() {
            let answer = self.ask("DELETE", &location)?;
            self.expect(&format!("DELETE {location}"), &answer, &[204, 404]);
            self.forsaken.pop();
        }
        Ok(())
    }

    /// Sends a blob to an upload and ends it.
    pub(super) fn fill(
        &mut self,
        what: &str,
        location: &str,
        blob: &Blob,
        way: Way,
    ) -> Result<Option<Instant>, Killed> {
        let filled = self.try_fill(what, location, blob, way);
        if filled.is_err() {
            self.forsaken.push(location.to_owned());
        }
        filled
    }

    fn try_fill(
        &mut self,
        what: &str,
        location: &str,
        blob: &Blob,
        way: Way,
    ) -> Result<Option<Instant>, Killed> {
        let mut location = location.to_owned();
        let mut at = 0;
        if let Way::InChunks { of } = way {
            while at < blob.length {
                let end = blob.length.min(at + of);
                let fields = format!("Content-Range: {at}-{}\r\n", end - 1);
                let answer = self.send("PATCH", &location, &fields, blob, at..end)?;
                if !self.expect(what, &answer, &[202]) {
                    return Ok(None);
                }
                let Some(next) = self.location(&answer) else {
                    return Ok(None);
                };
                location = next;
                at = end;
            }
        }
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{separator}digest={}", blob.digest);
        let said = Instant::now();
        let answer = self.send("PUT", &path, "", blob, at..blob.length)?;
        Ok(self.expect(what, &answer, &[201]).then_some(said))
    }

    pub(super) fn rest(&self, time: Duration) {
        self.world.rest(time);
    }
}

/// How a blob is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// POST with everything.
    AtOnce,
    /// POST, then PUT with everything.
    Whole,
    /// POST, then PATCH by PATCH of so many bytes.
    InChunks { of: u64 },
}
