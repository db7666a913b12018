//! `layerhouse user|org|team|robot|token|acl|repo|invitation|audit`: accounts and rights, for who stands at the
//! machine.

pub(crate) mod acl;
pub(crate) mod audit;
pub(crate) mod invitation;
pub(crate) mod org;
pub(crate) mod repo;
pub(crate) mod robot;
pub(crate) mod team;
pub(crate) mod token;
pub(crate) mod user;
mod words;
