//! `layerhouse.mirror.upstreams`: where another registry is, and who we are to it.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use layerhouse_oci::name::RepositoryName;

use super::mirror_login::{login, visibility};
use super::{mirror, ours, policies};
use crate::auth::credentials::Secret;
use crate::config::meaning::Network;
use crate::config::meaning::mirror::{Endpoint, Upstream, UpstreamLogin};
use crate::config::reader::Section;

/// Docker Hub's registry: at other addresses of its are pages and redirections.
pub(in crate::config) const HUB: &str = "https://registry-1.docker.io";
/// Blobs of an upstream at once: ten images of three layers each.
pub(in crate::config) const FETCHES: u32 = 32;
const FETCHES_MAX: i64 = 1024;
/// Until a connection is there, and until an answer begins.
pub(in crate::config) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a body may bring nothing.
pub(in crate::config) const STALL: Duration = Duration::from_secs(30);
/// Clients give up earlier.
const PATIENCE_MAX: Duration = Duration::from_mins(10);
const FALLBACKS_MAX: usize = 8;

/// `None` if there is no telling what upstream it is; then that was refused.
pub(super) fn read(entry: &Section<'_>) -> Option<Upstream> {
    let name = name(entry);
    let url = url(entry, name.as_deref());
    let fallbacks = fallbacks(entry);
    let login = login(entry, url.as_deref());
    let visibility = visibility(entry, &login);
    let allow = policies::repository_globs(entry, "allow");
    let deny = policies::repository_globs(entry, "deny");
    let endpoint = endpoint(entry);
    let upstream = Upstream {
        name: String::new(),
        endpoints: Vec::new(),
        has_library: false,
        allow,
        deny,
        visibility,
        budget_bytes: mirror::budget(entry),
        fetches_max: fetches(entry),
    };
    let (name, url) = (name?, url?);
    let (host, is_plain) = (host_of(&url), url.starts_with("http://"));
    let of = |url: &String| {
        // Who says https:// does not mean that the login may go elsewhere without.
        let is_told = host_of(url) == host && (is_plain || url.starts_with("https://"));
        let mut auth_hosts = if is_told {
            endpoint.auth_hosts.clone()
        } else {
            Vec::new()
        };
        auth_hosts.extend(auth_host(url).map(str::to_owned));
        auth_hosts.dedup();
        Endpoint {
            url: url.clone(),
            login: if is_told {
                login.clone()
            } else {
                UpstreamLogin::Anonymous
            },
            auth_hosts,
            ..endpoint.clone()
        }
    };
    Some(Upstream {
        endpoints: std::iter::once(&url).chain(&fallbacks).map(of).collect(),
        has_library: url == HUB,
        name,
        ..upstream
    })
}

/// What all endpoints of an upstream share; URL and login are not said yet.
fn endpoint(entry: &Section<'_>) -> Endpoint {
    Endpoint {
        url: String::new(),
        login: UpstreamLogin::Anonymous,
        auth_hosts: auth_hosts(entry),
        ca: entry.text("ca").map(PathBuf::from),
        proxy: proxy(entry),
        private: private(entry),
        is_host_trusted: false,
        patience: patience(entry, "timeout", PATIENCE),
        stall: patience(entry, "stall", STALL),
    }
}

fn name(entry: &Section<'_>) -> Option<String> {
    let Some(name) = entry.text("name") else {
        entry.refuse(
            "name",
            "is missing: what copies are found below, such as docker.io",
        );
        return None;
    };
    let is_name = name.parse::<RepositoryName>().is_ok() && !name.contains('/');
    if !is_name {
        entry.refuse(
            "name",
            format!(
                "{name:?} cannot begin the names of repositories: small letters and digits, parted by \
                 `.`, `_` or `-`; the address goes into url"
            ),
        );
    }
    is_name.then_some(name)
}

/// Where the upstream is: what was said, or what its name means.
fn url(entry: &Section<'_>, name: Option<&str>) -> Option<String> {
    if let Some(text) = entry.text("url") {
        let url = registry_url(&text);
        if url.is_none() {
            entry.refuse("url", not_a_url(&text));
        }
        return url;
    }
    let name = name?;
    if name == "docker.io" {
        return Some(HUB.to_owned());
    }
    if !name.contains('.') {
        let problem = format!("is missing: where {name} is, such as https://registry.example.com");
        entry.refuse("url", problem);
        return None;
    }
    Some(format!("https://{name}"))
}

