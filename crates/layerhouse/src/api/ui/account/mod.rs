//! Accounts: signing in, one's own pages, organizations, who may what in a repository.

pub(super) mod repository;

use super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;

/// The page that the segments behind `/ui` name.
///
/// # Errors
/// 404 for none, and what the API refuses.
pub(super) async fn page(visit: Visit, _segments: &[String]) -> Result<Answer, Problem> {
    visit.only_looks()?;
    Err(Problem::not_found())
}
