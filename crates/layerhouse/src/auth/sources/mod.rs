//! Identity from outside: who vouches for somebody beside our own passwords, and what they say of them.
//!
//! A source never decides what somebody may do here: it says who they are and which teams they are in
//! by now, and the directory of accounts takes it from there.

pub(crate) mod issuer;
pub(crate) mod ldap;
pub(crate) mod mtls;
pub(crate) mod oidc;
pub(crate) mod workload;

use std::sync::Arc;

use layerhouse_oci::namespace::NamespaceName;

use self::ldap::Ldap;
use self::oidc::Provider;
use self::workload::Workloads;
use super::sealing::Sealing;
use crate::clock::{Clock, Random};
use crate::config::meaning::sources::{self as config, NamePattern, TeamOfGroup};
use crate::outbound::Outbound;

/// All sources that were configured, beside our own passwords and registry:2's file.
pub(crate) struct Sources {
    pub(crate) ldap: Option<Ldap>,
    pub(crate) mtls: Option<config::Mtls>,
    pub(crate) workloads: Workloads,
    providers: Vec<Provider>,
}

impl Sources {
    /// Reads what files the configuration names; asks nobody yet.
    ///
    /// # Errors
    /// One is wrong; the message names its key.
    pub(crate) fn open(
        config: &config::Sources,
        clock: &Clock,
        random: &Random,
        sealing: &Sealing,
    ) -> Result<Self, String> {
        let outbound = Arc::new(Outbound::default());
        let ldap = config.ldap.as_ref();
        let ldap = ldap.map(|ldap| Ldap::open(ldap, clock)).transpose();
        let providers = config.oidc.iter();
        Ok(Self {
            ldap: ldap.map_err(|problem| format!("ldap: {problem}"))?,
            mtls: config.mtls.clone(),
            workloads: Workloads::open(&config.workloads, &outbound, clock)?,
            providers: providers
                .map(|provider| Provider::new(provider, &outbound, clock, random, sealing))
                .collect(),
        })
    }

    /// Where people can sign in with a browser.
    pub(crate) fn providers(&self) -> &[Provider] {
        &self.providers
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.name() == name)
    }
}

/// Longest text that a source may say of somebody; longer ones are cut.
const TEXT_BYTES_MAX: usize = 255;

/// Why a source says nothing: never that somebody's password is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// Too many are asked for at once.
    #[error("too many sign-ins wait for an answer")]
    Busy,
    /// It cannot be reached, or does not do what it must. For the operator alone.
    #[error("{0}")]
    Outage(String),
}

/// The name of an account in what a source says of somebody; `None` if there is none in it.
fn account_name(text: &str, pattern: Option<&NamePattern>) -> Option<NamespaceName> {
    let text = match pattern {
        Some(NamePattern(pattern)) => pattern.captures(text)?.get(1)?.as_str(),
        None => text,
    };
    text.to_lowercase().parse().ok()
}

/// The teams of somebody who is in these groups, each once; absent if no group is a team here.
fn teams_of<'a>(
    groups: impl Iterator<Item = &'a str>,
    teams: &[TeamOfGroup],
    is_same: fn(&str, &str) -> bool,
) -> Option<Vec<(String, String)>> {
    if teams.is_empty() {
        return None;
    }
    let groups: Vec<&str> = groups.collect();
    let is_in = |group: &str| groups.iter().any(|own| is_same(own, group));
    let found = teams.iter().filter(|mapped| is_in(&mapped.group));
    let found = found.map(|TeamOfGroup { team, .. }| {
        let (organization, team) = (&team.organization, &team.team);
        (organization.as_str().to_owned(), team.as_str().to_owned())
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found.dedup();
    Some(found)
}

/// What is kept of a text that somebody else wrote.
fn kept(text: &str) -> String {
    let mut kept = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if TEXT_BYTES_MAX < kept.len() + letter.len_utf8() {
            break;
        }
        kept.push(letter);
    }
    kept
}
