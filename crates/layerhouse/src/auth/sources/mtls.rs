//! Who a client certificate names, once TLS verified that it is good and the client's.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{account_name, kept};
use crate::auth::outsider::Outsider;
use crate::config::meaning::sources::{CertificateField, Mtls};

/// What accounts say of their source.
pub(crate) const MTLS: &str = "mtls";

/// The holder of a certificate in DER; `None` if it names nobody, or several.
pub(crate) fn holder(der: &[u8], config: &Mtls) -> Option<Outsider> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let common_names = || {
        let names = subject.iter_common_name();
        names.filter_map(|name| name.as_str().ok()).collect()
    };
    let texts: Vec<&str> = match config.from {
        CertificateField::CommonName => common_names(),
        CertificateField::SanEmail | CertificateField::SanUri | CertificateField::SanDns => {
            let extension = certificate.subject_alternative_name().ok()??;
            let names = extension.value.general_names.iter();
            names.filter_map(|name| text(name, config.from)).collect()
        }
    };
    let named = texts.iter().filter_map(|text| {
        let name = account_name(text, config.pattern.as_ref())?;
        Some((*text, name))
    });
    let mut named: Vec<_> = named.collect();
    named.dedup();
    // Of two names, we would not know whose it is.
    let [(text, name)] = named[..].as_ref() else {
        return None;
    };
    let email = if config.from == CertificateField::SanEmail {
        kept(text)
    } else {
        String::new()
    };
    let full_name = match (config.from, common_names()[..].as_ref()) {
        (CertificateField::CommonName, _) | (_, []) => String::new(),
        (_, [first, ..]) => kept(first),
    };
    Some(Outsider {
        source: MTLS.to_owned(),
        subject: (*text).to_owned(),
        name: name.as_str().to_owned(),
        full_name,
        email,
        teams: None,
        is_name_assigned: true,
    })
}

fn text<'a>(name: &GeneralName<'a>, from: CertificateField) -> Option<&'a str> {
    match (name, from) {
        (GeneralName::RFC822Name(text), CertificateField::SanEmail)
        | (GeneralName::URI(text), CertificateField::SanUri)
        | (GeneralName::DNSName(text), CertificateField::SanDns) => {
            // What is cut off at a NUL elsewhere is somebody else there.
            (!text.chars().any(char::is_control)).then_some(*text)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};
    use regex::Regex;

    use super::*;
    use crate::config::meaning::sources::NamePattern;

    fn certificate(common_name: &str, names: Vec<SanType>) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
        }
        params.subject_alt_names = names;
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    }

    #[test]
    fn certificates_name_one_holder() {
        use CertificateField::{CommonName, SanDns, SanEmail, SanUri};
        let email = |text: &str| SanType::Rfc822Name(text.try_into().expect("ASCII"));
        let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
        let dns = |text: &str| SanType::DnsName(text.try_into().expect("ASCII"));
        let check = |from, pattern: Option<&str>, names: Vec<SanType>, expected: Option<&str>| {
            let pattern = pattern.map(|text| NamePattern(Regex::new(text).expect("a pattern")));
            let config = Mtls { from, pattern };
            let found = holder(&certificate("Ann-Lee", names), &config);
            let found = found.map(|found| format!("{} {}", found.name, found.subject));
            assert_eq!(found.as_deref(), expected, "{from:?}");
        };
        let corp = Some("^(?:([^@]+)@corp[.]example)$");
        check(CommonName, None, vec![], Some("ann-lee Ann-Lee"));
        check(
            SanEmail,
            corp,
            vec![email("ann@corp.example")],
            Some("ann ann@corp.example"),
        );
        check(SanEmail, corp, vec![email("ann@evil.example")], None);
        check(SanEmail, None, vec![email("ann@corp.example")], None);
        check(SanEmail, corp, vec![], None);
        check(SanEmail, corp, vec![dns("ann@corp.example")], None);
        let both = vec![email("ann@corp.example"), email("bob@corp.example")];
        check(SanEmail, corp, both, None);
        let elsewhere = vec![email("x@evil.example"), email("bob@corp.example")];
        check(SanEmail, corp, elsewhere, Some("bob bob@corp.example"));
        let spiffe = Some("^(?:spiffe://corp/ns/ci/sa/([a-z]+))$");
        let job = "spiffe://corp/ns/ci/sa/build";
        check(
            SanUri,
            spiffe,
            vec![uri(job)],
            Some(&format!("build {job}")),
        );
        check(
            SanDns,
            None,
            vec![dns("build.corp.example")],
            Some("build.corp.example build.corp.example"),
        );
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        let config = Mtls {
            from: CertificateField::CommonName,
            pattern: None,
        };
        assert!(holder(b"", &config).is_none());
        assert!(holder(&[0x30; 64], &config).is_none());
    }
}
