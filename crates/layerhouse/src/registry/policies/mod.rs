//! Policies: what may be pushed where, and what stays there.
//!
//! What is allowed is asked inside the transaction that does it; what goes is decided by one function, which
//! the preview and the run share.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the run that asks it comes next")
)]
pub(crate) mod decide;
pub(crate) mod guard;
pub(crate) mod quota;
#[allow(dead_code, reason = "the run that asks it comes next")]
mod semver;
