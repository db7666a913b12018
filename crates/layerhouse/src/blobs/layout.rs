//! Where things are under the root: registry:2's paths, and our own beside them.
//!
//! Paths are made of checked names, digests and ids only; no text of a request reaches the disk.

use std::path::{Path, PathBuf};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use layerhouse_oci::upload_id::UploadId;

const BLOBS: &str = "docker/registry/v2/blobs";

/// The paths of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is ours alone: database, lock, staged uploads.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join("layerhouse")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.own().join("layerhouse.db")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.own().join("lock")
    }

    /// Says where the database is, if a server keeps it.
    pub(crate) fn database_elsewhere(&self) -> PathBuf {
        self.own().join("database-elsewhere")
    }

    /// A database that is being made of a server's.
    pub(crate) fn database_arriving(&self) -> PathBuf {
        self.own().join("layerhouse.db.arriving")
    }

    /// What was the database before a server had it.
    pub(crate) fn database_left(&self) -> PathBuf {
        self.own().join("layerhouse.db.moved")
    }

    /// There while a backup is being restored.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.own().join("restoring")
    }

    /// Names the bucket that the blobs are objects of, where they are.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.own().join("bucket")
    }

    /// Space held back for the database, given up when the disk is full.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.own().join("reserve")
    }

    /// Staged uploads: on the file system of the blobs, so that publishing copies nothing.
    pub(crate) fn stages(&self) -> PathBuf {
        self.own().join("uploads")
    }

    pub(crate) fn stage(&self, upload: &UploadId) -> PathBuf {
        self.stages().join(upload.as_str())
    }

    /// Files that are on their way to another place: never needed after a restart.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.own().join("scratch")
    }

    /// Files of blobs that are objects, unless the operator names another place for them.
    pub(crate) fn cache(&self) -> PathBuf {
        self.own().join("cache")
    }

    /// Damaged files, kept for a human to look at.
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.own().join("quarantine")
    }

    fn registry(&self) -> PathBuf {
        self.root.join("docker/registry/v2")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.registry().join("repositories")
    }

    /// `blobs/<algorithm>/<first two digits>/<digits>`, which holds the file `data`.
    pub(crate) fn blob_directory(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let parts = [BLOBS, digest.algorithm().name(), &hex[..2], hex];
        // Every pull asks for it: one allocation, with room for `data`.
        let parts_bytes: usize = parts.iter().map(|part| part.len() + 1).sum();
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + parts_bytes + 5);
        path.push(&self.root);
        path.extend(parts);
        path
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blob_directory(digest);
        path.push("data");
        path
    }

    fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.repositories().join(name.as_str())
    }

    /// `_layers`, with the links of blobs by algorithm and digits.
    pub(crate) fn layer_links(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_layers")
    }

    /// The directory of the link that makes a blob exist in a repository.
    pub(crate) fn layer_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.layer_links(name)
            .join(digest.algorithm().name())
            .join(digest.hex())
    }

    /// `_manifests/revisions`, with the links of manifests by algorithm and digits.
    pub(crate) fn manifest_links(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_manifests/revisions")
    }

    /// The directory of the link that makes a manifest exist in a repository.
    pub(crate) fn manifest_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.manifest_links(name)
            .join(digest.algorithm().name())
            .join(digest.hex())
    }

    /// `_manifests/tags`, with a directory for each.
    pub(crate) fn tags(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_manifests/tags")
    }

    /// The directory of a tag: `current/link`, and `index` with every digest it ever had.
    pub(crate) fn tag(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(name).join(tag.as_str())
    }
}
