//! The access log: a line for each request, in Apache's combined format, as registry:2 writes it.

use http::{HeaderValue, Method, Uri, Version};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::auth::{Caller, Identity};
use crate::clock::Timestamp;
use crate::log::escape::apache;

/// `10/Oct/2000:13:55:36 +0000`
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// Parameters whose values are no secrets, whatever a client believes; the values of others are hidden.
const SHOWN_PARAMETERS: [&str; 7] = [
    "n",
    "last",
    "digest",
    "mount",
    "from",
    "artifactType",
    "account",
];

/// What a line tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) caller: &'a Caller,
    pub(super) at: Timestamp,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
    pub(super) referer: Option<&'a HeaderValue>,
    pub(super) agent: Option<&'a HeaderValue>,
}

/// `host - user [time] "GET /v2/ HTTP/1.1" 200 2 "referer" "agent"`, with its end.
pub(super) fn line(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let address = entry.caller.source.address.to_string();
    apache(&mut line, host(&address).as_bytes());
    line.extend(b" - ");
    user(&mut line, &entry.caller.identity);
    line.extend(b" [");
    line.extend(time(entry.at).into_bytes());
    line.extend(b"] \"");
    apache(&mut line, entry.method.as_str().as_bytes());
    line.push(b' ');
    apache(&mut line, shown_uri(entry.uri).as_bytes());
    line.extend(
        format!(
            " {:?}\" {} {} \"",
            entry.version, entry.status, entry.sent_bytes
        )
        .bytes(),
    );
    let referer = entry.referer.map_or(&b""[..], HeaderValue::as_bytes);
    apache(&mut line, &shown_referer(referer));
    line.extend(b"\" \"");
    apache(
        &mut line,
        entry.agent.map_or(&b""[..], HeaderValue::as_bytes),
    );
    line.extend(b"\"\n");
    line
}

/// An address without its port; brackets and all for one that is none.
fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        _ if address == "unix" => "-",
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            match host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
            {
                Some(host) => host,
                None if host.contains(':') => address,
                None => host,
            }
        }
        _ => address,
    }
}

/// The name is not in quotes, so a space in it would begin the next field.
fn user(line: &mut Vec<u8>, identity: &Identity) {
    match identity {
        Identity::User(name) if !name.is_empty() => {
            let mut escaped = Vec::new();
            apache(&mut escaped, name.as_bytes());
            for byte in escaped {
                match byte {
                    b' ' => line.extend(b"\\x20"),
                    _ => line.push(byte),
                }
            }
        }
        Identity::User(_) | Identity::Anonymous => line.push(b'-'),
    }
}

fn time(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1000))
        .ok()
        .and_then(|time| time.format(TIME).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// Path and query, where a value that could be a secret is `*`.
fn shown_uri(uri: &Uri) -> String {
    let mut shown = uri.path().to_owned();
    let Some(query) = uri.query() else {
        return shown;
    };
    let mut mark = '?';
    for parameter in query.split('&') {
        shown.push(mark);
        mark = '&';
        match parameter.split_once('=') {
            Some((name, _)) if SHOWN_PARAMETERS.contains(&name) => shown.push_str(parameter),
            Some((name, _)) => {
                shown.push_str(name);
                shown.push_str("=*");
            }
            None if parameter.is_empty() => {}
            None => shown.push('*'),
        }
    }
    shown
}

/// A referer without user, query and fragment.
fn shown_referer(referer: &[u8]) -> Vec<u8> {
    let end = referer.iter().position(|byte| b"?#".contains(byte));
    let text = &referer[..end.unwrap_or(referer.len())];
    let Some(authority) = text.windows(3).position(|part| part == b"://") else {
        return text.to_owned();
    };
    let (scheme, rest) = text.split_at(authority + 3);
    let path = rest.iter().position(|byte| *byte == b'/');
    let (authority, path) = rest.split_at(path.unwrap_or(rest.len()));
    let host = authority.rsplit(|byte| *byte == b'@').next();
    [scheme, host.unwrap_or_default(), path].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::access::Access;
    use crate::auth::{ClientAddress, RequestSource};
    use crate::clock::RequestId;

    fn caller(identity: Identity, address: &str) -> Caller {
        Caller {
            identity,
            access: Access::All,
            source: Arc::new(RequestSource {
                id: RequestId::default(),
                address: ClientAddress::Direct(address.parse().expect("an address")),
                host: String::new(),
                method: "GET".into(),
                agent: String::new(),
                forwarded_scheme: None,
                has_tls: false,
                certificate: None,
                http: Arc::default(),
            }),
        }
    }

    #[test]
    fn a_line_is_apaches() {
        let caller = caller(Identity::User("bob \"x\"".into()), "203.0.113.7:4321");
        let uri = "/v2/_catalog?n=5&token=canary&canary"
            .parse()
            .expect("a path");
        let agent = HeaderValue::from_bytes(b"x\"y\ttab\\z\xc3\xa9\x9b").expect("a header");
        let entry = Entry {
            caller: &caller,
            at: Timestamp(1_800_000_000_123),
            method: &Method::GET,
            uri: &uri,
            version: Version::HTTP_11,
            status: 200,
            sent_bytes: 2,
            referer: None,
            agent: Some(&agent),
        };
        assert_eq!(
            String::from_utf8_lossy(&line(&entry)),
            "203.0.113.7 - bob\\x20\\\"x\\\" [15/Jan/2027:08:00:00 +0000] \
             \"GET /v2/_catalog?n=5&token=*&* HTTP/1.1\" 200 2 \"\" \
             \"x\\\"y\\x09tab\\\\z\\xc3\\xa9\\x9b\"\n"
        );
    }

    #[test]
    fn hosts_have_no_ports() {
        let check = |address: &str, expected: &str| assert_eq!(host(address), expected);
        check("127.0.0.1:5000", "127.0.0.1");
        check("[::1]:5000", "::1");
        check("10.1.2.3", "10.1.2.3");
        check("2001:db8::7", "2001:db8::7");
        check("unix", "-");
    }

    /// S50
    #[test]
    fn sec_s50_referers_hold_no_secrets() {
        let check = |given: &str, expected: &str| {
            let shown = shown_referer(given.as_bytes());
            assert_eq!(String::from_utf8_lossy(&shown), expected);
        };
        check("http://ui.example/a?token=canary", "http://ui.example/a");
        check("http://bob:canary@ui.example/a#x", "http://ui.example/a");
        check("ui", "ui");
        check("", "");
    }
}
