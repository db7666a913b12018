//! Where a name leads: to what was pushed here, or to a copy of an upstream's. The one table, in this order:
//!
//! 1. a repository of that name to which somebody pushed, or a name in a namespace of this registry's own (an
//!    account's, an organization's, or one that somebody pushed to; not `library`, nor an upstream's name): what is
//!    missing there is missing, whatever an upstream has of that name;
//! 2. the upstream that the client names (`?ns=docker.io`), with or without its name in front;
//! 3. the upstream that the name begins with (`docker.io/library/nginx`);
//! 4. the default upstream;
//! 5. nothing; and nothing for a client that names an upstream that is none.
//!
//! With `proxy` of registry:2 every name is the one upstream's.

use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use super::{Mirror, Served};

/// A repository of an upstream, and the one here that has the copy.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) served: Arc<Served>,
    /// As the upstream calls it.
    pub(crate) repository: RepositoryName,
    /// As it is called here.
    pub(crate) copy: RepositoryName,
}

/// Where a name leads.
#[derive(Clone)]
pub(crate) enum Place {
    /// To what was pushed here, or nowhere.
    Hosted,
    Copy(Source),
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoutingError {
    #[error("this mirror knows no upstream {ns:?}; it knows {known}")]
    UnknownUpstream { ns: String, known: String },
    #[error(
        "the mirror of {upstream} does not serve {repository} (layerhouse.mirror.upstreams, allow and deny)"
    )]
    NotServed {
        upstream: String,
        repository: RepositoryName,
    },
    #[error("{repository} and the name of its upstream are too long together to be a repository's")]
    TooLong { repository: RepositoryName },
}

impl Mirror {
    /// Where `asked` leads, for a client that reads and says `ns`, if it does. `is_own`: as of
    /// [`crate::registry::Registry::is_own`].
    ///
    /// # Errors
    /// As [`RoutingError`] says.
    pub(crate) fn resolve(
        self: &Arc<Self>,
        asked: &RepositoryName,
        ns: Option<&str>,
        is_own: bool,
    ) -> Result<Place, RoutingError> {
        if self.settings.is_proxy {
            let served = &self.upstreams[0];
            let repository = served.upstream_name(asked);
            served.check(&repository)?;
            return Ok(Place::Copy(Source {
                mirror: Arc::clone(self),
                served: Arc::clone(served),
                copy: repository.clone(),
                repository,
            }));
        }
        if is_own {
            return Ok(Place::Hosted);
        }
        let prefixed = self.prefixed(asked);
        if let Some(served) = ns.and_then(|ns| self.named(ns)) {
            // Both ways at once say it once.
            let rest = prefixed.filter(|(other, _)| Arc::ptr_eq(other, served));
            let name = rest.map_or_else(|| asked.clone(), |(_, rest)| rest);
            return self.copy(served, &name).map(Place::Copy);
        }
        if let Some((served, rest)) = prefixed {
            return self.copy(served, &rest).map(Place::Copy);
        }
        if let Some(ns) = ns {
            return Err(RoutingError::UnknownUpstream {
                ns: ns.chars().take(100).collect(),
                known: self.names().join(", "),
            });
        }
        match self.settings.default {
            None => Ok(Place::Hosted),
            Some(place) => match self.copy(&self.upstreams[place], asked) {
                Ok(source) => Ok(Place::Copy(source)),
                // Nobody said that it should be the upstream's.
                Err(_) => Ok(Place::Hosted),
            },
        }
    }

    /// Whether what is pushed under this name would be taken for a copy.
    pub(crate) fn is_copy(&self, name: &RepositoryName) -> bool {
        self.settings.is_proxy || self.prefixed(name).is_some()
    }

    /// The upstream that a client means by `ns`: its name, or a host of its.
    fn named(&self, ns: &str) -> Option<&Arc<Served>> {
        let is_host = |served: &&Arc<Served>| {
            let endpoints = &served.settings().endpoints;
            endpoints.iter().any(|endpoint| {
                let host = endpoint.url.split_once("://").map(|(_, host)| host);
                host.is_some_and(|host| host.eq_ignore_ascii_case(ns))
            })
        };
        let is_name = |served: &&Arc<Served>| served.name().eq_ignore_ascii_case(ns);
        let upstreams = &self.upstreams;
        upstreams
            .iter()
            .find(is_name)
            .or_else(|| upstreams.iter().find(is_host))
    }

    fn prefixed(&self, name: &RepositoryName) -> Option<(&Arc<Served>, RepositoryName)> {
        let (first, rest) = name.as_str().split_once('/')?;
        let served = self
            .upstreams
            .iter()
            .find(|served| served.name() == first)?;
        Some((served, rest.parse().ok()?))
    }

