//! Taking over the directory of a registry:2: its link files are read into rows at the first start.
//!
//! The files stay as they are, so that registry:2 can have them back. What is damaged or unknown is
//! said, counted and left alone. Interrupted, it is done again from the beginning: every step of it can be.
//! The same makes the rows anew when the database was lost (invariant I10).

use std::collections::{BTreeMap, BTreeSet};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Registry;
use super::manifest_rules::ManifestRules;
use super::manifests::{MANIFEST_BYTES_MAX, Needs, read};
use crate::blobs::survey::LinkFile;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::adoptions::Adopted;
use crate::meta::manifests::NewManifest;
use crate::meta::repositories::RepositoryId;

/// Rows written between two commits.
const BATCH_MAX: usize = 512;
/// As whom registry:2 moved the tags of before.
const ACTOR: &str = "before adoption";

/// A manifest that was read from its copy, and what it needs.
type Read = (NewManifest, Needs);

impl Registry {
    /// Reads the tree into rows, unless that was done before. Blocks.
    ///
    /// # Errors
    /// The disk or the database failed; the next start begins anew.
    pub(super) fn adopt(&self) -> Result<(), Fault> {
        if self.database.read(meta::adoptions::is_finished)? {
            return Ok(());
        }
        let names = self.store.survey_repositories()?;
        let mut adopted = Adopted::default();
        if !names.is_empty() {
            tracing::warn!(
                repositories = names.len(),
                "the directory was filled by another registry, or the database was lost: its link \
                 files are read into rows"
            );
        }
        for (number, name) in names.iter().enumerate() {
            self.adopt_repository(name, &mut adopted)?;
            if number % 100 == 99 {
                let done = number + 1;
                tracing::info!(done, of = names.len(), "repositories are adopted");
            }
        }
        self.adopt_unlinked()?;
        let now = self.clock.now();
        self.database
            .prepare(move |tx| meta::adoptions::finish(tx, adopted, now))?;
        if !names.is_empty() {
            let Adopted {
                manifests,
                tags,
                skipped,
            } = adopted;
            tracing::info!(manifests, tags, skipped, "the directory is adopted");
        }
        Ok(())
    }

