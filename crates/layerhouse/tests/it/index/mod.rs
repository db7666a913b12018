//! The index: accounts, tokens, visibility, search.

mod api;
mod command;
mod ldap;
mod mtls;
mod oidc;
mod outside;
mod registry2;
mod token_service;
mod workload;
