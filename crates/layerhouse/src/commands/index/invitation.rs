//! `layerhouse invitation`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::json;

use super::words::Lasting;
use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Subcommand)]
pub(crate) enum InvitationCommand {
    /// Make a code with which somebody signs up and print it, this once
    Create {
        /// Whom it is for, to remember; nothing is sent
        #[arg(long, default_value = "")]
        email: String,
        /// How long it is good
        #[arg(long, value_name = "TIME", default_value = "7d")]
        expires: Lasting,
    },
    /// List invitations that nobody used
    List,
    /// Take an invitation back
    Revoke { id: String },
}

const SHOWN: [Column; 5] = [
    Column::new("ID", |found| text(&found["id"])),
    Column::new("EMAIL", |found| text(&found["email"])),
    Column::new("BY", |found| text(&found["created_by"])),
    Column::new("CREATED", |found| text(&found["created_at"])),
    Column::new("EXPIRES", |found| text_or(&found["expires_at"], "never")),
];

impl Act for InvitationCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { email, expires } => {
                let form = json!({ "email": email, "expires_at": Lasting::end(Some(expires)) });
                let made = session.post("/invitations", form).await?;
                session.show_secret(&made, "code", "It is good once, and not shown again.")
            }
            Self::List => {
                let found = session.list("/invitations", None).await?;
                session.show_all(&SHOWN, found)
            }
            Self::Revoke { id } => {
                let path = format!("/invitations/{}", encoded(&id));
                session.delete(&path).await?;
                session.done("the invitation is good no more");
                Ok(())
            }
        }
    }
}
