//! Users: all of them, and one.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::menu::Section;
use super::refusal;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

/// Rows of a page.
const ROWS: &str = "50";

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    full_name: String,
    email: String,
    source: String,
    is_admin: bool,
    is_disabled: bool,
    created_at: Moment,
    signed_in_at: Option<Moment>,
}

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    form: &'a Pairs,
    filter: &'a str,
    users: Vec<User>,
    /// Where the page behind is.
    next: Option<String>,
    is_first: bool,
}

/// All users, and a form for another.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match create(&visit).await {
            Ok(()) => return Ok(visit.go("/ui/admin/users?said=admin_user_made")),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let filter = visit.query.get("filter").unwrap_or_default();
    let after = visit.query.get("after");
    let (users, next) = found(&visit, filter, after).await?;
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &UsersPage {
            shell: &visit.shell,
            at: Section::Users,
            problem,
            form: &visit.form,
            filter,
            users,
            next: next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

/// Those whose names begin so, by name; where the page behind begins, if there is one.
async fn found(
    visit: &Visit,
    filter: &str,
    after: Option<&str>,
) -> Result<(Vec<User>, Option<String>), Problem> {
    let mut users = Vec::new();
    if after.is_none() && !filter.is_empty() {
        // A list begins behind a name: who is called just so is asked for alone.
        let path = format!("/users/{}", segment(filter));
        match visit.get::<User>(&path, &[]).await {
            Ok(user) => users.push(user),
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {}
            Err(problem) => return Err(problem),
        }
    }
    let query = [("after", after.unwrap_or(filter)), ("n", ROWS)];
    let list: List<User> = visit.get("/users", &query).await?;
    let is_cut = list
        .items
        .last()
        .is_some_and(|last| !last.name.starts_with(filter));
    let fits = |user: &User| user.name.starts_with(filter);
    users.extend(list.items.into_iter().filter(fits));
    Ok((users, list.next.filter(|_| !is_cut)))
}

async fn create(visit: &Visit) -> Result<(), Problem> {
    let text = |name: &str| visit.form.get(name).unwrap_or_default();
    let password = visit.form.exact("password").unwrap_or_default();
    let body = json!({
        "name": text("name"),
        "full_name": text("full_name"),
        "email": text("email"),
        "password": (!password.is_empty()).then_some(password),
        "is_admin": visit.form.has("is_admin"),
    });
    let _made: IgnoredAny = visit.ask(Method::POST, "/users", &[], Some(&body)).await?;
    Ok(())
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    user: User,
    is_oneself: bool,
}

/// One user, and what can be done with them.
pub(super) async fn one(visit: Visit, name: &str) -> Result<Answer, Problem> {
    let path = format!("/users/{}", segment(name));
    let refused = if visit.is_post() {
        match change(&visit, &path, name).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let user: User = visit.get(&path, &[]).await?;
    let (status, problem) = refusal(refused);
    let is_oneself = visit.shell.user.as_deref() == Some(&user.name);
    visit.show_as(
        status,
        &UserPage {
            shell: &visit.shell,
            at: Section::Users,
            problem,
            user,
            is_oneself,
        },
    )
}

async fn change(visit: &Visit, path: &str, name: &str) -> Result<Answer, Problem> {
    let page = format!("/ui/admin{path}");
    let update = async |changes: serde_json::Value| -> Result<(), Problem> {
        let _changed: IgnoredAny = visit.ask(Method::PATCH, path, &[], Some(&changes)).await?;
        Ok(())
    };
    match visit.needed("do")? {
        "enable" => update(json!({ "is_disabled": false })).await?,
        "disable" => update(json!({ "is_disabled": true })).await?,
        "raise" => update(json!({ "is_admin": true })).await?,
        "lower" => update(json!({ "is_admin": false })).await?,
        "password" => {
            let password = visit.form.exact("password").unwrap_or_default();
            let body = json!({ "password": password });
            let path = format!("{path}/password");
            visit
                .ask::<()>(Method::PUT, &path, &[], Some(&body))
                .await?;
            return Ok(visit.go(&format!("{page}?said=admin_password_set")));
        }
        "delete" => {
            if visit.form.get("name") != Some(name) {
                return Err(Problem::invalid(visit.shell.t("admin.type_the_name")));
            }
            visit.ask::<()>(Method::DELETE, path, &[], None).await?;
            return Ok(visit.go("/ui/admin/users?said=admin_user_deleted"));
        }
        _ => return Err(Problem::invalid("do: there is no such thing to do")),
    }
    Ok(visit.go(&format!("{page}?said=admin_user_changed")))
}
