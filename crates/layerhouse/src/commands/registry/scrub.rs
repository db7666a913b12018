//! `layerhouse scrub`.

use std::time::Duration;

use clap::Args;
use layerhouse::Needs;
use serde_json::{Value, json};

use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, show_json};
use crate::commands::console::shown::{Column, bytes, text, text_or};

/// Between two looks at a pass.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct ScrubCommand {
    /// Hash what is stored now, and wait for the end
    #[arg(long)]
    now: bool,
    /// Only what this repository needs
    #[arg(long, value_name = "REPOSITORY", requires = "now")]
    repository: Option<String>,
}

const PASSES: [Column; 9] = [
    Column::new("BEGAN", |pass| text(&pass["started_at"])),
    Column::new("ENDED", |pass| text_or(&pass["finished_at"], "goes on")),
    Column::new("WHY", |pass| text(&pass["why"])),
    Column::new("OF", |pass| text_or(&pass["repository"], "everything")),
    Column::new("BLOBS", |pass| text(&pass["blobs"])),
    Column::new("HASHED", |pass| bytes(&pass["bytes"])),
    Column::new("DAMAGED", |pass| text(&pass["damaged"])),
    Column::new("UNREADABLE", |pass| text(&pass["unreadable"])),
    Column::new("REPAIRED", |pass| text(&pass["repaired"])),
];

const DAMAGED: [Column; 4] = [
    Column::new("DAMAGED", |found| text(&found["digest"])),
    Column::new("SINCE", |found| text(&found["found_at"])),
    Column::new("IMAGES", affected),
    Column::new("WHAT", |found| text(&found["said"])),
];

/// `acme/web:v1, acme/web:v2 …`
fn affected(found: &Value) -> String {
    const SHOWN_MAX: usize = 5;
    if let Some(repository) = found["manifest_of"].as_str() {
        return repository.to_owned();
    }
    let Some(affected) = found["affected"].as_array() else {
        return String::new();
    };
    let named = affected.iter().take(SHOWN_MAX).map(|one| {
        let tag = one["tag"].as_str().map(|tag| format!(":{tag}"));
        text(&one["repository"]) + &tag.unwrap_or_default()
    });
    let mut shown = named.collect::<Vec<_>>().join(", ");
    if SHOWN_MAX < affected.len() {
        shown.push_str(" …");
    }
    shown
}

impl Act for ScrubCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let state = if self.now {
            let wanted = json!({ "repository": self.repository });
            let begun = session.post("/scrub/runs", wanted).await?;
            wait(session, &begun["id"]).await?
        } else {
            session.get("/scrub").await?
        };
        let damaged = state["damaged"].as_array().cloned().unwrap_or_default();
        if session.is_for_people() {
            let passes = state["passes"].as_array().cloned().unwrap_or_default();
            session.show_all(&PASSES, passes)?;
            if !damaged.is_empty() {
                session.show_all(&DAMAGED, damaged.clone())?;
            }
        } else {
            show_json(&state)?;
        }
        if damaged.is_empty() {
            return Ok(());
        }
        Err(Failure::found(format!(
            "{} damaged: push the images that need them again; that heals them",
            damaged.len()
        )))
    }
}

/// Waits until the pass is over; how the scrub is then.
async fn wait(session: &mut Session, id: &Value) -> Result<Value, Failure> {
    loop {
        let state = session.get("/scrub").await?;
        let passes = state["passes"].as_array().into_iter().flatten();
        let pass = passes.into_iter().find(|pass| pass["id"] == *id);
        // One that is forgotten was over long ago.
        if pass.is_none_or(|pass| !pass["finished_at"].is_null()) {
            return Ok(state);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
