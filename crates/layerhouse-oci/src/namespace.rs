//! Namespaces: what stands before the first slash of a repository's name, and belongs to somebody.

use std::str::FromStr;

use crate::name::{NameError, RepositoryName};
use crate::text::through_text;

/// Where Docker looks for a name without a slash.
const LIBRARY: &str = "library/";

/// The name of a user or an organization, and of what they may push below: `acme`.
///
/// 2 to 64 bytes, one component of a [`RepositoryName`]: so `acme/web` is a name whenever `acme` and
/// `web` are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(Box<str>);

/// Why a text is not the name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// Too short or too long.
    #[error("a name has 2 to 64 bytes, not {bytes}")]
    Length {
        /// How long the text is.
        bytes: usize,
    },
    /// Upper case: the mistake most often made.
    #[error("byte {at} of the name is upper case; names are lower case")]
    UpperCase {
        /// The offset, from 0.
        at: usize,
    },
    /// A byte that no name contains.
    #[error("byte {at} cannot stand in a name: it takes a-z, 0-9, `.`, `_`, `-`")]
    Byte {
        /// The offset, from 0.
        at: usize,
    },
    /// `.`, `_` or `-` at the start, at the end, or beside one that it does not go with.
    #[error("the separator at byte {at} of the name does not part letters or digits")]
    Separator {
        /// The offset, from 0.
        at: usize,
    },
}

impl FromStr for NamespaceName {
    type Err = NamespaceError;
    fn from_str(text: &str) -> Result<Self, NamespaceError> {
        if !(2..=64).contains(&text.len()) {
            return Err(NamespaceError::Length { bytes: text.len() });
        }
        if let Some(at) = text.bytes().position(|byte| byte == b'/') {
            return Err(NamespaceError::Byte { at });
        }
        match text.parse::<RepositoryName>() {
            Ok(_) => Ok(Self(text.into())),
            Err(NameError::Length { bytes }) => Err(NamespaceError::Length { bytes }),
            Err(NameError::UpperCase { at }) => Err(NamespaceError::UpperCase { at }),
            Err(NameError::Byte { at }) => Err(NamespaceError::Byte { at }),
            Err(NameError::Separator { at }) => Err(NamespaceError::Separator { at }),
        }
    }
}

through_text!(NamespaceName);

impl NamespaceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RepositoryName {
    /// The namespace that the repository is in.
    ///
    /// `None` without a slash, and where what stands before it is no namespace's name (`a/web`): nobody
    /// owns these.
    #[must_use]
    pub fn namespace(&self) -> Option<NamespaceName> {
        let (namespace, _) = self.as_str().split_once('/')?;
        // Every component is one of a name already.
        let fits = (2..=64).contains(&namespace.len());
        fits.then(|| NamespaceName(namespace.into()))
    }

    /// The one name of a repository that has two: `library/nginx` is `nginx`, as for Docker's clients.
    ///
    /// `library/acme/web` stays what it is: without `library` it would be somebody's.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self.as_str().strip_prefix(LIBRARY) {
            Some(rest) if !rest.contains('/') => {
                // A component of a name is a name.
                rest.parse().unwrap_or_else(|_| self.clone())
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{assert_one_door, told};

    #[test]
    fn namespaces_are_one_component() {
        let check = |text: &str, expected: &str| {
            assert_eq!(told::<NamespaceName>(text), expected, "{text:?}");
        };
        for name in ["ab", "00", "acme", "a.b_c__d-e--f", &"a".repeat(64)] {
            check(name, name);
        }
        for text in ["", "a", &"a".repeat(65)] {
            let bytes = text.len();
            check(text, &format!("a name has 2 to 64 bytes, not {bytes}"));
        }
        check(
            "aCme",
            "byte 1 of the name is upper case; names are lower case",
        );
        for (text, at) in [("ac/me", 2), ("/a", 0), ("a+b", 1), ("é", 0), ("a\0", 1)] {
            let takes = "it takes a-z, 0-9, `.`, `_`, `-`";
            check(text, &format!("byte {at} cannot stand in a name: {takes}"));
        }
        for (text, at) in [("..", 0), ("a.", 1), ("-a", 0), ("a._b", 2)] {
            let parts = "does not part letters or digits";
            check(
                text,
                &format!("the separator at byte {at} of the name {parts}"),
            );
        }
    }

    fn name(text: &str) -> RepositoryName {
        text.parse().expect("a name")
    }

    #[test]
    fn repositories_are_in_namespaces() {
        let check = |text: &str, expected: Option<&str>| {
            let found = name(text).namespace();
            assert_eq!(found.as_ref().map(NamespaceName::as_str), expected);
        };
        check("nginx", None);
        check("acme/web", Some("acme"));
        check("acme/web/api", Some("acme"));
        check("library/nginx", Some("library"));
        check("a/web", None);
        check(&format!("{}/web", "a".repeat(65)), None);
    }

    #[test]
    fn the_library_is_the_top() {
        for (text, expected) in [
            ("nginx", "nginx"),
            ("library/nginx", "nginx"),
            ("library", "library"),
            ("library/library", "library"),
            // Who pushes there must not push to what is `acme/web`.
            ("library/acme/web", "library/acme/web"),
            ("library/library/nginx", "library/library/nginx"),
            ("acme/library/nginx", "acme/library/nginx"),
            ("librarys/nginx", "librarys/nginx"),
        ] {
            assert_eq!(name(text).canonical(), name(expected));
        }
    }

    proptest! {
        #[test]
        fn namespaces_are_those_of_repositories(text in "[a-c/._A-]{0,6}") {
            assert_one_door::<NamespaceName>(&text);
            let repository = format!("{text}/web").parse::<RepositoryName>();
            let through_repository = repository.ok().and_then(|name| name.namespace());
            let is_one = !text.contains('/');
            prop_assert_eq!(text.parse().ok(), through_repository.filter(|_| is_one));
        }

        #[test]
        fn a_canonical_name_is_one(text in "(library/){0,3}[a-c]{1,3}(/[a-c]{1,3}){0,2}") {
            let once = name(&text).canonical();
            prop_assert_eq!(once.clone().canonical(), once);
        }
    }
}
