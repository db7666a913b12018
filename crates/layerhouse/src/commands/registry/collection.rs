//! `layerhouse gc`, and registry:2's `garbage-collect`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use layerhouse::Needs;
use serde_json::{Value, json};

use crate::commands::console::session::{Failure, Session};
use crate::commands::console::shown::{Column, bytes, table, text, text_or};
use crate::commands::console::{Act, Place, run};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub(crate) struct GcCommand {
    /// Say what would go, why, and how much that is; nothing is changed (the default)
    #[arg(long, conflicts_with = "apply")]
    plan: bool,
    /// Collect
    #[arg(long)]
    apply: bool,
    /// With what was deleted and could still be restored
    #[arg(long)]
    empty_trash: bool,
    /// Without waiting for pushes that may be under way, which are then refused once; so it is on a stopped server
    #[arg(long)]
    now: bool,
    /// With what an adopted tree had that nothing needs, although not all of it could be read
    #[arg(long)]
    adopted: bool,
    /// Entries that are listed
    #[arg(short, long, value_name = "COUNT", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
}

const ENTRIES: [Column; 6] = [
    Column::new("KIND", |entry| text(&entry["kind"])),
    Column::new("REPOSITORY", |entry| text_or(&entry["repository"], "-")),
    Column::new("SIZE", |entry| bytes(&entry["size"])),
    Column::new("GOES", |entry| text_or(&entry["waits_until"], "now")),
    Column::new("DIGEST", |entry| text(&entry["digest"])),
    Column::new("WHY", |entry| text(&entry["why"])),
];

impl Act for GcCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let now = self.now || session.is_alone();
        let Self {
            empty_trash,
            adopted,
            n,
            ..
        } = self;
        if self.apply {
            let form = json!({ "now": now, "empty_trash": empty_trash, "adopted": adopted });
            let collected = session.post("/collection/runs", form).await?;
            let words = format!("collected: {}\n", sums(&collected));
            return session.show_words(&words, &collected);
        }
        let path =
            format!("/collection/plan?now={now}&empty_trash={empty_trash}&adopted={adopted}&n={n}");
        let plan = session.get(&path).await?;
        session.show_words(&in_words(&plan), &plan)
    }
}

/// Manifests, links and blobs of a plan or a run.
fn sums(of: &Value) -> String {
    let count = |field: &str, one: &str, many: &str| {
        let count = of[field].as_u64().unwrap_or(0);
        format!("{count} {}", if count == 1 { one } else { many })
    };
    format!(
        "{}, {}, {}: {}",
        count("manifests", "manifest", "manifests"),
        count("links", "link", "links"),
        count("blobs", "blob", "blobs"),
        bytes(&of["bytes"])
    )
}

fn entries(plan: &Value) -> &[Value] {
    plan["entries"].as_array().map_or(&[], Vec::as_slice)
}

fn in_words(plan: &Value) -> String {
    let mut words = String::new();
    let entries = entries(plan);
    if !entries.is_empty() {
        words += &table(&ENTRIES, entries);
        words += if plan["is_cut"] == true {
            "…\n\n"
        } else {
            "\n"
        };
    }
    let _ = writeln!(words, "goes now: {}", sums(&plan["goes"]));
    let _ = writeln!(words, "waits:    {}", sums(&plan["waits"]));
    let held = plan["held"]["blobs"].as_u64().unwrap_or(0);
    if 0 < held {
        let _ = writeln!(
            words,
            "held:     {held} {}: {}, for what was deleted and can be restored; see --empty-trash",
            if held == 1 { "blob" } else { "blobs" },
            bytes(&plan["held"]["bytes"])
        );
    }
    let adopted = plan["adopted"].as_u64().unwrap_or(0);
    if 0 < adopted {
        let _ = writeln!(
            words,
            "stays:    {adopted} of an adopted tree that could not be read whole; see --adopted"
        );
    }
    words
}

