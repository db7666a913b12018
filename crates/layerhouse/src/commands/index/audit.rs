//! `layerhouse audit`.

use clap::Subcommand;
use layerhouse::Needs;

use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was changed, by whom, from where; the last first
    List {
        /// By whom
        #[arg(long, value_name = "ACCOUNT")]
        actor: Option<String>,
        /// Of which account, namespace or repository
        #[arg(long, value_name = "NAME")]
        subject: Option<String>,
        /// So many at most
        #[arg(short, long, value_name = "COUNT", default_value_t = 100)]
        n: usize,
    },
}

const SHOWN: [Column; 6] = [
    Column::new("WHEN", |event| text(&event["happened_at"])),
    Column::new("WHO", |event| text(&event["actor"])),
    Column::new("WHAT", |event| text(&event["action"])),
    Column::new("OF", |event| text(&event["subject"])),
    Column::new("FROM", |event| text(&event["address"])),
    Column::new("DETAIL", |event| {
        let detail = &event["detail"];
        if detail.as_object().is_some_and(serde_json::Map::is_empty) {
            return String::new();
        }
        text(detail)
    }),
];

impl Act for AuditCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let Self::List { actor, subject, n } = self;
        let mut path = "/audit?".to_owned();
        for (name, value) in [("actor", actor), ("subject", subject)] {
            if let Some(value) = value {
                path = format!("{path}{name}={}&", encoded(&value));
            }
        }
        let path = path.trim_end_matches(['?', '&']);
        let found = session.list(path, Some(n)).await?;
        session.show_all(&SHOWN, found)
    }
}
