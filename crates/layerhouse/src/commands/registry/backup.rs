//! `layerhouse backup`: making one asks the server; all else looks at the directory of backups alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use layerhouse::{BackupError, Needs, backup_list, backup_prune, backup_restore, backup_verify};
use serde_json::{Value, json};

use crate::commands::console::session::{Failure, Session};
use crate::commands::console::shown::{Column, bytes, table, text};
use crate::commands::console::{Act, Alone, failed};
use crate::{say, say_error};

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a backup of a server, whether it runs or not
    Create(Alone<CreateCommand>),
    /// List the backups of a directory
    List(FromArguments),
    /// Hash all backups of a directory, and say what they lack
    Verify(FromArguments),
    /// Make a data directory of a backup
    Restore(RestoreArguments),
    /// Remove old backups, and what only they need
    Prune(PruneArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CreateCommand {
    /// The directory of backups; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Copy files also where they could be shared with the data directory
    #[arg(long)]
    copy: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FromArguments {
    /// The directory of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The directory of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The newest backup of then or before, as 2027-01-15 or 2027-01-15T08:00:00Z, in UTC [default: the newest]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The new data directory: empty, or not there
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Share files with the backups where that can be
    #[arg(long)]
    link: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// The directory of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// So many of the newest stay
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
}

const MADE: [Column; 8] = [
    Column::new("BACKUP", |made| text(&made["name"])),
    Column::new("REPOSITORIES", |made| text(&made["repositories"])),
    Column::new("MANIFESTS", |made| text(&made["manifests"])),
    Column::new("TAGS", |made| text(&made["tags"])),
    Column::new("BLOBS", |made| text(&made["blobs"])),
    Column::new("BYTES", |made| bytes(&made["bytes"])),
    Column::new("NEW-BLOBS", |made| text(&made["new_blobs"])),
    Column::new("NEW-BYTES", |made| bytes(&made["new_bytes"])),
];

impl Act for CreateCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        // The server stands elsewhere.
        let to = std::path::absolute(&self.to);
        let to = to.map_err(|error| Failure::usage(format!("--to: {error}")))?;
        let Some(to) = to.to_str() else {
            return Err(Failure::usage("--to: write a path that is text"));
        };
        let place = json!({ "to": to, "copy": self.copy });
        let made = session.post("/backups", place).await?;
        session.show(&MADE, &made)?;
        let missing = made["missing"].as_array().cloned().unwrap_or_default();
        if missing.is_empty() {
            return Ok(());
        }
        let named = missing
            .iter()
            .map(|one| format!("\n  {}: {}", text(&one["digest"]), text(&one["why"])));
        Err(Failure::found(format!(
            "the backup is incomplete, it lacks:{}\npush the images that need them again, then make another",
            named.collect::<String>()
        )))
    }
}

/// Does it, and says how it went; 6 if something is wrong with a backup.
pub(crate) fn run(command: BackupCommand) -> ExitCode {
    let done = match command {
        BackupCommand::Create(alone) => return alone.run(),
        BackupCommand::List(arguments) => list(&arguments),
        BackupCommand::Verify(arguments) => verify(&arguments),
        BackupCommand::Restore(arguments) => restore(&arguments),
        BackupCommand::Prune(arguments) => prune(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Inside(_) | BackupError::Around(_) | BackupError::NoTime(_) => {
                Self::usage(message)
            }
            BackupError::NoSuchBackup(_) => Self::not_found(message),
            BackupError::NotEmpty(_) | BackupError::Place(_) => Self::refused(message),
            BackupError::Unusable { .. } => Self::found(message),
            BackupError::NoRoom { .. } | BackupError::Fault(_) => Self::failed(message),
        }
    }
}

fn list(arguments: &FromArguments) -> Result<(), Failure> {
    let listed = backup_list(&arguments.from)?;
    let mut entries = Vec::new();
    let mut unusable = 0;
    for backup in listed {
        match backup.description {
            Ok(description) => {
                let mut entry = json!(description);
                entry["name"] = Value::from(backup.name);
                if !description.missing.is_empty() {
                    entry["name"] = format!("{} (incomplete)", text(&entry["name"])).into();
                }
                entries.push(entry);
            }
            Err(why) => {
                unusable += 1;
                say_error(&format!("backup {}: {why}", backup.name));
            }
        }
    }
    say(&table(&MADE, &entries));
    if unusable == 0 {
        return Ok(());
    }
    Err(Failure::found(format!("{unusable} cannot be used")))
}

fn verify(arguments: &FromArguments) -> Result<(), Failure> {
    let verified = backup_verify(&arguments.from)?;
    for finding in &verified.findings {
        say(&format!("{finding}\n"));
    }
    say(&format!(
        "{} backups, {} blobs ({} bytes, all hashed)\n",
        verified.backups, verified.blobs, verified.bytes
    ));
    match verified.findings.len() {
        0 => Ok(()),
        count => Err(Failure::found(format!("NOT sound: {count} findings"))),
    }
}

fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let RestoreArguments {
        from,
        at,
        root,
        link,
    } = arguments;
    let restored = backup_restore(from, at.as_deref(), root, *link)?;
    for missing in &restored.missing {
        say(&format!(
            "missing: blob {}: {}\n",
            missing.digest, missing.why
        ));
    }
    say(&restored.report.to_string());
    say(&format!(
        "restored the backup {}: {} blobs, {} bytes\n",
        restored.name, restored.blobs, restored.bytes
    ));
    if restored.missing.is_empty() && restored.report.findings.is_empty() {
        return Ok(());
    }
    Err(Failure::found(
        "it can be served, but is incomplete: push the images that need what is missing again",
    ))
}

fn prune(arguments: &PruneArguments) -> Result<(), Failure> {
    let keep = usize::try_from(arguments.keep).unwrap_or(usize::MAX);
    let pruned = backup_prune(&arguments.from, keep)?;
    for name in &pruned.removed {
        say(&format!("removed: {name}\n"));
    }
    say(&format!(
        "{} stay; {} blobs ({} bytes) that no other needs were removed\n",
        pruned.kept.len(),
        pruned.blobs,
        pruned.bytes
    ));
    Ok(())
}
