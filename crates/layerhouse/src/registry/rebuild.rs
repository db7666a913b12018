//! Reading the link tree again, after a registry:2 was started on the directory in between.
//!
//! The rows are made to agree with the tree, but for what our own link files do not say yet: that is
//! newer. Bytes are never removed, and only a link file that surely is not there removes a row: a damaged
//! one, or a directory that cannot be read, is skipped. All of it is one transaction, so that it
//! happens whole, or, to only look, not at all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Instant;

use super::adoption::{Change, Changes, Writer, queue_unneeded};
use super::tree::{Source, Tree};
use super::turn::Turn;
use crate::blobs::layout::Layout;
use crate::blobs::{OpenError, Store};
use crate::clock::{Clock, Random};
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta;
use crate::meta::adoptions::Adopted;
use crate::meta::database::Database;
use crate::meta::postgres::Place;
use crate::meta::postgres::schema::Owner;
use crate::steps::Steps;

/// As whom the tags are moved that registry:2 moved.
const ACTOR: &str = "rebuild";

/// How far a rebuild may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// Says what would change, and changes nothing.
    Look,
    /// Refuses when most of the manifests would be removed: likely a disk is not mounted.
    Change,
    ChangeMost,
}

/// What a data directory's link files said that its rows did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    changes: Changes,
    removed: Vec<String>,
    moved: Vec<String>,
    kept: Vec<String>,
    skipped: Vec<String>,
    is_dry_run: bool,
    /// There were so many manifests that this removes most of them, and it is not said that it may.
    removes_most_of: Option<u64>,
}

impl RebuildReport {
    /// The rows said already what the tree says.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let skipped = self.changes.skipped;
        self.changes
            == Changes {
                skipped,
                ..Changes::default()
            }
    }

    /// Entries of the tree that are damaged or unknown, in words.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

impl fmt::Display for RebuildReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, lines) in [
            ("removed", &self.removed),
            ("moved", &self.moved),
            ("kept", &self.kept),
            ("skipped", &self.skipped),
        ] {
            for line in lines {
                writeln!(out, "{word}: {line}")?;
            }
        }
        let changes = &self.changes;
        writeln!(
            out,
            "added: {} manifests, {} tags, {} links of blobs, {} unlinked files",
            changes.manifests_added, changes.tags_added, changes.layers_added, changes.files_found,
        )?;
        writeln!(
            out,
            "removed: {} manifests, {} tags, {} links of blobs, {} rows of missing files",
            changes.manifests_removed,
            changes.tags_removed,
            changes.layers_removed,
            changes.files_lost,
        )?;
        writeln!(
            out,
            "moved: {} tags; kept because something needs them: {}; skipped: {}",
            changes.tags_moved, changes.kept, changes.skipped,
        )?;
        if let Some(manifests) = self.removes_most_of {
            writeln!(
                out,
                "of {manifests} manifests most would be removed, which is done only with --remove-most"
            )?;
        }
        out.write_str(match (self.is_unchanged(), self.is_dry_run) {
            (true, _) => "the rows agree with the link files: nothing to change\n",
            (false, true) => "this was only a look: nothing was changed\n",
            (false, false) => "the rows now agree with the link files; no bytes were removed\n",
        })
    }
}

