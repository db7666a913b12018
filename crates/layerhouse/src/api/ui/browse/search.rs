use super::super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;

pub(in crate::api::ui) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    Err(Problem::not_found())
}
