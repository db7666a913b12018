//! Refresh tokens: what Docker keeps instead of the password, which it forgets (its identity token).

use std::time::Duration;

use super::keys::plus;
use crate::auth::credentials::Secret;
use crate::auth::directory::{self, Directory};
use crate::auth::principal::Principal;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::AccountId;
use crate::meta::tokens::{self, NewToken, Token, TokenKind};
use crate::meta::transaction::Transaction;

/// One that nobody used for so long has ended: the machine that had it is gone.
pub(crate) const UNUSED_MAX: Duration = Duration::from_hours(90 * 24);
/// Each `docker login` makes one and none is ever given back: those beyond are the ones used longest ago.
const OF_ACCOUNT_MAX: usize = 100;
/// Longest name of a client that is kept.
const CLIENT_BYTES_MAX: usize = 64;

/// Why there is no refresh token.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// The account, or the token that was signed in with, is gone.
    #[error("what was signed in with has ended")]
    Ended,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes one for `who`, that may no more and lives no longer than what they signed in with.
pub(super) async fn make(
    directory: &Directory,
    account: AccountId,
    who: &Principal,
    client: &str,
) -> Result<Secret, RefreshError> {
    let text = directory::new_secret(directory::prefix(TokenKind::Refresh), directory.random());
    let mut new = NewToken {
        account,
        kind: TokenKind::Refresh,
        name: shown(client),
        hash: directory::secret_hash(text.expose()),
        limits: who.limits.as_ref().map(|limits| limits.to_json()),
        parent: who.token,
        expires_at: None,
    };
    let now = directory.clock().now();
    let change = move |tx: &Transaction<'_>| -> Result<(), RefreshError> {
        new.expires_at = Some(match new.parent {
            None => plus(now, UNUSED_MAX),
            Some(parent) => {
                let parent = tokens::by_id(tx, parent)?.filter(|parent| !parent.is_expired(now));
                end(&parent.ok_or(RefreshError::Ended)?, now)
            }
        });
        // They are forgotten, not revoked: the directory does not move with every login of a busy account.
        tokens::delete_beyond(tx, account, TokenKind::Refresh, OF_ACCOUNT_MAX - 1)?;
        tokens::create(tx, &new, now)?;
        Ok(())
    };
    directory.database().write(change).await?;
    Ok(text)
}

/// When a refresh token ends that was made with `parent` and used at `used_at`.
fn end(parent: &Token, used_at: Timestamp) -> Timestamp {
    let end = plus(used_at, UNUSED_MAX);
    parent.expires_at.map_or(end, |parent| parent.min(end))
}

/// When a token that was used at `used_at` ends now, if that moved.
pub(super) fn new_end(
    tx: &Transaction<'_>,
    token: &Token,
    used_at: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    if token.kind != TokenKind::Refresh {
        return Ok(None);
    }
    let Some(parent) = token.parent else {
        return Ok(Some(plus(used_at, UNUSED_MAX)));
    };
    let parent = tokens::by_id(tx, parent)?;
    Ok(parent.map(|parent| end(&parent, used_at)))
}

/// What a client calls itself, as people may be shown it.
fn shown(client: &str) -> String {
    let is_plain = |letter: &char| letter.is_ascii_graphic();
    let name: String = client
        .chars()
        .filter(is_plain)
        .take(CLIENT_BYTES_MAX)
        .collect();
    if name.is_empty() {
        "a client".to_owned()
    } else {
        name
    }
}
