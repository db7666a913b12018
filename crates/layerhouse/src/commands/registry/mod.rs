//! What the registry holds, for who stands at the machine: with accounts and without.

pub(crate) mod tags;
