//! `layerhouse history` and `layerhouse restore`.

use std::fmt::Write as _;

use clap::Args;
use layerhouse::Needs;
use serde_json::{Value, json};

use super::reference::{Named, Part};
use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Args)]
pub(crate) struct HistoryCommand {
    /// As acme/web, or acme/web:v1 for one tag
    #[arg(value_name = "REPOSITORY[:TAG]")]
    of: Named,
    /// So many at most
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

const EVENTS: [Column; 5] = [
    Column::new("WHEN", |event| text(&event["happened_at"])),
    Column::new("WHO", |event| text(&event["actor"])),
    Column::new("TAG", |event| text(&event["tag"])),
    Column::new("POINTED AT", |event| short(&event["from"])),
    Column::new("POINTS AT", |event| text_or(&event["to"], "(removed)")),
];

/// The beginning of a digest: the whole of it stands in the line before.
fn short(digest: &Value) -> String {
    const SHOWN: usize = "sha256:".len() + 12;
    text_or(digest, "(new)").chars().take(SHOWN).collect()
}

impl Act for HistoryCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let mut path = format!("{}/-/history", self.of.repository_path());
        match &self.of.part {
            Part::Whole => {}
            Part::Tag(tag) => path = format!("{path}?tag={}", encoded(tag)),
            Part::Manifest(_) => return Err(Failure::usage("write REPOSITORY or REPOSITORY:TAG")),
        }
        let found = session.list(&path, Some(self.limit)).await?;
        session.show_all(&EVENTS, found)
    }
}

#[derive(Debug, Args)]
pub(crate) struct RestoreCommand {
    /// As acme/web:v1 for a tag, acme/web@sha256:… for a manifest, acme/web for a repository that was deleted
    #[arg(value_name = "REPOSITORY[:TAG|@DIGEST]")]
    what: Named,
    /// Point the tag at this manifest
    #[arg(long, value_name = "DIGEST", conflicts_with = "at")]
    to: Option<String>,
    /// Point the tag where it pointed at this moment, as 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl Act for RestoreCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let path = match &self.what.part {
            Part::Whole => format!("{}/-/restore", self.what.path()),
            Part::Tag(_) | Part::Manifest(_) => format!("{}/restore", self.what.path()),
        };
        let restored = if let Part::Tag(_) = self.what.part {
            let mut form = json!({});
            if let Some(to) = self.to {
                form["to"] = to.into();
            }
            if let Some(at) = self.at {
                form["at"] = at.into();
            }
            session.post(&path, form).await?
        } else if self.to.is_some() || self.at.is_some() {
            return Err(Failure::usage("--to and --at are for a tag"));
        } else {
            session.post_there(&path).await?
        };
        session.show_words(&words(&restored), &restored)
    }
}

/// What came back, a line each.
fn words(restored: &Value) -> String {
    let each = |field: &str| restored[field].as_array().cloned().unwrap_or_default();
    let mut lines = String::new();
    for digest in each("manifests") {
        let _ = writeln!(lines, "manifest {} is back", text(&digest));
    }
    for tag in each("tags") {
        let _ = writeln!(
            lines,
            "tag {} points at {}",
            text(&tag["name"]),
            text(&tag["digest"])
        );
    }
    if lines.is_empty() {
        lines += "it is back; there was nothing in it\n";
    }
    lines
}
