//! Who may do what with a repository: one pure function over who asks, what they would do and where.

use std::str::FromStr;

use layerhouse_oci::name::RepositoryName;
use serde::{Deserialize, Serialize};

/// What an account may do in a namespace or in the repositories of a grant; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Pulls what is private.
    Reader,
    /// Pushes.
    Writer,
    /// Deletes, describes, shows and hides repositories.
    Maintainer,
    /// Decides who has which role.
    Owner,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Reader, Self::Writer, Self::Maintainer, Self::Owner];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Maintainer => "maintainer",
            Self::Owner => "owner",
        }
    }
}

/// A text is not one of the few that it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of {choices}")]
pub(crate) struct UnknownWord {
    text: String,
    choices: &'static str,
}

impl FromStr for Role {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownWord {
            text: text.to_owned(),
            choices: "owner, maintainer, writer, reader",
        })
    }
}

/// Who may see a repository without a role in it: all, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Public,
    Private,
}

impl Visibility {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

impl FromStr for Visibility {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            _ => Err(UnknownWord {
                text: text.to_owned(),
                choices: "public, private",
            }),
        }
    }
}

/// What can be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Also to see that it is there.
    Pull,
    Push,
    Delete,
    /// To describe, show and hide it.
    Maintain,
    /// To give rights to it away.
    Own,
}

impl Deed {
    /// The least role that may.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Pull => Role::Reader,
            Self::Push => Role::Writer,
            Self::Delete | Self::Maintain => Role::Maintainer,
            Self::Own => Role::Owner,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Maintain => "maintain",
            Self::Own => "own",
        }
    }
}

/// Names of repositories: one (`acme/web`), all below a slash (`acme/*`), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no pattern: write acme/web for one repository, acme/* for all below acme, * for all"
)]
pub(crate) struct PatternError(String);

impl Pattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn covers(&self, repository: &RepositoryName) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => repository.as_str().starts_with(start),
            None => *self.0 == *repository.as_str(),
        }
    }

    /// Whether it names nothing outside a namespace.
    pub(crate) fn is_within(&self, namespace: &str) -> bool {
        let rest = self.0.strip_prefix(namespace);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned());
        let name = match text.strip_suffix('*') {
            Some("") => return Ok(Self(text.into())),
            Some(start) => start.strip_suffix('/').ok_or_else(error)?,
            None => text,
        };
        name.parse::<RepositoryName>().map_err(|_| error())?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.into()
    }
}

/// What a token may at most, whatever its account may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Limits(pub(crate) Vec<Limit>);

/// A part of [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) pattern: Pattern,
    pub(crate) actions: Vec<TokenAction>,
}

/// What a token can be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenAction {
    Pull,
    Push,
    Delete,
}

impl Limits {
    /// As it is stored.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts in lists are JSON")
    }

    /// As it was stored; of what cannot be read, nothing is allowed.
    pub(crate) fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// A token that is limited manages nothing: what else it could do with an account is not what its
    /// owner wrote down.
    pub(crate) fn allow(&self, repository: &RepositoryName, deed: Deed) -> bool {
        let action = match deed {
            Deed::Pull => TokenAction::Pull,
            Deed::Push => TokenAction::Push,
            Deed::Delete => TokenAction::Delete,
            Deed::Maintain | Deed::Own => return false,
        };
        let allows =
            |limit: &Limit| limit.actions.contains(&action) && limit.pattern.covers(repository);
        self.0.iter().any(allows)
    }
}

/// What somebody is to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Signed in as nobody.
    Anonymous,
    Account {
        is_admin: bool,
        /// The highest that namespace, teams and grants give there.
        role: Option<Role>,
    },
}

/// What a repository is to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of one that is there; who may push to one that is not, its role says.
    pub(crate) visibility: Option<Visibility>,
    /// Whether who did not sign in may pull what is public.
    pub(crate) is_open_to_anonymous: bool,
}

