//! Paths of the API: a template (`/users/{user}`) takes a path apart, and says what it has found.
//!
//! Names of repositories contain slashes: `{repository}` takes one segment in which they are written
//! `%2F`, or several of them, as far as the end or the segment `-`, which is no part of any name.

use percent_encoding::percent_decode_str;

/// Ends the name of a repository before what belongs to it.
const END_OF_NAME: &str = "-";
/// Parameters whose values have slashes.
const LONG: &str = "repository";

/// What a path looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(&'static str),
    Parameter(&'static str),
}

/// What a template found in a path, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// The value of a parameter that the template has.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Template {
    /// Reads `/users/{user}`; the empty text is the root.
    pub(super) fn new(text: &'static str) -> Self {
        let pieces = text.split('/').skip(1).map(|piece| {
            let parameter = piece
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            parameter.map_or(Piece::Literal(piece), Piece::Parameter)
        });
        Self(pieces.collect())
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Parameter(name) => Some(*name),
        })
    }

    /// What the parameters are in a path, if it is one of this template.
    pub(super) fn find(&self, path: &[String]) -> Option<Parameters> {
        let mut found = Vec::new();
        let mut rest = path;
        for piece in &self.0 {
            let taken = match piece {
                Piece::Parameter(LONG) => {
                    let end = rest.iter().position(|segment| segment == END_OF_NAME);
                    end.unwrap_or(rest.len())
                }
                Piece::Literal(_) | Piece::Parameter(_) => 1,
            };
            let (value, behind) = rest.split_at_checked(taken)?;
            let first = value.first()?;
            match piece {
                Piece::Literal(literal) if first == literal => {}
                Piece::Literal(_) => return None,
                Piece::Parameter(name) => found.push((*name, value.join("/"))),
            }
            rest = behind;
        }
        rest.is_empty().then_some(Parameters(found))
    }
}

/// The segments of a path, decoded; [`None`] if one is empty or no text. The root may have a slash: that is how
/// the description has to write it.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    if path.is_empty() || path == "/" {
        return Some(Vec::new());
    }
    let segments = path.strip_prefix('/')?.split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        (!decoded.is_empty()).then(|| decoded.into_owned())
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn find(template: &'static str, path: &str) -> Option<String> {
        let found = Template::new(template).find(&segments(path)?)?;
        let shown = found
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn paths() {
        let check = |template, path, expected: Option<&str>| {
            assert_eq!(
                find(template, path).as_deref(),
                expected,
                "{template} {path}"
            );
        };
        check("", "", Some(""));
        check("", "/", Some(""));
        check("", "//", None);
        check("/users", "/users", Some(""));
        check("/users", "/users/", None);
        check("/users", "/Users", None);
        check("/users", "/%75sers", Some(""));
        check("/users/{user}", "/users/ann", Some("user=ann"));
        check("/users/{user}", "/users/acme+ci", Some("user=acme+ci"));
        check("/users/{user}", "/users/acme%2Bci", Some("user=acme+ci"));
        check("/users/{user}", "/users/%ff", None);
        check("/users/{user}", "/users/%", Some("user=%"));
        check("/users/{user}", "/users//", None);
        check("/users/{user}", "/users/a/b", None);
        check("/users/{user}", "/users", None);
        let (page, star) = (
            "/repositories/{repository}",
            "/repositories/{repository}/-/star",
        );
        check(page, "/repositories/nginx", Some("repository=nginx"));
        check(page, "/repositories/acme/web", Some("repository=acme/web"));
        check(
            page,
            "/repositories/acme%2Fweb",
            Some("repository=acme/web"),
        );
        check(page, "/repositories/acme/web/-", None);
        check(page, "/repositories/acme/web/-/star", None);
        check(page, "/repositories", None);
        check(page, "/repositories/-/star", None);
        check(
            star,
            "/repositories/acme/a/b/-/star",
            Some("repository=acme/a/b"),
        );
        check(
            star,
            "/repositories/acme%2fweb/-/star",
            Some("repository=acme/web"),
        );
        check(star, "/repositories/acme/web/-/sta", None);
        check(star, "/repositories/acme/web/-/star/x", None);
        check(star, "/repositories/-/star", None);
        check(star, "/repositories/acme/web/star", None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(
            repository in "[a-z0-9]{1,8}(/[a-z0-9.-]{0,4}[a-z0-9]){0,4}",
            user in "\\PC{1,12}",
            is_encoded: bool,
        ) {
            let encoded = utf8_percent_encode(&user, NON_ALPHANUMERIC);
            let path = segments(&format!("/a/{encoded}/b")).expect("segments");
            let found = Template::new("/a/{user}/b").find(&path).expect("found");
            prop_assert_eq!(found.get("user"), Some(&*user));
            let written = if is_encoded { repository.replace('/', "%2F") } else { repository.clone() };
            let path = segments(&format!("/r/{written}/-/b")).expect("segments");
            let found = Template::new("/r/{repository}/-/b").find(&path).expect("found");
            prop_assert_eq!(found.get("repository"), Some(&*repository));
        }

        #[test]
        fn no_path_panics(path in "(/|-|%2F|%|[a-z\\PC]){0,40}") {
            if let Some(segments) = segments(&path) {
                let _ = Template::new("/r/{repository}/-/{id}").find(&segments);
            }
        }
    }
}
