//! The values that labels have: closed sets, so that no client can make a series (S57).

/// What a request was for. The names of the first seven are registry:2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
    /// `/healthz`, `/readyz`, `/`.
    Probe,
    /// `/ui/`, for browsers.
    Page,
    Other,
}

impl Route {
    pub(super) const ALL: [Self; 11] = [
        Self::Base,
        Self::Catalog,
        Self::Tags,
        Self::Manifest,
        Self::Blob,
        Self::Uploads,
        Self::Upload,
        Self::Referrers,
        Self::Probe,
        Self::Page,
        Self::Other,
    ];

    /// The route of a path, by its last parts: what stands before them is a repository's name, whether
    /// it can be one or not.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v2" | "/v2/" => return Self::Base,
            "/v2/_catalog" => return Self::Catalog,
            "/" | "/healthz" | "/readyz" => return Self::Probe,
            "/ui" => return Self::Page,
            path if path.starts_with("/ui/") => return Self::Page,
            _ => {}
        }
        let Some(path) = path.strip_prefix("/v2/") else {
            return Self::Other;
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.rsplit('/');
        let last = [parts.next(), parts.next(), parts.next()];
        match last.map(Option::unwrap_or_default) {
            ["list", "tags", _] => Self::Tags,
            [_, "manifests", _] => Self::Manifest,
            [_, "uploads", "blobs"] => Self::Upload,
            ["uploads", "blobs", _] => Self::Uploads,
            [_, "blobs", _] => Self::Blob,
            [_, "referrers", _] => Self::Referrers,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags => "tags",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Uploads => "blob_upload",
            Self::Upload => "blob_upload_chunk",
            Self::Referrers => "referrers",
            Self::Probe => "probe",
            Self::Page => "page",
            Self::Other => "other",
        }
    }

    /// Whether registry:2 has a handler of this name.
    pub(super) fn is_registry2(self) -> bool {
        !matches!(
            self,
            Self::Referrers | Self::Probe | Self::Page | Self::Other
        )
    }
}

/// Methods as registry:2 writes them in labels.
pub(super) const METHODS: [&str; 8] = [
    "get", "head", "post", "put", "patch", "delete", "options", "unknown",
];
pub(super) const GET: usize = 0;
pub(super) const HEAD: usize = 1;
pub(super) const PUT: usize = 3;

/// The place of a method in [`METHODS`].
pub(super) fn method_index(method: &str) -> usize {
    METHODS[..METHODS.len() - 1]
        .iter()
        .position(|known| known.eq_ignore_ascii_case(method))
        .unwrap_or(METHODS.len() - 1)
}

/// The statuses that we answer with, and 499 for a client that did not wait; all others are counted
/// together, as 0.
pub(super) const STATUSES: [u16; 32] = [
    0, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409,
    412, 413, 414, 415, 416, 422, 429, 431, 499, 500, 502, 503, 507,
];

/// The place of a status in [`STATUSES`].
pub(super) fn status_index(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or(0)
}

/// Why an upload's request was refused, by its status.
pub(super) const REASONS: [&str; 11] = [
    "invalid",
    "denied",
    "unknown",
    "broken_off",
    "busy",
    "too_large",
    "out_of_order",
    "too_many",
    "disk_full",
    "fault",
    "other",
];

/// The place of a status from 400 on in [`REASONS`].
pub(super) fn reason_index(status: u16) -> usize {
    match status {
        400 => 0,
        401 | 403 | 405 => 1,
        404 => 2,
        408 | 499 => 3,
        409 => 4,
        413 => 5,
        416 => 6,
        429 => 7,
        507 => 8,
        500..=599 => 9,
        _ => 10,
    }
}

/// How a collection ended.
pub(super) const COLLECTED: [&str; 2] = ["done", "failed"];

/// What became of a list that a standby of the database was asked for.
pub(super) const STANDBY_READS: [&str; 3] = ["answered", "behind", "failed"];

/// Where a pulled blob came from: a cache, or what is behind it.
pub(super) const CACHED: [&str; 2] = ["hit", "miss"];

/// What retention removes.
pub(super) const RETAINED: [&str; 2] = ["tag", "manifest"];

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    Htpasswd,
    Token,
    Silly,
    /// By accounts, whatever vouches for them.
    Index,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthResult {
    /// Who it said it was.
    Accepted,
    /// A wrong password, or a token that does not hold.
    Refused,
    /// Nothing was sent where something is needed.
    Missing,
    /// It could not be looked at: a file that cannot be read, too many at once.
    Failed,
}

pub(super) const AUTH_METHODS: [&str; 4] = ["htpasswd", "token", "silly", "index"];
pub(super) const AUTH_RESULTS: [&str; 4] = ["accepted", "refused", "missing", "failed"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_told_by_their_end() {
        let check = |path: &str, expected: &str| assert_eq!(Route::of(path).name(), expected);
        check("/v2/", "base");
        check("/v2/_catalog", "catalog");
        check("/v2/acme/web/tags/list", "tags");
        check("/v2/manifests/tags/list", "tags");
        check("/v2/acme/web/manifests/v1", "manifest");
        check("/v2/blobs/uploads/manifests/v1", "manifest");
        check("/v2/acme/web/blobs/sha256:ab", "blob");
        check("/v2/acme/web/blobs/uploads/", "blob_upload");
        check("/v2/acme/web/blobs/uploads", "blob_upload");
        check("/v2/acme/web/blobs/uploads/1f", "blob_upload_chunk");
        check("/v2/acme/web/referrers/sha256:ab", "referrers");
        check("/healthz", "probe");
        check("/ui/r/acme/web", "page");
        check("/uis", "other");
        check("/v2/acme", "other");
        check("/v2//////", "other");
        check("", "other");
    }

    #[test]
    fn sets_are_closed() {
        assert!(STATUSES.is_sorted());
        assert_eq!(STATUSES[status_index(404)], 404);
        assert_eq!(STATUSES[status_index(418)], 0);
        assert_eq!(METHODS[method_index("GET")], "get");
        assert_eq!(METHODS[method_index("BREW")], "unknown");
        assert_eq!(METHODS[method_index("UNKNOWN")], "unknown");
        assert_eq!(
            [METHODS[GET], METHODS[HEAD], METHODS[PUT]],
            ["get", "head", "put"]
        );
        for (at, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, at);
        }
    }
}
