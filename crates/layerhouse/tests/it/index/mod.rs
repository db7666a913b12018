//! The index: accounts, tokens, visibility, search.

mod absent;
mod apart;
mod api;
mod changes;
mod command;
mod counts;
mod hidden;
pub(crate) mod house;
mod ldap;
mod limits;
mod matrix;
mod mirror;
mod model;
mod mtls;
mod oidc;
mod outside;
mod registry2;
mod search;
mod secrecy;
mod token_service;
mod workload;
