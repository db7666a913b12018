//! `acme/web`, `acme/web:v1`, `acme/web@sha256:…`: what a command is about.

use std::str::FromStr;

use crate::commands::console::session::encoded;

/// A repository, or something of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) repository: String,
    pub(super) part: Part,
}

/// What of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Tag(String),
    Manifest(String),
}

impl FromStr for Named {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, part) = if let Some((repository, digest)) = text.split_once('@') {
            (repository, Part::Manifest(digest.to_owned()))
        } else if let Some((repository, tag)) = text.split_once(':') {
            (repository, Part::Tag(tag.to_owned()))
        } else {
            (text, Part::Whole)
        };
        let is_empty = match &part {
            Part::Whole => false,
            Part::Tag(text) | Part::Manifest(text) => text.is_empty() || text.contains('/'),
        };
        if repository.is_empty() || is_empty {
            return Err(
                "write REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST, without a host".into(),
            );
        }
        Ok(Self {
            repository: repository.to_owned(),
            part,
        })
    }
}

impl Named {
    /// The path of the repository in the API.
    pub(super) fn repository_path(&self) -> String {
        format!("/repositories/{}", encoded(&self.repository))
    }

    /// The path of what it names.
    pub(super) fn path(&self) -> String {
        let repository = self.repository_path();
        match &self.part {
            Part::Whole => repository,
            Part::Tag(tag) => format!("{repository}/-/tags/{}", encoded(tag)),
            Part::Manifest(digest) => format!("{repository}/-/manifests/{}", encoded(digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named() {
        let check = |text: &str, path: Option<&str>| {
            let read = text.parse::<Named>().ok().map(|named| named.path());
            assert_eq!(read.as_deref(), path, "{text}");
        };
        check("nginx", Some("/repositories/nginx"));
        check("acme/web", Some("/repositories/acme%2Fweb"));
        check("acme/web:v1", Some("/repositories/acme%2Fweb/-/tags/v1"));
        check(
            "acme/web@sha256:ab",
            Some("/repositories/acme%2Fweb/-/manifests/sha256%3Aab"),
        );
        for text in [
            "",
            ":v1",
            "acme/web:",
            "acme/web@",
            "localhost:5000/acme/web",
        ] {
            check(text, None);
        }
    }
}
