//! The doctor: what is wrong with a data directory, in words, and what to do about it. It looks, and changes
//! nothing; unlike `verify` it hashes nothing, so that it may be asked at any time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::leases::Leases;
use super::{Registry, blocking};
use crate::blobs::layout::Layout;
use crate::blobs::objects::settings::Buckets;
use crate::blobs::{OpenError, Store};
use crate::clock::{Clock, Timestamp};
use crate::config::meaning::Config;
use crate::fault::Fault;
use crate::health::Health;
use crate::meta;
use crate::meta::database::Database;
use crate::meta::transaction::Transaction;
use crate::steps::Steps;

/// Things of one kind that are named; the others are counted.
const NAMED_MAX: usize = 20;
/// Clocks of machines differ by less.
const CLOCK_LEEWAY: Duration = Duration::from_mins(5);
/// Less than this of a file system is little.
const FREE_PERCENT_MIN: u64 = 5;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailment {
    /// What is wrong, with the names involved.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// How a data directory is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What there is: a name and what is said of it.
    pub facts: Vec<(String, String)>,
    /// Nothing here means that it is healthy.
    pub ailments: Vec<Ailment>,
}

impl Diagnosis {
    fn fact(&mut self, name: &str, said: impl Into<String>) {
        self.facts.push((name.to_owned(), said.into()));
    }

    fn find(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.ailments.push(Ailment {
            what: what.into(),
            advice: advice.into(),
        });
    }

    /// Several things of one kind: the first are named.
    fn find_all(&mut self, what: &str, found: &[String], advice: &str) {
        if found.is_empty() {
            return;
        }
        let named = found.iter().take(NAMED_MAX).map(|one| format!("\n  {one}"));
        let more = match found.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        let (count, named) = (found.len(), named.collect::<String>());
        self.find(format!("{count} {what}:{named}{more}"), advice);
    }
}

impl Registry {
    /// Looks for what is wrong while it serves.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub(crate) async fn examine(self: &Arc<Self>) -> Result<Diagnosis, Fault> {
        let registry = Arc::clone(self);
        let looked = blocking(move || {
            let (now, limits) = (registry.clock.now(), registry.limits);
            let mut diagnosis = Diagnosis::default();
            diagnosis.fact("server", "it serves");
            if let Err(fault) = registry.store.check_healthy() {
                diagnosis.find(
                    fault.to_string(),
                    "repair the disk, then restart the server",
                );
            }
            look_at_disk(&registry.store, limits.free_bytes_min, &mut diagnosis);
            let looked = registry.database.read(|tx| {
                look_at_rows(tx, now, &mut diagnosis)?;
                look_at_files(tx, &registry.store, &registry.leases, &mut diagnosis)
            });
            looked.map(|()| diagnosis)
        });
        looked.await?
    }
}

/// Looks for what is wrong with a directory that no server uses; if one does, that is said.
#[must_use]
pub fn examine(root: &Path) -> Diagnosis {
    examine_with(root, &Buckets::default())
}

/// The same for the directory of a configuration, and the buckets that it may name.
#[must_use]
pub fn examine_configured(config: &Config) -> Diagnosis {
    examine_with(&config.root, &config.buckets)
}

