//! `proxy`: registry:2's way to say that a registry is a mirror of another.

use std::time::Duration;

use super::mirror_login::{visibility_default, warn_of_plain_login};
use super::mirror_upstream::{FETCHES, HUB, PATIENCE, STALL, auth_host, registry_url};
use crate::auth::credentials::Secret;
use crate::config::meaning::mirror::{Endpoint, Mirror, Upstream, UpstreamLogin};
use crate::config::reader::Section;

/// What the only upstream is called in metrics and messages; no name of a repository begins with it.
const NAME: &str = "proxy";
/// registry:2's: copies go when they were not pulled for a week.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// `root`: a mirror of one upstream, whose names are those of the repositories here.
pub(super) fn read(root: &Section<'_>) -> Option<Mirror> {
    let proxy = root.section("proxy");
    let Some(text) = proxy.text("remoteurl") else {
        for key in ["username", "password", "exec", "ttl", "cachewritetimeout"] {
            proxy.ignore(key, "does nothing without proxy.remoteurl");
        }
        return None;
    };
    let url = registry_url(&text);
    if url.is_none() {
        proxy.refuse(
            "remoteurl",
            "is not https://HOST or https://HOST:PORT; a path, a query and a login cannot stand in it",
        );
    }
    let url = url.unwrap_or_else(|| HUB.to_owned());
    let login = login(&proxy);
    warn_of_plain_login(&proxy, "remoteurl", Some(&url), &login);
    if proxy.has("exec") {
        proxy.take_all("exec");
        proxy.refuse(
            "exec",
            "no program is started for a login; say username and password here, or name a config.json \
             of Docker's in credentials of an entry of layerhouse.mirror.upstreams",
        );
    }
    proxy.ignore(
        "cachewritetimeout",
        "is accepted and does nothing: a copy is written while it is served",
    );
    let keep = proxy.duration("ttl", KEEP);
    Some(Mirror {
        upstreams: vec![upstream(url, login)],
        default: Some(0),
        is_proxy: true,
        // Every pull of a tag asks the upstream, as in registry:2; its copy serves if there is no answer.
        ttl: Duration::ZERO,
        negative_ttl: Duration::ZERO,
        keep: Some(keep).filter(|keep| !keep.is_zero()),
        budget_bytes: None,
        pins: Vec::new(),
        removes_deleted: false,
        finishes: true,
        is_offline: false,
        warm: Vec::new(),
        sync: Vec::new(),
    })
}

fn login(proxy: &Section<'_>) -> UpstreamLogin {
    let user = proxy.text("username");
    let password = proxy.text("password");
    match (user, password) {
        (Some(user), Some(password)) => UpstreamLogin::Password {
            user,
            password: Secret::new(password.into_bytes()),
        },
        (None, None) => UpstreamLogin::Anonymous,
        (Some(_), None) => {
            proxy.refuse("password", "is missing, and username is there");
            UpstreamLogin::Anonymous
        }
        (None, Some(_)) => {
            proxy.refuse("username", "is missing, and password is there");
            UpstreamLogin::Anonymous
        }
    }
}

fn upstream(url: String, login: UpstreamLogin) -> Upstream {
    let (visibility, _) = visibility_default(&login);
    Upstream {
        name: NAME.to_owned(),
        has_library: url == HUB,
        allow: Vec::new(),
        deny: Vec::new(),
        visibility,
        budget_bytes: None,
        fetches_max: FETCHES as usize,
        endpoints: vec![Endpoint {
            auth_hosts: auth_host(&url).map(str::to_owned).into_iter().collect(),
            url,
            login,
            ca: None,
            proxy: None,
            private: Vec::new(),
            is_host_trusted: true,
            patience: PATIENCE,
            stall: STALL,
        }],
    }
}
