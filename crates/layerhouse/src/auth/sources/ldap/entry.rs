//! What an entry of a directory says of somebody.

use std::fmt::Write as _;

use crate::auth::outsider::Outsider;
use crate::auth::sources::{account_name, kept, teams_of};
use crate::config::meaning::sources::{self as config, LdapGroups};
use crate::outbound::ldap::Entry;

/// What accounts say of their source.
pub(crate) const LDAP: &str = "ldap";

/// The entry of who signed in.
pub(super) enum Found {
    Read(Entry),
    /// They may sign in as it and not read it.
    Unread {
        dn: String,
    },
}

impl config::Ldap {
    /// The attributes to ask for.
    pub(super) fn attributes_wanted(&self) -> Vec<&str> {
        let own = &self.attributes;
        let mut wanted = vec![
            own.name.as_str(),
            own.full_name.as_str(),
            own.email.as_str(),
        ];
        wanted.extend(own.subject.as_deref());
        if let LdapGroups::Attribute(attribute) = &self.groups {
            wanted.push(attribute);
        }
        wanted
    }
}

impl Found {
    pub(super) fn dn(&self) -> &str {
        match self {
            Self::Read(entry) => &entry.dn,
            Self::Unread { dn } => dn,
        }
    }

    fn values(&self, attribute: &str) -> &[Vec<u8>] {
        match self {
            Self::Read(entry) => entry
                .attributes
                .get(&attribute.to_lowercase())
                .map_or(&[], Vec::as_slice),
            Self::Unread { .. } => &[],
        }
    }

    /// An attribute's values, as far as they are text.
    pub(super) fn texts(&self, attribute: &str) -> Vec<String> {
        let texts = self.values(attribute).iter();
        let texts = texts.filter_map(|value| String::from_utf8(value.clone()).ok());
        texts.collect()
    }

    fn text(&self, attribute: &str) -> String {
        let texts = self.texts(attribute);
        texts.first().map_or_else(String::new, |text| kept(text))
    }

    /// What the source calls them for good; `None` if it does not say.
    fn subject(&self, attribute: Option<&str>) -> Option<String> {
        let Some(attribute) = attribute else {
            // Names are the same in any case.
            return Some(self.dn().to_lowercase());
        };
        let value = self.values(attribute).first()?;
        Some(match str::from_utf8(value) {
            Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => text.to_owned(),
            Ok(_) | Err(_) => {
                // `objectGUID` is bytes.
                value.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                })
            }
        })
    }

    /// Who they are; `None` if the entry does not tell us what we must know.
    pub(super) fn outsider(
        &self,
        typed: &str,
        groups: &[String],
        config: &config::Ldap,
    ) -> Option<Outsider> {
        let attributes = &config.attributes;
        let names = self.texts(&attributes.name);
        // A directory takes `Ann` and `a  nn` for one name, and says itself which it is.
        let name = match self {
            Self::Read(_) => names.first().and_then(|name| account_name(name, None)),
            Self::Unread { .. } => account_name(typed, None),
        };
        let subject = self.subject(attributes.subject.as_deref());
        let (Some(name), Some(subject)) = (name, subject) else {
            tracing::warn!(
                dn = self.dn(),
                name = attributes.name,
                subject = attributes.subject,
                "signed in at the directory, whose entry has no name or subject that an account can have"
            );
            return None;
        };
        let groups = groups.iter().map(String::as_str);
        Some(Outsider {
            source: LDAP.to_owned(),
            subject,
            name: name.as_str().to_owned(),
            full_name: self.text(&attributes.full_name),
            email: self.text(&attributes.email),
            teams: teams_of(groups, &config.teams, is_same_group),
            is_name_assigned: true,
        })
    }
}

/// Distinguished names and names of groups are the same in any case, and with spaces behind commas.
fn is_same_group(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let parts = text.split(',').map(|part| part.trim().to_lowercase());
        parts.collect::<Vec<_>>()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_the_same_in_any_case() {
        let check = |one, other, expected| assert_eq!(is_same_group(one, other), expected);
        check("CN=Dev, OU=Groups,dc=x", "cn=dev,ou=groups,dc=x", true);
        check("dev", "Dev", true);
        check("dev", "devs", false);
        check("cn=dev,dc=x", "cn=dev,dc=y", false);
        check("", "dev", false);
    }

    #[test]
    fn bytes_are_a_subject_in_hex() {
        let found = |value: &[u8]| {
            let attributes = [("objectguid".to_owned(), vec![value.to_vec()])];
            Found::Read(Entry {
                dn: "CN=Ann,DC=x".to_owned(),
                attributes: attributes.into(),
            })
        };
        let subject = |value: &[u8]| found(value).subject(Some("objectGUID"));
        assert_eq!(subject(b"\xff\x00\x10").as_deref(), Some("ff0010"));
        assert_eq!(subject(b"a1-b2").as_deref(), Some("a1-b2"));
        assert_eq!(found(b"x").subject(Some("other")), None);
        assert_eq!(found(b"x").subject(None).as_deref(), Some("cn=ann,dc=x"));
    }
}
