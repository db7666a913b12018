//! `layerhouse repo`.

use std::io::Read;

use clap::Subcommand;
use layerhouse::Needs;
use serde_json::json;

use super::org::VisibilityWord;
use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    /// List the repositories of a namespace; without one, those without a slash
    List { namespace: Option<String> },
    /// Show a repository
    Show { repository: String },
    /// Show a repository to all, or hide it
    Visibility {
        repository: String,
        visibility: VisibilityWord,
    },
    /// Describe a repository
    Describe {
        repository: String,
        /// In a line, as searches show it
        #[arg(long, value_name = "TEXT", required_unless_present = "readme")]
        description: Option<String>,
        /// Read its README from standard input
        #[arg(long)]
        readme: bool,
    },
}

const LISTED: [Column; 3] = [
    Column::new("NAME", |found| text(&found["name"])),
    Column::new("VISIBILITY", |found| {
        let is_default = found["has_own_visibility"] == false;
        let own = if is_default { " (default)" } else { "" };
        format!("{}{own}", text(&found["visibility"]))
    }),
    Column::new("CREATED", |found| text(&found["created_at"])),
];
const SHOWN: [Column; 4] = [
    LISTED[0],
    LISTED[1],
    LISTED[2],
    Column::new("DESCRIPTION", |found| text(&found["description"])),
];

fn path(repository: &str) -> String {
    format!("/repositories/{}", encoded(repository))
}

impl Act for RepoCommand {
    const NEEDS: Needs = Needs::Accounts;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List { namespace } => {
                // Where Docker's clients look for names without a slash.
                let namespace = namespace.unwrap_or_else(|| "library".to_owned());
                let path = format!("/namespaces/{}/repositories", encoded(&namespace));
                let found = session.list(&path, None).await?;
                session.show_all(&LISTED, found)
            }
            Self::Show { repository } => {
                let found = session.get(&path(&repository)).await?;
                session.show(&SHOWN, &found)
            }
            Self::Visibility {
                repository,
                visibility,
            } => {
                let form = json!({ "visibility": visibility.value() });
                let changed = session.patch(&path(&repository), form).await?;
                session.show(&SHOWN, &changed)
            }
            Self::Describe {
                repository,
                description,
                readme,
            } => {
                let mut form = json!({});
                if let Some(description) = description {
                    form["description"] = description.into();
                }
                if readme {
                    let mut text = String::new();
                    let read = std::io::stdin().lock().read_to_string(&mut text);
                    read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
                    form["readme"] = text.into();
                }
                let changed = session.patch(&path(&repository), form).await?;
                session.show(&SHOWN, &changed)
            }
        }
    }
}
