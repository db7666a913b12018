//! What is said of the object store that bytes are in.

use std::fmt;

/// No part but the last may be smaller: S3's own bound.
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
/// registry:2's `chunksize`.
pub(crate) const PART_BYTES_DEFAULT: u64 = 10 << 20;
/// A part is in memory while it is sent.
pub(crate) const PART_BYTES_MAX: u64 = 64 << 20;

/// A bucket of S3, or of what speaks like it (`storage.s3`).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) region: String,
    /// Scheme and host; absent, that of AWS.
    pub(crate) endpoint: Option<String>,
    /// The bucket is named in the path and not in the host.
    pub(crate) is_path_style: bool,
    /// Absent, those of the machine: the variables of AWS, a role of the pod, of the task or of the instance.
    pub(crate) keys: Option<Keys>,
    /// What every key begins with; without slashes at its ends, maybe empty.
    pub(crate) root: String,
    pub(crate) encryption: Encryption,
    pub(crate) storage_class: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The store's certificate is not looked at.
    pub(crate) is_certificate_ignored: bool,
    /// Of the first parts; later ones are larger.
    pub(crate) part_bytes: u64,
    /// Pulls are sent to the store itself.
    pub(crate) redirects: bool,
}

/// What signs requests; never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) session: Option<String>,
}

/// How the store encrypts what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// As the bucket says.
    Default,
    /// With keys of its own.
    Aes256,
    /// With this key of its key service; empty for the service's own.
    Kms(String),
}

impl Bucket {
    /// Bucket and root, as a person names them.
    pub(crate) fn place(&self) -> String {
        format!("s3://{}/{}", self.name, self.root)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Bucket")
            .field("name", &self.name)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
