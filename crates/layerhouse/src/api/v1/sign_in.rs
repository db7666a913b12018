//! Sessions of browsers: begun with a name and a password, kept in a cookie.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admission::password_or_token;
use super::input::{Body, Nothing};
use super::output::{Created, Done, WithCookie};
use super::problem::Problem;
use super::views::Hidden;
use super::visit::Visit;
use crate::api::cookies::{self, Cookie, SESSION};
use crate::auth::permits::{AccountPermit, Asker};
use crate::auth::principal::Means;
use crate::index::sessions::LIFETIME;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSession {
    user: String,
    password: Hidden,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Session {
    /// Who signed in.
    user: String,
    /// Seconds until they have to again.
    expires_in: u64,
}

pub(super) async fn begin(
    visit: Visit,
    asker: Asker,
    Body(new): Body<NewSession>,
) -> Result<WithCookie<Created<Session>>, Problem> {
    let settings = Arc::clone(&visit.call.settings);
    let indexed = settings.authenticator.indexed();
    let sign_in = indexed.ok_or_else(Problem::not_found)?.sign_in();
    let source = asker.source();
    let found = password_or_token(sign_in, &new.user, &new.password.0, source).await?;
    // A session may what its account may: more than many a token.
    let found = found.filter(|found| !matches!(found.means, Means::Token(_)));
    let principal = found.ok_or_else(Problem::unauthorized)?;
    let user = principal.name.to_string();
    let asker = Asker::new(Arc::new(principal), Arc::clone(source));
    let permit = AccountPermit::of(&asker).ok_or_else(Problem::unauthorized)?;
    let secret = visit.index.open_session(&permit, "password").await?;
    let cookie = cookies::session(&secret, LIFETIME, source);
    let session = Session {
        user,
        expires_in: LIFETIME.as_secs(),
    };
    Ok(WithCookie(cookie, Created(session)))
}

/// Whoever asks: a browser that has the cookie of a session that is over wants to be rid of it as well.
pub(super) async fn end(
    visit: Visit,
    asker: Asker,
    _: Nothing,
) -> Result<WithCookie<Done>, Problem> {
    if let Some(permit) = AccountPermit::of(&asker) {
        visit.index.close_session(&permit).await?;
    }
    let forgotten = Cookie {
        name: SESSION,
        value: None,
        path: "/",
        lifetime: Duration::ZERO,
        same_site: "Strict",
    };
    Ok(WithCookie(forgotten.header(asker.source()), Done))
}
