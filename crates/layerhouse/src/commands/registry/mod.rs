//! What the registry holds, for who stands at the machine: with accounts and without.

pub(crate) mod backup;
pub(crate) mod collection;
pub(crate) mod deleted;
pub(crate) mod doctor;
pub(crate) mod history;
pub(crate) mod mirror;
mod reference;
pub(crate) mod retention;
pub(crate) mod scrub;
pub(crate) mod tags;
