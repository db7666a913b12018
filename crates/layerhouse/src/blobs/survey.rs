//! Taking stock of the tree, for `verify`: which files are there, and what they hash to.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use layerhouse_oci::digest::{Digest, Hasher};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Store;
use super::stage::hash;
use crate::fault::Fault;

/// A file under `blobs/`.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedBlob {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
}

/// A link file of registry:2's layout.
#[derive(Clone, Debug)]
pub(crate) enum LinkFile {
    Layer(Digest),
    Manifest(Digest),
    Tag(Tag),
}

impl Store {
    /// Calls `found` for every link file: those of blobs, of manifests, and the current ones of tags.
    ///
    /// # Errors
    /// A directory cannot be read, or `found` fails.
    pub(crate) fn survey_links(
        &self,
        mut found: impl FnMut(RepositoryName, LinkFile) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let root = self.layout().repositories();
        let mut directories = vec![root.clone()];
        // Names nest (`a` and `a/b` may both be repositories); what begins with `_` is not a name.
        while let Some(directory) = directories.pop() {
            for entry in entries(&directory)? {
                if !file_name(&entry).starts_with('_') && entry.is_dir() {
                    directories.push(entry);
                }
            }
            let name = directory.strip_prefix(&root).unwrap_or(&directory);
            let Ok(name) = name.to_string_lossy().parse::<RepositoryName>() else {
                continue;
            };
            for digest in linked(&directory.join("_layers")) {
                found(name.clone(), LinkFile::Layer(digest))?;
            }
            for digest in linked(&directory.join("_manifests/revisions")) {
                found(name.clone(), LinkFile::Manifest(digest))?;
            }
            for tag in entries(&directory.join("_manifests/tags")).unwrap_or_default() {
                if let Ok(tag) = file_name(&tag).parse() {
                    found(name.clone(), LinkFile::Tag(tag))?;
                }
            }
        }
        Ok(())
    }

    /// Calls `found` for every blob file, and `unknown` for whatever else is among them.
    ///
    /// # Errors
    /// A directory cannot be read, or `found` fails.
    pub(crate) fn survey_blobs(
        &self,
        mut found: impl FnMut(SurveyedBlob) -> Result<(), Fault>,
        mut unknown: impl FnMut(&Path),
    ) -> Result<(), Fault> {
        for algorithm in entries(&self.layout().blobs())? {
            for prefix in entries_or(&algorithm, &mut unknown)? {
                for directory in entries_or(&prefix, &mut unknown)? {
                    let name = format!("{}:{}", file_name(&algorithm), file_name(&directory));
                    let digest: Option<Digest> = name.parse().ok();
                    let metadata = fs::metadata(directory.join("data"));
                    match (digest, metadata) {
                        (Some(digest), Ok(metadata))
                            if self.layout().blob_directory(&digest) == directory =>
                        {
                            found(SurveyedBlob {
                                digest,
                                size_bytes: metadata.len(),
                            })?;
                        }
                        // An empty directory: the file was removed, or its link never made.
                        (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                        _ => unknown(&directory),
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the published bytes of `digest` hash to it; `None` if there are none.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn rehash(&self, digest: &Digest) -> Result<Option<bool>, Fault> {
        let fault = |error| Fault::io(format!("reading blob {digest}"), error);
        match File::open(self.layout().blob(digest)) {
            Ok(mut file) => {
                let actual = hash(&mut file, digest.algorithm()).map(Hasher::finish);
                actual.map(|actual| Some(actual == *digest)).map_err(fault)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// What the link file of a tag says.
    pub(crate) fn tag_link(&self, repository: &RepositoryName, tag: &Tag) -> Option<Digest> {
        read_link(&self.layout().tag(repository, tag).join("current"))
    }

    /// What the link file of a manifest says.
    pub(crate) fn manifest_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<Digest> {
        read_link(&self.layout().manifest_link(repository, digest))
    }

    /// What the link file of a blob says.
    pub(crate) fn layer_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<Digest> {
        read_link(&self.layout().layer_link(repository, digest))
    }
}

/// Digests with a link file under `directory/<algorithm>/<digits>`.
fn linked(directory: &Path) -> Vec<Digest> {
    let algorithms = entries(directory).unwrap_or_default();
    algorithms
        .iter()
        .flat_map(|algorithm| entries(algorithm).unwrap_or_default())
        .filter_map(|directory| read_link(&directory))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read_link(directory: &Path) -> Option<Digest> {
    fs::read_to_string(directory.join("link"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The entries of what should be a directory; a file in its place is passed to `unknown`.
fn entries_or(
    directory: &Path,
    unknown: &mut impl FnMut(&Path),
) -> Result<Vec<std::path::PathBuf>, Fault> {
    if directory.is_dir() {
        return entries(directory);
    }
    unknown(directory);
    Ok(Vec::new())
}

fn entries(directory: &Path) -> Result<Vec<std::path::PathBuf>, Fault> {
    let fault = |error| Fault::io(format!("listing {}", directory.display()), error);
    fs::read_dir(directory)
        .map_err(fault)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(fault))
        .collect()
}
