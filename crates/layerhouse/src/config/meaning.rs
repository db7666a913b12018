//! What a configuration means: every value checked, every default filled in. Sections are named as in
//! registry:2's `config.yml`.

pub(crate) mod glob;
pub(crate) mod index;
pub(crate) mod mirror;
pub(crate) mod placement;
pub(crate) mod policies;
pub(crate) mod rate;
pub(crate) mod sources;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::watch::Watch;
use crate::blobs::cache;
use crate::blobs::objects::settings::Buckets;
use crate::blobs::redirection::Change;
use crate::meta::postgres::Place;

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// The same, as it was just before that.
    pub watch: Option<Watch>,
    /// A file that stands where registry:2 would look for it, and was not read.
    pub unread: Option<PathBuf>,
    /// Where to listen (`http.addr`, `http.net`).
    pub listen: Listen,
    /// The data directory (`storage.filesystem.rootdirectory`).
    pub root: PathBuf,
    /// `layerhouse.database`; absent, the database is a file in the data directory.
    pub database: Option<Place>,
    /// `layerhouse.advertise`: where other processes on the same database reach this one.
    pub(crate) advertise: Advertise,
    /// `storage.s3`, `gcs` or `azure`, and `layerhouse.stores`: where blobs go that do not become files.
    pub(crate) buckets: Buckets,
    /// `layerhouse.stores`: whose blobs go where.
    pub(crate) placement: placement::Placement,
    /// `layerhouse.cache`; absent, no object has a file.
    pub(crate) cache: Option<cache::Settings>,
    /// `middleware.storage`: what becomes of the addresses that pulls are sent to.
    pub(crate) redirection: Vec<Change>,
    /// What is logged, and how.
    pub log: Log,
    pub(crate) http: Http,
    /// `http.tls`; absent, the registry speaks plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// `http.debug`: metrics and health, on an address of their own.
    pub(crate) debug: Option<Debug>,
    pub(crate) auth: Auth,
    /// `layerhouse.index`; absent, there are no accounts.
    pub(crate) index: Option<index::Index>,
    /// `layerhouse.mirror` or `proxy`; absent, no other registry is asked for anything.
    pub(crate) mirror: Option<mirror::Mirror>,
    /// `layerhouse.ui.enabled`: whether there are pages under `/ui/`.
    pub(crate) has_pages: bool,
    pub(crate) allows_delete: bool,
    pub(crate) is_read_only: bool,
    pub(crate) validation: Validation,
    /// `catalog.maxentries`: repositories on one page.
    pub(crate) catalog_max: usize,
    /// `tags.maxtags`: tags on one page.
    pub(crate) tags_max: usize,
    pub(crate) health: Health,
    pub(crate) notifications: Notifications,
    pub(crate) limits: crate::registry::Limits,
    /// `layerhouse.policies` and `layerhouse.retention`.
    pub(crate) policies: policies::Policies,
    pub(crate) timeouts: Timeouts,
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// How long a stop waits for requests in flight (`http.draintimeout`).
    pub(crate) drain_max: Duration,
    pub(crate) steps: crate::steps::Steps,
    /// What was accepted but means less, or something else, than it says; a sentence each.
    pub warnings: Vec<String>,
    /// Every value that holds, and where it was said.
    pub said: Vec<super::Said>,
}

/// Where other processes of a registry reach one of them, to read along what it fetches for a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advertise {
    /// Where it listens, by the address from which it reaches its database.
    Found,
    /// Nowhere.
    Nothing,
    /// `http://10.0.0.5:5000`, without a slash at the end.
    At(String),
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket file, made anew at the start.
    Unix(PathBuf),
    /// A socket that systemd opened (`LISTEN_FDS`), whatever its kind.
    Systemd,
    /// Nothing: for a command that works on the data of a server that is stopped.
    Nowhere,
}

/// `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter in the form of `tracing` ("info", "layerhouse=debug").
    pub filter: String,
    /// How an event is written.
    pub formatter: Formatter,
    /// Added to each event, in the order of their names (`log.fields`).
    pub fields: Vec<(String, String)>,
    /// Whether each request is written to standard output in Apache's combined format
    /// (`log.accesslog.disabled`).
    pub has_access_log: bool,
}

/// How events of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formatter {
    /// Text on a terminal, else JSON: nothing was configured.
    Auto,
    /// For people.
    Text,
    /// An object for each event.
    Json,
    /// An object for each event, in Logstash's version 1.
    Logstash,
}

/// `http`, but for its listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Http {
    /// What every path begins with: `/` or `/registry/`, with both slashes.
    pub(crate) prefix: String,
    /// `http.host`: where clients find this registry (`https://registry.example.com`, without a slash
    /// at the end). Given, `Location` names it; else a path is right behind every proxy.
    pub(crate) host: Option<String>,
    /// `Location` is a path, even if a host is given.
    pub(crate) relative_urls: bool,
    /// Added to every answer, in place of ours; and the answer to OPTIONS.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP/2, negotiated by TLS.
    pub(crate) has_http2: bool,
    /// Who may say in `X-Forwarded-*` what the client asked for (`layerhouse.http.trustedproxies`).
    pub(crate) trusted_proxies: Vec<Network>,
}

