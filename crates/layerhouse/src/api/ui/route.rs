//! Addresses of pages: a path below `/ui`, read once. Names of repositories contain slashes; a component of
//! a name begins with a letter or a digit, so `/-/` ends one.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What ends a repository's name in a path.
const END_OF_NAME: &str = "/-/";
/// What a segment of a path may not have as it is.
const IN_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|');

/// A page, or a thing that pages ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Home,
    Search,
    /// Everything below a name that need not be a repository's.
    Namespace(RepositoryName),
    Repository(RepositoryName, Part),
    /// Signing in and out, the visitor's own pages, organizations: the path's segments, of which there is one.
    Account(Vec<String>),
    /// Behind `/ui/admin`.
    Admin(Vec<String>),
    /// Behind `/ui/help`.
    Help(Vec<String>),
    /// What a visitor chose for all pages: language and theme.
    Preferences,
    Asset {
        version: String,
        file: String,
    },
}

/// A page of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Tags,
    /// An image by its tag or its digest, and one of its views.
    Image(Reference, View),
    Compare,
    History,
    Restore,
    Delete,
    Undelete,
    Deleted,
    Settings,
    Access,
    Star,
}

/// What of an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum View {
    Overview,
    Layers,
    Referrers,
    History,
    Raw,
}

impl View {
    pub(in crate::api::ui) const ALL: [Self; 5] = [
        Self::Overview,
        Self::Layers,
        Self::Referrers,
        Self::History,
        Self::Raw,
    ];

    /// As it stands in addresses; empty for the first.
    pub(in crate::api::ui) fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Layers => "layers",
            Self::Referrers => "referrers",
            Self::History => "history",
            Self::Raw => "raw",
        }
    }
}

impl Route {
    /// What a path behind `/ui` names; `None` for nothing.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let path = percent_decode_str(rest).decode_utf8().ok()?;
        // One slash at the end is as none.
        let path = path.strip_suffix('/').unwrap_or(&path);
        if path.is_empty() {
            return Some(Self::Home);
        }
        let (first, behind) = path.split_once('/').unwrap_or((path, ""));
        let segments = |text: &str| -> Vec<String> {
            let parts = text.split('/').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        match first {
            "search" if behind.is_empty() => Some(Self::Search),
            "preferences" if behind.is_empty() => Some(Self::Preferences),
            "n" => behind.parse().ok().map(Self::Namespace),
            "r" => repository(behind),
            "admin" => Some(Self::Admin(segments(behind))),
            "help" => Some(Self::Help(segments(behind))),
            "login" | "logout" | "signup" | "setup" | "me" | "o" => {
                Some(Self::Account(segments(path)))
            }
            "assets" => {
                let (version, file) = behind.split_once('/')?;
                Some(Self::Asset {
                    version: version.to_owned(),
                    file: file.to_owned(),
                })
            }
            _ => None,
        }
    }
}

fn repository(text: &str) -> Option<Route> {
    let Some((name, page)) = text.split_once(END_OF_NAME) else {
        return text
            .parse()
            .ok()
            .map(|name| Route::Repository(name, Part::Overview));
    };
    let name = name.parse().ok()?;
    let (kind, behind) = page.split_once('/').unwrap_or((page, ""));
    let image = |reference: Reference, view: &str| {
        let view = View::ALL.into_iter().find(|known| known.as_str() == view)?;
        Some(Part::Image(reference, view))
    };
    let part = match (kind, behind) {
        ("t", behind) => {
            let (tag, view) = behind.split_once('/').unwrap_or((behind, ""));
            image(Reference::Tag(tag.parse::<Tag>().ok()?), view)?
        }
        ("m", behind) => {
            let (digest, view) = behind.split_once('/').unwrap_or((behind, ""));
            image(Reference::Digest(digest.parse::<Digest>().ok()?), view)?
        }
        ("tags", "") => Part::Tags,
        ("compare", "") => Part::Compare,
        ("history", "") => Part::History,
        ("history", "restore") => Part::Restore,
        ("delete", "") => Part::Delete,
        ("undelete", "") => Part::Undelete,
        ("deleted", "") => Part::Deleted,
        ("settings", "") => Part::Settings,
        ("access", "") => Part::Access,
        ("star", "") => Part::Star,
        _ => return None,
    };
    Some(Route::Repository(name, part))
}

