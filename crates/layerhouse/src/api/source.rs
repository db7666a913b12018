//! Where a request came from, and where its client thinks we are.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::{Method, Request, Uri};

use super::{Peer, cut, request};
use crate::auth::{ClientAddress, RequestSource};
use crate::clock::Random;
use crate::config::meaning::{Http, Network};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// What the request and its connection say, where only a trusted proxy is believed what it forwards.
pub(super) fn of<B>(
    request: &Request<B>,
    peer: Peer,
    http: &Arc<Http>,
    random: &Random,
) -> RequestSource {
    let headers = request.headers();
    let is_trusted = is_trusted(&peer, &http.trusted_proxies);
    let address = (is_trusted && !peer.is_console)
        .then(|| client_of(lines(headers, FORWARDED_FOR), &http.trusted_proxies))
        .flatten()
        .map(ClientAddress::Forwarded)
        .or(peer.address.map(ClientAddress::Direct))
        .unwrap_or(if peer.is_console {
            ClientAddress::Console
        } else {
            ClientAddress::Unix
        });
    // What the nearest proxy says stands last.
    let forwarded_host = lines(headers, FORWARDED_HOST).next_back();
    let host = forwarded_host
        .filter(|_| is_trusted)
        .or_else(|| asked_host(request.uri(), headers))
        .filter(|host| is_host(host))
        .unwrap_or("localhost");
    RequestSource {
        id: random.request_id(),
        address,
        host: host.to_owned(),
        method: match request.method() {
            &Method::GET => "GET".into(),
            &Method::HEAD => "HEAD".into(),
            method => method.to_string().into(),
        },
        agent: request::text(headers, &header::USER_AGENT).map_or_else(String::new, cut),
        forwarded_scheme: forwarded_scheme(lines(headers, FORWARDED_PROTO), is_trusted),
        has_tls: peer.has_tls,
        // What a proxy shows says who the proxy is.
        certificate: peer
            .certificate
            .filter(|_| !matches!(address, ClientAddress::Forwarded(_))),
        http: Arc::clone(http),
    }
}

/// A Unix socket is opened by who may open its file: that is a proxy, or the operator.
fn is_trusted(peer: &Peer, proxies: &[Network]) -> bool {
    peer.address
        .is_none_or(|address| proxies.iter().any(|proxy| proxy.contains(address.ip())))
}

/// Every line of a header, as far as it is text: a proxy may add a line of its own behind the client's.
fn lines<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines = headers.get_all(name).iter();
    lines.filter_map(|line| line.to_str().ok())
}

/// `https` is believed from everyone: it harms nobody but who says it, and a proxy that is not known
/// as one must not make clients send their passwords without TLS. `http` is believed from proxies.
fn forwarded_scheme<'a>(
    lines: impl Iterator<Item = &'a str>,
    is_trusted: bool,
) -> Option<&'static str> {
    let mut found = None;
    for scheme in lines.flat_map(|line| line.split(',')).map(str::trim) {
        if scheme.eq_ignore_ascii_case("https") {
            return Some("https");
        }
        if is_trusted && scheme.eq_ignore_ascii_case("http") {
            found = Some("http");
        }
    }
    found
}

/// The last address of the chain that is not a proxy's: those before it anyone can invent.
fn client_of<'a>(
    chain: impl DoubleEndedIterator<Item = &'a str>,
    proxies: &[Network],
) -> Option<IpAddr> {
    let addresses = chain.rev().flat_map(|line| line.rsplit(','));
    let mut client = None;
    for address in addresses.map(|text| text.trim().parse().ok()) {
        let address: IpAddr = address?;
        client = Some(address);
        if !proxies.iter().any(|proxy| proxy.contains(address)) {
            break;
        }
    }
    client
}

/// HTTP/2 has the host in the URI, HTTP/1.1 in a header.
fn asked_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| request::text(headers, &header::HOST))
}

/// A name or address with a port at most: what stands in it ends up in headers and events.
fn is_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Vec<Network> {
        let network = |address: &str, prefix_bits| Network {
            address: address.parse().expect("an address"),
            prefix_bits,
        };
        vec![network("127.0.0.0", 8), network("10.1.0.0", 16)]
    }

    #[test]
    fn the_client_is_the_last_that_no_proxy_of_ours_is() {
        let check = |chain: &str, expected: Option<&str>| {
            let client = client_of(chain.split('\n'), &networks());
            let client = client.map(|client| client.to_string());
            assert_eq!(client.as_deref(), expected, "{chain}");
        };
        check("203.0.113.7", Some("203.0.113.7"));
        check("1.2.3.4, 203.0.113.7, 10.1.2.3", Some("203.0.113.7"));
        // HAProxy adds a line of its own.
        check("1.2.3.4\n203.0.113.7", Some("203.0.113.7"));
        check("1.2.3.4\n203.0.113.7\n10.1.2.3", Some("203.0.113.7"));
        check("10.1.2.3", Some("10.1.2.3"));
        check("junk, 203.0.113.7", Some("203.0.113.7"));
        check("203.0.113.7, junk", None);
        check("", None);
    }

    #[test]
    fn tls_is_believed_from_everyone_and_its_absence_from_proxies() {
        let check = |lines: &[&str], is_trusted, expected| {
            let found = forwarded_scheme(lines.iter().copied(), is_trusted);
            assert_eq!(found, expected, "{lines:?} {is_trusted}");
        };
        check(&["https"], false, Some("https"));
        check(&["HTTPS,http"], true, Some("https"));
        check(&["http"], true, Some("http"));
        check(&["http"], false, None);
        check(&["http", "https"], false, Some("https"));
        check(&["gopher"], true, None);
        check(&[], true, None);
    }

    /// S35
    #[test]
    fn hosts_that_could_be_more_than_a_host() {
        assert!(is_host("registry.example.com:5000"));
        assert!(is_host("[::1]:5000"));
        for text in [
            "",
            "a/b",
            "a b",
            "a\"b",
            "user@host",
            "a\r\nb",
            "a?b",
            "a#b",
        ] {
            assert!(!is_host(text), "{text:?}");
        }
    }
}
