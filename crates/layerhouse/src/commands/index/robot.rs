//! `layerhouse robot`.

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::{Value, json};

use super::words::{Lasting, RobotName};
use crate::commands::console::Act;
use crate::commands::console::question::confirm;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Subcommand)]
pub(crate) enum RobotCommand {
    /// Make a robot and print its secret, this once
    Create {
        #[arg(value_name = "NAMESPACE+NAME")]
        robot: RobotName,
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// How long the secret is good, as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<Lasting>,
    },
    /// List the robots of a namespace
    List { namespace: String },
    /// Give a robot another secret and print it, this once; the one before is good no more
    Rotate {
        #[arg(value_name = "NAMESPACE+NAME")]
        robot: RobotName,
        /// How long the secret is good, as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<Lasting>,
    },
    /// Have a robot sign in no more
    Disable {
        #[arg(value_name = "NAMESPACE+NAME")]
        robot: RobotName,
    },
    /// Have a robot sign in again
    Enable {
        #[arg(value_name = "NAMESPACE+NAME")]
        robot: RobotName,
    },
    /// Remove a robot, with what was granted to it
    Delete {
        #[arg(value_name = "NAMESPACE+NAME")]
        robot: RobotName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

const SHOWN: [Column; 6] = [
    Column::new("NAME", |robot| text(&robot["name"])),
    Column::new("DISABLED", |robot| text(&robot["is_disabled"])),
    Column::new("CREATED", |robot| text(&robot["created_at"])),
    Column::new("EXPIRES", |robot| text_or(&robot["expires_at"], "never")),
    Column::new("LAST USED", |robot| {
        text_or(&robot["last_used_at"], "never")
    }),
    Column::new("DESCRIPTION", |robot| text(&robot["description"])),
];

fn robots(namespace: &str) -> String {
    format!("/namespaces/{}/robots", encoded(namespace))
}

fn path(robot: &RobotName) -> String {
    format!("{}/{}", robots(&robot.namespace), encoded(&robot.name))
}

impl Act for RobotCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create {
                robot,
                description,
                expires,
            } => {
                let mut form = json!({ "name": robot.name, "description": description });
                set_end(&mut form, expires);
                let made = session.post(&robots(&robot.namespace), form).await?;
                show_secret(session, &made)
            }
            Self::List { namespace } => {
                let found = session.list(&robots(&namespace), None).await?;
                session.show_all(&SHOWN, found)
            }
            Self::Rotate { robot, expires } => {
                let mut form = json!({});
                set_end(&mut form, expires);
                let path = format!("{}/secret", path(&robot));
                let made = session.post(&path, form).await?;
                show_secret(session, &made)
            }
            Self::Disable { robot } => set_disabled(session, &robot, true).await,
            Self::Enable { robot } => set_disabled(session, &robot, false).await,
            Self::Delete { robot, yes } => {
                let name = format!("{}+{}", robot.namespace, robot.name);
                let what = "with what was granted to it";
                confirm(&format!("remove the robot {name}, {what}"), yes)?;
                session.delete(&path(&robot)).await?;
                session.done(&format!("{name} is removed"));
                Ok(())
            }
        }
    }
}

fn set_end(form: &mut Value, expires: Option<Lasting>) {
    if expires.is_some() {
        form["expires_at"] = Lasting::end(expires);
    }
}

fn show_secret(session: &Session, made: &Value) -> Result<(), Failure> {
    let name = text(&made["name"]);
    let remark = format!("This is the password of {name}; it is not shown again.");
    session.show_secret(made, "secret", &remark)
}

async fn set_disabled(
    session: &mut Session,
    robot: &RobotName,
    is_disabled: bool,
) -> Result<(), Failure> {
    let form = json!({ "is_disabled": is_disabled });
    let changed = session.patch(&path(robot), form).await?;
    session.show(&SHOWN, &changed)
}
