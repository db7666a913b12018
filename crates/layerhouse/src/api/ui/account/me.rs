//! `/ui/me`: one's own profile, and another password.

use askama::Template;
use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::forms::Forms;
use super::sign_in::session;
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;
use crate::auth::sign_in::LOCAL;

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    full_name: String,
    email: String,
    source: String,
    is_admin: bool,
    created_at: Moment,
}

#[derive(Template)]
#[template(path = "account/me.html")]
struct Me<'a> {
    shell: &'a Shell,
    tab: &'static str,
    forms: &'a Forms<'a>,
    user: User,
    /// Whether the password is kept here.
    is_local: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, None).await;
    }
    let changed = match visit.form.get("do") {
        Some("profile") => change_profile(&visit).await,
        Some("password") => change_password(&visit).await,
        _ => Err(Problem::invalid("do: profile, or password")),
    };
    match changed {
        Ok(answer) => Ok(answer),
        Err(problem) => show(&visit, Some(Refused::of(problem)?)).await,
    }
}

async fn show(visit: &Visit, refused: Option<Refused>) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let user: User = visit.get("/me", &[]).await?;
    let page = Me {
        shell: &visit.shell,
        tab: "me",
        forms: &Forms::of(visit, refused),
        is_local: user.source == LOCAL,
        user,
    };
    visit.show_as(status, &page)
}

async fn change_profile(visit: &Visit) -> Result<Answer, Problem> {
    let profile = json!({
        "full_name": visit.form.get("full_name").unwrap_or_default(),
        "email": visit.form.get("email").unwrap_or_default(),
    });
    let _: Value = visit.ask(Method::PATCH, "/me", &[], Some(&profile)).await?;
    Ok(visit.go("/ui/me?said=saved"))
}

async fn change_password(visit: &Visit) -> Result<Answer, Problem> {
    let field = |name| visit.form.exact(name).unwrap_or_default();
    let (old, new) = (field("old"), field("new"));
    if field("again") != new {
        let unlike = visit.shell.t("account.passwords_differ");
        return Err(Problem::invalid(unlike));
    }
    let change = json!({ "old": old, "new": new });
    visit
        .ask::<()>(Method::PUT, "/me/password", &[], Some(&change))
        .await?;
    // All sessions ended with it, this one included: who changed it goes on in a new one.
    let name = visit.shell.user.clone().unwrap_or_default();
    let cookie = session(visit, &name, new).await?;
    let mut answer = visit.go("/ui/me?said=password_changed");
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}
