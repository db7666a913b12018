//! Asks who sends a request and what they may do, in the one way that was configured.

use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::challenge::{bearer, quoted, scope, scopes};
use super::credentials::{Credentials, Secret};
use super::directory::Directory;
use super::htpasswd::Htpasswd;
use super::htpasswd::passes::Holder;
use super::indexed::{Found, Indexed};
use super::needs::{Need, Wanted};
use super::passwords::{Busy, Passwords};
use super::sealing::Sealing;
use super::sign_in::{SignIn, SignInError};
use super::sources::Sources;
use super::token::Tokens;
use super::{Identity, RequestSource};
use crate::clock::{Clock, Random};
use crate::config::meaning::index::Index;
use crate::config::meaning::{Auth, TokenAuth};
use crate::fault::Fault;

/// Where passes are given out, if they are.
pub(crate) const TOKEN_PATH: &str = "/v2/token";
/// Where the index gives tokens.
pub(crate) const INDEX_TOKEN_PATH: &str = "/auth/token";

/// Why signing in cannot be offered; the message is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {problem}")]
pub struct AuthError {
    kind: &'static str,
    problem: String,
}

/// Why a request may not go on.
#[derive(Debug)]
pub(crate) enum Denied {
    /// Sign in, or with more rights.
    Unauthorized {
        /// How, as `WWW-Authenticate` says it.
        challenge: String,
        /// What the request would have done.
        wanted: Vec<Wanted>,
    },
    /// Too much is asked at once, or was guessed wrong too often.
    Busy { wait: Duration },
    /// It cannot be said who asks.
    Fault(Fault),
}

/// Asks who sends a request.
pub(crate) struct Authenticator {
    config: Auth,
    index: Option<Index>,
    means: Means,
    sealing: Sealing,
}

enum Means {
    Open,
    Silly,
    Htpasswd(Box<Htpasswd>),
    Token(Tokens),
    Indexed(Box<Indexed>),
}

impl Authenticator {
    /// Reads the files that are needed; a file of users that is missing is made.
    ///
    /// # Errors
    /// One of them is wrong or, for tokens, missing.
    pub(crate) fn open(
        config: &Auth,
        clock: &Clock,
        random: &Random,
        sealing: &Sealing,
    ) -> Result<Self, AuthError> {
        let error = |kind| move |problem| AuthError { kind, problem };
        let means = match config {
            Auth::None => Means::Open,
            Auth::Silly { .. } => Means::Silly,
            Auth::Htpasswd { path, .. } => {
                let htpasswd = Htpasswd::open(path, clock, random, sealing);
                Means::Htpasswd(Box::new(htpasswd.map_err(error("auth.htpasswd"))?))
            }
            Auth::Token(config) => {
                Means::Token(Tokens::open(config, clock).map_err(error("auth.token"))?)
            }
        };
        Ok(Self {
            config: config.clone(),
            index: None,
            means,
            sealing: sealing.clone(),
        })
    }

    /// The same with accounts: what it asked alone is one source of identity among others.
    ///
    /// # Errors
    /// What one of these names cannot be read.
    pub(crate) fn with_index(self, index: &Index, directory: Directory) -> Result<Self, AuthError> {
        let passwords = Arc::new(Passwords::new(directory.clock(), directory.random()));
        let (htpasswd, foreign) = match self.means {
            Means::Open | Means::Silly | Means::Indexed(_) => (None, None),
            Means::Htpasswd(htpasswd) => (Some(Arc::from(htpasswd)), None),
            Means::Token(tokens) => (None, Some(tokens)),
        };
        let sources = Sources::open(
            &index.sources,
            directory.clock(),
            directory.random(),
            &self.sealing,
        );
        let sources = sources.map_err(|problem| AuthError {
            kind: "layerhouse.index",
            problem,
        })?;
        let sign_in = SignIn::new(directory, passwords, htpasswd, sources);
        Ok(Self {
            config: self.config,
            index: Some(index.clone()),
            means: Means::Indexed(Box::new(Indexed::new(sign_in, foreign))),
            sealing: self.sealing,
        })
    }

