//! What a question is about: where it is, and what a token must allow for it. Pure.

use layerhouse_oci::name::RepositoryName;

/// A part of a registry, and what is to be done there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    /// What a repository holds, to be read.
    Pull(&'a RepositoryName),
    /// The same, to be deleted.
    Delete(&'a RepositoryName),
    /// The names of all repositories.
    Catalog,
}

impl Resource<'_> {
    /// The path of what is at `rest` in it.
    pub(super) fn path(self, rest: &str) -> String {
        match self {
            Self::Pull(repository) | Self::Delete(repository) => {
                format!("/v2/{}/{rest}", repository.as_str())
            }
            Self::Catalog => format!("/v2/{rest}"),
        }
    }

    /// Whether it is asked for what only people want of a registry.
    pub(super) fn is_tended(self) -> bool {
        match self {
            Self::Pull(_) => false,
            Self::Delete(_) | Self::Catalog => true,
        }
    }

    /// What a token is asked for, if the registry does not say it better (Docker's "Token Scope
    /// Documentation").
    pub(super) fn scope(self) -> String {
        match self {
            Self::Pull(repository) => format!("repository:{}:pull", repository.as_str()),
            Self::Delete(repository) => format!("repository:{}:delete", repository.as_str()),
            Self::Catalog => "registry:catalog:*".to_owned(),
        }
    }

    /// Whether what a registry wants asked for is no more than this.
    pub(super) fn covers(self, scope: &str) -> bool {
        let allowed: &[&str] = match self {
            Self::Pull(_) => &["pull"],
            Self::Delete(_) => &["pull", "delete"],
            Self::Catalog => return scope == self.scope(),
        };
        // A list of them is parted by spaces.
        scope.split(' ').all(|one| {
            let rest = one.strip_prefix("repository:");
            let actions = rest.and_then(|rest| rest.rsplit_once(':'));
            actions.is_some_and(|(_, actions)| {
                actions.split(',').all(|action| allowed.contains(&action))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_meant_is_not_asked_for() {
        let name = "a/b".parse().expect("a name");
        let check = |resource: Resource<'_>, scope: &str, expected: bool| {
            assert_eq!(resource.covers(scope), expected, "{resource:?} {scope}");
        };
        let (pull, delete) = (Resource::Pull(&name), Resource::Delete(&name));
        check(pull, "repository:c/d:pull", true);
        check(pull, "repository:c/d:pull,push", false);
        check(pull, "repository:c/d:delete", false);
        check(pull, "repository:c/d:", false);
        check(pull, "repository:a:pull repository:c/d:pull", true);
        check(pull, "repository:a:pull,push repository:c/d:pull", false);
        check(delete, "repository:c/d:delete", true);
        check(delete, "repository:c/d:pull,delete", true);
        check(delete, "repository:c/d:pull,push,delete", false);
        check(delete, "repository:c/d:*", false);
        check(delete, "registry:catalog:*", false);
        check(Resource::Catalog, "registry:catalog:*", true);
        check(Resource::Catalog, "repository:c/d:pull", false);
        for resource in [pull, delete, Resource::Catalog] {
            check(resource, &resource.scope(), true);
        }
    }
}
