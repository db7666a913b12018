//! Taking stock of the tree, for `verify` and for taking a registry:2's over: which files are there,
//! and what they hash to.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    /// It does not say a digest.
    Unreadable(PathBuf),
}

impl Store {
    /// The names of the repositories that have a directory.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn survey_repositories(&self) -> Result<Vec<RepositoryName>, Fault> {
        let root = self.layout().repositories();
        let mut directories = vec![root.clone()];
        let mut names = Vec::new();
        // Names nest (`a` and `a/b` may both be repositories); what begins with `_` is not a name.
        while let Some(directory) = directories.pop() {
            for entry in entries(&directory)? {
                if !file_name(&entry).starts_with('_') && entry.is_dir() {
                    directories.push(entry);
                }
            }
            let name = directory.strip_prefix(&root).unwrap_or(&directory);
            names.extend(name.to_string_lossy().parse::<RepositoryName>());
        }
        names.sort();
        Ok(names)
    }

    /// The link files of a repository: those of blobs, of manifests, and the current ones of tags.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn survey_links(&self, name: &RepositoryName) -> Result<Vec<LinkFile>, Fault> {
        let mut links = Vec::new();
        let mut take = |place: &Path, link: fn(Digest) -> LinkFile| -> Result<(), Fault> {
            for directory in link_directories(place)? {
                match read_link(&directory) {
                    Some(digest) => links.push(link(digest)),
                    None if directory.join("link").exists() => {
                        links.push(LinkFile::Unreadable(directory));
                    }
                    None => {}
                }
            }
            Ok(())
        };
        take(&self.layout().layer_links(name), LinkFile::Layer)?;
        take(&self.layout().manifest_links(name), LinkFile::Manifest)?;
        for tag in entries_if_any(&self.layout().tags(name))? {
            links.extend(file_name(&tag).parse().map(LinkFile::Tag));
        }
        Ok(links)
    }

    /// Every manifest that a tag ever pointed at and when it first did, in milliseconds since the
    /// epoch, oldest first.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn survey_tag_index(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Vec<(Digest, i64)>, Fault> {
        let index = self.layout().tag(name, tag).join("index");
        let mut history: Vec<(Digest, i64)> = link_directories(&index)?
            .into_iter()
            .filter_map(|directory| read_link(&directory))
            .map(|digest| {
                let link = index
                    .join(digest.algorithm().name())
                    .join(digest.hex())
                    .join("link");
                let modified_ms = fs::metadata(link).map_or(0, |link| link.mtime() * 1000);
                (digest, modified_ms)
            })
            .collect();
        history.sort_by_key(|(_, modified_ms)| *modified_ms);
        Ok(history)
    }

    /// The bytes of a manifest's copy under its digest, if there are at most `bytes_max`.
    ///
    /// # Errors
    /// They cannot be read; a missing file is `None`.
    pub(crate) fn read_manifest_copy(
        &self,
        digest: &Digest,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.layout().blob(digest);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() <= bytes_max => fs::read(&path)
                .map(Some)
                .map_err(|error| Fault::io(format!("reading manifest {digest}"), error)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::io(format!("looking at manifest {digest}"), error)),
        }
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

/// What may hold a link file under `directory/<algorithm>/<digits>`.
fn link_directories(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut directories = Vec::new();
    for algorithm in entries_if_any(directory)? {
        directories.extend(entries_if_any(&algorithm)?);
    }
    Ok(directories)
}

/// The entries of a directory; none if it is not there, or no directory.
fn entries_if_any(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    if directory.is_dir() {
        return entries(directory);
    }
    Ok(Vec::new())
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
fn entries_or(directory: &Path, unknown: &mut impl FnMut(&Path)) -> Result<Vec<PathBuf>, Fault> {
    if directory.is_dir() {
        return entries(directory);
    }
    unknown(directory);
    Ok(Vec::new())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let fault = |error| Fault::io(format!("listing {}", directory.display()), error);
    fs::read_dir(directory)
        .map_err(fault)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(fault))
        .collect()
}
