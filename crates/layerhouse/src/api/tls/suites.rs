//! Cipher suites by the names that `http.tls.ciphersuites` has: Go's, which are those of IANA.

use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::{CipherSuite, SupportedCipherSuite};

/// Of TLS 1.2, those of today: with forward secrecy and authenticated encryption. AES-128 stands first, as
/// with registry:2: it costs a quarter less than AES-256, and nobody breaks either.
const TLS12: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Of TLS 1.3. As in Go they cannot be chosen among.
const TLS13: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// What registry:2 takes besides: without forward secrecy, or with CBC.
const OUTDATED: [&str; 13] = [
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// The suites that were asked for, or all if none was; and what is to be said about the names.
pub(super) fn choose(
    names: &[String],
    only_1_3: bool,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Vec<SupportedCipherSuite> {
    let mut suites = TLS13.to_vec();
    if only_1_3 {
        return suites;
    }
    if names.is_empty() {
        suites.extend(TLS12);
        return suites;
    }
    let mut are_known = true;
    let mut is_any_spoken = false;
    for name in names {
        let suite = |suite: &&SupportedCipherSuite| self::name(suite.suite()) == *name;
        if let Some(suite) = TLS12.iter().find(suite) {
            suites.push(*suite);
            is_any_spoken = true;
        } else if TLS13.iter().any(|known| suite(&known)) {
            is_any_spoken = true;
        } else if OUTDATED.contains(&name.as_str()) {
            warnings.push(format!(
                "http.tls.ciphersuites: {name} is too weak to be spoken here and left out"
            ));
        } else {
            are_known = false;
            problems.push(format!(
                "http.tls.ciphersuites: {name} is not known; there are {}",
                all_names()
            ));
        }
    }
    if are_known && !is_any_spoken {
        problems.push(format!(
            "http.tls.ciphersuites: none of them is spoken here; there are {}",
            all_names()
        ));
    }
    suites
}

/// Whether a client has hardware for AES, which it says by the first suite that it knows of ours: one
/// without it (a Raspberry Pi) prefers ChaCha20 and should have it. Go's servers look at the same.
pub(super) fn wants_aes(offered: &[CipherSuite]) -> bool {
    let ours = |suite: &&CipherSuite| {
        let mut known = TLS13.iter().chain(&TLS12);
        known.any(|known| known.suite() == **suite)
    };
    let first = offered.iter().find(ours);
    first.is_some_and(|suite| !name(*suite).contains("CHACHA20"))
}

/// rustls names those of TLS 1.3 in its own way.
fn name(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

fn all_names() -> String {
    let suites = TLS12.iter().chain(&TLS13);
    let names: Vec<String> = suites.map(|suite| name(suite.suite())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_suites() {
        let check = |names: &[&str], count: usize, problems: &str, warnings: &str| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let (mut found, mut said) = (Vec::new(), Vec::new());
            let suites = choose(&names, false, &mut found, &mut said);
            assert_eq!(suites.len(), count, "{names:?}");
            for (lines, expected) in [(found, problems), (said, warnings)] {
                let lines = lines.join("\n");
                assert_eq!(lines.is_empty(), expected.is_empty(), "{names:?}: {lines}");
                assert!(lines.contains(expected), "{names:?}: {lines}");
            }
        };
        let good = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let old = "TLS_RSA_WITH_AES_128_CBC_SHA";
        check(&[], 9, "", "");
        check(&[good], 4, "", "");
        check(&["TLS_AES_128_GCM_SHA256"], 3, "", "");
        check(&[good, old], 4, "", "left out");
        check(&[old], 3, "none of them", "left out");
        check(
            &[good, "TLS_RSA"],
            4,
            "TLS_RSA is not known; there are TLS_ECDHE_ECDSA",
            "",
        );
        check(&["tls_aes_128_gcm_sha256"], 3, "not known", "");
    }

    #[test]
    fn clients_without_hardware_for_aes_have_their_way() {
        let check = |offered: &[CipherSuite], expected| {
            assert_eq!(wants_aes(offered), expected, "{offered:?}");
        };
        let grease = CipherSuite::Unknown(0x0a0a);
        let chacha = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        let aes = CipherSuite::TLS13_AES_256_GCM_SHA384;
        check(&[aes, chacha], true);
        check(&[grease, aes, chacha], true);
        check(&[chacha, aes], false);
        check(&[grease, chacha], false);
        check(&[grease], false);
    }

    #[test]
    fn only_1_3_needs_no_names() {
        let suites = choose(&["whatever".to_owned()], true, &mut vec![], &mut vec![]);
        assert_eq!(suites.len(), 3);
    }
}
