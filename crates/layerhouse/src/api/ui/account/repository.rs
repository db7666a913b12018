//! What accounts have to do with a repository: who may see it, what people read of it, who may what there, stars.

mod access;
mod settings;

use http::Method;
use layerhouse_oci::name::RepositoryName;
use serde_json::Value;

use super::no_accounts;
use crate::api::Answer;
use crate::api::ui::form::local_path;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;

/// `/ui/r/<repository>/-/settings`
///
/// # Errors
/// What the API refuses.
pub(in crate::api::ui) async fn settings(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    if visit.visitor.asker().is_none() {
        return no_accounts(&visit);
    }
    settings::page(visit, name).await
}

/// `/ui/r/<repository>/-/access`
///
/// # Errors
/// What the API refuses.
pub(in crate::api::ui) async fn access(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    if visit.visitor.asker().is_none() {
        return no_accounts(&visit);
    }
    access::page(visit, name).await
}

/// `POST /ui/r/<repository>/-/star` with `star=yes` or `star=no`, and `next`.
///
/// # Errors
/// What the API refuses.
pub(in crate::api::ui) async fn star(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_changes()?;
    if visit.visitor.asker().is_none() {
        return no_accounts(&visit);
    }
    let own_page = format!("/ui/r/{name}");
    if visit.shell.user.is_none() {
        let next = visit.shell.value(own_page);
        return Ok(visit.go(&format!("/ui/login?next={next}")));
    }
    let is_given = visit.form.get("star") != Some("no");
    let method = if is_given {
        Method::PUT
    } else {
        Method::DELETE
    };
    let path = format!("/repositories/{name}/-/star");
    let _: Value = visit.ask(method, &path, &[], None).await?;
    let next = visit.form.get("next").and_then(local_path);
    let next = next.unwrap_or(&own_page);
    let (path, query) = next.split_once('?').unwrap_or((next, ""));
    // The same view as before, but for what was said of what was done then.
    let pairs = form_urlencoded::parse(query.as_bytes());
    let start = if is_given {
        format!("{path}?said=starred")
    } else {
        format!("{path}?said=unstarred")
    };
    let mut address = form_urlencoded::Serializer::for_suffix(start, path.len() + 1);
    address.extend_pairs(pairs.filter(|(name, _)| name != "said"));
    Ok(visit.go(&address.finish()))
}
