//! `layerhouse.index`: who vouches for people, beside our own passwords. Directories, certificates and what
//! sources have in common; providers and CI jobs are in `index_issuers.rs`.

use std::time::Duration;

use regex::Regex;

use crate::auth::credentials::Secret;
use crate::config::meaning::Tls;
use crate::config::meaning::sources::{
    CertificateField, FindEntry, Ldap, LdapAttributes, LdapGroups, LdapServer, Mtls, NamePattern,
    Sources, TeamOfGroup,
};
use crate::config::reader::Section;

/// A sign-in that takes longer is given up by clients.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// `index`: the section `layerhouse.index`.
pub(in crate::config) fn read(index: &Section<'_>, tls: Option<&Tls>) -> Sources {
    Sources {
        ldap: index.has("ldap").then(|| ldap(&index.section("ldap"))),
        oidc: super::index_issuers::oidc(index),
        mtls: index
            .has("mtls")
            .then(|| mtls(&index.section("mtls"), tls))
            .flatten(),
        workloads: super::index_issuers::workloads(index),
    }
}

fn ldap(ldap: &Section<'_>) -> Ldap {
    let starts_tls = ldap.flag("starttls", false);
    let may_be_plain = ldap.flag("plaintext", false);
    let urls = ldap.texts("urls");
    if urls.is_empty() {
        ldap.refuse("urls", "is missing: ldaps://ldap.example.com");
    }
    let servers = urls.into_iter().filter_map(|url| {
        let server = server(&url, starts_tls);
        match server {
            Some((server, host)) if !server.is_secure() && !may_be_plain && !is_local(&host) => {
                ldap.refuse(
                    "urls",
                    format!(
                        "{url}: passwords would cross the network for all to read; use ldaps:// or \
                         starttls: true, or insist with plaintext: true"
                    ),
                );
                None
            }
            Some((server, _)) => Some(server),
            None => {
                ldap.refuse(
                    "urls",
                    format!("{url:?} is not ldap://HOST or ldaps://HOST"),
                );
                None
            }
        }
    });
    let servers = servers.collect();
    let timeout = ldap.duration_above_zero("timeout", Duration::from_secs(5));
    if TIMEOUT_MAX < timeout {
        ldap.refuse("timeout", "must be at most 1m");
    }
    Ldap {
        servers,
        authorities: file(ldap, "cafile"),
        timeout,
        find: find(ldap),
        attributes: attributes(&ldap.section("attributes")),
        groups: groups(&ldap.section("groups")),
        teams: teams(ldap),
    }
}

impl LdapServer {
    fn is_secure(&self) -> bool {
        self.starts_tls || self.url.starts_with("ldaps://")
    }
}

/// The server of a URL, and its host.
fn server(url: &str, starts_tls: bool) -> Option<(LdapServer, String)> {
    let parsed = url.parse::<http::Uri>().ok()?;
    let scheme = parsed.scheme_str()?;
    let authority = parsed.authority()?;
    let is_bare = matches!(parsed.path(), "" | "/") && parsed.query().is_none();
    if !matches!(scheme, "ldap" | "ldaps") || !is_bare || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().to_owned();
    let server = LdapServer {
        url: format!("{scheme}://{authority}"),
        starts_tls: starts_tls && scheme == "ldap",
    };
    (!host.is_empty()).then_some((server, host))
}

