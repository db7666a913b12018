//! What a token claims, once its signature was found good.

use std::sync::Arc;

use layerhouse_oci::strict_json::{Json, Object};

use super::json::{as_list, as_text, as_texts, optional, text};
use crate::auth::Identity;
use crate::auth::access::{Access, Grants};
use crate::clock::Timestamp;

/// How far the clocks of the token service and this machine may be apart.
const LEEWAY_MS: i64 = 60_000;

/// What a token claims.
#[derive(Debug)]
pub(crate) struct Claims {
    issuer: String,
    subject: Arc<str>,
    audience: Vec<String>,
    expires: Timestamp,
    not_before: Timestamp,
    grants: Arc<Grants>,
}

impl Claims {
    /// Reads the claims; `None` if one that counts is missing or of another type than it must be.
    pub(crate) fn read(claims: &Object) -> Option<Self> {
        let audience = claims.get("aud")?;
        let audience = as_text(audience)
            .map(|one| vec![one])
            .or_else(|| as_texts(audience))?;
        let subject = optional(claims, "sub", as_text).ok()?;
        Some(Self {
            issuer: text(claims, "iss")?.to_owned(),
            subject: subject.unwrap_or_default().into(),
            audience: audience.into_iter().map(str::to_owned).collect(),
            expires: date(claims.get("exp")?)?,
            not_before: optional(claims, "nbf", date)
                .ok()?
                .unwrap_or(Timestamp(i64::MIN)),
            grants: Arc::new(optional(claims, "access", grants).ok()?.unwrap_or_default()),
        })
    }

    /// Whether the token is for us, from whom we trust, and of this time.
    pub(crate) fn hold(&self, issuer: &str, service: &str, now: Timestamp) -> bool {
        self.issuer == issuer
            && self.audience.iter().any(|audience| audience == service)
            && now.0 <= self.expires.0.saturating_add(LEEWAY_MS)
            && self.not_before.0.saturating_sub(LEEWAY_MS) <= now.0
    }

    /// Token services give tokens without a subject to who did not sign in.
    pub(crate) fn identity(&self) -> Identity {
        if self.subject.is_empty() {
            Identity::Anonymous
        } else {
            Identity::User(Arc::clone(&self.subject))
        }
    }

    pub(crate) fn access(&self) -> Access {
        Access::Listed(Arc::clone(&self.grants))
    }

    /// About how much memory they take.
    pub(crate) fn held_bytes(&self) -> usize {
        let audience: usize = self.audience.iter().map(|name| name.len() + 24).sum();
        size_of::<Self>()
            + self.issuer.len()
            + self.subject.len()
            + audience
            + self.grants.held_bytes()
    }
}

/// Whole seconds since 1970.
fn date(value: &Json) -> Option<Timestamp> {
    let Json::Unsigned(seconds) = value else {
        return None;
    };
    let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
    Some(Timestamp(seconds.saturating_mul(1000)))
}

/// `[{"type", "name", "actions"}]`
fn grants(list: &Json) -> Option<Grants> {
    let mut grants = Grants::default();
    for entry in as_list(list)? {
        let Json::Object(entry) = entry else {
            return None;
        };
        let actions = optional(entry, "actions", as_texts)
            .ok()?
            .unwrap_or_default();
        grants.add(text(entry, "type")?, text(entry, "name")?, &actions);
    }
    Some(grants)
}
