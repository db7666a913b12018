//! Proves a data directory sound, or says what is not: the invariants that can be read from it.
//!
//! - I1: every manifest has what it needs, in its repository.
//! - I3: every tag points at a manifest of its repository.
//! - I4: bytes hash to the digest they are kept under.
//! - I6: nothing is on the disk that no row accounts for, and no row is there that nothing needs and nothing
//!   will review: bytes are reachable, in the window, or on their way out.
//! - I10: the link files say what the rows say.

use std::fmt;
use std::path::Path;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;

use crate::blobs::layout::Layout;
use crate::blobs::objects::Objects;
use crate::blobs::objects::settings::Buckets;
use crate::blobs::survey::LinkFile;
use crate::blobs::{OpenError, Store};
use crate::config::meaning::Config;
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta;
use crate::meta::database::Database;
use crate::meta::links::{Link, LinkState, StaleLink};
use crate::meta::postgres::Place;
use crate::meta::verify as rows;
use crate::steps::Steps;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// "I1", "I3", …, or "database".
    pub invariant: &'static str,
    /// What is wrong, with the names involved.
    pub what: String,
}

/// What a data directory holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Nothing here means that it is sound.
    pub findings: Vec<Finding>,
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Blobs that no repository links; their space comes back when they are collected.
    pub unlinked_blobs: u64,
    pub unlinked_bytes: u64,
    /// Links and blobs that nothing needs and that stay, for a tree could not be read whole.
    pub kept: u64,
    /// Manifests that were deleted and can be restored.
    pub deleted_manifests: u64,
    /// Files that the next start removes: there are some only after a crash.
    pub removals: u64,
    pub manifests: u64,
    pub tags: u64,
    pub uploads: u64,
    pub staged_bytes: u64,
    /// Objects that no row knows: they are removed a day after they were written.
    pub left_objects: u64,
    pub left_object_bytes: u64,
    /// Link files that the next start will write: there are some only after a crash.
    pub stale_links: u64,
    /// Entries of an adopted tree were left out, so what nothing needs may stay.
    may_keep: bool,
}

impl Report {
    fn find(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.findings.push(Finding {
            invariant,
            what: what.into(),
        });
    }

