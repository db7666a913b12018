//! `/ui/r/<repository>/-/access`: who has a role there and why, and "may they?".

use askama::Template;
use http::StatusCode;
use layerhouse_oci::name::RepositoryName;
use serde::Deserialize;

use super::super::words;
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::browse::parts::{Head, Place};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Role, Visibility};

/// Why somebody may do something, as the API says it.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Reason {
    Public,
    Admin,
    Member {
        namespace: String,
        role: Role,
    },
    OfficialTeam {
        team: String,
    },
    Grant {
        pattern: String,
        role: Role,
        team: Option<String>,
    },
    Everywhere {
        role: Role,
    },
}

impl Reason {
    fn said(&self, shell: &Shell) -> String {
        let named = |role: &Role| words::role(shell, *role);
        match self {
            Self::Public => shell.t("account.because_public").to_owned(),
            Self::Admin => shell.t("account.because_admin").to_owned(),
            Self::Member { namespace, role } => {
                shell.say2("account.because_member", namespace, named(role))
            }
            Self::OfficialTeam { team } => shell.say("account.because_official", team),
            Self::Grant {
                pattern,
                role,
                team: None,
            } => shell.say2("account.because_grant", pattern, named(role)),
            Self::Grant {
                pattern,
                role,
                team: Some(team),
            } => shell.say3("account.because_team", pattern, named(role), team),
            Self::Everywhere { role } => shell.say("account.because_everywhere", named(role)),
        }
    }
}

#[derive(Debug, Deserialize)]
struct AccessList {
    visibility: Option<Visibility>,
    items: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    who: String,
    is_team: bool,
    role: Role,
    reason: Reason,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    is_allowed: bool,
    is_disabled: bool,
    reasons: Vec<Reason>,
}

#[derive(Template)]
#[template(path = "account/repository/access.html")]
struct Access<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    head: Head,
    list: AccessList,
    deeds: [(&'static str, &'static str); 5],
    account: &'a str,
    action: &'a str,
    /// What the question is answered, if one is asked: or why not.
    answer: Option<Result<Explanation, Refused>>,
}

impl Access<'_> {
    fn role(&self, entry: &Entry) -> &'static str {
        words::role(self.shell, entry.role)
    }

    fn because(&self, reason: &Reason) -> String {
        reason.said(self.shell)
    }

    fn visibility(&self) -> &'static str {
        let visibility = self.list.visibility;
        visibility.map_or("", |visibility| words::visibility(self.shell, visibility))
    }
}

/// `?account=&action=`
pub(super) async fn page(visit: Visit, name: RepositoryName) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let path = format!("/repositories/{name}/-/access");
    let list: AccessList = visit.get(&path, &[]).await?;
    let account = visit.query.get("account").unwrap_or_default();
    let action = visit.query.get("action").unwrap_or("pull");
    let answer = if account.is_empty() {
        None
    } else {
        let question = [("account", account), ("action", action)];
        match visit.get(&format!("{path}/explain"), &question).await {
            Ok(explanation) => Some(Ok(explanation)),
            Err(problem) => Some(Err(Refused::of(problem)?)),
        }
    };
    let refused = answer.as_ref().and_then(|answer| answer.as_ref().err());
    let status = refused.map_or(StatusCode::OK, |refused| refused.status);
    let page = Access {
        shell: &visit.shell,
        name: &name,
        head: Head::of(&visit, &name, Place::Access, None)?,
        list,
        deeds: words::deeds(&visit.shell),
        account,
        action,
        answer,
    };
    visit.show_as(status, &page)
}
