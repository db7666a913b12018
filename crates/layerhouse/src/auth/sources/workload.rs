//! Jobs that prove who they are with a token that their own system signed: GitHub Actions, GitLab CI,
//! Kubernetes. Rules say which claims stand for which account, and what it may at most.

use std::sync::Arc;

use super::SourceError;
use super::issuer::verify::{Claims, Expected, TokenError};
use super::issuer::{At, Issuer, keys};
use crate::auth::credentials::Secret;
use crate::auth::rights::Limits;
use crate::auth::watched::Watched;
use crate::clock::Clock;
use crate::config::meaning::sources::{Workload, WorkloadKeys, WorkloadRule};
use crate::outbound::Outbound;

/// All issuers of jobs' tokens.
pub(crate) struct Workloads(Vec<(Workload, Issuer)>);

/// What a token is good for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    /// The account that the job is.
    pub(crate) account: String,
    /// Absent for all that the account may.
    pub(crate) limits: Option<Arc<Limits>>,
}

/// What is made of a secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is no token of an issuer that is known here.
    NotOurs,
    /// It is, and is good for nothing.
    Refused,
    Assigned(Assignment),
}

impl Workloads {
    /// # Errors
    /// The file of an issuer's keys cannot be read.
    pub(crate) fn open(
        config: &[Workload],
        outbound: &Arc<Outbound>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let mut issuers = Vec::new();
        for workload in config {
            let at = match &workload.keys {
                WorkloadKeys::Discovered => At::Discovered,
                WorkloadKeys::Url(url) => At::Url(url.clone()),
                WorkloadKeys::File(path) => {
                    let parse = |files: &[Vec<u8>]| keys::of_set(&files[0]);
                    let watched = Watched::open(vec![path.clone()], parse, clock);
                    let watched = watched.map_err(|error| {
                        format!("workloads: {}: jwksfile: {error}", workload.name)
                    })?;
                    At::File(Arc::new(watched))
                }
            };
            let issuer = Issuer::new(&workload.issuer, &workload.algorithms, at, outbound, clock);
            issuers.push((workload.clone(), issuer));
        }
        Ok(Self(issuers))
    }

    /// Who has this token.
    ///
    /// # Errors
    /// Its issuer cannot be asked for the key.
    pub(crate) async fn check(&self, secret: &Secret) -> Result<Verdict, SourceError> {
        if self.0.is_empty() {
            return Ok(Verdict::NotOurs);
        }
        let claimed = Claims::unverified(secret.expose());
        let issuer = claimed.as_ref().and_then(|claims| claims.text("iss"));
        let found = issuer.and_then(|name| self.0.iter().find(|(known, _)| known.issuer == name));
        let Some((workload, issuer)) = found else {
            return Ok(Verdict::NotOurs);
        };
        let expected = Expected {
            audience: &workload.audience,
            nonce: None,
        };
        let claims = match issuer.verify(secret.expose(), &expected).await {
            Ok(claims) => claims,
            Err(TokenError::Source(error)) => return Err(error),
            Err(error) => {
                tracing::info!(issuer = %workload.name, %error, "the token of a job was refused");
                return Ok(Verdict::Refused);
            }
        };
        let rule = workload.rules.iter().find(|rule| fits(rule, &claims));
        let Some(rule) = rule else {
            tracing::info!(
                issuer = %workload.name,
                subject = claims.text("sub"),
                "the token of a job fits no rule"
            );
            return Ok(Verdict::Refused);
        };
        Ok(Verdict::Assigned(Assignment {
            account: rule.account.clone(),
            limits: rule.limits.clone().map(Arc::new),
        }))
    }
}

fn fits(rule: &WorkloadRule, claims: &Claims) -> bool {
    !rule.claims.is_empty()
        && rule.claims.iter().all(|(name, pattern)| {
            // `aud` and the like may be lists: one of them must fit.
            let one = claims.plain(name);
            one.is_some_and(|text| pattern.fits(&text))
                || claims.texts(name).iter().any(|text| pattern.fits(text))
        })
}