fn examine_with(root: &Path, buckets: &Buckets) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let shown = root.display();
    let layout = Layout::new(root);
    if !root.is_dir() {
        let advice = "name the data directory with --root, or mount its disk";
        diagnosis.find(format!("there is no directory {shown}"), advice);
        return diagnosis;
    }
    if !layout.database().exists() && layout.database_elsewhere().exists() {
        diagnosis.find(
            format!("the database of {shown} is a server's, and no process serves the directory"),
            "start the server and ask again: it says what is wrong with both; or compare them with \
             `layerhouse verify --database`",
        );
        return diagnosis;
    }
    if !layout.database().exists() {
        diagnosis.find(
            format!("there is no database in {shown}"),
            "if there never was one, start the server: it makes it, and reads what a registry:2 left. If it \
             was lost, restore a backup; without one, the next start makes it anew from the link files",
        );
        return diagnosis;
    }
    let (steps, health) = (Steps::default(), Health::default());
    let store = match Store::open_with(root, buckets, steps, health, 0, 0) {
        Ok(store) => store,
        Err(OpenError::InUse { holder, .. }) => {
            diagnosis.find(
                format!("process {holder} uses {shown}, and its console cannot be reached"),
                "if it is a server, ask as its user or as root; if it hangs, stop it",
            );
            return diagnosis;
        }
        Err(OpenError::Fault(fault)) => {
            let advice =
                "mend what it says; a read-only file system is often a disk that failed: see dmesg";
            diagnosis.find(fault.to_string(), advice);
            return diagnosis;
        }
    };
    diagnosis.fact("server", "none uses the directory");
    look_at_disk(&store, 0, &mut diagnosis);
    let opened = Database::open_current(&layout.database(), Steps::default(), Health::default());
    let looked = opened.and_then(|database| {
        let now = Clock::system().now();
        let looked = database.read(|tx| {
            look_at_rows(tx, now, &mut diagnosis)?;
            look_at_files(tx, &store, &Leases::default(), &mut diagnosis)
        });
        database.close();
        looked
    });
    if let Err(fault) = looked {
        let advice = "restore a backup into a new directory; without one see docs/how-to/damage.md";
        diagnosis.find(fault.to_string(), advice);
    }
    diagnosis
}

fn look_at_disk(store: &Store, free_bytes_min: u64, diagnosis: &mut Diagnosis) {
    if let Err(fault) = store.probe() {
        let advice = "nothing can be pushed: remount it for writing, or free space, and see dmesg";
        diagnosis.find(fault.to_string(), advice);
    }
    match store.room() {
        Ok(room) => {
            let percent = |free: u64, total: u64| free.saturating_mul(100) / total.max(1);
            let free = percent(room.free_bytes, room.total_bytes);
            diagnosis.fact("disk", format!("{} bytes free, {free} %", room.free_bytes));
            if free < FREE_PERCENT_MIN || room.free_bytes < free_bytes_min {
                let advice = "free space, or make the disk larger; `layerhouse gc --plan` says what comes back \
                     by itself";
                diagnosis.find(
                    format!("the disk is nearly full: {free} % are free"),
                    advice,
                );
            }
            // Some file systems make them as they are needed, and count none.
            let inodes = percent(room.free_inodes, room.total_inodes);
            if 0 < room.total_inodes && inodes < FREE_PERCENT_MIN {
                let what = format!("the file system can hold few more files: {inodes} % are free");
                diagnosis.find(
                    what,
                    "make a file system with more inodes; a blob takes two",
                );
            }
        }
        Err(fault) => diagnosis.find(fault.to_string(), "look at the disk"),
    }
    let quarantined = store.quarantined();
    if 0 < quarantined {
        let said = format!("{quarantined} damaged files are kept in layerhouse/quarantine");
        diagnosis.fact("quarantine", said);
    }
}

fn look_at_rows(
    tx: &Transaction<'_>,
    now: Timestamp,
    diagnosis: &mut Diagnosis,
) -> Result<(), Fault> {
    let problems = meta::scrub::check_pages(tx)?;
    diagnosis.find_all(
        "problems of the database",
        &problems,
        "restore a backup into a new directory; the disk or the memory may be failing",
    );
    let numbers = meta::doctor::numbers(tx)?;
    diagnosis.fact(
        "stored",
        format!(
            "{} repositories, {} manifests, {} tags",
            numbers.repositories, numbers.manifests, numbers.tags
        ),
    );
    diagnosis.fact("uploads", format!("{} open", numbers.uploads));
    diagnosis.fact(
        "collection",
        format!(
            "{} blobs ({} bytes) that no repository links wait; {} deleted manifests can be restored",
            numbers.unlinked_blobs, numbers.unlinked_bytes, numbers.deleted_manifests
        ),
    );
    let links = format!("{} to be written", numbers.stale_links);
    diagnosis.fact("link files", links);
    if 0 < numbers.skipped {
        diagnosis.find(
            format!(
                "{} entries of the tree that was adopted could not be read, so nothing that it had beside \
                 its images is collected",
                numbers.skipped
            ),
            "the log of the first start names them: push those images again, or `layerhouse rebuild`",
        );
    }
    let newest = meta::doctor::newest(tx)?;
    if CLOCK_LEEWAY < newest.since(now) {
        let at = newest.rfc3339().unwrap_or_default();
        diagnosis.find(
            format!("something was stored at {at}, which is in the future"),
            "set the machine's clock; what seems to be of the future is kept for longer, not less",
        );
    }
    let told = |at: Option<Timestamp>| {
        at.and_then(Timestamp::rfc3339)
            .unwrap_or_else(|| "never".to_owned())
    };
    diagnosis.fact("last scrub", told(meta::doctor::last_scrub(tx)?));
    let backup = meta::snapshot::last(tx)?;
    diagnosis.fact(
        "last backup",
        told(backup.as_ref().map(|made| made.taken_at)),
    );
    if let Some(made) = backup.filter(|made| 0 < made.missing) {
        diagnosis.find(
            format!(
                "the last backup, in {}, lacks {} blobs",
                made.place, made.missing
            ),
            "heal what is damaged, then make another",
        );
    }
    look_at_damages(tx, diagnosis)
}