/// Makes the rows of a data directory that no server uses agree with its link files, or only says what
/// that would change.
///
/// # Errors
/// The directory is in use, is none, or the database failed, or it would go too far: then no row was
/// changed.
pub fn rebuild(
    root: &Path,
    database: Option<&Place>,
    kind: Rebuild,
) -> Result<RebuildReport, OpenError> {
    let is_dry_run = kind == Rebuild::Look;
    let layout = Layout::new(root);
    let refuse = |what: String| Err(Fault::plain(FaultKind::Other, what).into());
    if !layout.repositories().is_dir() {
        return refuse(format!(
            "{} is not there: with nothing to compare every row would be removed; name the data \
             directory with --root",
            layout.repositories().display()
        ));
    }
    if is_dry_run && database.is_none() && !layout.database().exists() {
        return refuse(format!(
            "{} has no database yet: its first start, or rebuild without --dry-run, reads the whole \
             tree",
            root.display()
        ));
    }
    let store = Store::open(root, Steps::default(), Health::default(), 0, 0)?;
    // To look must not keep an older release from going on with the database.
    let (steps, health) = (Steps::default(), Health::default());
    if database.is_none() {
        store.check_database(None, 0)?;
    }
    let database = match (database, is_dry_run) {
        (None, true) => Database::open_current(&layout.database(), steps, health)?,
        (None, false) => Database::open(&layout.database(), steps, health)?,
        (Some(place), true) => Database::connect_current(place, steps, health)?,
        (Some(place), false) => {
            let known_as = store.check_database(Some(&place.shown()), Random::system().bits())?;
            Database::connect(place, &Owner::Directory(known_as), steps, health)?
        }
    };
    let report = compare(&store, &database, kind);
    database.close();
    Ok(report?)
}

fn compare(store: &Store, database: &Database, kind: Rebuild) -> Result<RebuildReport, Fault> {
    let is_dry_run = kind == Rebuild::Look;
    let report = RefCell::new(RebuildReport {
        is_dry_run,
        ..RebuildReport::default()
    });
    let note = |change| {
        let mut report = report.borrow_mut();
        match change {
            Change::Removed(what) => report.removed.push(what),
            Change::Moved(what) => report.moved.push(what),
            Change::Kept(what) => report.kept.push(what),
            Change::Skipped(what) => report.skipped.push(what),
        }
    };
    let now = Clock::system().now();
    let mut writer = Writer {
        bulk: database.bulk()?,
        turn: &Turn::alone(),
        now,
        actor: ACTOR,
        commits: false,
        uncommitted: 0,
        committed: Instant::now(),
        changes: Changes::default(),
        listener: &note,
    };
    let (found, strange) = store.survey_repositories();
    for strange in &strange {
        writer.skip(strange);
    }
    if found.is_empty() && database.read(meta::adoptions::has_links)? {
        let what = format!(
            "{} has no repository, and the database has some: is a disk not mounted? No row was \
             changed; if they were all removed on purpose, move {} away, and the next start begins \
             anew",
            store.layout().repositories().display(),
            store.layout().database().display()
        );
        return Err(Fault::plain(FaultKind::Other, what));
    }
    let manifests = database.read(meta::adoptions::count_manifests)?;
    // Also those whose directories were removed.
    let mut names = BTreeSet::from_iter(found);
    names.extend(database.read(meta::adoptions::repositories)?);
    let source = Source::Directory {
        store,
        names: &Vec::from_iter(names),
        finds_gone: true,
    };
    writer.take_in(Tree { source, database })?;
    writer.note_unlinked(store)?;
    writer.forget_lost(store)?;
    let Writer { bulk, changes, .. } = writer;
    let removes_most = manifests < changes.manifests_removed.saturating_mul(2);
    if removes_most && kind == Rebuild::Change {
        let what = format!(
            "this would remove {} of {manifests} manifests, and no row was changed: is a disk not \
             mounted? See what it would remove with --dry-run; if it should, say --remove-most",
            changes.manifests_removed
        );
        return Err(Fault::plain(FaultKind::Other, what));
    }
    if !is_dry_run {
        // A tree that was never read into rows, or half, is now.
        bulk.finish(|tx| {
            queue_unneeded(tx, changes.skipped, now)?;
            if changes.skipped == 0 {
                meta::adoptions::complete(tx)?;
            }
            let keeps = 0 < changes.skipped && 0 < meta::reviews::count_unqueued(tx)?;
            if !keeps && meta::adoptions::is_finished(tx)? {
                return Ok(());
            }
            let adopted = Adopted {
                manifests: changes.manifests_added,
                tags: changes.tags_added,
                skipped: changes.skipped,
            };
            meta::adoptions::finish(tx, adopted, now)
        })?;
    }
    let mut report = report.into_inner();
    report.changes = changes;
    report.removes_most_of = (is_dry_run && removes_most).then_some(manifests);
    Ok(report)
}