    /// What knows the accounts, if there are any.
    pub(crate) fn indexed(&self) -> Option<&Indexed> {
        match &self.means {
            Means::Indexed(indexed) => Some(indexed),
            Means::Open | Means::Silly | Means::Htpasswd(_) | Means::Token(_) => None,
        }
    }

    /// What seals what its clients keep.
    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// What it was opened with.
    pub(crate) fn config(&self) -> &Auth {
        &self.config
    }

    /// Whether it would be the same if it were opened with `config`.
    pub(crate) fn is_of(&self, config: &Auth, index: Option<&Index>) -> bool {
        self.config == *config && self.index.as_ref() == index
    }

    /// Who asks, and what they may do: enough for `need`, or it is refused.
    ///
    /// # Errors
    /// [`Denied`] tells the client what to do.
    pub(crate) async fn decide(
        &self,
        credentials: &Credentials,
        need: &Need,
        source: &RequestSource,
    ) -> Result<(Identity, Access), Denied> {
        if *need == Need::Nothing {
            return Ok((Identity::Anonymous, Access::Nothing));
        }
        let found = self.identify(credentials, need, source).await;
        let problem = match found {
            Ok((identity, access)) if access.meets(need) => return Ok((identity, access)),
            Ok(_) => Problem::Scope,
            Err(Problem::Busy(wait)) => return Err(Denied::Busy { wait }),
            Err(Problem::Fault(fault)) => return Err(Denied::Fault(fault)),
            Err(problem) => problem,
        };
        if !matches!(problem, Problem::Missing) {
            // No name: people type a password where it belongs.
            tracing::info!(address = %source.address, ?problem, "a sign-in was refused");
        }
        Err(Denied::Unauthorized {
            challenge: self.challenge(need, &problem, source),
            wanted: need.asked_for(),
        })
    }

    async fn identify(
        &self,
        credentials: &Credentials,
        need: &Need,
        source: &RequestSource,
    ) -> Result<(Identity, Access), Problem> {
        match &self.means {
            Means::Indexed(indexed) => {
                let found = Box::pin(indexed.identify(credentials, need, source)).await;
                match found {
                    Ok(Found::Caller(identity, access)) => Ok((identity, access)),
                    Ok(Found::Missing) => Err(Problem::Missing),
                    Ok(Found::Wrong) => Err(Problem::Wrong),
                    Err(SignInError::Busy(Busy { wait })) => Err(Problem::Busy(wait)),
                    Err(SignInError::Fault(fault)) => Err(Problem::Fault(fault)),
                }
            }
            Means::Open => Ok((Identity::Anonymous, Access::All)),
            Means::Silly => match credentials {
                Credentials::None => Err(Problem::Missing),
                Credentials::Basic { .. } | Credentials::Bearer(_) | Credentials::Unknown => {
                    Ok((Identity::User(Arc::from("silly")), Access::All))
                }
            },
            Means::Htpasswd(htpasswd) => {
                if self.allows_anonymous(credentials, need) {
                    return Ok((Identity::Anonymous, Access::PullOnly));
                }
                // No name and no password are no guess, and cost no hash.
                if credentials.are_empty() {
                    return Err(Problem::Missing);
                }
                match credentials {
                    Credentials::Basic { user, password } => {
                        let address = source.address.to_string();
                        // Boxed, as the other means: a connection makes room for none of them.
                        match Box::pin(htpasswd.check(user, password, &address)).await {
                            Ok(true) => Ok((Identity::User(user.as_str().into()), Access::All)),
                            Ok(false) => Err(Problem::Wrong),
                            Err(Busy { wait }) => Err(Problem::Busy(wait)),
                        }
                    }
                    Credentials::Bearer(pass) if self.anyone_pulls() => {
                        match Box::pin(htpasswd.holder(pass)).await {
                            Some(Holder::Anonymous) => Ok((Identity::Anonymous, Access::PullOnly)),
                            Some(Holder::User(name)) => {
                                Ok((Identity::User(name.into()), Access::All))
                            }
                            None => Err(Problem::Wrong),
                        }
                    }
                    Credentials::None => Err(Problem::Missing),
                    Credentials::Bearer(_) | Credentials::Unknown => Err(Problem::Wrong),
                }
            }
            Means::Token(tokens) => match credentials {
                Credentials::Bearer(token) => {
                    Box::pin(tokens.verify(token)).await.ok_or(Problem::Wrong)
                }
                Credentials::None | Credentials::Basic { .. } | Credentials::Unknown => {
                    Err(Problem::Missing)
                }
            },
        }
    }