/// Addresses with the same first bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix_bits: u8,
}

/// `http.tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) certificate: Certificate,
    /// 1.3 alone, or 1.2 as well: older ones are not spoken.
    pub(crate) only_1_3: bool,
    /// Names of Go's (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`), which are those of IANA; empty for all
    /// good ones. TLS 1.3 has its own, always.
    pub(crate) cipher_suites: Vec<String>,
    /// Files of authorities whose clients are let in.
    pub(crate) client_cas: Vec<PathBuf>,
    pub(crate) client_auth: ClientAuth,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// PEM files, read again when they change.
    Files { certificate: PathBuf, key: PathBuf },
    /// `http.tls.letsencrypt`: asked for over ACME, by tls-alpn-01.
    Acme {
        /// Keeps account and certificates.
        cache: PathBuf,
        email: Option<String>,
        hosts: Vec<String>,
        directory_url: String,
    },
}

/// `http.tls.clientauth`; it counts if there are `clientcas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

/// `http.debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Debug {
    pub(crate) address: SocketAddr,
    /// `http.debug.prometheus`: where the metrics are; absent, they are not served.
    pub(crate) metrics_path: Option<String>,
}

/// `auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Everyone may do everything.
    None,
    /// Any `Authorization` header does; for tests of clients.
    Silly { realm: String, service: String },
    /// Users of a file of bcrypt entries may do everything.
    Htpasswd {
        realm: String,
        path: PathBuf,
        /// Who does not sign in may pull (`layerhouse.auth.anonymous: pull`).
        allows_anonymous_pull: bool,
    },
    /// Tokens of another service.
    Token(TokenAuth),
}

/// `auth.token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenAuth {
    /// Where clients get tokens; unused with `autoredirect_path`.
    pub(crate) realm: String,
    pub(crate) service: String,
    pub(crate) issuer: String,
    /// Certificates (PEM) whose keys sign tokens, and that certificates in `x5c` must descend from.
    pub(crate) root_cert_bundle: Option<PathBuf>,
    /// Keys that sign tokens (RFC 7517).
    pub(crate) jwks: Option<PathBuf>,
    /// Names of RFC 7518; empty for all that are asymmetric.
    pub(crate) signing_algorithms: Vec<String>,
    /// `autoredirect`: the realm is this path at the host that the client asked for.
    pub(crate) autoredirect_path: Option<String>,
}

/// `validation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validation {
    /// Nothing below is checked.
    pub(crate) is_disabled: bool,
    /// Regular expressions of `validation.manifests.urls`; both empty, no URL is checked.
    pub(crate) urls_allow: Vec<String>,
    pub(crate) urls_deny: Vec<String>,
    pub(crate) platforms: Platforms,
}

/// `validation.manifests.indexes`: which images of an index must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Platforms {
    #[default]
    All,
    None,
    /// Those of these operating systems and architectures.
    List(Vec<(String, String)>),
}

/// `health`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// `health.storagedriver`.
    pub(crate) storage: Option<CheckTiming>,
    pub(crate) files: Vec<FileCheck>,
    pub(crate) http: Vec<HttpCheck>,
    pub(crate) tcp: Vec<TcpCheck>,
}

/// How often a check is made, and how many failures in a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckTiming {
    pub(crate) interval: Duration,
    /// At least 1.
    pub(crate) threshold: u32,
}

/// Fails while the file exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileCheck {
    pub(crate) file: PathBuf,
    pub(crate) timing: CheckTiming,
}

/// Fails unless a HEAD request is answered with the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpCheck {
    pub(crate) uri: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) status: u16,
    pub(crate) timeout: Duration,
    pub(crate) timing: CheckTiming,
}

/// Fails unless a connection can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpCheck {
    pub(crate) address: String,
    pub(crate) timeout: Duration,
    pub(crate) timing: CheckTiming,
}

/// `notifications`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notifications {
    /// Events of manifests name what the manifest references (`events.includereferences`).
    pub(crate) include_references: bool,
    /// Those that are not disabled.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// Who is told of events. URL and headers may hold secrets, so they are not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) url: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) timeout: Duration,
    /// Failures in a row before it is left alone for `backoff`.
    pub(crate) threshold: u32,
    pub(crate) backoff: Duration,
    pub(crate) ignored_media_types: Vec<String>,
    /// `pull`, `push`, `mount`, `delete`.
    pub(crate) ignored_actions: Vec<String>,
}

/// `storage.maintenance.uploadpurging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purging {
    /// Uploads that began longer ago are purged.
    pub(crate) age: Duration,
    /// Between two looks of a dry run; else abandoned uploads are looked for each minute.
    pub(crate) interval: Duration,
    /// It is logged what would be purged, and nothing is.
    pub(crate) is_dry_run: bool,
}