    /// Nothing needs it, and nothing will review it.
    fn keep(&mut self, what: &str) {
        if self.may_keep {
            self.kept += 1;
        } else {
            self.find("I6", format!("nothing will collect {what}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(out, "{}: {}", finding.invariant, finding.what)?;
        }
        writeln!(
            out,
            "{} manifests, {} tags, {} blobs ({} bytes, all hashed), of which {} ({} bytes) unlinked",
            self.manifests,
            self.tags,
            self.blobs,
            self.blob_bytes,
            self.unlinked_blobs,
            self.unlinked_bytes,
        )?;
        writeln!(
            out,
            "{} deleted manifests that can be restored, {} open uploads ({} bytes)",
            self.deleted_manifests, self.uploads, self.staged_bytes,
        )?;
        writeln!(
            out,
            "at the next start {} link files are written and {} collected files removed",
            self.stale_links, self.removals,
        )?;
        if 0 < self.kept {
            writeln!(
                out,
                "{} things that nothing needs stay, for what was adopted could not be read whole",
                self.kept,
            )?;
        }
        if 0 < self.left_objects {
            writeln!(
                out,
                "{} objects ({} bytes) that no row knows are removed a day after they were written",
                self.left_objects, self.left_object_bytes,
            )?;
        }
        match self.findings.len() {
            0 => writeln!(out, "sound: I1, I3, I4, I6 and I10 hold"),
            count => writeln!(out, "NOT sound: {count} findings"),
        }
    }
}

/// Checks a data directory that no server is using. Changes nothing that a server would miss.
///
/// # Errors
/// The directory is in use, is not ours, or cannot be read.
pub fn verify(root: &Path, database: Option<&Place>) -> Result<Report, OpenError> {
    verify_with(root, database, &Buckets::default())
}

/// The same for what a configuration names: directory, database and buckets.
///
/// # Errors
/// As [`verify`], or a bucket cannot be read.
pub fn verify_configured(config: &Config) -> Result<Report, OpenError> {
    verify_with(&config.root, config.database.as_ref(), &config.buckets)
}

fn verify_with(
    root: &Path,
    database: Option<&Place>,
    buckets: &Buckets,
) -> Result<Report, OpenError> {
    let layout = Layout::new(root);
    if database.is_none() && !layout.database().exists() {
        return Err(Fault::plain(
            FaultKind::Other,
            format!(
                "{} holds no Layerhouse database; name its directory with --root, or its database with --database",
                root.display()
            ),
        )
        .into());
    }
    let store = Store::open_with(root, buckets, Steps::default(), Health::default(), 0, 0)?;
    let (steps, health) = (Steps::default(), Health::default());
    let database = match database {
        None => Database::open_current(&store.layout().database(), steps, health)?,
        Some(place) => Database::connect_current(place, steps, health)?,
    };
    let mut report = Report {
        may_keep: database.read(meta::adoptions::has_skipped)?,
        ..Report::default()
    };
    let checked = database.read(|tx| {
        check_rows(tx, &store, &mut report)?;
        check_queues(tx, &mut report)?;
        check_files(tx, &store, &mut report)?;
        for objects in store.buckets() {
            check_objects(tx, objects, &mut report)?;
        }
        match store.objects() {
            // No link files are kept beside a bucket.
            Some(_) => Ok(()),
            None => check_links(tx, &store, &mut report),
        }
    });
    database.close();
    checked?;
    Ok(report)
}

fn check_rows(
    tx: &meta::transaction::Transaction<'_>,
    store: &Store,
    report: &mut Report,
) -> Result<(), Fault> {
    for what in rows::check_database(tx)? {
        report.find("database", what);
    }
    rows::each_blob(tx, |blob| {
        report.blobs += 1;
        report.blob_bytes += blob.size_bytes;
        if !blob.is_linked {
            report.unlinked_blobs += 1;
            report.unlinked_bytes += blob.size_bytes;
            if !blob.is_queued {
                report.keep(&format!("blob {}, which no repository has", blob.digest));
            }
        }
        let key = meta::objects::key(tx, &blob.digest)?;
        if let Some(key) = key {
            if let Some(objects) = store.objects_of(&key) {
                return check_object(objects, &key, &blob, report);
            }
            report.find(
                "I1",
                format!(
                    "blob {} is in no bucket that is configured: {key}",
                    blob.digest
                ),
            );
            return Ok(());
        }
        let found_bytes = store.open_blob(&blob.digest)?.map(|file| file.size_bytes());
        if found_bytes.is_some_and(|found_bytes| found_bytes != blob.size_bytes) {
            report.find(
                "I4",
                format!("blob {} is not as long as its row says", blob.digest),
            );
            return Ok(());
        }
        match store.rehash(&blob.digest) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => {
                report.find(
                    "I4",
                    format!("blob {} does not hash to its digest", blob.digest),
                );
            }
            Ok(None) => report.find("I1", format!("blob {} has no file", blob.digest)),
            Err(fault) => report.find("I4", fault.to_string()),
        }
        Ok(())
    })?;
    rows::each_manifest(tx, |row| {
        report.manifests += 1;
        let name = format!("manifest {} of {}", row.digest, row.repository);
        if Digest::of(row.digest.algorithm(), &row.content) != row.digest {
            report.find("I4", format!("{name} does not hash to its digest"));
            return Ok(());
        }
        let manifest = match Manifest::parse(&row.content, row.media_type.parse().ok().as_ref()) {
            Ok(manifest) => manifest,
            Err(error) => {
                report.find(
                    "I4",
                    format!("{name} is not what it was taken for: {error}"),
                );
                return Ok(());
            }
        };
        check_blobs(tx, &row, &manifest, report)?;
        for child in &manifest.manifests {
            let digest = &child.digest;
            if meta::manifests::does_without_child(tx, row.repository_id, &row.digest, digest)? {
                if meta::manifests::exists(tx, row.repository_id, digest)? {
                    report.find("I1", format!("{name} is said to do without {digest}"));
                }
                continue;
            }
            if !meta::manifests::needs_child(tx, row.repository_id, &row.digest, digest)? {
                report.find(
                    "I1",
                    format!("no row says that {name} needs manifest {digest}"),
                );
            }
            if !meta::manifests::exists(tx, row.repository_id, digest)? {
                report.find(
                    "I1",
                    format!("{name} needs manifest {}, not there", child.digest),
                );
            }
        }
        Ok(())
    })?;
    rows::each_tag(tx, |repository, tag, digest, is_there| {
        report.tags += 1;
        if !is_there {
            report.find(
                "I3",
                format!("{repository}:{tag} points at {digest}, not there"),
            );
        }
        Ok(())
    })
}

/// The object is there, and is the blob.
fn check_object(
    objects: &Objects,
    key: &str,
    blob: &rows::BlobRow,
    report: &mut Report,
) -> Result<(), Fault> {
    let digest = &blob.digest;
    match objects.rehash(key, digest.algorithm())? {
        None => report.find("I1", format!("blob {digest} has no object {key}")),
        Some((_, size_bytes)) if size_bytes != blob.size_bytes => {
            report.find(
                "I4",
                format!("blob {digest} is not as long as its row says"),
            );
        }
        Some((actual, _)) if actual != *digest => {
            report.find("I4", format!("blob {digest} does not hash to its digest"));
        }
        Some(_) => {}
    }
    Ok(())
}

/// Objects that no row knows are what a crash left: they go when they are a day old, so they are counted.
fn check_objects(
    tx: &meta::transaction::Transaction<'_>,
    objects: &Objects,
    report: &mut Report,
) -> Result<(), Fault> {
    objects.each(|object| {
        if !meta::objects::is_accounted(tx, &object.key)? {
            report.left_objects += 1;
            report.left_object_bytes += object.size_bytes;
        }
        Ok(())
    })
}

/// What a manifest needs of blobs is linked and said to be needed; what a copy does without is not there.
fn check_blobs(
    tx: &meta::transaction::Transaction<'_>,
    row: &rows::ManifestRow,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), Fault> {
    let name = format!("manifest {} of {}", row.digest, row.repository);
    let layers = manifest
        .layers
        .iter()
        .filter(|layer| layer.is_distributable());
    for blob in manifest.config.iter().chain(layers) {
        let digest = &blob.digest;
        if meta::mirror::does_without_blob(tx, row.repository_id, &row.digest, digest)? {
            if meta::blobs::is_linked(tx, row.repository_id, digest)? {
                report.find("I1", format!("{name} is said to do without blob {digest}"));
            }
            continue;
        }
        if !meta::manifests::needs_blob(tx, row.repository_id, &row.digest, digest)? {
            report.find("I1", format!("no row says that {name} needs blob {digest}"));
        }
        if !meta::blobs::is_linked(tx, row.repository_id, digest)? {
            report.find(
                "I1",
                format!("{name} needs blob {}, not linked there", blob.digest),
            );
        }
    }
    Ok(())
}

/// What is on its way out is queued, what can be restored is whole, and what is counted is so.
fn check_queues(tx: &meta::transaction::Transaction<'_>, report: &mut Report) -> Result<(), Fault> {
    rows::each_forgotten_link(tx, |repository, digest| {
        report.keep(&format!(
            "blob {digest} of {repository}, which no manifest needs"
        ));
        Ok(())
    })?;
    rows::each_deleted(tx, |repository, digest, content| {
        report.deleted_manifests += 1;
        if Digest::of(digest.algorithm(), &content) != digest {
            let what =
                format!("deleted manifest {digest} of {repository} does not hash to its digest");
            report.find("I4", what);
        }
        Ok(())
    })?;
    rows::each_miscounted(tx, |repository, said, actual| {
        report.find(
            "database",
            format!("{repository} is said to link {said} bytes, and links {actual}"),
        );
        Ok(())
    })?;
    rows::each_mistagged(tx, |repository, said, actual| {
        report.find(
            "database",
            format!("{repository} is said to have {said} tags, and has {actual}"),
        );
        Ok(())
    })?;
    rows::each_unread(tx, |repository, digest| {
        report.find(
            "database",
            format!("nobody will read what manifest {digest} of {repository} is"),
        );
        Ok(())
    })
}

fn check_files(
    tx: &meta::transaction::Transaction<'_>,
    store: &Store,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut unknown = Vec::new();
    let mut leaked = Vec::new();
    let removals = meta::reviews::removals(tx)?;
    report.removals = removals.len() as u64;
    store.survey_blobs(
        |file| {
            let is_blob = meta::blobs::exists(tx, &file.digest)?
                && meta::objects::key(tx, &file.digest)?.is_none();
            let is_known = is_blob
                || meta::manifests::exists_anywhere(tx, &file.digest)?
                || removals.contains(&file.digest);
            if !is_known {
                leaked.push(format!("blob {} ({} bytes)", file.digest, file.size_bytes));
            }
            Ok(())
        },
        |path| unknown.push(path.display().to_string()),
    )?;
    for what in leaked {
        report.find("I6", format!("no row accounts for {what}"));
    }
    for path in unknown {
        report.find("I6", format!("{path} is not a blob"));
    }
    let uploads = meta::uploads::all(tx)?;
    report.uploads = uploads.len() as u64;
    for file in store.stages()? {
        report.staged_bytes += file.size_bytes;
        if !uploads.iter().any(|upload| upload.id == file.upload) {
            report.find(
                "I6",
                format!("no upload accounts for staged file {}", file.upload),
            );
        }
    }
    Ok(())
}

/// Every row's link file says the same, unless it is marked to be written.
fn check_links(
    tx: &meta::transaction::Transaction<'_>,
    store: &Store,
    report: &mut Report,
) -> Result<(), Fault> {
    let stale = meta::links::stale(tx, None, usize::MAX >> 1)?;
    report.stale_links = stale.len() as u64;
    let is_stale = |repository: &_, link: &Link| {
        stale
            .iter()
            .any(|stale: &StaleLink| stale.repository == *repository && stale.link == *link)
    };
    let mut wrong = Vec::new();
    rows::each_link(tx, |repository, digest| {
        let found = store.layer_link(&repository, &digest);
        if found.as_ref() != Some(&digest) && !is_stale(&repository, &Link::Layer(digest.clone())) {
            wrong.push(format!("{repository} has no link file for blob {digest}"));
        }
        Ok(())
    })?;
    rows::each_tag(tx, |repository, tag, digest, _| {
        let found = store.tag_link(&repository, &tag);
        if found.as_ref() != Some(&digest) && !is_stale(&repository, &Link::Tag(tag.clone())) {
            wrong.push(format!(
                "the link file of {repository}:{tag} does not say {digest}"
            ));
        }
        Ok(())
    })?;
    rows::each_manifest(tx, |row| {
        let found = store.manifest_link(&row.repository, &row.digest);
        let link = Link::Manifest(row.digest.clone());
        if found.as_ref() != Some(&row.digest) && !is_stale(&row.repository, &link) {
            wrong.push(format!(
                "{} has no link file for manifest {}",
                row.repository, row.digest
            ));
        } else if found.is_some()
            && !matches!(store.rehash(&row.digest), Ok(Some(true)))
            && !is_stale(&row.repository, &link)
        {
            wrong.push(format!(
                "the copy of manifest {} is missing or damaged",
                row.digest
            ));
        }
        Ok(())
    })?;
    // And no link file outlives its row, or a registry:2 would serve what was deleted.
    for repository in store.survey_repositories().0 {
        for file in store.survey_links(&repository) {
            let link = match file {
                // What registry:2's collector leaves: without bytes nobody is served anything.
                LinkFile::Layer(digest) | LinkFile::Manifest(digest)
                    if store.is_blob_gone(&digest)
                        && !meta::manifests::exists_anywhere(tx, &digest)?
                        && !meta::blobs::exists(tx, &digest)? =>
                {
                    continue;
                }
                LinkFile::Layer(digest) => Link::Layer(digest),
                LinkFile::Manifest(digest) => Link::Manifest(digest),
                LinkFile::Tag(tag) => Link::Tag(tag),
                LinkFile::Strange(strange) => {
                    // A row whose link file this is was found wanting above.
                    let what = format!("{}: {}", strange.path.display(), strange.why);
                    report.find("I6", what);
                    continue;
                }
            };
            let is_known = meta::links::state(tx, &repository, &link)? != LinkState::Absent;
            if !is_known && !is_stale(&repository, &link) {
                wrong.push(format!(
                    "a link file of {repository} outlived its row: {link:?}"
                ));
            }
        }
    }
    for what in wrong {
        report.find("I10", what);
    }
    Ok(())
}