/// Whether a host is this machine.
pub(super) fn is_local(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn find(ldap: &Section<'_>) -> FindEntry {
    let template = ldap.text("userdn");
    let has_search = ldap.has("search");
    match template {
        Some(_) if has_search => {
            ldap.take_all("search");
            ldap.refuse("userdn", "cannot go with search; one must go");
            FindEntry::Template(String::new())
        }
        Some(template) => {
            if template.matches("{user}").count() != 1 || !template.contains('=') {
                ldap.refuse(
                    "userdn",
                    "must have {user} in it once: uid={user},ou=people,dc=example,dc=com",
                );
            }
            FindEntry::Template(template)
        }
        None => {
            if !has_search {
                ldap.refuse("userdn", "is missing, and so is search; one must be there");
                return FindEntry::Template(String::new());
            }
            let search = ldap.section("search");
            let dn = search.text("binddn");
            let password = secret(&search, "bindpassword");
            let bind = match (dn, password) {
                (Some(dn), Some(password)) => Some((dn, password)),
                (None, None) => None,
                (Some(_), None) => {
                    // Without one, servers let anybody in, as nobody.
                    search.refuse("bindpassword", "is missing, or bindpasswordfile");
                    None
                }
                (None, Some(_)) => {
                    search.refuse("binddn", "is missing: whose password it is");
                    None
                }
            };
            let filter = search.text_or("filter", "(uid={user})");
            check_filter(&search, &filter, &["{user}"]);
            FindEntry::Search {
                bind,
                base: search.text_needed("base"),
                filter,
            }
        }
    }
}

/// A filter has one of these in it, and is in brackets that match.
fn check_filter(section: &Section<'_>, filter: &str, places: &[&str]) {
    let mut depth = 0_i32;
    let mut is_balanced = filter.starts_with('(') && filter.ends_with(')');
    for (at, letter) in filter.char_indices() {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        is_balanced &= 0 < depth || at + 1 == filter.len();
    }
    if !is_balanced || depth != 0 {
        section.refuse(
            "filter",
            format!("{filter:?} is not one filter in brackets"),
        );
    }
    if !places.iter().any(|place| filter.contains(place)) {
        section.refuse("filter", format!("must have {} in it", places.join(" or ")));
    }
}

fn attributes(attributes: &Section<'_>) -> LdapAttributes {
    LdapAttributes {
        name: attributes.text_or("name", "uid"),
        full_name: attributes.text_or("fullname", "cn"),
        email: attributes.text_or("email", "mail"),
        subject: attributes.text("subject").filter(|name| name != "dn"),
    }
}

fn groups(groups: &Section<'_>) -> LdapGroups {
    let attribute = groups.text("attribute");
    let base = groups.text("base");
    match (attribute, base) {
        (Some(_), Some(_)) => {
            groups.refuse("attribute", "cannot go with base; one must go");
            LdapGroups::None
        }
        (Some(attribute), None) => LdapGroups::Attribute(attribute),
        (None, Some(base)) => {
            let filter = groups.text_or("filter", "(member={dn})");
            check_filter(groups, &filter, &["{dn}", "{user}"]);
            LdapGroups::Search {
                base,
                filter,
                name: groups.text("name"),
            }
        }
        (None, None) => LdapGroups::None,
    }
}

/// `teams`: a list of groups with the teams that their members are in.
pub(super) fn teams(section: &Section<'_>) -> Vec<TeamOfGroup> {
    let entries = section.sections("teams");
    let read = |entry: &Section<'_>| {
        let group = entry.text_needed("group");
        let team = entry.text_needed("team").parse();
        let team = team.map_err(|problem| entry.refuse("team", problem)).ok()?;
        Some(TeamOfGroup { group, team })
    };
    entries.iter().filter_map(read).collect()
}

fn mtls(mtls: &Section<'_>, tls: Option<&Tls>) -> Option<Mtls> {
    let verifies = tls.is_some_and(|tls| tls.client_auth.verifies() && !tls.client_cas.is_empty());
    if !verifies {
        // A certificate that nobody verified says what its holder likes.
        mtls.refuse(
            "",
            "needs http.tls.clientcas, and http.tls.clientauth to be verify-client-cert-if-given or \
             require-and-verify-client-cert",
        );
    }
    let from = mtls.word("from", &CertificateField::ALL, Some("san-email"));
    let pattern = pattern(mtls, "pattern");
    Some(Mtls {
        from: from?,
        pattern,
    })
}

/// A regular expression whose first group is the name of an account.
pub(super) fn pattern(section: &Section<'_>, key: &str) -> Option<NamePattern> {
    let text = section.text(key)?;
    let whole = Regex::new(&format!("^(?:{text})$"));
    match whole {
        Ok(pattern) if pattern.captures_len() == 2 => Some(NamePattern(pattern)),
        Ok(_) => {
            section.refuse(
                key,
                "must have one group in it, which is the name: ([^@]+)@example[.]com",
            );
            None
        }
        Err(_) => {
            section.refuse(key, format!("{text:?} is not a regular expression"));
            None
        }
    }
}

/// A secret, or what the file of `<key>file` holds without the end of its line.
pub(super) fn secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    let key_of_file = format!("{key}file");
    let direct = section.text(key);
    let content = file(section, &key_of_file);
    match (direct, content) {
        (Some(_), Some(_)) => {
            section.refuse(
                key,
                format!("is said, and so is {key_of_file}; one must go"),
            );
            None
        }
        (Some(text), None) => Some(Secret::new(text.into_bytes())),
        (None, Some(mut content)) => {
            while content
                .last()
                .is_some_and(|last| matches!(last, b'\r' | b'\n'))
            {
                content.pop();
            }
            if content.is_empty() || str::from_utf8(&content).is_err() {
                section.refuse(&key_of_file, "names a file that is empty, or not text");
            }
            Some(Secret::new(content))
        }
        (None, None) => None,
    }
}

/// What the file holds that a key names.
fn file(section: &Section<'_>, key: &str) -> Option<Vec<u8>> {
    const BYTES_MAX: usize = 1 << 20;
    let path = section.text(key)?;
    match std::fs::read(&path) {
        Ok(content) if content.len() <= BYTES_MAX => Some(content),
        Ok(_) => {
            section.refuse(key, "names a file of more than 1 MiB");
            None
        }
        Err(error) => {
            section.refuse(key, format!("{path}: {error}"));
            None
        }
    }
}
