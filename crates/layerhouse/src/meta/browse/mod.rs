//! What pages of the web UI read: lists of tags and repositories in several orders, facts of images, and who shares
//! what with whom. Bounded statements, each by an index.

pub(crate) mod images;
pub(crate) mod repositories;
pub(crate) mod shared;
pub(crate) mod tags;
pub(crate) mod version;

/// Texts or numbers as one parameter, in their order: a JSON array. What is joined to it is joined by CROSS JOIN, which
/// SQLite reads from the left: else it may look through all of a repository's tags for each.
fn array<T: serde::Serialize>(items: &[T]) -> String {
    serde_json::to_string(items).expect("a list of texts or numbers is JSON")
}