    /// A pass for who shows these credentials, or shows none; `None` where no passes are given.
    ///
    /// # Errors
    /// [`Denied`] for wrong credentials.
    pub(crate) async fn issue(
        &self,
        credentials: &Credentials,
        source: &RequestSource,
    ) -> Option<Result<Secret, Denied>> {
        let Means::Htpasswd(htpasswd) = &self.means else {
            return None;
        };
        if !self.anyone_pulls() {
            return None;
        }
        let refused = || Denied::Unauthorized {
            challenge: self.challenge(&Need::SignIn, &Problem::Wrong, source),
            wanted: Vec::new(),
        };
        let holder = match credentials {
            _ if credentials.are_empty() => Holder::Anonymous,
            // A pass that gave passes would never end.
            Credentials::Bearer(_) => return Some(Err(refused())),
            Credentials::None | Credentials::Basic { .. } | Credentials::Unknown => {
                match self.decide(credentials, &Need::SignIn, source).await {
                    Ok((Identity::User(name), _)) => Holder::User(name.as_ref().to_owned()),
                    Ok((Identity::Anonymous, _)) => Holder::Anonymous,
                    Err(denied) => return Some(Err(denied)),
                }
            }
        };
        // The entry may have gone away between the two looks at it.
        Some(htpasswd.issue(&holder).await.ok_or_else(refused))
    }

    fn anyone_pulls(&self) -> bool {
        match &self.config {
            Auth::Htpasswd {
                allows_anonymous_pull,
                ..
            } => *allows_anonymous_pull,
            Auth::None | Auth::Silly { .. } | Auth::Token(_) => false,
        }
    }

    /// Nobody may read, and nothing else. `/v2/` is refused to them all the same: Docker asks there how
    /// to sign in, and would push without if it were not told.
    fn allows_anonymous(&self, credentials: &Credentials, need: &Need) -> bool {
        self.anyone_pulls()
            && credentials.are_empty()
            && *need != Need::SignIn
            && Access::PullOnly.meets(need)
    }

    /// `WWW-Authenticate`, as registry:2 writes it.
    fn challenge(&self, need: &Need, problem: &Problem, source: &RequestSource) -> String {
        if let Some(index) = &self.index {
            let url = format!("{}{INDEX_TOKEN_PATH}", source.base_url());
            return bearer(&url, &index.tokens.service, &scopes(need)) + problem.parameter();
        }
        match &self.config {
            Auth::None => String::new(),
            Auth::Htpasswd {
                realm,
                allows_anonymous_pull: true,
                ..
            } => {
                let url = format!("{}{TOKEN_PATH}", source.base_url());
                bearer(&url, realm, &scopes(need)) + problem.parameter()
            }
            Auth::Htpasswd { realm, .. } => format!("Basic realm={}", quoted(realm)),
            Auth::Silly { realm, service } => {
                let asked_for = need.asked_for();
                let scope = asked_for.iter().map(|one| scope(&[one]));
                bearer(realm, service, &scope.collect::<Vec<_>>())
            }
            Auth::Token(TokenAuth {
                realm,
                service,
                autoredirect_path,
                ..
            }) => {
                let realm = match autoredirect_path {
                    Some(path) => format!("{}/{}", source.origin(), path.trim_start_matches('/')),
                    None => realm.clone(),
                };
                bearer(&realm, service, &scopes(need)) + problem.parameter()
            }
        }
    }
}

#[derive(Debug)]
enum Problem {
    /// Nothing was shown that could be checked.
    Missing,
    /// What was shown is not good.
    Wrong,
    /// It is good, but not for this.
    Scope,
    Busy(Duration),
    Fault(Fault),
}

impl Problem {
    /// What a challenge for tokens says of it (RFC 6750, 3.1).
    fn parameter(&self) -> &'static str {
        match self {
            Self::Missing | Self::Busy(_) | Self::Fault(_) => "",
            Self::Wrong => ",error=\"invalid_token\"",
            Self::Scope => ",error=\"insufficient_scope\"",
        }
    }
}
