//! Finding and understanding images: home, search, namespaces, repositories, tags, one image, two compared.

pub(super) mod aim;
pub(super) mod compare;
mod config;
mod facets;
pub(super) mod here;
pub(super) mod home;
pub(super) mod image;
pub(super) mod model;
pub(super) mod namespace;
pub(super) mod parts;
pub(super) mod repository;
pub(super) mod search;
pub(super) mod snippets;
mod sorts;
pub(super) mod tags;
