//! `/ui/o/<organization>/members`: who has a role in all of it.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::super::confirm::Confirm;
use super::super::forms::Forms;
use super::super::words;
use super::{Done, Place, after, of_organization, tried};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Moment, Role};

#[derive(Debug, Deserialize)]
struct Member {
    user: String,
    full_name: String,
    role: Role,
    added_at: Moment,
}

impl Member {
    fn has(&self, role: &str) -> bool {
        words::role_value(self.role) == role
    }
}

#[derive(Template)]
#[template(path = "account/organization/members.html")]
struct MembersPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    members: List<Member>,
    roles: [(&'static str, &'static str); 4],
}

impl MembersPage<'_> {
    fn role(&self, member: &Member) -> &'static str {
        words::role(self.shell, member.role)
    }

    fn is_oneself(&self, member: &Member) -> bool {
        self.shell.user.as_deref() == Some(&*member.user)
    }
}

/// `?remove=USER`
pub(super) async fn page(visit: Visit, name: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return match visit.query.get("remove") {
            Some(user) => confirm(&visit, name, user).await,
            None => show(&visit, name, None).await,
        };
    }
    let done = match visit.form.get("do") {
        // One's own role may everybody give back; who may more, the API says.
        Some("remove") => remove(&visit, name).await,
        _ => change(&visit, name).await,
    };
    match tried(done)? {
        Ok(answer) => Ok(answer),
        Err(refused) => show(&visit, name, Some(refused)).await,
    }
}

async fn show(visit: &Visit, name: &str, refused: Option<Refused>) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let place = Place::of(visit, name, "members").await?;
    let path = of_organization(name, "/members");
    let page = MembersPage {
        shell: &visit.shell,
        place: &place,
        forms: &Forms::of(visit, refused),
        members: visit.get(&path, &after(visit)).await?,
        roles: words::roles(&visit.shell),
    };
    visit.show_as(status, &page)
}

async fn confirm(visit: &Visit, name: &str, user: &str) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let place = Place::of(visit, name, "members").await?;
    visit.show(&Confirm {
        shell,
        forms: &Forms::of(visit, None),
        title: shell.say2("account.member_remove_title", user, &place.namespace.name),
        text: shell.t("account.member_remove_text"),
        page: format!("/ui/o/{}/members", shell.segment(name)),
        deed: "remove",
        what: ("user", user.to_owned()),
        button: shell.t("account.remove"),
        ends: Vec::new(),
    })
}

async fn change(visit: &Visit, name: &str) -> Done {
    Place::of(visit, name, "members").await?.demand_owner()?;
    let user = segment(visit.needed("user")?);
    let path = of_organization(name, &format!("/members/{user}"));
    let membership = json!({ "role": visit.needed("role")? });
    let asked = visit.ask::<()>(Method::PUT, &path, &[], Some(&membership));
    asked.await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/members?said=member_set")))
}

async fn remove(visit: &Visit, name: &str) -> Done {
    let user = visit.needed("user")?;
    let path = of_organization(name, &format!("/members/{}", segment(user)));
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    if visit.shell.user.as_deref() == Some(user) {
        return Ok(visit.go("/ui/me/namespaces?said=left"));
    }
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/members?said=member_removed")))
}
