//! Which form of a manifest a client gets, decided from what it says it accepts.
//!
//! This is content negotiation as registry:2 does it and old clients rely on, not as RFC 9110 has
//! it: weights do not order the choice, for there is only one thing to serve. Only `q=0` counts.

use crate::media_type::{DOCKER_MANIFEST, ManifestKind, OCI_MANIFEST};

/// What to answer to a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Negotiated {
    /// The bytes that were pushed, under their own type.
    AsStored,
    /// An index that the client cannot read: its linux/amd64 manifest in its place. Ask again for
    /// that one, since it may be of a kind that the client cannot read either.
    PlatformChild,
    /// Nothing that the client can read: 404, and the message says that it is there.
    NotAcceptable,
}

/// How to answer a pull of a `stored` manifest, `by_tag` or by digest.
///
/// `accept` are the values of all `Accept` headers, each perhaps a list. The first rule that fits:
///
/// 1. A Docker manifest of schema 2 is served to all: there is nothing older to turn it into. So is a
///    Docker list by digest: registry:2 replaces it by tag alone.
/// 2. A client that accepts the stored type, `application/*`, `*/*`, or does not say what it
///    accepts, gets what is stored.
/// 3. A client that asks for an index by tag and accepts image manifests only gets the manifest
///    of a platform. By digest it may not, as the bytes would not have that digest.
/// 4. All else is not acceptable.
#[must_use]
pub fn negotiate(accept: &[&str], stored: ManifestKind, by_tag: bool) -> Negotiated {
    let accepts = |media_type| accepts(accept, media_type);
    let is_for_all = match stored {
        ManifestKind::DockerManifest => true,
        ManifestKind::DockerList => !by_tag,
        ManifestKind::OciManifest | ManifestKind::OciIndex => false,
    };
    if is_for_all || accepts(stored.media_type()) {
        return Negotiated::AsStored;
    }
    let reads_images = accepts(OCI_MANIFEST) || accepts(DOCKER_MANIFEST);
    if by_tag && stored.is_index() && reads_images {
        return Negotiated::PlatformChild;
    }
    Negotiated::NotAcceptable
}

/// Whether `accept` covers `media_type`; of several entries that do, the most specific decides
/// (RFC 9110, section 12.5.1).
fn accepts(accept: &[&str], media_type: &str) -> bool {
    let mut is_empty = true;
    let mut decided_by = Specificity::None;
    let mut decision = false;
    for (range, is_wanted) in entries(accept) {
        is_empty = false;
        let specificity = Specificity::of(range, media_type);
        if decided_by < specificity {
            (decided_by, decision) = (specificity, is_wanted);
        } else if decided_by == specificity && specificity != Specificity::None {
            decision |= is_wanted;
        }
    }
    is_empty || decision
}

/// How closely an entry names a type; in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    None,
    Anything,
    Application,
    Exact,
}

impl Specificity {
    /// `media_type` is one of ours, so it is an `application/…`.
    fn of(range: &str, media_type: &str) -> Self {
        if range.eq_ignore_ascii_case(media_type) {
            Self::Exact
        } else if range.eq_ignore_ascii_case("application/*") {
            Self::Application
        } else if range == "*/*" {
            Self::Anything
        } else {
            Self::None
        }
    }
}

/// The entries of all headers: the type or pattern, and whether it is wanted rather than excluded.
fn entries<'a>(accept: &'a [&'a str]) -> impl Iterator<Item = (&'a str, bool)> {
    accept
        .iter()
        .flat_map(|value| value.split(','))
        .map(|entry| {
            let (range, parameters) = entry.split_once(';').unwrap_or((entry, ""));
            (range.trim(), !parameters.split(';').any(excludes))
        })
        .filter(|(range, _)| !range.is_empty())
}

