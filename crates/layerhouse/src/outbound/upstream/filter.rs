//! Where the client of an endpoint does not go, whatever the upstream says (S32). Pure.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

use super::address::special;
use crate::config::meaning::Network;
use crate::config::meaning::mirror::Endpoint;

/// Which addresses may be connected to.
#[derive(Debug)]
pub(super) struct Filter {
    /// Of the URL of the endpoint: an address in it is meant as it stands.
    origin: Url,
    private: Vec<Network>,
    /// Names that the operator gave for what they are: the proxy's, and the host of `proxy.remoteurl`.
    trusted: Vec<String>,
}

/// An address that we do not connect to.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{host} is at {address}, {kind}; if that is meant, add {address} to the upstream's `private` (`--private`)"
)]
pub(super) struct RefusedAddress {
    host: String,
    address: IpAddr,
    kind: &'static str,
}

impl Filter {
    pub(super) fn new(origin: &Url, settings: &Endpoint) -> Self {
        let host = |url: &Url| url.host_str().map(str::to_owned);
        let proxy = settings.proxy.as_ref();
        let proxy = proxy.and_then(|proxy| Url::parse(str::from_utf8(proxy.expose()).ok()?).ok());
        let own = settings.is_host_trusted.then(|| host(origin)).flatten();
        Self {
            origin: origin.clone(),
            private: settings.private.clone(),
            trusted: proxy
                .as_ref()
                .and_then(host)
                .into_iter()
                .chain(own)
                .collect(),
        }
    }

    /// Looks at a host that is an address: no name is resolved for those. The parser of URLs has made of
    /// `127.1`, `0x7f.1` and `017700000001` what they stand for.
    pub(super) fn admit_url(&self, url: &Url) -> Result<(), RefusedAddress> {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        match address {
            Ok(address) if url.origin() != self.origin.origin() => self.admit(host, address),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Of the addresses of a name, those that may be connected to.
    pub(super) fn admitted(
        &self,
        name: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, RefusedAddress> {
        if self
            .trusted
            .iter()
            .any(|trusted| trusted.eq_ignore_ascii_case(name))
        {
            return Ok(found.collect());
        }
        let mut refused = None;
        let mut admitted = Vec::new();
        for address in found {
            match self.admit(name, address.ip()) {
                Ok(()) => admitted.push(address),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if admitted.is_empty() => Err(refusal),
            Some(_) | None => Ok(admitted),
        }
    }

    fn admit(&self, host: &str, address: IpAddr) -> Result<(), RefusedAddress> {
        let Some(kind) = special(address) else {
            return Ok(());
        };
        if self.private.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        Err(RefusedAddress {
            host: host.to_owned(),
            address: address.to_canonical(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::meaning::mirror::UpstreamLogin;

    fn settings(url: &str, private: &[(&str, u8)], is_host_trusted: bool) -> (Url, Endpoint) {
        let private = private.iter().map(|(address, prefix_bits)| Network {
            address: address.parse().expect("an address"),
            prefix_bits: *prefix_bits,
        });
        let endpoint = Endpoint {
            url: url.to_owned(),
            login: UpstreamLogin::Anonymous,
            auth_hosts: Vec::new(),
            ca: None,
            proxy: None,
            private: private.collect(),
            is_host_trusted,
            patience: Duration::from_secs(1),
            stall: Duration::from_secs(1),
        };
        (url.parse().expect("a URL"), endpoint)
    }

    fn filter(url: &str, private: &[(&str, u8)]) -> Filter {
        let (origin, endpoint) = settings(url, private, false);
        Filter::new(&origin, &endpoint)
    }

    /// S32: the literal corpus, in every form that parsers of URLs take for an address.
    #[test]
    fn sec_s32_addresses_in_urls_are_looked_at() {
        let public = filter("https://registry.example.com", &[]);
        let check = |url: &str, is_admitted: bool| {
            let parsed: Url = url.parse().expect("a URL");
            assert_eq!(public.admit_url(&parsed).is_ok(), is_admitted, "{url}");
        };
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://2130706433/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://１２７.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "https://10.1.2.3:8443/",
            "https://192.168.0.1/",
            "https://172.16.0.1/",
            "https://100.64.0.1/",
            "https://224.0.0.1/",
        ] {
            check(url, false);
        }
        check("https://1.1.1.1/", true);
        check("https://[2606:4700::1111]/", true);
        check("https://cdn.example.com/", true);
    }

    /// S32
    #[test]
    fn sec_s32_an_address_that_was_configured_is_that_one_alone() {
        let near = filter("http://127.0.0.1:5000", &[]);
        let admits =
            |filter: &Filter, url: &str| filter.admit_url(&url.parse().expect("a URL")).is_ok();
        assert!(admits(&near, "http://127.0.0.1:5000/v2/"));
        assert!(admits(&near, "http://127.1:5000/v2/"));
        assert!(!admits(&near, "http://127.0.0.1:5001/v2/"));
        assert!(!admits(&near, "http://127.0.0.1/v2/"));
        assert!(!admits(&near, "https://127.0.0.1:5000/v2/"));
        assert!(!admits(&near, "http://127.0.0.2:5000/v2/"));
        let wide = filter("https://registry.example.com", &[("10.0.0.0", 8)]);
        assert!(admits(&wide, "https://10.1.2.3/"));
        assert!(admits(&wide, "https://[::ffff:10.1.2.3]/"));
        assert!(!admits(&wide, "https://192.168.0.1/"));
    }

    /// S32: names that lead into private networks, once or at the second time of asking.
    #[test]
    fn sec_s32_names_are_filtered_by_their_addresses() {
        let found = |addresses: &[&str]| {
            let parse = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
            addresses.iter().map(parse).collect::<Vec<_>>().into_iter()
        };
        let public = filter("https://registry.example.com", &[]);
        let refused = public.admitted("rebind.example", found(&["127.0.0.1", "10.0.0.1"]));
        let refused = refused.expect_err("none is public").to_string();
        assert_eq!(
            refused,
            "rebind.example is at 10.0.0.1, an address of a private network; if that is meant, add \
             10.0.0.1 to the upstream's `private` (`--private`)"
        );
        let some = public.admitted("both.example", found(&["127.0.0.1", "1.1.1.1"]));
        assert_eq!(
            some.expect("one is public"),
            found(&["1.1.1.1"]).collect::<Vec<_>>()
        );
        assert!(
            public
                .admitted("registry.example.com", found(&["10.0.0.1"]))
                .is_err()
        );
        let (origin, endpoint) = settings("http://registry:5000", &[], true);
        let trusting = Filter::new(&origin, &endpoint);
        assert!(trusting.admitted("registry", found(&["10.0.0.1"])).is_ok());
        assert!(trusting.admitted("other", found(&["10.0.0.1"])).is_err());
    }
}
