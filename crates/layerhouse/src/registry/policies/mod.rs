//! Policies: what may be pushed where, and what stays there.
//!
//! What is allowed is asked inside the transaction that does it; what goes is decided by one function, which
//! the preview and the run share.

pub(crate) mod decide;
pub(crate) mod guard;
pub(crate) mod plan;
pub(crate) mod quota;
pub(crate) mod run;
mod semver;