/// The same arguments as registry:2's, and its lines as far as they fit.
#[derive(Debug, Args)]
pub(crate) struct GarbageCollectArguments {
    /// A configuration file in registry:2's format
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Say what would go, and change nothing
    #[arg(short = 'd', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL")]
    dry_run: bool,
    /// Delete manifests that no tag and no other manifest names
    #[arg(short = 'm', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL")]
    delete_untagged: bool,
    /// Print the sums alone
    #[arg(short = 'q', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL")]
    quiet: bool,
}

impl GarbageCollectArguments {
    pub(crate) fn run(self) -> ExitCode {
        run(&Place::of_config(self.file.clone()), self)
    }
}

impl Act for GarbageCollectArguments {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        const LISTED: u32 = 10_000;
        let now = session.is_alone();
        let untagged = self.delete_untagged;
        let path = format!("/collection/plan?now={now}&untagged={untagged}&n={LISTED}");
        let plan = session.get(&path).await?;
        session.show_words(&lines(&plan, self.quiet), &plan)?;
        if self.dry_run {
            return Ok(());
        }
        let form = json!({ "now": now, "untagged": untagged });
        let collected = session.post("/collection/runs", form).await?;
        let words = format!(
            "{} blobs deleted, {} came back\n",
            text(&collected["blobs"]),
            bytes(&collected["bytes"])
        );
        session.show_words(&words, &collected)
    }
}

/// What registry:2 prints of what it will delete.
fn lines(plan: &Value, is_quiet: bool) -> String {
    let untagged = plan["untagged"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = String::new();
    if !is_quiet {
        for manifest in untagged {
            let (repository, digest) = (text(&manifest["repository"]), text(&manifest["digest"]));
            let _ = writeln!(
                lines,
                "{repository}: manifest eligible for deletion: {digest}"
            );
        }
    }
    let _ = writeln!(
        lines,
        "\n{} blobs and {} manifests eligible for deletion",
        text(&plan["goes"]["blobs"]),
        untagged.len()
    );
    if !is_quiet {
        // A blob without a repository is listed as itself; one whose last link goes, by that link.
        let goes = |entry: &&Value| entry["waits_until"].is_null() && entry["kind"] != "manifest";
        for entry in entries(plan).iter().filter(goes) {
            let of = match entry["repository"].as_str() {
                Some(repository) => format!("{repository}: "),
                None => String::new(),
            };
            let _ = writeln!(
                lines,
                "{of}blob eligible for deletion: {}",
                text(&entry["digest"])
            );
        }
    }
    let waits = &plan["waits"];
    let has = |field: &str| waits[field].as_u64().is_some_and(|count| 0 < count);
    if has("manifests") || has("links") || has("blobs") {
        let _ = writeln!(
            lines,
            "waiting, see `layerhouse gc --plan`: {}",
            sums(waits)
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_in_the_words_of_registry_2() {
        let plan = json!({
            "goes": { "manifests": 0, "links": 1, "blobs": 2, "bytes": 2048 },
            "waits": { "manifests": 1, "links": 0, "blobs": 0, "bytes": 0 },
            "untagged": [{ "repository": "acme/web", "digest": "sha256:aa" }],
            "entries": [
                { "kind": "manifest", "repository": "acme/web", "digest": "sha256:bb", "waits_until": "2027" },
                { "kind": "link", "repository": "acme/web", "digest": "sha256:cc", "waits_until": null },
                { "kind": "blob", "repository": null, "digest": "sha256:dd", "waits_until": null },
            ],
        });
        assert_eq!(
            lines(&plan, false),
            "acme/web: manifest eligible for deletion: sha256:aa\n\
             \n2 blobs and 1 manifests eligible for deletion\n\
             acme/web: blob eligible for deletion: sha256:cc\n\
             blob eligible for deletion: sha256:dd\n\
             waiting, see `layerhouse gc --plan`: 1 manifest, 0 links, 0 blobs: 0 B\n"
        );
    }
}
