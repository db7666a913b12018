//! What `layerhouse.index` says of identity from outside: directories, providers, certificates and the
//! tokens of CI jobs.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use layerhouse_oci::namespace::NamespaceName;
use regex::Regex;

use crate::auth::credentials::Secret;
use crate::auth::rights::Limits;

/// Who vouches for people, beside our own passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) ldap: Option<Ldap>,
    pub(crate) oidc: Vec<Oidc>,
    pub(crate) mtls: Option<Mtls>,
    pub(crate) workloads: Vec<Workload>,
}

/// A team of an organization: `acme/developers`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TeamName {
    pub(crate) organization: NamespaceName,
    pub(crate) team: NamespaceName,
}

impl FromStr for TeamName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (organization, team) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is no team; write organization/team"))?;
        let read = |name: &str| {
            name.parse::<NamespaceName>()
                .map_err(|error| format!("{text:?} is no team: {error}"))
        };
        Ok(Self {
            organization: read(organization)?,
            team: read(team)?,
        })
    }
}

/// A group of a source, and the team whose members its members are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TeamOfGroup {
    pub(crate) group: String,
    pub(crate) team: TeamName,
}

/// What of a text is the name of an account: the first group of the expression, which matches it whole.
#[derive(Clone, Debug)]
pub(crate) struct NamePattern(pub(crate) Regex);

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for NamePattern {}

/// `ldap`: passwords are checked by a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ldap {
    /// Tried in this order; at least one.
    pub(crate) servers: Vec<LdapServer>,
    /// Certificates in PEM; absent, the system's roots count.
    pub(crate) authorities: Option<Vec<u8>>,
    /// For all that one server is asked in one sign-in.
    pub(crate) timeout: Duration,
    pub(crate) find: FindEntry,
    pub(crate) attributes: LdapAttributes,
    pub(crate) groups: LdapGroups,
    pub(crate) teams: Vec<TeamOfGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LdapServer {
    /// `ldap://host:port` or `ldaps://host:port`.
    pub(crate) url: String,
    pub(crate) starts_tls: bool,
}

/// How somebody's entry is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FindEntry {
    /// Its name is known: `uid={user},ou=people,dc=example,dc=com`.
    Template(String),
    /// It is searched for, with an account of ours or as nobody.
    Search {
        bind: Option<(String, Secret)>,
        base: String,
        filter: String,
    },
}

/// Where an entry says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LdapAttributes {
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) email: String,
    /// What stays the same when the entry is renamed; absent, its distinguished name.
    pub(crate) subject: Option<String>,
}

/// Where it is said which groups somebody is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LdapGroups {
    None,
    /// In their entry: names of groups.
    Attribute(String),
    /// In the groups' entries.
    Search {
        base: String,
        /// With `{dn}` and `{user}`.
        filter: String,
        /// What a group is called; absent, its distinguished name.
        name: Option<String>,
    },
}

/// One of `oidc`: people sign in with a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oidc {
    /// Stands in paths and in the source of accounts.
    pub(crate) name: NamespaceName,
    /// What people read; the name if nothing was said.
    pub(crate) title: String,
    /// As `iss` has it.
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// Absent for a public client, which has PKCE alone.
    pub(crate) client_secret: Option<Secret>,
    pub(crate) scopes: Vec<String>,
    pub(crate) name_claim: String,
    pub(crate) name_pattern: Option<NamePattern>,
    pub(crate) groups_claim: String,
    /// Not empty, who is in none of these is refused.
    pub(crate) allowed_groups: Vec<String>,
    /// Not empty, who has no verified address there is refused.
    pub(crate) allowed_domains: Vec<String>,
    /// Names of RFC 7518 that the provider may sign with.
    pub(crate) algorithms: Vec<String>,
    pub(crate) teams: Vec<TeamOfGroup>,
}

/// `mtls`: who shows a certificate of `http.tls.clientcas` is signed in by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mtls {
    pub(crate) from: CertificateField,
    pub(crate) pattern: Option<NamePattern>,
}

/// What of a certificate names its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateField {
    SanEmail,
    SanUri,
    SanDns,
    CommonName,
}

impl CertificateField {
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("san-email", Self::SanEmail),
        ("san-uri", Self::SanUri),
        ("san-dns", Self::SanDns),
        ("cn", Self::CommonName),
    ];
}

