//! `layerhouse.mirror` and `proxy`: other registries that are served from here, and what is kept of them.

use std::path::PathBuf;
use std::time::Duration;

use super::Network;
use super::glob::Glob;
use super::index::Copies;
use crate::auth::credentials::Secret;
use crate::auth::rights::Visibility;

/// The mirror, where it is switched on.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key that says yes or no"
)]
pub(crate) struct Mirror {
    /// At least one; names and prefixes are all different.
    pub(crate) upstreams: Vec<Upstream>,
    /// Index into `upstreams`: asked for names that nothing here has. With `proxy`, 0.
    pub(crate) default: Option<usize>,
    /// `proxy.remoteurl` of registry:2: every name is the only upstream's, and nothing can be pushed.
    pub(crate) is_proxy: bool,
    /// A tag that was compared with its upstream within this is not compared again. 0: always compared.
    pub(crate) ttl: Duration,
    /// What an upstream did not have is not asked for again within this.
    pub(crate) negative_ttl: Duration,
    /// What was not pulled for this long goes; absent, it stays.
    pub(crate) keep: Option<Duration>,
    /// Bytes of all copies together; absent, there is no bound. Least recently pulled go first.
    pub(crate) budget_bytes: Option<u64>,
    /// `pins`: copies that stay: `docker.io/library/nginx`, with or without a `:tag`; both may have stars.
    pub(crate) pins: Vec<Pin>,
    /// A tag that its upstream does not have any more is removed here, too; else it is served on.
    pub(crate) removes_deleted: bool,
    /// What was begun is fetched to its end although everyone who waited for it left.
    pub(crate) finishes: bool,
    /// No upstream is asked for anything.
    pub(crate) is_offline: bool,
    pub(crate) warm: Vec<Warm>,
    pub(crate) sync: Vec<Sync>,
}

/// Another registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Upstream {
    /// `docker.io`: one component of a repository's name. Copies are in repositories that begin with it and a
    /// slash; clients name it in `ns`, or as a prefix. With `proxy`, copies have the upstream's own names.
    pub(crate) name: String,
    /// In the order in which they are asked; at least one.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What its one-component names stand for: `library/nginx` for `nginx` on Docker Hub.
    pub(crate) has_library: bool,
    /// Names of the upstream (`library/nginx`) that are served; empty for all.
    pub(crate) allow: Vec<Glob>,
    /// And those of them that are not.
    pub(crate) deny: Vec<Glob>,
    /// Who may see the copies, where there is an index: all, or those with a role.
    pub(crate) visibility: Visibility,
    /// Bytes of its copies; absent, there is no bound beside the mirror's.
    pub(crate) budget_bytes: Option<u64>,
    /// Fetches of blobs at once.
    pub(crate) fetches_max: usize,
}

/// One address of an upstream, and how it is talked to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Endpoint {
    /// Scheme, host and port, without a slash at the end: `https://registry-1.docker.io`.
    pub(crate) url: String,
    pub(crate) login: UpstreamLogin,
    /// Hosts beside its own whose token service may be told the login (S30): `auth.docker.io`.
    pub(crate) auth_hosts: Vec<String>,
    /// PEM files of authorities that are believed beside the system's.
    pub(crate) ca: Option<PathBuf>,
    /// `http://`, `https://` or `socks5h://`; absent, that of the environment. It may have a login in
    /// it.
    pub(crate) proxy: Option<Secret>,
    /// Addresses of private networks and this machine that may be connected to (S32).
    pub(crate) private: Vec<Network>,
    /// The host of `url` may be in a private network, whatever `private` says: registry:2 connects to every
    /// `proxy.remoteurl`, and has no key that could allow it.
    pub(crate) is_host_trusted: bool,
    /// Until a connection is there, and until an answer begins.
    pub(crate) patience: Duration,
    /// How long a body may bring nothing.
    pub(crate) stall: Duration,
}

/// Who we are to an upstream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UpstreamLogin {
    Anonymous,
    Password {
        user: String,
        password: Secret,
    },
    /// Sent as `Authorization: Bearer`.
    Token(Secret),
    /// A `config.json` of Docker's with an entry for the endpoint's host; read again when it changes.
    File(PathBuf),
}

/// A pattern of copies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pin {
    /// Of names here: `docker.io/library/nginx`.
    pub(crate) repositories: Glob,
    /// Of tags; absent for all.
    pub(crate) tags: Option<Glob>,
}

/// `layerhouse.mirror.warm[]`: copies that are fetched before anybody asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Warm {
    /// References as clients would name them here: `docker.io/library/nginx:1.27`.
    pub(crate) images: Vec<String>,
    /// `linux/amd64`; empty for all.
    pub(crate) platforms: Vec<String>,
    pub(crate) interval: Duration,
}

/// `layerhouse.mirror.sync[]`: tags of an upstream that are copied into a repository of this registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sync {
    /// A repository under an upstream's name: `docker.io/library/nginx`.
    pub(crate) from: String,
    /// Of tags; at least one.
    pub(crate) tags: Vec<Glob>,
    /// A repository that is no copy: `acme/nginx`.
    pub(crate) to: String,
    pub(crate) platforms: Vec<String>,
    pub(crate) interval: Duration,
}

impl Mirror {
    /// Whether there is a bound for what is kept.
    pub(crate) fn has_budget(&self) -> bool {
        let mut upstreams = self.upstreams.iter();
        self.budget_bytes.is_some() || upstreams.any(|upstream| upstream.budget_bytes.is_some())
    }

    /// Where copies are, and who may see them.
    pub(crate) fn copies(&self) -> Vec<Copies> {
        let copies = self.upstreams.iter().map(|upstream| Copies {
            namespace: (!self.is_proxy).then(|| upstream.name.clone()),
            visibility: upstream.visibility,
        });
        copies.collect()
    }
}
