//! `layerhouse token`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::{Value, json};

use super::words::{Lasting, LimitWord};
use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make an access token for a user and print it, this once
    Create {
        user: String,
        /// What it is for
        name: String,
        /// What it may at most, as acme/*=pull,push; several times for more
        #[arg(long = "limit", value_name = "PATTERN=ACTIONS")]
        limits: Vec<LimitWord>,
        /// How long it is good, as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<Lasting>,
    },
    /// List the access tokens of a user
    List { user: String },
    /// End an access token of a user
    Revoke { user: String, id: String },
}

const SHOWN: [Column; 6] = [
    Column::new("ID", |token| text(&token["id"])),
    Column::new("NAME", |token| text(&token["name"])),
    Column::new("LIMITS", |token| limits(&token["limits"])),
    Column::new("CREATED", |token| text(&token["created_at"])),
    Column::new("EXPIRES", |token| text_or(&token["expires_at"], "never")),
    Column::new("LAST USED", |token| {
        text_or(&token["last_used_at"], "never")
    }),
];

fn limits(limits: &Value) -> String {
    let Value::Array(limits) = limits else {
        return "none".to_owned();
    };
    let told = limits.iter().map(|limit| {
        let actions = limit["actions"].as_array().into_iter().flatten();
        let actions: Vec<_> = actions.map(text).collect();
        format!("{}={}", text(&limit["pattern"]), actions.join(","))
    });
    told.collect::<Vec<_>>().join(" ")
}

fn tokens(user: &str) -> String {
    format!("/users/{}/tokens", encoded(user))
}

impl Act for TokenCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create {
                user,
                name,
                limits,
                expires,
            } => {
                let mut form = json!({ "name": name });
                let limits = LimitWord::all(limits);
                if !limits.is_null() {
                    form["limits"] = limits;
                }
                if expires.is_some() {
                    form["expires_at"] = Lasting::end(expires);
                }
                let made = session.post(&tokens(&user), form).await?;
                let remark =
                    format!("{user} signs in with it for a password; it is not shown again.");
                session.show_secret(&made, "token", &remark)
            }
            Self::List { user } => {
                let found = session.list(&tokens(&user), None).await?;
                session.show_all(&SHOWN, found)
            }
            Self::Revoke { user, id } => {
                let path = format!("{}/{}", tokens(&user), encoded(&id));
                session.delete(&path).await?;
                session.done("the token is good no more");
                Ok(())
            }
        }
    }
}
