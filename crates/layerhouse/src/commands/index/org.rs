//! `layerhouse org`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::{Value, json};

use super::words::RoleWord;
use crate::commands::console::Act;
use crate::commands::console::question::confirm;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Make an organization
    Create {
        name: String,
        /// Its first owner
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// List organizations
    List,
    /// Show an organization
    Show { name: String },
    /// Change what new repositories of an organization, or of a user, are to others
    Visibility {
        name: String,
        visibility: VisibilityWord,
    },
    /// Remove an organization under whose name no repositories stand
    Delete {
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Who has which role in all of a namespace
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List members
    List { name: String },
    /// Give a user a role
    Set {
        name: String,
        user: String,
        role: RoleWord,
    },
    /// Take a user's role away
    Remove { name: String, user: String },
}

/// Who may see what is new, or one repository.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum VisibilityWord {
    /// All may pull
    Public,
    /// Who has a role may pull
    Private,
    /// What the configuration says
    Default,
}

impl VisibilityWord {
    pub(super) fn value(self) -> Value {
        match self {
            Self::Public => "public".into(),
            Self::Private => "private".into(),
            Self::Default => Value::Null,
        }
    }
}

const NAME: Column = Column::new("NAME", |found| text(&found["name"]));
const KIND: Column = Column::new("KIND", |found| text(&found["kind"]));
const DESCRIPTION: Column = Column::new("DESCRIPTION", |found| text(&found["description"]));
const VISIBILITY: Column = Column::new("NEW REPOSITORIES", |found| {
    text_or(&found["default_visibility"], "default")
});
const CREATED: Column = Column::new("CREATED", |found| text(&found["created_at"]));
const SHOWN: [Column; 5] = [NAME, KIND, DESCRIPTION, VISIBILITY, CREATED];
const LISTED: [Column; 3] = [NAME, CREATED, DESCRIPTION];
const MEMBERS: [Column; 4] = [
    Column::new("USER", |member| text(&member["user"])),
    Column::new("ROLE", |member| text(&member["role"])),
    Column::new("FULL NAME", |member| text(&member["full_name"])),
    Column::new("SINCE", |member| text(&member["added_at"])),
];

fn path(name: &str) -> String {
    format!("/organizations/{}", encoded(name))
}

impl Act for OrgCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create {
                name,
                owner,
                description,
            } => {
                let form = json!({ "owner": owner, "description": description });
                let made = session.put(&path(&name), form).await?;
                session.show(&SHOWN, &made)
            }
            Self::List => {
                let found = session.list("/organizations", None).await?;
                session.show_all(&LISTED, found)
            }
            Self::Show { name } => {
                let found = session.get(&path(&name)).await?;
                session.show(&SHOWN, &found)
            }
            Self::Visibility { name, visibility } => {
                let form = json!({ "default_visibility": visibility.value() });
                let path = format!("/namespaces/{}", encoded(&name));
                let changed = session.patch(&path, form).await?;
                session.show(&SHOWN, &changed)
            }
            Self::Delete { name, yes } => {
                let what = "with its teams, grants and robots";
                confirm(&format!("remove the organization {name}, {what}"), yes)?;
                session.delete(&path(&name)).await?;
                session.done(&format!("{name} is removed"));
                Ok(())
            }
            Self::Member(command) => command.act(session).await,
        }
    }
}

impl Act for MemberCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let member = |name: &str, user: &str| format!("{}/members/{}", path(name), encoded(user));
        match self {
            Self::List { name } => {
                let path = format!("{}/members", path(&name));
                let found = session.list(&path, None).await?;
                session.show_all(&MEMBERS, found)
            }
            Self::Set { name, user, role } => {
                let form = json!({ "role": role.as_str() });
                session.put(&member(&name, &user), form).await?;
                session.done(&format!("{user} is {} of {name}", role.as_str()));
                Ok(())
            }
            Self::Remove { name, user } => {
                session.delete(&member(&name, &user)).await?;
                session.done(&format!("{user} is no member of {name} any more"));
                Ok(())
            }
        }
    }
}