fn look_at_damages(tx: &Transaction<'_>, diagnosis: &mut Diagnosis) -> Result<(), Fault> {
    let mut shown = Vec::new();
    for damage in meta::damages::damages(tx, 1000)? {
        let affected = match &damage.manifest_of {
            Some(repository) => vec![repository.to_string()],
            None => meta::damages::affected(tx, &damage.digest, NAMED_MAX)?
                .into_iter()
                .map(|one| match one.tag {
                    Some(tag) => format!("{}:{tag}", one.repository),
                    None => one.repository.to_string(),
                })
                .collect(),
        };
        let affected = affected.join(", ");
        shown.push(format!("{}: {} ({affected})", damage.digest, damage.said));
    }
    let advice = "push the images that need them again: that heals them";
    diagnosis.find_all("things are damaged", &shown, advice);
    Ok(())
}

/// Files without rows, and rows without files. Pushes and collection go on meanwhile: what looks wrong is looked at
/// again under its lease, and what somebody works with is theirs.
fn look_at_files(
    tx: &Transaction<'_>,
    store: &Store,
    leases: &Leases,
    diagnosis: &mut Diagnosis,
) -> Result<(), Fault> {
    let mut doubtful = Vec::new();
    meta::verify::each_blob(tx, |blob| {
        // Of objects the scrub finds out, and `verify`: each would cost a request.
        if meta::objects::key(tx, &blob.digest)?.is_some() {
            return Ok(());
        }
        if store.blob_size(&blob.digest)? != Some(blob.size_bytes) {
            doubtful.push(blob.digest);
        }
        Ok(())
    })?;
    let mut lost = Vec::new();
    for digest in doubtful {
        let Some(_lease) = leases.try_take(&digest) else {
            continue;
        };
        let Some(blob) = meta::scrub::due_blob(tx, &digest)? else {
            continue;
        };
        if !blob.is_damaged && store.blob_size(&digest)? != Some(blob.size_bytes) {
            lost.push(digest.to_string());
        }
    }
    diagnosis.find_all(
        "blobs have no file, or one of another length",
        &lost,
        "is the disk mounted? `layerhouse scrub --now` says which images need them; push those again",
    );
    let (mut unknown, mut strange) = (Vec::new(), Vec::new());
    store.survey_blobs(
        |file| {
            if !meta::doctor::is_accounted_for(tx, &file.digest)? {
                unknown.push(file.digest);
            }
            Ok(())
        },
        |path| strange.push(path.display().to_string()),
    )?;
    // A file is there a moment before its row, and for a moment after it.
    let mut files = Vec::new();
    for digest in unknown {
        let Some(_lease) = leases.try_take(&digest) else {
            continue;
        };
        let is_known = meta::doctor::is_accounted_for(tx, &digest)?;
        if !is_known && store.blob_size(&digest)?.is_some() {
            files.push(digest.to_string());
        }
    }
    diagnosis.find_all(
        "files of blobs are in no row",
        &files,
        "a registry:2 or somebody's hand put them there: stop the server and `layerhouse rebuild`, then they \
         are collected",
    );
    diagnosis.find_all(
        "entries among the blobs are none",
        &strange,
        "nothing of ours: remove them if you know what they are",
    );
    Ok(())
}