/// What begins paths that are no references of images.
const RESERVED: [&str; 9] = [
    "v1",
    "v2",
    "api",
    "ui",
    "auth",
    "healthz",
    "readyz",
    "metrics",
    ".well-known",
];

/// The page for a reference that somebody typed behind the host: `/acme/web:v1`, `/acme/web@sha256:…`. Behind
/// the root of all pages; `None` for what is no such reference.
pub(in crate::api) fn page_of_reference(path: &str) -> Option<String> {
    let text = path.strip_prefix('/')?;
    let first = text.split(['/', ':', '@']).next()?;
    if RESERVED.contains(&first) {
        return None;
    }
    let text = percent_decode_str(text).decode_utf8().ok()?;
    let (name, reference) = split_reference(&text)?;
    Some(page_of(&name, reference.as_ref()))
}

/// A repository with what its reference says behind it: the digest, if there are both.
pub(in crate::api::ui) fn split_reference(
    text: &str,
) -> Option<(RepositoryName, Option<Reference>)> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().ok()?)),
        None => (text, None),
    };
    let (name, tag) = match rest.split_once(':') {
        Some((name, tag)) => (name, Some(tag.parse::<Tag>().ok()?)),
        None => (rest, None),
    };
    let name = name.parse().ok()?;
    let reference = digest
        .map(Reference::Digest)
        .or_else(|| tag.map(Reference::Tag));
    Some((name, reference))
}

/// The address of a repository's page, or of an image's in it, behind the root of all pages.
pub(in crate::api::ui) fn page_of(
    repository: &RepositoryName,
    reference: Option<&Reference>,
) -> String {
    match reference {
        None => format!("/ui/r/{repository}"),
        Some(Reference::Tag(tag)) => format!("/ui/r/{repository}/-/t/{tag}"),
        Some(Reference::Digest(digest)) => format!("/ui/r/{repository}/-/m/{digest}"),
    }
}

/// Any text as a segment of a path.
pub(in crate::api::ui) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, expected: &str| {
            let found = Route::parse(path).map_or("None".to_owned(), |route| format!("{route:?}"));
            assert!(found.starts_with(expected), "{path}: {found}");
        };
        check("", "Home");
        check("/", "Home");
        check("/search", "Search");
        check("/search/x", "None");
        check(
            "/r/acme/web",
            "Repository(RepositoryName(\"acme/web\"), Overview)",
        );
        check(
            "/r/acme/web/",
            "Repository(RepositoryName(\"acme/web\"), Overview)",
        );
        check(
            "/r/acme/web/-/tags",
            "Repository(RepositoryName(\"acme/web\"), Tags)",
        );
        check(
            "/r/acme/web/-/t/v1",
            "Repository(RepositoryName(\"acme/web\"), Image(Tag(",
        );
        check("/r/acme/web/-/t/v1/layers", "Repository(");
        check("/r/acme/web/-/t/v1/nothing", "None");
        check("/r/acme/web/-/t/.v1", "None");
        check("/r/acme/web/-/m/sha256%3A0", "None");
        check("/r/Acme", "None");
        check("/r/acme/../web", "None");
        check("/n/acme", "Namespace");
        check("/me/tokens", "Account([\"me\", \"tokens\"])");
        check("/admin", "Admin([])");
        check("/assets/x/style.css", "Asset");
        check("/assets/style.css", "None");
        check("/%ff", "None");
    }

    #[test]
    fn references() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(page_of_reference(path).as_deref(), expected, "{path}");
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        let page = format!("/ui/r/team/api/-/m/{digest}");
        check("/team/api:v1", Some("/ui/r/team/api/-/t/v1"));
        check(&format!("/team/api@{digest}"), Some(&page));
        check(&format!("/team/api:v1@{digest}"), Some(&page));
        check("/team/api", Some("/ui/r/team/api"));
        check("/nginx", Some("/ui/r/nginx"));
        for path in [
            "/",
            "/v2/",
            "/v2",
            "/ui/r/x",
            "/api/v1/x",
            "/auth/token",
            "/healthz",
            "/Team/api",
            "/favicon.ico:",
            "/team//api",
            "//evil.example",
            "/team/api:",
            "/a%00b",
            "/metrics",
        ] {
            check(path, None);
        }
    }
}
