//! Commands of the binary, besides `serve` itself.

pub(crate) mod configuration;
pub(crate) mod console;
pub(crate) mod healthcheck;
pub(crate) mod htpasswd;
pub(crate) mod index;
pub(crate) mod registry;
pub(crate) mod reload;
pub(crate) mod ui;
