//! Layerhouse: a container-image registry in one binary.
//!
//! `ARCHITECTURE.md` has the picture. Arrows point one way: `api` → `registry` → `meta`, `blobs` →
//! the vocabulary crate `layerhouse-oci`; `auth` lends `registry` its proofs of permission, `jobs` call
//! `registry` as `api` does. `tests/it/architecture.rs` reads the imports and keeps it so.

mod api;
mod auth;
mod blobs;
mod checks;
pub mod clock;
pub mod config;
mod fault;
mod health;
mod index;
mod jobs;
pub mod log;
mod meta;
mod metrics;
mod outbound;
mod registry;
mod server;
mod size;
mod steps;
mod trust;

pub use api::console::client::Reply;
pub use api::sockets::Address;
#[doc(hidden)]
pub use api::ui::fuzzed as fuzzed_pages;
pub use auth::authenticator::AuthError;
#[doc(hidden)]
pub use auth::fuzzed;
pub use auth::htpasswd::create::{
    COST_DEFAULT as HTPASSWD_COST_DEFAULT, HtpasswdError, htpasswd_line,
};
pub use auth::htpasswd::update::htpasswd_update;
pub use blobs::OpenError;
#[doc(hidden)]
pub use index::measured;
#[doc(hidden)]
pub use meta::postgres::Place as DatabasePlace;
pub use outbound::upstream::fuzzed as fuzzed_upstream;
pub use registry::backup::check::{Pruned, Verified, backup_list, backup_prune, backup_verify};
pub use registry::backup::restore::{Restored, backup_restore};
pub use registry::backup::{BackupError, Description, Listed, Missing};
#[doc(hidden)]
pub use registry::browse::measured as measured_browse;
pub use registry::doctor::{Ailment, Diagnosis, examine, examine_configured};
pub use registry::moving::{Direction, migrate, migrate_configured};
pub use registry::rebuild::{Rebuild, RebuildReport, rebuild};
pub use registry::verify::{Finding, Report, verify, verify_configured};
pub use server::console::{Console, ConsoleError, Needs};
pub use server::elsewhere::{Pages, show_elsewhere};
pub use server::{Environment, Running, StartError, check, start};
pub use size::shown_size;
