//! Who may do what, and why; and who pushes repositories without a slash.

use askama::Template;
use http::Method;
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

/// What can be asked for, as the API has it.
const ACTIONS: [&str; 5] = ["pull", "push", "delete", "maintain", "own"];
/// Roles that are granted.
const ROLES: [&str; 3] = ["reader", "writer", "maintainer"];

#[derive(Debug, Deserialize)]
struct Grant {
    id: String,
    pattern: String,
    role: String,
    team: Option<String>,
    account: Option<String>,
    created_at: Moment,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    is_allowed: bool,
    is_disabled: bool,
    reasons: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Reason {
    Public,
    Admin,
    Member {
        namespace: String,
        role: String,
    },
    OfficialTeam {
        team: String,
    },
    Grant {
        pattern: String,
        role: String,
        team: Option<String>,
    },
    Everywhere {
        role: String,
    },
}

impl Reason {
    fn said(&self, shell: &Shell) -> String {
        match self {
            Self::Public => shell.t("admin.because_public").to_owned(),
            Self::Admin => shell.t("admin.because_admin").to_owned(),
            Self::Member { namespace, role } => shell.say2("admin.because_member", role, namespace),
            Self::OfficialTeam { team } => shell.say("admin.because_official", team),
            Self::Grant {
                pattern,
                role,
                team: Some(team),
            } => shell.say3("admin.because_team", role, pattern, team),
            Self::Grant { pattern, role, .. } => shell.say2("admin.because_grant", role, pattern),
            Self::Everywhere { role } => shell.say("admin.because_everywhere", role),
        }
    }
}

/// What was asked, and what is so.
#[derive(Debug)]
struct Answered {
    question: String,
    is_allowed: bool,
    is_disabled: bool,
    reasons: Vec<String>,
}

#[derive(Template)]
#[template(path = "admin/access.html")]
struct AccessPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    asked: &'a Pairs,
    form: &'a Pairs,
    actions: [&'static str; 5],
    roles: [&'static str; 3],
    answered: Option<Answered>,
    grants: Vec<Grant>,
    next: Option<String>,
    is_first: bool,
}

/// A question with its answer, and the grants that no namespace has.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let mut refused = None;
    if visit.is_post() {
        match change(&visit).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => refused = Some(Refused::of(problem)?),
        }
    }
    let after = visit.query.get("after");
    let mut query = vec![("n", "50")];
    query.extend(after.map(|after| ("after", after)));
    let list: List<Grant> = visit.get("/grants", &query).await?;
    let mut answered = None;
    match explain(&visit).await {
        Ok(explained) => answered = explained,
        Err(problem) => refused = Some(Refused::of(problem)?),
    }
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &AccessPage {
            shell: &visit.shell,
            at: Section::Access,
            problem,
            asked: &visit.query,
            form: &visit.form,
            actions: ACTIONS,
            roles: ROLES,
            answered,
            grants: list.items,
            next: list.next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

/// The answer to the question that stands in the address, if one does.
async fn explain(visit: &Visit) -> Result<Option<Answered>, Problem> {
    let asked = |name| visit.query.get(name);
    let (Some(account), Some(repository)) = (asked("account"), asked("repository")) else {
        return Ok(None);
    };
    let action = asked("action").unwrap_or("pull");
    let shell = &visit.shell;
    let path = format!("/repositories/{}/-/access/explain", segment(repository));
    let query = [("account", account), ("action", action)];
    let said: Explanation = visit.get(&path, &query).await?;
    Ok(Some(Answered {
        question: shell.say3("admin.may", account, action, repository),
        is_allowed: said.is_allowed,
        is_disabled: said.is_disabled,
        reasons: said
            .reasons
            .iter()
            .map(|reason| reason.said(shell))
            .collect(),
    }))
}

async fn change(visit: &Visit) -> Result<Answer, Problem> {
    if let Some(id) = visit.form.get("revoke") {
        let path = format!("/grants/{}", segment(id));
        visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
        return Ok(visit.go("/ui/admin/access?said=admin_grant_revoked"));
    }
    let who = visit.needed("who")?;
    // Names of accounts have no slash, those of teams have one.
    let (team, account) = if who.contains('/') {
        (Some(who), None)
    } else {
        (None, Some(who))
    };
    let body = json!({
        "pattern": visit.needed("pattern")?, "role": visit.needed("role")?,
        "team": team, "account": account,
    });
    let _made: IgnoredAny = visit.ask(Method::POST, "/grants", &[], Some(&body)).await?;
    Ok(visit.go("/ui/admin/access?said=admin_grant_made"))
}
