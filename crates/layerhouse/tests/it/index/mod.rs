//! The index: accounts, tokens, visibility, search.

mod absent;
mod api;
mod command;
mod counts;
mod ldap;
mod mtls;
mod oidc;
mod outside;
mod registry2;
mod search;
mod token_service;
mod workload;
