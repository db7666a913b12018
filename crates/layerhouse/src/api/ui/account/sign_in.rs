//! `/ui/login` and `/ui/logout`: a session in a cookie, as the API begins and ends it.

use askama::Template;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Provider, SignUp, features};
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::form::local_path;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::index::Index;

/// Where somebody goes who did not come from anywhere.
const START: &str = "/ui/";

#[derive(Template)]
#[template(path = "account/login.html")]
struct Login<'a> {
    shell: &'a Shell,
    /// Where to go then: a path of ours (S36).
    next: &'a str,
    user: &'a str,
    problem: Option<String>,
    providers: Vec<Provider>,
    can_sign_up: bool,
    lacks_admin: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    if visit.is_post() {
        return enter(visit).await;
    }
    show(&visit, StatusCode::OK, None).await
}

async fn show(
    visit: &Visit,
    status: StatusCode,
    problem: Option<String>,
) -> Result<Answer, Problem> {
    let features = features(visit).await?;
    let index = visit.visitor.index();
    let page = Login {
        shell: &visit.shell,
        next: next(visit),
        user: visit.form.get("user").unwrap_or_default(),
        problem,
        providers: features.providers,
        can_sign_up: features.sign_up != SignUp::Closed,
        lacks_admin: index.map_or(Ok(false), Index::lacks_admin)?,
    };
    visit.show_as(status, &page)
}

/// Where somebody goes who signed in.
fn next(visit: &Visit) -> &str {
    let said = if visit.is_post() {
        visit.form.get("next")
    } else {
        visit.query.get("next")
    };
    let next = said.and_then(local_path).unwrap_or(START);
    // Back at the door, they would wonder whether they came in.
    let is_door = ["/ui/login", "/ui/logout"]
        .iter()
        .any(|door| next.starts_with(door));
    if is_door { START } else { next }
}

async fn enter(visit: Visit) -> Result<Answer, Problem> {
    let user = visit.form.get("user").unwrap_or_default();
    let password = visit.form.exact("password").unwrap_or_default();
    let cookie = match session(&visit, user, password).await {
        Ok(cookie) => cookie,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let wrong = visit.shell.t("account.login_wrong").to_owned();
            return show(&visit, StatusCode::UNAUTHORIZED, Some(wrong)).await;
        }
        Err(problem) => {
            let refused = Refused::of(problem)?;
            let said = match refused.wait_seconds {
                Some(wait) => visit.shell.count("account.wait", wait),
                None => refused.message,
            };
            return show(&visit, refused.status, Some(said)).await;
        }
    };
    // One browser has one session: the one before it is over.
    if visit.shell.user.is_some() {
        end(&visit).await?;
    }
    let mut answer = visit.go(next(&visit));
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}

/// Begins a session: the cookie in which a browser keeps it.
///
/// # Errors
/// 401 for a wrong name or password, 429 for too many of them.
pub(super) async fn session(
    visit: &Visit,
    user: &str,
    password: &str,
) -> Result<HeaderValue, Problem> {
    let who = json!({ "user": user, "password": password });
    let begun = visit.ask_whole(Method::POST, "/session", &[], Some(&who));
    cookie(&begun.await?)
}

async fn end(visit: &Visit) -> Result<HeaderValue, Problem> {
    let ended = visit.ask_whole(Method::DELETE, "/session", &[], None);
    cookie(&ended.await?)
}

fn cookie(answer: &Answer) -> Result<HeaderValue, Problem> {
    let cookie = answer.headers().get(header::SET_COOKIE).cloned();
    cookie.ok_or_else(Problem::unauthorized)
}

/// `POST /ui/logout`
pub(super) async fn leave(visit: Visit) -> Result<Answer, Problem> {
    visit.only_changes()?;
    let cookie = end(&visit).await?;
    let mut answer = visit.go("/ui/login?said=signed_out");
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}