/// Whether a parameter is `q=0`, however many zeros it is written with.
fn excludes(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    name.trim().eq_ignore_ascii_case("q")
        && whole.trim() == "0"
        && decimals.trim().bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media_type::{DOCKER_LIST, OCI_INDEX};

    const DOCKER_20: &str = "application/json, application/vnd.docker.distribution.manifest.v2+json, \
        application/vnd.docker.distribution.manifest.list.v2+json, \
        application/vnd.docker.distribution.manifest.v1+prettyjws, \
        application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

    /// `expected` by tag and by digest, for the OCI manifest, OCI index, Docker manifest and list.
    fn check(accept: &[&str], expected: &str) {
        let told = |by_tag| {
            ManifestKind::ALL.map(|stored| match negotiate(accept, stored, by_tag) {
                Negotiated::AsStored => "stored",
                Negotiated::PlatformChild => "child",
                Negotiated::NotAcceptable => "none",
            })
        };
        let told = format!("{} | {}", told(true).join(" "), told(false).join(" "));
        assert_eq!(told, expected, "{accept:?}");
    }

    #[test]
    fn clients_get_what_they_read() {
        let all = "stored stored stored stored | stored stored stored stored";
        check(&[], all);
        check(&[""], all);
        check(&[" , ,", ""], all);
        check(&["*/*"], all);
        check(&["application/*"], all);
        check(&["text/html", "APPLICATION/*;q=0.1"], all);
        check(&[DOCKER_20], all);
        check(
            &[OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST],
            all,
        );
        check(&[&OCI_MANIFEST.to_uppercase(), OCI_INDEX, DOCKER_LIST], all);
    }

    #[test]
    fn clients_without_indexes_get_a_platform_by_tag() {
        check(
            &[DOCKER_MANIFEST],
            "none child stored child | none none stored stored",
        );
        check(
            &[OCI_MANIFEST],
            "stored child stored child | stored none stored stored",
        );
        check(
            &[DOCKER_MANIFEST, DOCKER_LIST],
            "none child stored stored | none none stored stored",
        );
        check(
            &[OCI_INDEX],
            "none stored stored none | none stored stored stored",
        );
        check(
            &["application/json"],
            "none none stored none | none none stored stored",
        );
        check(
            &["text/*"],
            "none none stored none | none none stored stored",
        );
        check(
            &["nonsense"],
            "none none stored none | none none stored stored",
        );
    }

    #[test]
    fn weight_zero_excludes() {
        let no_index =
            format!("{OCI_INDEX};q=0, {OCI_MANIFEST}; charset=utf-8; Q = 0.000, */*;q=0.5");
        check(
            &[&no_index],
            "none child stored stored | none none stored stored",
        );
        check(
            &["*/*;q=0"],
            "none none stored none | none none stored stored",
        );
        check(
            &["*/*;q=0.", OCI_INDEX],
            "none stored stored none | none stored stored stored",
        );
        for weight in ["0.1", "00", "1", "", "x", "0.0x", "-0"] {
            let all = "stored stored stored stored | stored stored stored stored";
            check(&[&format!("*/*;q={weight}")], all);
        }
        let of_three = "stored child stored child | stored none stored stored";
        check(&["application/*;q=0", "*/*", OCI_MANIFEST], of_three);
    }

    proptest! {
        #[test]
        fn only_an_index_by_tag_is_replaced(
            accept in prop::collection::vec(
                prop_oneof![
                    "\\PC{0,20}",
                    "(application/(\\*|vnd.oci.image.(manifest|index).v1\\+json)|\\*/\\*)(;q=[01](.0)?)?,?",
                ],
                0..5,
            ),
            by_tag in any::<bool>(),
        ) {
            let accept: Vec<_> = accept.iter().map(String::as_str).collect();
            for stored in ManifestKind::ALL {
                if negotiate(&accept, stored, by_tag) == Negotiated::PlatformChild {
                    prop_assert!(by_tag && stored.is_index());
                }
            }
            // How the entries are spread over headers makes no difference.
            let joined = accept.join(",");
            for stored in ManifestKind::ALL {
                prop_assert_eq!(negotiate(&accept, stored, by_tag), negotiate(&[&joined], stored, by_tag));
            }
        }
    }
}