fn not_a_url(text: &str) -> String {
    let shown = if text.contains('@') { "it" } else { text };
    format!(
        "{shown} is not https://HOST or https://HOST:PORT; a path, a query and a login cannot stand in it"
    )
}

/// Scheme, host and port; `None` for what has more than that. Every address of Docker Hub's is its registry's.
pub(in crate::config) fn registry_url(text: &str) -> Option<String> {
    let uri = text.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?.as_str().to_lowercase();
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let is_registry = matches!(scheme, "http" | "https") && is_bare;
    if !is_registry || authority.contains('@') || uri.host().is_none_or(str::is_empty) {
        return None;
    }
    let url = format!("{scheme}://{authority}");
    let is_hub = matches!(
        url.as_str(),
        HUB | "https://index.docker.io" | "https://docker.io"
    );
    Some(if is_hub { HUB.to_owned() } else { url })
}

/// Who says whether a login is good for a registry, where that is another host.
pub(in crate::config) fn auth_host(url: &str) -> Option<&'static str> {
    match url {
        HUB => Some("auth.docker.io"),
        "https://registry.gitlab.com" => Some("gitlab.com"),
        _ => None,
    }
}

/// The host of a URL that [`registry_url`] made.
pub(in crate::config) fn host_of(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host);
    host.unwrap_or_default().to_owned()
}

fn fallbacks(entry: &Section<'_>) -> Vec<String> {
    let texts = entry.texts("fallbacks");
    if FALLBACKS_MAX < texts.len() {
        let problem = format!("has {} URLs; there may be {FALLBACKS_MAX}", texts.len());
        entry.refuse("fallbacks", problem);
    }
    let read = |text: &String| {
        let url = registry_url(text);
        if url.is_none() {
            entry.refuse("fallbacks", not_a_url(text));
        }
        url
    };
    texts.iter().filter_map(read).collect()
}

fn fetches(entry: &Section<'_>) -> usize {
    let fetches = entry.number("fetches", FETCHES.into());
    if !(1..=FETCHES_MAX).contains(&fetches) {
        entry.refuse("fetches", format!("must be from 1 to {FETCHES_MAX}"));
    }
    usize::try_from(fetches).unwrap_or(1).max(1)
}

fn auth_hosts(entry: &Section<'_>) -> Vec<String> {
    let read = |host: &String| {
        let is_host = !host.is_empty() && !host.contains(['/', '@', ':', '*']);
        if !is_host {
            entry.refuse(
                "authhosts",
                format!("{host:?} is no host; write auth.example.com, without scheme and port"),
            );
        }
        is_host.then(|| host.to_lowercase())
    };
    entry.texts("authhosts").iter().filter_map(read).collect()
}

fn proxy(entry: &Section<'_>) -> Option<Secret> {
    let text = entry.text("proxy")?;
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let is_known = matches!(uri.scheme_str(), Some("http" | "https" | "socks5h"));
        is_known && uri.host().is_some_and(|host| !host.is_empty())
    });
    if uri.is_none() {
        entry.refuse(
            "proxy",
            "is not a URL that begins with http://, https:// or socks5h://",
        );
    }
    uri.map(|_| Secret::new(text.into_bytes()))
}

fn private(entry: &Section<'_>) -> Vec<Network> {
    let read = |text: &String| {
        let network = ours::parse_network(text);
        if network.is_none() {
            entry.refuse(
                "private",
                format!("{text:?} is not a network; write 10.0.0.0/8 or 192.0.2.7"),
            );
        }
        network
    };
    entry.texts("private").iter().filter_map(read).collect()
}

fn patience(entry: &Section<'_>, key: &str, default: Duration) -> Duration {
    let duration = entry.duration_above_zero(key, default);
    if PATIENCE_MAX < duration {
        entry.refuse(key, "must be at most 10m");
    }
    duration
}
