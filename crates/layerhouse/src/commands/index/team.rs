//! `layerhouse team`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::json;

use super::words::TeamName;
use crate::commands::console::Act;
use crate::commands::console::question::confirm;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum TeamCommand {
    /// Make a team
    Create {
        #[arg(value_name = "ORGANIZATION/TEAM")]
        team: TeamName,
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// List the teams of an organization
    List { organization: String },
    /// List who is in a team
    Members {
        #[arg(value_name = "ORGANIZATION/TEAM")]
        team: TeamName,
    },
    /// Put a user into a team
    Add {
        #[arg(value_name = "ORGANIZATION/TEAM")]
        team: TeamName,
        user: String,
    },
    /// Take a user out of a team
    Remove {
        #[arg(value_name = "ORGANIZATION/TEAM")]
        team: TeamName,
        user: String,
    },
    /// Remove a team, with what was granted to it
    Delete {
        #[arg(value_name = "ORGANIZATION/TEAM")]
        team: TeamName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

const TEAMS: [Column; 3] = [
    Column::new("NAME", |team| text(&team["name"])),
    Column::new("CREATED", |team| text(&team["created_at"])),
    Column::new("DESCRIPTION", |team| text(&team["description"])),
];
const MEMBERS: [Column; 3] = [
    Column::new("USER", |member| text(&member["user"])),
    Column::new("SOURCE", |member| text(&member["source"])),
    Column::new("SINCE", |member| text(&member["added_at"])),
];

fn teams(organization: &str) -> String {
    format!("/organizations/{}/teams", encoded(organization))
}

fn path(name: &TeamName) -> String {
    format!("{}/{}", teams(&name.organization), encoded(&name.team))
}

fn shown(name: &TeamName) -> String {
    format!("{}/{}", name.organization, name.team)
}

impl Act for TeamCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { team, description } => {
                let form = json!({ "description": description });
                let made = session.put(&path(&team), form).await?;
                session.show(&TEAMS, &made)
            }
            Self::List { organization } => {
                let found = session.list(&teams(&organization), None).await?;
                session.show_all(&TEAMS, found)
            }
            Self::Members { team } => {
                let path = format!("{}/members", path(&team));
                let found = session.list(&path, None).await?;
                session.show_all(&MEMBERS, found)
            }
            Self::Add { team, user } => {
                let path = format!("{}/members/{}", path(&team), encoded(&user));
                session.put_there(&path).await?;
                session.done(&format!("{user} is in {}", shown(&team)));
                Ok(())
            }
            Self::Remove { team, user } => {
                let path = format!("{}/members/{}", path(&team), encoded(&user));
                session.delete(&path).await?;
                session.done(&format!("{user} is in {} no more", shown(&team)));
                Ok(())
            }
            Self::Delete { team, yes } => {
                let what = "with what was granted to it";
                confirm(&format!("remove the team {}, {what}", shown(&team)), yes)?;
                session.delete(&path(&team)).await?;
                session.done(&format!("{} is removed", shown(&team)));
                Ok(())
            }
        }
    }
}