/// One of `workloads`: an issuer whose tokens CI jobs bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: NamespaceName,
    /// As `iss` has it.
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) keys: WorkloadKeys,
    pub(crate) algorithms: Vec<String>,
    /// The first that fits counts.
    pub(crate) rules: Vec<WorkloadRule>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WorkloadKeys {
    /// Where the issuer's own description says.
    Discovered,
    Url(String),
    File(PathBuf),
}

/// Who a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadRule {
    /// Every claim must be there and fit; at least one.
    pub(crate) claims: Vec<(String, ClaimPattern)>,
    /// A user or a robot that exists.
    pub(crate) account: String,
    /// Absent for all that the account may.
    pub(crate) limits: Option<Limits>,
}

/// What a claim must be: `*` stands for any text without `/` and `:`, `**` for any text at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPattern(Box<str>);

impl ClaimPattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `text` fits.
    pub(crate) fn fits(&self, text: &str) -> bool {
        fits(self.0.as_bytes(), text.as_bytes())
    }
}

/// Where to go on after a star that took too little: pattern behind it, text it took, whether it takes all.
struct Star {
    pattern_at: usize,
    text_at: usize,
}

/// Two stars of each kind are enough to come back to: a later one of a kind can take all that an earlier
/// one could, so this ends after pattern × text steps.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_at, mut text_at) = (0, 0);
    let (mut narrow, mut wide): (Option<Star>, Option<Star>) = (None, None);
    loop {
        let rest = &pattern[pattern_at..];
        if rest.starts_with(b"**") {
            pattern_at += 2;
            // What a narrow star before it took can be taken no better.
            (narrow, wide) = (
                None,
                Some(Star {
                    pattern_at,
                    text_at,
                }),
            );
            continue;
        }
        if rest.first() == Some(&b'*') {
            pattern_at += 1;
            narrow = Some(Star {
                pattern_at,
                text_at,
            });
            continue;
        }
        match (rest.first(), text.get(text_at)) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found => {
                pattern_at += 1;
                text_at += 1;
                continue;
            }
            _ => {}
        }
        // A star takes one byte more, the nearest one that can.
        if let Some(star) = &mut narrow
            && text
                .get(star.text_at)
                .is_some_and(|byte| !matches!(byte, b'/' | b':'))
        {
            star.text_at += 1;
            (pattern_at, text_at) = (star.pattern_at, star.text_at);
            continue;
        }
        narrow = None;
        match &mut wide {
            Some(star) if star.text_at < text.len() => {
                star.text_at += 1;
                (pattern_at, text_at) = (star.pattern_at, star.text_at);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claims_fit_patterns() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(
                ClaimPattern::new(pattern).fits(text),
                expected,
                "{pattern} {text}"
            );
        };
        check("acme/*", "acme/web", true);
        check("acme/*", "acme/", true);
        check("acme/*", "acme/web/x", false);
        check("acme/*", "acmex/web", false);
        check("acme/*", "evil/acme/web", false);
        check("refs/heads/*", "refs/heads/main", true);
        check("refs/heads/*", "refs/heads/a/b", false);
        check("refs/heads/**", "refs/heads/a/b", true);
        check(
            "repo:acme/*:ref:refs/heads/main",
            "repo:acme/web:ref:refs/heads/main",
            true,
        );
        // What people may name must not take the place of what follows.
        check(
            "repo:acme/*:ref:refs/heads/main",
            "repo:acme/web:environment:ref:refs/heads/main",
            false,
        );
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("a", "", false);
        check("**/x/*", "a/x/b/x/c", true);
        check("**/x/*", "a/x/b/x/c/d", false);
        check("*a*b", "xaxbxb", true);
        check("main", "Main", false);
    }

    /// The plain definition, exponential.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| slowly(rest, &text[at..])),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|at| !text[..*at].iter().any(|byte| b"/:".contains(byte)))
                .any(|at| slowly(rest, &text[at..])),
            [first, rest @ ..] => text.first() == Some(first) && slowly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_take_what_they_may(pattern in "[ab/*]{0,8}", text in "[ab/:]{0,8}") {
            let expected = slowly(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(ClaimPattern::new(&pattern).fits(&text), expected);
        }
    }

    #[test]
    fn teams_are_of_organizations() {
        let team: TeamName = "acme/developers".parse().expect("a team");
        assert_eq!(
            (team.organization.as_str(), team.team.as_str()),
            ("acme", "developers")
        );
        for text in ["", "acme", "acme/", "/dev", "Acme/dev", "acme/dev/x"] {
            assert!(text.parse::<TeamName>().is_err(), "{text}");
        }
    }
}
