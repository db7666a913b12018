//! Administration: for who looks after the server. What these pages show and do they ask `/api/v1`, so that
//! they let in and refuse whom it does, and the audit has what it has.

mod access;
mod audit;
mod collection;
mod configuration;
mod deleted;
mod health;
mod invitations;
mod menu;
mod mirrors;
mod organizations;
mod overview;
mod retention;
mod robots;
mod scrub;
mod storage;
mod users;

use std::time::Duration;

use askama::Template;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ask::Refused;
use super::shell::Shell;
use super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;
use crate::fault::{Fault, FaultKind};

/// What a browser waits for at most; the work goes on.
const PATIENCE: Duration = Duration::from_secs(15);

/// The page that the segments behind `/ui/admin` name.
///
/// # Errors
/// 404 for none, and what the API refuses.
pub(super) async fn page(visit: Visit, segments: &[String]) -> Result<Answer, Problem> {
    if visit.visitor.asker().is_none() {
        let shell = &visit.shell;
        return visit.show_as(StatusCode::NOT_FOUND, &NoAccounts { shell });
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        [] => overview::page(visit).await,
        ["users"] => users::page(visit).await,
        ["users", name] => users::one(visit, name).await,
        ["robots"] => robots::page(visit).await,
        ["organizations"] => organizations::page(visit).await,
        ["invitations"] => invitations::page(visit).await,
        ["access"] => access::page(visit).await,
        ["storage"] => storage::page(visit).await,
        ["collection"] => collection::page(visit).await,
        ["retention"] => retention::page(visit).await,
        ["deleted"] => deleted::page(visit).await,
        ["scrub"] => scrub::page(visit).await,
        ["mirrors"] => mirrors::page(visit).await,
        ["audit"] => audit::page(visit).await,
        ["health"] => health::page(visit).await,
        ["doctor"] => health::doctor(visit).await,
        ["config"] => configuration::page(visit).await,
        _ => Err(Problem::not_found()),
    }
}

#[derive(Template)]
#[template(path = "no_accounts.html")]
struct NoAccounts<'a> {
    shell: &'a Shell,
}

/// Asks for what may take long; none if it goes on for longer than a browser waits.
///
/// # Errors
/// What the API refuses.
async fn run<T: DeserializeOwned + Send + 'static>(
    visit: &Visit,
    path: &'static str,
    body: Value,
) -> Result<Option<T>, Problem> {
    let asking = visit.clone();
    let asked = tokio::spawn(async move { asking.ask(Method::POST, path, &[], Some(&body)).await });
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(done)) => done.map(Some),
        Ok(Err(error)) => Err(Fault::new(FaultKind::Other, "work for a page", error).into()),
        Err(_) => Ok(None),
    }
}

/// What was refused of a form, for its page, and with which status the page comes then.
fn refusal(refused: Option<Refused>) -> (StatusCode, Option<String>) {
    match refused {
        Some(refused) => (refused.status, Some(refused.message)),
        None => (StatusCode::OK, None),
    }
}

/// A time as people say it: `7 days`, `1 hour`.
fn span(shell: &Shell, seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0 => shell.count("admin.seconds", 0),
        _ if seconds.is_multiple_of(DAY) => shell.count("admin.days", seconds / DAY),
        _ if seconds.is_multiple_of(HOUR) => shell.count("admin.hours", seconds / HOUR),
        _ if seconds.is_multiple_of(MINUTE) => shell.count("admin.minutes", seconds / MINUTE),
        _ => shell.count("admin.seconds", seconds),
    }
}
