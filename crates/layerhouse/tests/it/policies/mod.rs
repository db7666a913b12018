//! `layerhouse.policies`: what may be pushed where, and what stays there.

mod immutable;
mod names;
mod quotas;
