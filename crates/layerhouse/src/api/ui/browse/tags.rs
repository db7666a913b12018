use layerhouse_oci::name::RepositoryName;

use super::super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.visitor.pull(&name)?;
    Err(Problem::not_found())
}
