//! `http`: where to listen, and what every answer has.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::LISTEN_DEFAULT;
use crate::config::meaning::{Debug, Http, Listen, Tls};
use crate::config::reader::{Section, quoted};
use crate::config::tree::Origin;

/// What `http` means.
pub(in crate::config) struct Read {
    pub(in crate::config) listen: Listen,
    pub(in crate::config) http: Http,
    pub(in crate::config) tls: Option<Tls>,
    pub(in crate::config) debug: Option<Debug>,
    pub(in crate::config) drain_max: Duration,
}

/// `argument` is `--listen`; `ours` the section `layerhouse`.
pub(in crate::config) fn read(
    root: &Section<'_>,
    ours: &Section<'_>,
    argument: Option<&str>,
    is_activated: bool,
    drain_default: Duration,
) -> Read {
    let http = root.section("http");
    let listen = listen(&http, argument, is_activated);
    if http.has_secret("secret") {
        http.warn(
            "secret",
            "is accepted and does nothing: uploads are rows of the database, so nothing that \
             clients carry has to be signed",
        );
    }
    let http2 = http.section("http2");
    let h2c = http.section("h2c");
    if h2c.flag_given("enabled") == Some(false) {
        h2c.warn(
            "enabled",
            "false is accepted and does nothing: without TLS, HTTP/2 is spoken with those who \
             begin with it",
        );
    }
    Read {
        listen,
        tls: super::tls::read(&http),
        debug: debug(&http.section("debug")),
        drain_max: http.duration("draintimeout", drain_default),
        http: Http {
            prefix: prefix(&http),
            host: host(&http),
            relative_urls: http.flag("relativeurls", false),
            headers: http.headers("headers"),
            has_http2: !http2.flag("disabled", false),
            trusted_proxies: super::ours::trusted_proxies(&ours.section("http")),
        },
    }
}

fn listen(http: &Section<'_>, argument: Option<&str>, is_activated: bool) -> Listen {
    #[derive(Clone, PartialEq)]
    enum Net {
        Tcp,
        Unix,
        Systemd,
    }
    let nets = [
        ("tcp", Net::Tcp),
        ("unix", Net::Unix),
        ("systemd", Net::Systemd),
        ("", Net::Tcp),
    ];
    let net = http.word("net", &nets, Some("tcp"));
    let given = http.text("addr");
    if let Some(argument) = argument {
        http.say("addr", quoted(argument), &Origin::Argument("--listen"));
    } else if given.is_none() {
        http.say("addr", quoted(LISTEN_DEFAULT), &Origin::Default);
    }
    let wants_activation = is_activated || net == Some(Net::Systemd);
    if wants_activation && argument.is_none() {
        return Listen::Systemd;
    }
    if net == Some(Net::Unix) && argument.is_none() {
        let Some(path) = given else {
            http.refuse("addr", "is missing: the path of the socket");
            return Listen::Systemd;
        };
        return Listen::Unix(PathBuf::from(path));
    }
    let text = argument.or(given.as_deref()).unwrap_or(LISTEN_DEFAULT);
    Listen::Tcp(parse_address(text).unwrap_or_else(|| {
        http.refuse(
            "addr",
            format!("cannot listen on {text:?}: write it as 127.0.0.1:5000 or :5000"),
        );
        SocketAddr::from(([127, 0, 0, 1], 0))
    }))
}

/// `host:port`, or `:port` for every address of the machine, as registry:2 writes it.
pub(in crate::config) fn parse_address(text: &str) -> Option<SocketAddr> {
    let full = if text.starts_with(':') {
        format!("[::]{text}")
    } else {
        text.to_owned()
    };
    full.to_socket_addrs().ok()?.next()
}

fn prefix(http: &Section<'_>) -> String {
    let given = http.text_or("prefix", "/");
    let trimmed = given.trim_matches('/');
    let is_path = |one: char| one.is_ascii_alphanumeric() || "-._~/".contains(one);
    if !trimmed.chars().all(is_path) || trimmed.split('/').any(|part| part == "..") {
        http.refuse(
            "prefix",
            format!("{given:?} is not a path; write it as /registry/"),
        );
    }
    if trimmed.is_empty() {
        "/".to_owned()
    } else {
        format!("/{trimmed}/")
    }
}

fn host(http: &Section<'_>) -> Option<String> {
    let given = http.text("host")?;
    let host = given.trim_end_matches('/');
    let is_good = host.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if !is_good {
        http.refuse(
            "host",
            format!(
                "{given:?} is not where clients find a registry; write https://registry.example.com"
            ),
        );
        return None;
    }
    Some(host.to_owned())
}

fn debug(debug: &Section<'_>) -> Option<Debug> {
    let prometheus = debug.section("prometheus");
    let has_metrics = prometheus.flag("enabled", false);
    let path = prometheus.text_or("path", "/metrics");
    if !path.starts_with('/') {
        prometheus.refuse("path", format!("{path:?} does not begin with /"));
    }
    let Some(text) = debug.text("addr") else {
        if has_metrics {
            prometheus.warn(
                "enabled",
                "does nothing: metrics are served at http.debug.addr, which is not set",
            );
        }
        return None;
    };
    let Some(address) = parse_address(&text) else {
        debug.refuse(
            "addr",
            format!("cannot listen on {text:?}: write it as 127.0.0.1:5001 or :5001"),
        );
        return None;
    };
    Some(Debug {
        address,
        metrics_path: has_metrics.then_some(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = parse_address(text).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        };
        check("127.0.0.1:5000", Some("127.0.0.1:5000"));
        check(":5000", Some("[::]:5000"));
        check("[::1]:0", Some("[::1]:0"));
        check("127.0.0.1", None);
        check("5000", None);
        check("", None);
    }
}