    fn copy(
        self: &Arc<Self>,
        served: &Arc<Served>,
        name: &RepositoryName,
    ) -> Result<Source, RoutingError> {
        let repository = served.upstream_name(name);
        served.check(&repository)?;
        let copy = format!("{}/{repository}", served.name());
        let Ok(copy) = copy.parse() else {
            return Err(RoutingError::TooLong { repository });
        };
        Ok(Source {
            mirror: Arc::clone(self),
            served: Arc::clone(served),
            repository,
            copy,
        })
    }

    fn names(&self) -> Vec<&str> {
        self.upstreams.iter().map(|served| served.name()).collect()
    }
}

impl Served {
    /// A name as the upstream has it: Docker Hub's `nginx` is `library/nginx`.
    fn upstream_name(&self, name: &RepositoryName) -> RepositoryName {
        if !self.settings().has_library || name.as_str().contains('/') {
            return name.clone();
        }
        let official = format!("library/{name}");
        official.parse().unwrap_or_else(|_| name.clone())
    }

    fn check(&self, repository: &RepositoryName) -> Result<(), RoutingError> {
        let settings = self.settings();
        let fits = |globs: &[crate::config::meaning::glob::Glob]| {
            globs.iter().any(|glob| glob.fits(repository.as_str()))
        };
        if (settings.allow.is_empty() || fits(&settings.allow)) && !fits(&settings.deny) {
            return Ok(());
        }
        Err(RoutingError::NotServed {
            upstream: self.name().to_owned(),
            repository: repository.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Timestamp};
    use crate::config::meaning::Config;
    use crate::config::{Arguments, Surroundings};

    fn mirror(variables: &[(&str, &str)]) -> Arc<Mirror> {
        let mut surroundings = Surroundings::default();
        for (name, value) in variables {
            let (name, value) = ((*name).into(), (*value).into());
            surroundings.variables.insert(name, value);
        }
        let config = Config::load(&Arguments::default(), &surroundings).expect("it is valid");
        let settings = config.mirror.expect("what is configured is on");
        let clock = Clock::manual(Timestamp(0));
        Arc::new(Mirror::open(settings, None, &clock).expect("nothing is read"))
    }

    /// `hosted`, `upstream's name > repository here`, or why not.
    fn shown(resolved: Result<Place, RoutingError>) -> String {
        match resolved {
            Ok(Place::Hosted) => "hosted".to_owned(),
            Ok(Place::Copy(source)) => format!("{} > {}", source.repository, source.copy),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_lead_where_the_table_says() {
        let mirror = mirror(&[(
            "LAYERHOUSE_MIRROR",
            "{upstreams: [{name: docker.io, deny: [\"library/secret*\"]}, {name: quay.io},
              {name: corp, url: \"http://127.0.0.1:5001\"}], default: docker.io}",
        )]);
        let check = |asked: &str, ns: Option<&str>, is_own, expected: &str| {
            let asked = asked.parse().expect("a name");
            assert_eq!(shown(mirror.resolve(&asked, ns, is_own)), expected);
        };
        check("acme/web", None, true, "hosted");
        check("library/nginx", Some("docker.io"), true, "hosted");
        let nginx = "library/nginx > docker.io/library/nginx";
        check("library/nginx", Some("docker.io"), false, nginx);
        check("nginx", Some("registry-1.docker.io"), false, nginx);
        check("nginx", None, false, nginx);
        check("docker.io/nginx", None, false, nginx);
        check("docker.io/library/nginx", None, false, nginx);
        check("quay.io/a/b", None, false, "a/b > quay.io/a/b");
        check("a", Some("QUAY.io"), false, "a > quay.io/a");
        check("a/b", Some("127.0.0.1:5001"), false, "a/b > corp/a/b");
        check(
            "quay.io",
            None,
            false,
            "library/quay.io > docker.io/library/quay.io",
        );
        let unknown =
            "this mirror knows no upstream \"ghcr.io\"; it knows docker.io, quay.io, corp";
        check("a/b", Some("ghcr.io"), false, unknown);
        let refused = "the mirror of docker.io does not serve library/secrets \
                       (layerhouse.mirror.upstreams, allow and deny)";
        check("docker.io/secrets", None, false, refused);
        // Nobody said that it is the upstream's.
        check("secrets", None, false, "hosted");
        let is_copy = |name: &str| mirror.is_copy(&name.parse().expect("a name"));
        assert!(is_copy("corp/web") && !is_copy("corp") && !is_copy("acme/web"));
    }

    #[test]
    fn a_proxy_has_the_names_of_its_upstream() {
        let mirror = mirror(&[("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io")]);
        let check = |asked: &str, is_own, expected: &str| {
            let asked = asked.parse().expect("a name");
            assert_eq!(shown(mirror.resolve(&asked, None, is_own)), expected);
            assert!(mirror.is_copy(&asked));
        };
        check("library/nginx", false, "library/nginx > library/nginx");
        check("nginx", true, "library/nginx > library/nginx");
        check("acme/web", true, "acme/web > acme/web");
    }
}
