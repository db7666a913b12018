//! What changes a repository's content, with what it would do before it is done: deleting, bringing back,
//! moving a tag back.

pub(super) mod delete;
pub(super) mod history;
pub(super) mod undelete;
pub(super) mod undo;

use layerhouse_oci::name::RepositoryName;
use serde_json::Value;

use super::visit::Visit;
use crate::api::v1::visit;
use crate::auth::permits::TendPermit;
use crate::index::audit::Action;
use crate::registry::note::Doer;

/// Who changes a repository, with what the audit is to say of it, as for the API.
fn doer(visit: &Visit, permit: &TendPermit, action: Action, detail: Value) -> Doer {
    visit::doer(visit.visitor.index(), permit, action, detail)
}

/// A repository came or went: who may do what there is decided anew.
fn moved(visit: &Visit) {
    if let Some(index) = visit.visitor.index() {
        index.directory().moved();
    }
}

/// The address of a page of a repository.
fn page_of(name: &RepositoryName, page: &str) -> String {
    format!("/ui/r/{name}/-/{page}")
}
