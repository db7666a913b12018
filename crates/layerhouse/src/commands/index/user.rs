//! `layerhouse user`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::{Value, json};

use crate::commands::console::Act;
use crate::commands::console::question::{confirm, new_password};
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user; the password is asked for, or read from standard input
    Create {
        name: String,
        /// Make them an administrator
        #[arg(long)]
        admin: bool,
        #[arg(long, default_value = "")]
        email: String,
        #[arg(long, value_name = "TEXT", default_value = "")]
        full_name: String,
        /// Make them without one: they sign in once they have one
        #[arg(long)]
        no_password: bool,
    },
    /// List users
    List,
    /// Show a user
    Show { name: String },
    /// Have a user sign in no more, and end what they are signed in with
    Disable { name: String },
    /// Have a user sign in again
    Enable { name: String },
    /// Make a user an administrator
    Promote { name: String },
    /// Make an administrator a user like others
    Demote { name: String },
    /// Give a user another password, which is asked for, or read from standard input
    Passwd { name: String },
    /// Remove a user under whose name no repositories stand
    Delete {
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

const NAME: Column = Column::new("NAME", |user| text(&user["name"]));
const FULL_NAME: Column = Column::new("FULL NAME", |user| text(&user["full_name"]));
const EMAIL: Column = Column::new("EMAIL", |user| text(&user["email"]));
const SOURCE: Column = Column::new("SOURCE", |user| text(&user["source"]));
const ADMIN: Column = Column::new("ADMIN", |user| text(&user["is_admin"]));
const DISABLED: Column = Column::new("DISABLED", |user| text(&user["is_disabled"]));
const CREATED: Column = Column::new("CREATED", |user| text(&user["created_at"]));
const SIGNED_IN: Column = Column::new("SIGNED IN", |user| text_or(&user["signed_in_at"], "never"));

const LISTED: [Column; 6] = [NAME, EMAIL, SOURCE, ADMIN, DISABLED, SIGNED_IN];
const SHOWN: [Column; 8] = [
    NAME, FULL_NAME, EMAIL, SOURCE, ADMIN, DISABLED, CREATED, SIGNED_IN,
];

fn path(name: &str) -> String {
    format!("/users/{}", encoded(name))
}

impl Act for UserCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create {
                name,
                admin,
                email,
                full_name,
                no_password,
            } => {
                let mut form = json!({
                    "name": name,
                    "email": email,
                    "full_name": full_name,
                    "is_admin": admin,
                });
                if !no_password {
                    form["password"] = new_password()?.into();
                }
                let user = session.post("/users", form).await?;
                session.show(&SHOWN, &user)
            }
            Self::List => {
                let users = session.list("/users", None).await?;
                session.show_all(&LISTED, users)
            }
            Self::Show { name } => {
                let user = session.get(&path(&name)).await?;
                session.show(&SHOWN, &user)
            }
            Self::Disable { name } => change(session, &name, json!({ "is_disabled": true })).await,
            Self::Enable { name } => change(session, &name, json!({ "is_disabled": false })).await,
            Self::Promote { name } => change(session, &name, json!({ "is_admin": true })).await,
            Self::Demote { name } => change(session, &name, json!({ "is_admin": false })).await,
            Self::Passwd { name } => {
                // Whether there is such a user, before they think of a password.
                session.get(&path(&name)).await?;
                let form = json!({ "password": new_password()? });
                session
                    .put(&format!("{}/password", path(&name)), form)
                    .await?;
                session.done(&format!(
                    "{name} has another password, and is signed in nowhere with the old one"
                ));
                Ok(())
            }
            Self::Delete { name, yes } => {
                confirm(
                    &format!("remove the user {name}, with tokens and robots"),
                    yes,
                )?;
                session.delete(&path(&name)).await?;
                session.done(&format!("{name} is removed"));
                Ok(())
            }
        }
    }
}

async fn change(session: &mut Session, name: &str, changes: Value) -> Result<(), Failure> {
    let user = session.patch(&path(name), changes).await?;
    session.show(&SHOWN, &user)
}
