//! What the tests stand on: a server of their own each, a client that hides nothing, and an end at which
//! the data directory is proved sound.

pub(crate) mod azure;
pub(crate) mod bucket;
pub(crate) mod console;
pub(crate) mod database;
pub(crate) mod endpoints;
pub(crate) mod files;
pub(crate) mod google;
pub(crate) mod http;
pub(crate) mod images;
pub(crate) mod machine;
pub(crate) mod outside;
pub(crate) mod process;
pub(crate) mod provider;
pub(crate) mod proxy;
pub(crate) mod pull;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod slapd;
pub(crate) mod tls;
pub(crate) mod transcript;
pub(crate) mod transport;
pub(crate) mod upstream;

use std::sync::atomic::{AtomicBool, Ordering};

/// What the environment of the tests says of every server that they start: `LAYERHOUSE_TEST_MAPPED=false`
/// has the same tests run without the fast path.
pub(crate) fn variables_of_all() -> Option<(&'static str, String)> {
    let value = std::env::var("LAYERHOUSE_TEST_MAPPED").ok()?;
    Some(("LAYERHOUSE_STORAGE__MAPPED", value))
}

/// Sets a flag when it is dropped, also by an assertion that fails: those who go on until then end.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
