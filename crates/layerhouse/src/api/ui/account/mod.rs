//! Accounts: signing in, one's own pages, organizations, who may what in a repository. What these pages show
//! and change they ask `/api/v1`, so that nobody may here what they may not there.

mod confirm;
mod forms;
mod me;
mod namespaces;
mod organization;
pub(super) mod repository;
mod sign_in;
mod sign_up;
mod stars;
mod tokens;
mod words;

use askama::Template;
use http::StatusCode;
use serde::Deserialize;

use super::shell::Shell;
use super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;

/// The page that the segments behind `/ui` name.
///
/// # Errors
/// 404 for none, and what the API refuses.
pub(super) async fn page(visit: Visit, segments: &[String]) -> Result<Answer, Problem> {
    if visit.visitor.asker().is_none() {
        return no_accounts(&visit);
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["login"] => sign_in::page(visit).await,
        ["logout"] => sign_in::leave(visit).await,
        ["signup"] => sign_up::page(visit).await,
        ["setup"] => sign_up::setup(visit).await,
        ["me"] => me::page(visit).await,
        ["me", "tokens"] => tokens::page(visit).await,
        ["me", "stars"] => stars::page(visit).await,
        ["me", "namespaces"] => namespaces::page(visit).await,
        ["o", name, ref behind @ ..] => organization::page(visit, name, behind).await,
        _ => Err(Problem::not_found()),
    }
}

#[derive(Template)]
#[template(path = "no_accounts.html")]
struct NoAccounts<'a> {
    shell: &'a Shell,
}

/// What there is to say of accounts where there are none.
fn no_accounts(visit: &Visit) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    visit.show_as(StatusCode::NOT_FOUND, &NoAccounts { shell })
}

/// What the API says of itself.
#[derive(Debug, Deserialize)]
struct Server {
    features: Features,
}

#[derive(Debug, Deserialize)]
struct Features {
    sign_up: SignUp,
    users_make_organizations: bool,
    providers: Vec<Provider>,
}

/// Who may make an account for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SignUp {
    Closed,
    Invitation,
    Open,
}

/// Where people sign in with a browser, elsewhere.
#[derive(Debug, Deserialize)]
struct Provider {
    name: String,
    title: String,
}

async fn features(visit: &Visit) -> Result<Features, Problem> {
    let server: Server = visit.get("", &[]).await?;
    Ok(server.features)
}
