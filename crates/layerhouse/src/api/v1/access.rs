//! Who may do what with a repository, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Nothing, Query};
use super::output::Found;
use super::problem::Problem;
use super::views::{Deed, Role, Visibility};
use super::visit::Visit;
use crate::auth::permits::RepositoryPermit;
use crate::index::access;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// A user or a robot.
    #[schemars(length(max = 255))]
    account: String,
    action: Deed,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Explanation {
    is_allowed: bool,
    /// Who is disabled may nothing.
    is_disabled: bool,
    /// What gives them anything at all there.
    reasons: Vec<Reason>,
}

/// Why somebody may do something.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Reason {
    /// All may pull.
    Public,
    Admin,
    Member {
        namespace: String,
        role: Role,
    },
    /// The team that pushes repositories without a slash.
    OfficialTeam {
        team: String,
    },
    Grant {
        pattern: String,
        role: Role,
        /// `organization/team`; null for their own.
        team: Option<String>,
    },
    /// A role that a file of users gives everywhere.
    Everywhere {
        role: Role,
    },
}

impl From<access::Reason> for Reason {
    fn from(reason: access::Reason) -> Self {
        use access::Reason as Found;
        match reason {
            Found::Public => Self::Public,
            Found::Admin => Self::Admin,
            Found::Member { namespace, role } => Self::Member {
                namespace,
                role: Role::stored(&role),
            },
            Found::OfficialTeam { team } => Self::OfficialTeam { team },
            Found::Grant {
                pattern,
                role,
                team,
            } => Self::Grant {
                pattern,
                role: Role::stored(&role),
                team,
            },
            Found::Everywhere { role } => Self::Everywhere {
                role: Role::stored(&role),
            },
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AccessList {
    /// Null for a repository that is not there.
    visibility: Option<Visibility>,
    /// Members of its namespace, then grants that cover it.
    items: Vec<Entry>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessEntry")]
struct Entry {
    /// An account, or a team as `organization/team`.
    who: String,
    is_team: bool,
    role: Role,
    reason: Reason,
}

pub(super) async fn list(
    visit: Visit,
    permit: RepositoryPermit,
    _: Nothing,
) -> Result<Found<AccessList>, Problem> {
    let found = visit.index.access_list(&permit)?;
    let items = found.entries.into_iter().map(|entry| Entry {
        who: entry.who,
        is_team: entry.is_team,
        role: Role::stored(&entry.role),
        reason: entry.reason.into(),
    });
    Ok(Found(AccessList {
        visibility: found.visibility.map(Visibility::from),
        items: items.collect(),
    }))
}

pub(super) async fn explain(
    visit: Visit,
    permit: RepositoryPermit,
    Query(question): Query<Question>,
) -> Result<Found<Explanation>, Problem> {
    let Question { account, action } = question;
    let found = visit.index.explain(&permit, &account, action.into())?;
    Ok(Found(Explanation {
        is_allowed: found.is_allowed,
        is_disabled: found.is_disabled,
        reasons: found.reasons.into_iter().map(Reason::from).collect(),
    }))
}
