//! One function for each section: it asks for every key that registry:2 and registry:3 know and says
//! what it means here. Implemented ones become types of [`meaning`](super::meaning); others are accepted
//! with a warning, or refused where going on would not be what the operator asked for.

pub(super) mod auth;
pub(super) mod cache;
pub(super) mod health;
pub(super) mod http;
pub(super) mod index;
mod index_issuers;
pub(super) mod index_rate;
mod index_sources;
pub(super) mod log;
mod middleware;
pub(super) mod mirror;
mod mirror_login;
pub(super) mod mirror_upstream;
pub(super) mod notifications;
pub(super) mod other;
pub(super) mod ours;
pub(super) mod policies;
mod proxy;
pub(super) mod storage;
mod storage_azure;
mod storage_gcs;
mod storage_s3;
pub(super) mod stores;
pub(super) mod tls;
