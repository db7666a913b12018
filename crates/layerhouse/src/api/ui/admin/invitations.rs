//! Invitations: codes with which somebody may sign up, once.

use std::time::Duration;

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::menu::Section;
use super::refusal;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

/// How long codes are good for, in days, as the form has them.
const DAYS: [u64; 3] = [1, 7, 30];

#[derive(Debug, Deserialize)]
struct Invitation {
    id: String,
    email: String,
    created_by: String,
    created_at: Moment,
    expires_at: Option<Moment>,
}

#[derive(Deserialize)]
struct Made {
    code: String,
}

#[derive(Template)]
#[template(path = "admin/invitations.html")]
struct InvitationsPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    /// The code that was just made, which is shown this once.
    code: Option<String>,
    /// Where they sign up.
    address: String,
    days: [u64; 3],
    invitations: Vec<Invitation>,
    next: Option<String>,
    is_first: bool,
}

/// Those that are open, and a form for another.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let (mut refused, mut code) = (None, None);
    if visit.is_post() {
        match change(&visit).await {
            Ok(Some(made)) => code = Some(made),
            Ok(None) => return Ok(visit.go("/ui/admin/invitations?said=admin_invitation_revoked")),
            Err(problem) => refused = Some(Refused::of(problem)?),
        }
    }
    let after = visit.query.get("after");
    let mut query = vec![("n", "50")];
    query.extend(after.map(|after| ("after", after)));
    let list: List<Invitation> = visit.get("/invitations", &query).await?;
    let (status, problem) = refusal(refused);
    let status = if code.is_some() {
        StatusCode::OK
    } else {
        status
    };
    visit.show_as(
        status,
        &InvitationsPage {
            shell: &visit.shell,
            at: Section::Invitations,
            problem,
            code,
            address: format!("{}/ui/signup", visit.shell.base_url),
            days: DAYS,
            invitations: list.items,
            next: list.next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

/// Takes an invitation back, or makes one: its code.
async fn change(visit: &Visit) -> Result<Option<String>, Problem> {
    if let Some(id) = visit.form.get("revoke") {
        let path = format!("/invitations/{}", segment(id));
        visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
        return Ok(None);
    }
    let days = visit.form.get("days").and_then(|days| days.parse().ok());
    let days = days.filter(|days| DAYS.contains(days));
    let end = days.map(|days| visit.shell.now.after(Duration::from_hours(24 * days)));
    let body = json!({
        "email": visit.form.get("email").unwrap_or_default(),
        "expires_at": end.and_then(|end| end.second().rfc3339()),
    });
    let made: Made = visit
        .ask(Method::POST, "/invitations", &[], Some(&body))
        .await?;
    Ok(Some(made.code))
}