    fn adopt_repository(&self, name: &RepositoryName, adopted: &mut Adopted) -> Result<(), Fault> {
        let (mut layers, mut manifests, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        for link in self.store.survey_links(name)? {
            match link {
                LinkFile::Layer(digest) => layers.push(digest),
                LinkFile::Manifest(digest) => manifests.push(digest),
                LinkFile::Tag(tag) => tags.push(tag),
                LinkFile::Unreadable(path) => {
                    let what = format!("the link file in {} says no digest", path.display());
                    skip(adopted, name, &what);
                }
            }
        }
        if layers.is_empty() && manifests.is_empty() && tags.is_empty() {
            return Ok(());
        }
        let (now, created) = (self.clock.now(), name.clone());
        let id = self
            .database
            .prepare(move |tx| meta::repositories::find_or_create(tx, &created, now))?;
        self.adopt_layers(name, id, layers, adopted)?;
        self.adopt_manifests(name, id, manifests, adopted)?;
        self.adopt_tags(name, id, &tags, adopted)
    }

    fn adopt_layers(
        &self,
        name: &RepositoryName,
        id: RepositoryId,
        layers: Vec<Digest>,
        adopted: &mut Adopted,
    ) -> Result<(), Fault> {
        let mut found = Vec::new();
        for digest in layers {
            match self.store.open_blob(&digest)? {
                Some(file) => found.push((digest, file.size_bytes())),
                None => skip(adopted, name, &format!("blob {digest} has no file")),
            }
        }
        let now = self.clock.now();
        for batch in found.chunks(BATCH_MAX) {
            let batch = batch.to_vec();
            self.database.prepare(move |tx| {
                batch.iter().try_for_each(|(digest, size_bytes)| {
                    // Nobody hashed it yet: the first read will.
                    meta::blobs::put(tx, digest, *size_bytes, Timestamp(0))?;
                    meta::blobs::link(tx, id, digest, now).map(|_| ())
                })
            })?;
        }
        Ok(())
    }

    /// Images come before the indexes that name them.
    fn adopt_manifests(
        &self,
        name: &RepositoryName,
        id: RepositoryId,
        digests: Vec<Digest>,
        adopted: &mut Adopted,
    ) -> Result<(), Fault> {
        let rules = ManifestRules::none();
        let mut waiting: BTreeMap<Digest, Read> = BTreeMap::new();
        let mut batch: Vec<Read> = Vec::new();
        for digest in digests {
            let content = self
                .store
                .read_manifest_copy(&digest, MANIFEST_BYTES_MAX as u64)?;
            let manifest = content.map(|content| read(content, None, Some(digest.clone()), &rules));
            match manifest {
                None => skip(adopted, name, &format!("manifest {digest} has no file")),
                Some(Err(error)) => skip(adopted, name, &format!("manifest {digest}: {error}")),
                Some(Ok(manifest)) if manifest.1.children.is_empty() => batch.push(manifest),
                Some(Ok(index)) => drop(waiting.insert(digest, index)),
            }
            if BATCH_MAX <= batch.len() {
                self.write_adopted(name, id, std::mem::take(&mut batch), adopted)?;
            }
        }
        self.write_adopted(name, id, batch, adopted)?;
        // Each round takes the indexes whose children are not waiting themselves.
        while !waiting.is_empty() {
            let names: BTreeSet<Digest> = waiting.keys().cloned().collect();
            let is_ready = |(_, needs): &Read| needs.children.is_disjoint(&names);
            let ready: Vec<Digest> = waiting
                .iter()
                .filter(|(_, index)| is_ready(index))
                .map(|(digest, _)| digest.clone())
                .collect();
            let batch: Vec<Read> = ready
                .iter()
                .filter_map(|digest| waiting.remove(digest))
                .collect();
            // A circle of digests cannot be made, but what cannot be must not go round for ever.
            if batch.is_empty() {
                return Ok(());
            }
            self.write_adopted(name, id, batch, adopted)?;
        }
        Ok(())
    }

    /// Writes the manifests that have all they need.
    fn write_adopted(
        &self,
        name: &RepositoryName,
        id: RepositoryId,
        batch: Vec<Read>,
        adopted: &mut Adopted,
    ) -> Result<(), Fault> {
        if batch.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let (written, lacking) = self.database.prepare(move |tx| {
            let (mut written, mut lacking) = (0, Vec::new());
            for (manifest, needs) in &batch {
                let missing = super::manifests::missing(tx, Some(id), needs)?;
                if let Some(missing) = missing.first() {
                    lacking.push((manifest.digest.clone(), missing.clone()));
                    continue;
                }
                super::manifests::write_rows(tx, id, manifest, needs, now)?;
                written += 1;
            }
            Ok((written, lacking))
        })?;
        adopted.manifests += written;
        for (manifest, missing) in lacking {
            skip(
                adopted,
                name,
                &format!("manifest {manifest} needs {missing}, not there"),
            );
        }
        Ok(())
    }

    fn adopt_tags(
        &self,
        name: &RepositoryName,
        id: RepositoryId,
        tags: &[Tag],
        adopted: &mut Adopted,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        for tags in tags.chunks(BATCH_MAX) {
            let mut batch = Vec::new();
            for tag in tags {
                match self.store.tag_link(name, tag) {
                    Some(current) => {
                        let history = self.store.survey_tag_index(name, tag)?;
                        batch.push((tag.clone(), current, history));
                    }
                    None => skip(adopted, name, &format!("tag {tag} has no link")),
                }
            }
            let (written, dangling) = self.database.prepare(move |tx| {
                let (mut written, mut dangling) = (0, Vec::new());
                for (tag, current, history) in &batch {
                    if !meta::manifests::exists(tx, id, current)? {
                        dangling.push(tag.clone());
                        continue;
                    }
                    if meta::tags::find(tx, id, tag)?.is_none() {
                        let mut before = None;
                        for (digest, moved_ms) in history.iter().filter(|(old, _)| old != current) {
                            let moved = Timestamp(*moved_ms);
                            meta::tags::record(tx, id, tag, before, Some(digest), ACTOR, moved)?;
                            before = Some(digest);
                        }
                        meta::tags::move_tag(tx, id, tag, current, ACTOR, now)?;
                    }
                    written += 1;
                }
                Ok((written, dangling))
            })?;
            adopted.tags += written;
            for tag in dangling {
                skip(
                    adopted,
                    name,
                    &format!("tag {tag} points at a manifest that is not there"),
                );
            }
        }
        Ok(())
    }

    /// Files that no repository links are known, too, so that they can be collected.
    fn adopt_unlinked(&self) -> Result<(), Fault> {
        let mut unlinked = Vec::new();
        self.store.survey_blobs(
            |blob| {
                let is_known = self.database.read(|tx| {
                    Ok::<_, Fault>(
                        meta::blobs::exists(tx, &blob.digest)?
                            || meta::manifests::exists_anywhere(tx, &blob.digest)?,
                    )
                })?;
                if !is_known {
                    unlinked.push(blob);
                }
                Ok(())
            },
            |path| tracing::warn!(path = %path.display(), "this is not a blob, and left alone"),
        )?;
        for batch in unlinked.chunks(BATCH_MAX) {
            let batch = batch.to_vec();
            self.database.prepare(move |tx| {
                batch.iter().try_for_each(|blob| {
                    meta::blobs::put(tx, &blob.digest, blob.size_bytes, Timestamp(0))
                })
            })?;
        }
        Ok(())
    }
}

fn skip(adopted: &mut Adopted, name: &RepositoryName, what: &str) {
    adopted.skipped += 1;
    tracing::warn!(repository = %name, what, "an entry was not adopted, and left as it is");
}
