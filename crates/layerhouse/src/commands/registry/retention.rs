//! `layerhouse retention`.

use clap::{Args, Subcommand};
use layerhouse::Needs;
use serde_json::{Value, json};

use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// See what a run would remove now, and why; nothing is changed
    Preview(PreviewArguments),
    /// Remove it; it can be restored for a while
    Run(RunArguments),
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArguments {
    #[command(flatten)]
    of: Of,
    /// So many entries at most
    #[arg(short, long, value_name = "COUNT")]
    n: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
struct Of {
    /// Of repositories that fit, as in layerhouse.policies: acme/web, acme/*, acme/**
    #[arg(long, value_name = "PATTERN")]
    repository: Option<String>,
}

const LEAVING: [Column; 4] = [
    Column::new("REPOSITORY", |entry| text(&entry["repository"])),
    Column::new("TAGS", tags),
    Column::new("WHY", |entry| text(&entry["why"])),
    Column::new("DIGEST", |entry| {
        let what = match entry["kind"].as_str() {
            Some("tag") => " stays",
            _ => "",
        };
        text(&entry["digest"]) + what
    }),
];

const REMOVED: [Column; 3] = [
    Column::new("TAGS", |run| text(&run["tags"])),
    Column::new("MANIFESTS", |run| text(&run["manifests"])),
    Column::new("CHANGED", |run| text(&run["skipped"])),
];

/// The first few, and how many more.
fn tags(entry: &Value) -> String {
    const SHOWN_MAX: usize = 3;
    let all = entry["tags"].as_array().into_iter().flatten();
    let shown: Vec<String> = all.take(SHOWN_MAX).map(text).collect();
    let count = entry["tag_count"].as_u64().unwrap_or(0);
    let more = usize::try_from(count).map_or(0, |count| count.saturating_sub(shown.len()));
    match (shown.is_empty(), more) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Act for RetentionCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Preview(PreviewArguments { of, n }) => {
                let query = of
                    .repository
                    .map(|pattern| format!("?repository={}", encoded(&pattern)));
                let path = format!("/retention/plan{}", query.unwrap_or_default());
                let found = session.list(&path, n).await?;
                session.show_all(&LEAVING, found)
            }
            Self::Run(RunArguments { of }) => {
                let request = match of.repository {
                    Some(pattern) => json!({ "repository": pattern }),
                    None => json!({}),
                };
                let run = session.post("/retention/runs", request).await?;
                session.show(&REMOVED, &run)
            }
        }
    }
}
