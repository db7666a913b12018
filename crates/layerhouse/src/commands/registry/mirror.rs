//! `layerhouse mirror`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use layerhouse::Needs;
use layerhouse::config::listed_in;
use serde_json::{Value, json};

use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, show_json};
use crate::commands::console::shown::{Column, bytes, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorCommand {
    /// See how the upstreams do, what they were asked for, and how much of them is kept
    Status,
    /// Fetch images before anybody asks for them
    Warm(WarmArguments),
    /// Let copies go that take more than their budget or were not pulled for long: the server does so by itself
    Evict(EvictArguments),
}

#[derive(Debug, Args)]
pub(crate) struct WarmArguments {
    /// As clients name them here: docker.io/library/nginx:1.27
    #[arg(value_name = "REFERENCE", required_unless_present = "file")]
    references: Vec<String>,
    /// A file with more of them, a line each; lines that begin with # are remarks
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only images for this platform, as linux/amd64; can be said several times
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EvictArguments {
    /// Say what would go, and change nothing
    #[arg(long)]
    plan: bool,
}

const UPSTREAMS: [Column; 9] = [
    Column::new("UPSTREAM", |one| text(&one["name"])),
    Column::new("STATE", state),
    Column::new("KEPT", |one| bytes(&one["bytes"])),
    Column::new("BUDGET", |one| bytes_or(&one["budget_bytes"], "-")),
    Column::new("FETCHED", |one| bytes(&one["counts"]["fetched_bytes"])),
    Column::new("SENT", |one| bytes(&one["counts"]["sent_bytes"])),
    Column::new("HITS", |one| ratio(&one["counts"])),
    Column::new("FAILURES", |one| text(&one["counts"]["failures"])),
    Column::new("RATE LIMIT", |one| limit(&one["rate_limit"])),
];

const EVICTIONS: [Column; 6] = [
    Column::new("REPOSITORY", |entry| text(&entry["repository"])),
    Column::new("TAGS", tags),
    Column::new("SIZE", |entry| bytes(&entry["bytes"])),
    Column::new("LAST PULLED", |entry| text(&entry["used_at"])),
    Column::new("WHY", |entry| text(&entry["why"])),
    Column::new("DIGEST", |entry| text(&entry["digest"])),
];

/// `ok`, `offline`, or until when it is left alone.
fn state(upstream: &Value) -> String {
    match upstream["closed_until"].as_str() {
        Some(until) if upstream["state"] == "closed" => format!("closed until {until}"),
        _ => text(&upstream["state"]),
    }
}

fn bytes_or(value: &Value, none: &str) -> String {
    if value.is_null() {
        none.to_owned()
    } else {
        bytes(value)
    }
}

/// How many of the answers came from copies.
fn ratio(counts: &Value) -> String {
    let sum = |fields: [&str; 3]| {
        let counts = fields.iter().map(|field| counts[field].as_u64());
        counts.map(|count| count.unwrap_or(0)).sum::<u64>()
    };
    let hits = sum(["manifest_hits", "blob_hits", "stale"]);
    let all = hits + sum(["manifest_misses", "blob_misses", "shared"]);
    if all == 0 {
        return "-".to_owned();
    }
    format!("{} %", hits * 100 / all)
}

/// `94 of 100`
fn limit(limit: &Value) -> String {
    if limit.is_null() {
        return "-".to_owned();
    }
    format!("{} of {}", text(&limit["remaining"]), text(&limit["limit"]))
}

fn tags(entry: &Value) -> String {
    let tags = entry["tags"].as_array().into_iter().flatten().map(text);
    let tags: Vec<String> = tags.collect();
    if tags.is_empty() {
        "-".to_owned()
    } else {
        tags.join(", ")
    }
}

impl Act for MirrorCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        // Whether there is a mirror at all.
        let state = session.get("/mirror").await;
        let state = state.map_err(|failure| match failure.code {
            3 => Failure::failed(failure.message),
            _ => failure,
        })?;
        match self {
            Self::Status => status(session, &state),
            Self::Warm(arguments) => warm(session, arguments).await,
            Self::Evict(arguments) => evict(session, &arguments).await,
        }
    }
}

fn status(session: &Session, state: &Value) -> Result<(), Failure> {
    let upstreams = state["upstreams"].as_array().map_or(&[][..], Vec::as_slice);
    let mut words = table(&UPSTREAMS, upstreams);
    let _ = writeln!(
        words,
        "\nkept: {} of {}, {} being fetched",
        bytes(&state["bytes"]),
        bytes_or(&state["budget_bytes"], "any size"),
        count(&state["fetches"], "blob")
    );
    for upstream in upstreams {
        let failure = &upstream["last_failure"];
        if !failure.is_null() {
            let (at, message) = (text(&failure["at"]), text(&failure["message"]));
            let _ = writeln!(words, "{}, {at}: {message}", text(&upstream["name"]));
        }
    }
    session.show_words(&words, state)
}

/// A line for each, as soon as it is here.
async fn warm(session: &mut Session, arguments: WarmArguments) -> Result<(), Failure> {
    let mut references = arguments.references;
    if let Some(file) = &arguments.file {
        references.extend(listed_in(file).map_err(Failure::usage)?);
    }
    let (mut failed, mut all) = (0, Vec::new());
    for reference in references {
        let wanted = json!({ "reference": reference, "platforms": arguments.platforms });
        let line = match session.post("/mirror/warm", wanted).await {
            Ok(warmed) => {
                let line = line(&warmed);
                all.push(warmed);
                line
            }
            // Nothing was said in vain: the others are tried.
            Err(failure) if matches!(failure.code, 2 | 3 | 5) => {
                failed += 1;
                let message = failure.message;
                let line = format!("{reference}: {message}");
                all.push(json!({ "reference": reference, "error": message }));
                line
            }
            Err(failure) => return Err(failure),
        };
        if session.is_for_people() {
            session.show_words(&format!("{line}\n"), &Value::Null)?;
        }
    }
    if !session.is_for_people() {
        show_json(&Value::Array(all))?;
    }
    if failed == 0 {
        return Ok(());
    }
    let failed = count(&json!(failed), "image");
    Err(Failure::found(format!("{failed} could not be fetched")))
}

fn line(warmed: &Value) -> String {
    let reference = text(&warmed["reference"]);
    if warmed["was_fresh"] == true {
        return format!("{reference}: all of it is here");
    }
    format!(
        "{reference}: fetched {} and {}, {}",
        count(&warmed["manifests"], "manifest"),
        count(&warmed["blobs"], "blob"),
        bytes(&warmed["bytes"])
    )
}

/// `1 blob`, `2 blobs`
fn count(value: &Value, one: &str) -> String {
    match value.as_u64().unwrap_or(0) {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

async fn evict(session: &mut Session, arguments: &EvictArguments) -> Result<(), Failure> {
    let asked = json!({ "plan": arguments.plan });
    let evicted = session.post("/mirror/evictions", asked).await?;
    let entries = evicted["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let mut words = String::new();
    if !entries.is_empty() {
        words += &table(&EVICTIONS, entries);
        words += if evicted["is_cut"] == true {
            "…\n\n"
        } else {
            "\n"
        };
    }
    let _ = writeln!(
        words,
        "{}: {}, {}",
        if arguments.plan { "goes" } else { "evicted" },
        count(&evicted["manifests"], "manifest"),
        bytes(&evicted["bytes"])
    );
    session.show_words(&words, &evicted)
}
