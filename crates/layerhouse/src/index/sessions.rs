//! Sessions: what a browser shows instead of a password, until it is closed or half a day is over.

use std::time::Duration;

use serde_json::json;

use super::Index;
use super::audit::{Action, Audit};
use crate::auth::credentials::Secret;
use crate::auth::directory::{new_secret, prefix, secret_hash};
use crate::auth::permits::AccountPermit;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::tokens::{self, NewToken, TokenKind};

/// A working day, and its evening.
pub(crate) const LIFETIME: Duration = Duration::from_hours(12);
/// Browsers of one account: those beyond are the ones used longest ago.
const OF_ACCOUNT_MAX: usize = 100;

impl Index {
    /// Opens a session for somebody who just signed in; `how` is for the audit.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn open_session(
        &self,
        permit: &AccountPermit,
        how: &str,
    ) -> Result<Secret, Fault> {
        let (account, now) = (permit.account().id, self.now());
        let name = permit.asker().principal().name.to_string();
        let secret = new_secret(prefix(TokenKind::Session), self.directory.random());
        let lifetime_ms = i64::try_from(LIFETIME.as_millis()).unwrap_or(0);
        let new = NewToken {
            account,
            kind: TokenKind::Session,
            name: how.to_owned(),
            hash: secret_hash(secret.expose()),
            limits: None,
            parent: None,
            expires_at: Some(Timestamp(now.0.saturating_add(lifetime_ms))),
        };
        let detail = json!({ "source": how });
        let audit = Audit::by(permit.asker(), Action::SessionCreate, name, detail);
        self.change(audit, move |tx| {
            tokens::delete_beyond(tx, account, TokenKind::Session, OF_ACCOUNT_MAX - 1)?;
            tokens::create(tx, &new, now)
        })
        .await?;
        Ok(secret)
    }

    /// Ends the session by which somebody asks, if they do by one.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn close_session(&self, permit: &AccountPermit) -> Result<(), Fault> {
        let principal = permit.asker().principal();
        let Some(token) = principal.token.filter(|_| principal.is_of_session()) else {
            return Ok(());
        };
        let name = principal.name.to_string();
        let audit = Audit::by(permit.asker(), Action::SessionDelete, name, json!({}));
        self.change(audit, move |tx| tokens::delete(tx, token).map(|_| ()))
            .await
    }
}
