//! `http.tls`.

use std::path::PathBuf;

use crate::config::meaning::{Certificate, ClientAuth, Tls};
use crate::config::reader::Section;

/// Let's Encrypt's own.
const DIRECTORY_DEFAULT: &str = "https://acme-v02.api.letsencrypt.org/directory";

pub(in crate::config) fn read(http: &Section<'_>) -> Option<Tls> {
    let tls = http.section("tls");
    let certificate = tls.text("certificate").map(PathBuf::from);
    let key = tls.text("key").map(PathBuf::from);
    let client_cas: Vec<_> = tls
        .texts("clientcas")
        .into_iter()
        .map(PathBuf::from)
        .collect();
    let kinds = [
        ("request-client-cert", ClientAuth::Request),
        ("require-any-client-cert", ClientAuth::RequireAny),
        ("verify-client-cert-if-given", ClientAuth::VerifyIfGiven),
        (
            "require-and-verify-client-cert",
            ClientAuth::RequireAndVerify,
        ),
    ];
    let client_auth = tls.word("clientauth", &kinds, Some("require-and-verify-client-cert"));
    if tls.has("clientauth") && client_cas.is_empty() {
        tls.warn(
            "clientauth",
            "does nothing without http.tls.clientcas: no client is asked for a certificate",
        );
    }
    let only_1_3 = only_1_3(&tls);
    let cipher_suites = tls.texts("ciphersuites");
    let acme = acme(&tls.section("letsencrypt"));
    let certificate = match (certificate, key, acme) {
        (Some(_), _, Some(_)) => {
            tls.refuse(
                "letsencrypt",
                "cannot go with http.tls.certificate; one must go",
            );
            return None;
        }
        (Some(certificate), Some(key), None) => Certificate::Files { certificate, key },
        (Some(_), None, None) => {
            tls.refuse("key", "is missing: the file of the certificate's key");
            return None;
        }
        (None, Some(_), None) => {
            tls.refuse(
                "certificate",
                "is missing: the file that goes with http.tls.key",
            );
            return None;
        }
        (None, _, Some(acme)) => acme,
        (None, None, None) => {
            if !client_cas.is_empty() {
                tls.refuse(
                    "clientcas",
                    "needs http.tls.certificate and http.tls.key: without TLS no client is verified",
                );
            }
            return None;
        }
    };
    Some(Tls {
        certificate,
        only_1_3,
        cipher_suites,
        client_cas,
        client_auth: client_auth.unwrap_or(ClientAuth::RequireAndVerify),
    })
}

fn only_1_3(tls: &Section<'_>) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Version {
        Old,
        V1_2,
        V1_3,
    }
    let versions = [
        ("tls1.0", Version::Old),
        ("tls1.1", Version::Old),
        ("tls1.2", Version::V1_2),
        ("tls1.3", Version::V1_3),
        ("", Version::V1_2),
    ];
    let version = tls.word("minimumtls", &versions, Some("tls1.2"));
    if version == Some(Version::Old) {
        tls.warn(
            "minimumtls",
            "means tls1.2: older versions are broken and not spoken",
        );
    }
    version == Some(Version::V1_3)
}

fn acme(acme: &Section<'_>) -> Option<Certificate> {
    let email = acme.text("email");
    let hosts = acme.texts("hosts");
    let directory_url = acme.text_or("directoryurl", DIRECTORY_DEFAULT);
    let Some(cache) = acme.text("cachefile") else {
        if email.is_some() || !hosts.is_empty() {
            acme.refuse(
                "cachefile",
                "is missing: where account and certificates are kept",
            );
        }
        return None;
    };
    if hosts.is_empty() {
        acme.refuse("hosts", "is missing: the names to ask certificates for");
    }
    if !directory_url.starts_with("https://") {
        acme.refuse("directoryurl", "must begin with https://");
    }
    Some(Certificate::Acme {
        cache: PathBuf::from(cache),
        email,
        hosts,
        directory_url,
    })
}
