//! The index: accounts, tokens, visibility, search.

mod registry2;
mod token_service;
