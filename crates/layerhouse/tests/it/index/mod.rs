//! The index: accounts, tokens, visibility, search.

mod token_service;
