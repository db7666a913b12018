//! How often clients may ask.

use std::time::Duration;

/// `layerhouse.index.ratelimit`: how often a client may ask; what is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateLimits {
    /// Manifests for who did not sign in, by address.
    pub(crate) anonymous: Option<Rate>,
    /// Manifests for who did, by account.
    pub(crate) account: Option<Rate>,
    /// Requests to `/api/v1` and to the token service, by address.
    pub(crate) api: Option<Rate>,
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// At least 1.
    pub(crate) requests: u32,
    /// Whole seconds, at least one.
    pub(crate) window: Duration,
}
