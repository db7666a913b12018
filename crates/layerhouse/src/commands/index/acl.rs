//! `layerhouse acl`: who may do what, why, and granting it.

use clap::{Args, Subcommand, ValueEnum};
use layerhouse::Needs;
use serde_json::{Value, json};

use super::words::{RoleWord, TeamName};
use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum AclCommand {
    /// Show who has a role in a repository, and why
    Show { repository: String },
    /// Say whether an account may do something with a repository, and why; exits with 5 if not
    Test {
        account: String,
        action: ActionWord,
        repository: String,
    },
    /// List what was granted in a namespace; without one, in repositories without a slash
    List { namespace: Option<String> },
    /// Grant a role in a repository (acme/web), in all of a namespace (acme/*), or in everything (*)
    Grant {
        pattern: String,
        /// Which; a grant makes nobody an owner
        role: RoleWord,
        #[command(flatten)]
        to: Grantee,
    },
    /// Take back what was granted with the same pattern
    Revoke {
        pattern: String,
        #[command(flatten)]
        to: Grantee,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Grantee {
    /// A user or a robot
    #[arg(long, value_name = "ACCOUNT")]
    to: Option<String>,
    /// A team
    #[arg(long, value_name = "ORGANIZATION/TEAM")]
    team: Option<TeamName>,
}

impl Grantee {
    fn team(&self) -> Option<String> {
        let team = self.team.as_ref();
        team.map(|team| format!("{}/{}", team.organization, team.team))
    }

    fn shown(&self) -> String {
        self.team().or_else(|| self.to.clone()).unwrap_or_default()
    }

    /// Whether a grant is theirs.
    fn has(&self, grant: &Value) -> bool {
        grant["team"].as_str() == self.team().as_deref()
            && grant["account"].as_str() == self.to.as_deref()
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ActionWord {
    Pull,
    Push,
    Delete,
    /// Describe, show and hide
    Maintain,
    /// Decide who has which role
    Own,
}

impl ActionWord {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Maintain => "maintain",
            Self::Own => "own",
        }
    }
}

const ENTRIES: [Column; 3] = [
    Column::new("WHO", |entry| {
        let kind = if entry["is_team"] == true {
            "team "
        } else {
            ""
        };
        format!("{kind}{}", text(&entry["who"]))
    }),
    Column::new("ROLE", |entry| text(&entry["role"])),
    Column::new("BECAUSE", |entry| reason(&entry["reason"])),
];
const GRANTS: [Column; 4] = [
    Column::new("PATTERN", |grant| text(&grant["pattern"])),
    Column::new("ROLE", |grant| text(&grant["role"])),
    Column::new("TO", |grant| match grant["team"].as_str() {
        None => text(&grant["account"]),
        Some(team) => format!("team {team}"),
    }),
    Column::new("SINCE", |grant| text(&grant["created_at"])),
];

/// A reason, as a part of a sentence.
fn reason(reason: &Value) -> String {
    let role = text(&reason["role"]);
    match reason["kind"].as_str().unwrap_or_default() {
        "public" => "all may pull it".to_owned(),
        "admin" => "is an administrator".to_owned(),
        "member" => format!("is {role} of {}", text(&reason["namespace"])),
        "official-team" => format!("the team {} keeps it", text(&reason["team"])),
        "grant" => {
            let by = match reason["team"].as_str() {
                None => String::new(),
                Some(team) => format!(" as one of {team}"),
            };
            format!("was made {role} of {}{by}", text(&reason["pattern"]))
        }
        "everywhere" => format!("is {role} everywhere, by the file of users"),
        other => other.to_owned(),
    }
}

fn grants(pattern: &str) -> String {
    match pattern.split_once('/') {
        Some((namespace, _)) => format!("/namespaces/{}/grants", encoded(namespace)),
        None => "/grants".to_owned(),
    }
}

impl Act for AclCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Show { repository } => {
                let path = format!("/repositories/{}/-/access", encoded(&repository));
                let mut found = session.get(&path).await?;
                let Value::Array(entries) = found["items"].take() else {
                    return Err(Failure::failed("the server answered without a list"));
                };
                let visibility = text(&found["visibility"]);
                session.done(&format!("{repository} is {visibility}"));
                session.show_all(&ENTRIES, entries)
            }
            Self::Test {
                account,
                action,
                repository,
            } => test(session, &account, action, &repository).await,
            Self::List { namespace } => {
                let path = namespace.map_or_else(
                    || "/grants".to_owned(),
                    |namespace| format!("/namespaces/{}/grants", encoded(&namespace)),
                );
                let found = session.list(&path, None).await?;
                session.show_all(&GRANTS, found)
            }
            Self::Grant { pattern, role, to } => {
                let mut form = json!({ "pattern": pattern, "role": role.as_str() });
                match (to.team(), to.to) {
                    (Some(team), _) => form["team"] = team.into(),
                    (None, account) => form["account"] = account.into(),
                }
                let made = session.post(&grants(&pattern), form).await?;
                session.show(&GRANTS, &made)
            }
            Self::Revoke { pattern, to } => {
                let path = grants(&pattern);
                let found = session.list(&path, None).await?;
                let mut theirs = found
                    .iter()
                    .filter(|grant| grant["pattern"] == *pattern && to.has(grant));
                let Some(grant) = theirs.next() else {
                    let message = format!("{} was granted nothing with {pattern}", to.shown());
                    return Err(Failure::not_found(message));
                };
                let id = encoded(&text(&grant["id"]));
                session.delete(&format!("{path}/{id}")).await?;
                session.done(&format!("{} has {pattern} no more by it", to.shown()));
                Ok(())
            }
        }
    }
}

async fn test(
    session: &mut Session,
    account: &str,
    action: ActionWord,
    repository: &str,
) -> Result<(), Failure> {
    let path = format!(
        "/repositories/{}/-/access/explain?account={}&action={}",
        encoded(repository),
        encoded(account),
        action.as_str()
    );
    let mut found = session.get(&path).await?;
    let is_allowed = found["is_allowed"] == true;
    let columns = [
        Column::new("ALLOWED", |found| text(&found["is_allowed"])),
        Column::new("BECAUSE", |found| text(&found["because"])),
    ];
    if session.is_for_people() {
        let reasons = found["reasons"].as_array().into_iter().flatten();
        let reasons: Vec<_> = reasons.map(reason).collect();
        found["because"] = if found["is_disabled"] == true {
            "the account is disabled".into()
        } else if reasons.is_empty() {
            "nothing gives them a role there".into()
        } else {
            reasons.join("; ").into()
        };
    }
    session.show(&columns, &found)?;
    if is_allowed {
        return Ok(());
    }
    // It was answered, and the answer is no.
    Err(Failure::refused(""))
}
