//! Finding and understanding images: home, search, namespaces, repositories, tags, one image, two compared.

pub(super) mod compare;
pub(super) mod home;
pub(super) mod image;
pub(super) mod namespace;
pub(super) mod repository;
pub(super) mod search;
pub(super) mod tags;
