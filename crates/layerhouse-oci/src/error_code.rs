//! The codes by which clients know a refusal, apart from its HTTP status.

use std::fmt;

/// A code of the error body (distribution-spec, "Error Codes"; the last ones are those that
/// registry:2 adds and its clients know).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The blob is not in the repository.
    BlobUnknown,
    /// The upload cannot go on like this.
    BlobUploadInvalid,
    /// There is no such upload.
    BlobUploadUnknown,
    /// The digest is malformed or is not that of the bytes.
    DigestInvalid,
    /// The manifest needs a blob or manifest that is not in the repository.
    ManifestBlobUnknown,
    /// The manifest is not one that can be kept.
    ManifestInvalid,
    /// The manifest is not in the repository.
    ManifestUnknown,
    /// The signature of the manifest does not hold.
    ManifestUnverified,
    /// Not a name that a repository can have.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// The size of the page is malformed or too large.
    PaginationNumberInvalid,
    /// The `Content-Range` is malformed or does not follow what was received.
    RangeInvalid,
    /// The length announced is not the length received.
    SizeInvalid,
    /// Not a name that a tag can have.
    TagInvalid,
    /// Log in first.
    Unauthorized,
    /// Logged in, yet not allowed to.
    Denied,
    /// Not something this registry does.
    Unsupported,
    /// Slow down.
    TooManyRequests,
    /// The registry cannot answer now; try again.
    Unavailable,
    /// Our fault.
    Unknown,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::BlobUnknown,
        Self::BlobUploadInvalid,
        Self::BlobUploadUnknown,
        Self::DigestInvalid,
        Self::ManifestBlobUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnknown,
        Self::ManifestUnverified,
        Self::NameInvalid,
        Self::NameUnknown,
        Self::PaginationNumberInvalid,
        Self::RangeInvalid,
        Self::SizeInvalid,
        Self::TagInvalid,
        Self::Unauthorized,
        Self::Denied,
        Self::Unsupported,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Unknown,
    ];

    /// The code as clients read it: `BLOB_UNKNOWN`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::ManifestUnverified => "MANIFEST_UNVERIFIED",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            // The spec and every client write this one without underscores.
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_the_spec_writes_them() {
        let told: Vec<_> = Code::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(
            told.join(" "),
            "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID \
             MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID MANIFEST_UNKNOWN MANIFEST_UNVERIFIED \
             NAME_INVALID NAME_UNKNOWN PAGINATION_NUMBER_INVALID RANGE_INVALID SIZE_INVALID \
             TAG_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS UNAVAILABLE UNKNOWN"
        );
    }
}
