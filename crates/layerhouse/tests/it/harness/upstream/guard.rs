//! Whom an upstream lets in, and its token service.

use std::fmt::Write as _;

use super::Asked;
use crate::auth::basic;

/// What must be brought.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// A name and a password with every request.
    Basic { user: String, password: String },
    /// A token from `realm`, in the upstream's own words; who asks there must bring a name and a password if
    /// there are any.
    Bearer {
        /// Absent, its own `/token`.
        realm: Option<String>,
        login: Option<(String, String)>,
        /// Seconds that its own tokens are said to be good.
        expires_in: u64,
        /// Tokens of other generations are refused.
        generation: usize,
    },
    /// This challenge, whatever is brought.
    Challenge(String),
    /// `Authorization: Bearer` with exactly this.
    Fixed(String),
}

impl Guard {
    pub(crate) fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Its own token service, which wants this login.
    pub(crate) fn token(user: &str, password: &str) -> Self {
        Self::Bearer {
            realm: None,
            login: Some((user.to_owned(), password.to_owned())),
            expires_in: 300,
            generation: 0,
        }
    }

    /// Its own token service for everybody.
    pub(crate) fn anonymous_token() -> Self {
        Self::Bearer {
            realm: None,
            login: None,
            expires_in: 300,
            generation: 0,
        }
    }

    /// Tokens of somebody else's service: what [`Guard::token`] of another upstream gives is good here.
    pub(crate) fn token_of(realm: impl Into<String>) -> Self {
        Self::Bearer {
            realm: Some(realm.into()),
            login: None,
            expires_in: 300,
            generation: 0,
        }
    }

    /// The challenge for a request, unless it may come in.
    pub(super) fn challenge(&self, own: &str, asked: &Asked) -> Option<String> {
        let brought = asked.header("authorization").unwrap_or_default();
        match self {
            Self::Basic { user, password } => {
                let wanted = basic(user, password);
                (brought != wanted).then(|| "Basic realm=\"upstream\"".to_owned())
            }
            Self::Challenge(challenge) => Some(challenge.clone()),
            Self::Fixed(token) => {
                let wanted = format!("Bearer {token}");
                (brought != wanted).then(|| format!("Bearer realm=\"{own}/token\""))
            }
            Self::Bearer {
                realm, generation, ..
            } => {
                let scope = scope(&asked.line);
                if brought == format!("Bearer {}", token(&scope, *generation)) {
                    return None;
                }
                let realm = realm.clone().unwrap_or_else(|| format!("{own}/token"));
                let mut challenge = format!("Bearer realm=\"{realm}\",service=\"upstream\"");
                if !scope.is_empty() {
                    let _ = write!(challenge, ",scope=\"{scope}\"");
                }
                Some(challenge)
            }
        }
    }

    /// What the token service says: a status and a body.
    pub(super) fn answer(guard: Option<&Self>, asked: &Asked) -> (u16, String) {
        let (login, expires_in, generation) = match guard {
            Some(Self::Bearer {
                login,
                expires_in,
                generation,
                ..
            }) => (login.as_ref(), *expires_in, *generation),
            Some(Self::Basic { .. } | Self::Challenge(_) | Self::Fixed(_)) | None => (None, 300, 0),
        };
        let brought = asked.header("authorization");
        let is_good = login.is_none_or(|(user, password)| brought == Some(&*basic(user, password)));
        if !is_good {
            return (
                401,
                "{\"details\":\"incorrect username or password\"}".to_owned(),
            );
        }
        let scope = form_urlencoded::parse(asked.query.as_bytes())
            .find(|(name, _)| name == "scope")
            .map(|(_, value)| value.into_owned());
        let token = token(&scope.unwrap_or_default(), generation);
        let body = format!("{{\"token\":\"{token}\",\"expires_in\":{expires_in}}}");
        (200, body)
    }
}

/// What a request below a repository needs: `repository:library/nginx:pull`.
fn scope(line: &str) -> String {
    let path = line.split_once(" /v2/").map_or("", |(_, path)| path);
    let ends = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
    let found = ends.iter().find_map(|end| path.rsplit_once(end));
    found.map_or_else(String::new, |(name, _)| format!("repository:{name}:pull"))
}

fn token(scope: &str, generation: usize) -> String {
    let scope = scope.replace([':', '/'], "-");
    format!("granted.{generation}.{scope}")
}
