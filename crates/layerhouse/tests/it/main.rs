//! The tests of the server as its clients see it: over HTTP, on a directory of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acme;
mod adoption;
mod architecture;
mod auth;
mod base;
mod blobs;
mod config;
mod config_reload;
mod connections;
mod console;
mod damage;
mod deletes;
mod differential;
mod faults;
mod harness;
mod heads;
mod health_checks;
mod hostile;
mod index;
mod isolation;
mod lists;
mod logs;
mod manifests;
mod metrics;
mod model;
mod mounts;
mod notifications;
mod pulls;
mod races;
mod referrers;
mod refusals;
mod settings;
mod sockets;
mod tls;
mod uploads;