/// `layerhouse.scrub`: how stored bytes are hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scrubbing {
    /// It is done by itself; asked for, it is done in any case.
    pub(crate) is_enabled: bool,
    /// Every blob is hashed at least once in it.
    pub(crate) period: Duration,
    /// Bytes per second are never more.
    pub(crate) rate_bytes: u64,
}

/// How long to wait for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the rest of a request's head once it began.
    pub(crate) head: Duration,
    /// For the next request on an open connection.
    pub(crate) idle: Duration,
    /// In each of these a body must bring, or a reader take, [`Timeouts::stall_bytes`].
    pub(crate) stall: Duration,
    pub(crate) stall_bytes: u64,
}

impl ClientAuth {
    /// Whether a certificate that a client shows is one that an authority signed.
    pub(crate) fn verifies(self) -> bool {
        match self {
            Self::Request | Self::RequireAny => false,
            Self::VerifyIfGiven | Self::RequireAndVerify => true,
        }
    }
}

impl Config {
    /// Whether everyone may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.auth == Auth::None && self.index.is_none()
    }
}

impl Http {
    /// The path without the prefix of all; `None` for one that is not below it.
    pub(crate) fn path_behind_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        let depth = self.prefix.len() - 1;
        path.starts_with(&self.prefix).then(|| &path[depth..])
    }

    /// A path of ours as clients reach it from outside.
    pub(crate) fn outer_path(&self, path: &str) -> String {
        format!("{}{path}", &self.prefix[..self.prefix.len() - 1])
    }

    /// What stands before a path of ours for clients: `asked` is scheme and host as they asked for
    /// them, which counts if the operator names no host.
    pub(crate) fn base_url(&self, asked: &str) -> String {
        let host = self.host.as_deref().unwrap_or(asked);
        let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
        // A host with a path says the prefix itself.
        if rest.contains('/') {
            host.to_owned()
        } else {
            format!("{host}{}", self.outer_path(""))
        }
    }

    /// Scheme, host and port of [`Http::base_url`] alone.
    pub(crate) fn origin(&self, asked: &str) -> String {
        let url = self.host.as_deref().unwrap_or(asked);
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let authority = rest.split('/').next().unwrap_or(rest);
        format!("{scheme}://{authority}")
    }

    /// What `Location` says of a path of ours: a path is right behind every proxy, so a host stands
    /// before it only where the operator names one.
    pub(crate) fn location(&self, path: &str) -> String {
        match &self.host {
            Some(host) if !self.relative_urls => format!("{}{path}", self.base_url(host)),
            _ => self.outer_path(path),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Endpoint")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Whether the address is one of the network's; an IPv4 address mapped into IPv6 counts as itself.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => (32, u128::from(address.to_bits())),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let ((width, own), (other_width, other)) = (bits(self.address), bits(address));
        let ignored = width - u32::from(self.prefix_bits).min(width);
        width == other_width && (ignored == 128 || own >> ignored == other >> ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(prefix: &str, host: Option<&str>, relative_urls: bool) -> Http {
        Http {
            prefix: prefix.to_owned(),
            host: host.map(ToOwned::to_owned),
            relative_urls,
            ..Http::default()
        }
    }

    #[test]
    fn paths_behind_the_prefix() {
        let check = |prefix: &str, path: &str, expected: Option<&str>| {
            let http = http(prefix, None, false);
            assert_eq!(http.path_behind_prefix(path), expected, "{prefix} {path}");
        };
        check("/", "/v2/", Some("/v2/"));
        check("/images/", "/images/v2/", Some("/v2/"));
        check("/images/", "/images/", Some("/"));
        check("/images/", "/images", None);
        check("/images/", "/v2/", None);
        check("/images/", "/imagesv2/", None);
        check("/images/", "/healthz", None);
    }

    #[test]
    fn locations() {
        let check = |prefix, host, relative, expected: &str| {
            assert_eq!(http(prefix, host, relative).location("/v2/a"), expected);
        };
        check("/", None, false, "/v2/a");
        check("/p/", None, true, "/p/v2/a");
        check("/", Some("https://h"), false, "https://h/v2/a");
        check("/", Some("https://h"), true, "/v2/a");
        check("/p/", Some("https://h:1"), false, "https://h:1/p/v2/a");
        check("/p/", Some("https://h/q"), false, "https://h/q/v2/a");
    }

    #[test]
    fn networks_have_their_addresses() {
        let check = |network: &str, prefix_bits, address: &str, expected| {
            let address = address.parse().expect("an address");
            let network = Network {
                address: network.parse().expect("an address"),
                prefix_bits,
            };
            assert_eq!(network.contains(address), expected, "{network:?} {address}");
        };
        check("10.0.0.0", 8, "10.9.8.7", true);
        check("10.0.0.0", 8, "11.0.0.1", false);
        check("10.0.0.0", 8, "::ffff:10.1.1.1", true);
        check("0.0.0.0", 0, "203.0.113.1", true);
        check("0.0.0.0", 0, "::1", false);
        check("::1", 128, "::1", true);
        check("::", 0, "2001:db8::1", true);
        check("127.0.0.1", 32, "127.0.0.2", false);
    }
}