/// Whether somebody may do something with a repository, before the limits of their token and before the
/// operator's switches ([`super::Policy`]).
pub(crate) fn may(who: Standing, place: Place, deed: Deed) -> bool {
    let is_public = place.visibility == Some(Visibility::Public) && deed == Deed::Pull;
    match who {
        Standing::Anonymous => is_public && place.is_open_to_anonymous,
        Standing::Account { is_admin: true, .. } => true,
        Standing::Account { role, .. } => is_public || role.is_some_and(|role| deed.role() <= role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEEDS: [Deed; 5] = [
        Deed::Pull,
        Deed::Push,
        Deed::Delete,
        Deed::Maintain,
        Deed::Own,
    ];

    fn name(text: &str) -> RepositoryName {
        text.parse().expect("a name")
    }

    #[test]
    fn every_standing_with_every_deed() {
        // Deeds in their order, for public, private and absent ones.
        let check = |who, is_open, expected: [&str; 3]| {
            let places = [Some(Visibility::Public), Some(Visibility::Private), None];
            for (visibility, expected) in places.into_iter().zip(expected) {
                let place = Place {
                    visibility,
                    is_open_to_anonymous: is_open,
                };
                let allowed: Vec<_> = DEEDS
                    .into_iter()
                    .filter(|deed| may(who, place, *deed))
                    .map(Deed::as_str)
                    .collect();
                assert_eq!(allowed.join(" "), expected, "{who:?} {place:?}");
            }
        };
        let role = |role| Standing::Account {
            is_admin: false,
            role,
        };
        check(Standing::Anonymous, true, ["pull", "", ""]);
        check(Standing::Anonymous, false, ["", "", ""]);
        check(role(None), false, ["pull", "", ""]);
        check(role(Some(Role::Reader)), true, ["pull", "pull", "pull"]);
        check(role(Some(Role::Writer)), true, ["pull push"; 3]);
        let maintainer = role(Some(Role::Maintainer));
        check(maintainer, true, ["pull push delete maintain"; 3]);
        check(
            role(Some(Role::Owner)),
            true,
            ["pull push delete maintain own"; 3],
        );
        let admin = Standing::Account {
            is_admin: true,
            role: None,
        };
        check(admin, true, ["pull push delete maintain own"; 3]);
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, repository: &str, expected| {
            let parsed: Pattern = pattern.parse().expect("a pattern");
            assert_eq!(
                parsed.covers(&name(repository)),
                expected,
                "{pattern} {repository}"
            );
        };
        check("*", "nginx", true);
        check("acme/*", "acme/web", true);
        check("acme/*", "acme/a/b", true);
        check("acme/*", "acme", false);
        check("acme/*", "acme2/web", false);
        check("acme/web", "acme/web", true);
        check("acme/web", "acme/web/x", false);
        for text in [
            "", "acme*", "*/web", "acme/*/x", "ACME/*", "acme/**", "/*", "acme/w?",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        let within = |pattern: &str| pattern.parse::<Pattern>().expect("one").is_within("acme");
        assert!(within("acme/*") && within("acme/web"));
        assert!(!within("*") && !within("acme") && !within("acme2/*"));
    }

    #[test]
    fn limits() {
        let text = r#"[{"pattern":"acme/*","actions":["pull","push"]},{"pattern":"nginx","actions":["pull"]}]"#;
        let limits = Limits::from_json(text);
        assert_eq!(limits.to_json(), text);
        assert!(limits.allow(&name("acme/web"), Deed::Push));
        assert!(limits.allow(&name("nginx"), Deed::Pull));
        assert!(!limits.allow(&name("nginx"), Deed::Push));
        assert!(!limits.allow(&name("acme/web"), Deed::Delete));
        assert!(!limits.allow(&name("acme/web"), Deed::Maintain));
        assert_eq!(Limits::from_json("junk"), Limits::default());
        assert!(!Limits::default().allow(&name("nginx"), Deed::Pull));
    }
}
