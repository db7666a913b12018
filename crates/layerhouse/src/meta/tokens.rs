//! What signs in instead of a password: personal tokens, robots' secrets, refresh tokens, sessions. Known by
//! the digests of their texts; the texts are nowhere.

use super::accounts::AccountId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// The key of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenId(pub(crate) i64);

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenKind {
    /// Of a user, who made it and says what it may.
    Personal,
    /// Of a robot, whose rights it has.
    Robot,
    /// What Docker keeps instead of the password (its identity token).
    Refresh,
    /// Of a browser.
    Session,
}

impl TokenKind {
    pub(crate) const ALL: [Self; 4] = [Self::Personal, Self::Robot, Self::Refresh, Self::Session];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Robot => "robot",
            Self::Refresh => "refresh",
            Self::Session => "session",
        }
    }
}

/// A row of `tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: TokenId,
    pub(crate) account: AccountId,
    pub(crate) kind: TokenKind,
    pub(crate) name: String,
    /// JSON; absent for all that the account may.
    pub(crate) limits: Option<String>,
    /// The token that this one was made with, and ends with.
    pub(crate) parent: Option<TokenId>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl Token {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

fn read(row: &Row<'_>) -> Result<Token, Fault> {
    let kind = row.text(2)?;
    let kind = TokenKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| {
            let doing = format!("reading a token of kind {kind:?}");
            Fault::plain(FaultKind::Damaged, doing)
        })?;
    Ok(Token {
        id: TokenId(row.int(0)?),
        account: AccountId(row.int(1)?),
        kind,
        name: row.text(3)?,
        limits: row.optional_text(4)?,
        parent: row.optional_int(5)?.map(TokenId),
        created_at: Timestamp(row.int(6)?),
        expires_at: row.optional_int(7)?.map(Timestamp),
        last_used_at: row.optional_int(8)?.map(Timestamp),
    })
}

/// The token whose text has this digest, expired or not.
pub(crate) fn by_hash(tx: &Transaction<'_>, hash: &str) -> Result<Option<Token>, Fault> {
    tx.query_one(
        "SELECT id, account_id, kind, name, limits, parent, created_at, expires_at, last_used_at
         FROM tokens WHERE hash = $1",
        &[hash.into()],
        read,
    )
}

/// The token with this id, expired or not.
pub(crate) fn by_id(tx: &Transaction<'_>, id: TokenId) -> Result<Option<Token>, Fault> {
    tx.query_one(
        "SELECT id, account_id, kind, name, limits, parent, created_at, expires_at, last_used_at
         FROM tokens WHERE id = $1",
        &[id.0.into()],
        read,
    )
}

/// Tokens of a kind that an account has, from the first behind `after`, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    account: AccountId,
    kind: TokenKind,
    after: Option<TokenId>,
    rows: usize,
) -> Result<Vec<Token>, Fault> {
    tx.query(
        "SELECT id, account_id, kind, name, limits, parent, created_at, expires_at, last_used_at
         FROM tokens WHERE account_id = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
        &[
            account.0.into(),
            kind.as_str().into(),
            after.map_or(0, |after| after.0).into(),
            limit(rows),
        ],
        read,
    )
}

/// A token to be.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub(crate) account: AccountId,
    pub(crate) kind: TokenKind,
    pub(crate) name: String,
    /// Hex of the SHA-256 of its text.
    pub(crate) hash: String,
    pub(crate) limits: Option<String>,
    pub(crate) parent: Option<TokenId>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Makes a token.
pub(crate) fn create(
    tx: &Transaction<'_>,
    new: &NewToken,
    now: Timestamp,
) -> Result<TokenId, Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM tokens", now)?;
    tx.run(
        "INSERT INTO tokens (id, account_id, kind, name, hash, limits, parent, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            id.into(),
            new.account.0.into(),
            new.kind.as_str().into(),
            new.name.as_str().into(),
            new.hash.as_str().into(),
            new.limits.as_deref().into(),
            new.parent.map(|parent| parent.0).into(),
            now.0.into(),
            new.expires_at.map(|expires_at| expires_at.0).into(),
        ],
    )?;
    Ok(TokenId(id))
}

/// Takes note of the last use of a token, and of when it ends now; an earlier use than is noted changes
/// nothing.
pub(crate) fn touch(
    tx: &Transaction<'_>,
    id: TokenId,
    used_at: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE tokens SET last_used_at = $2, expires_at = COALESCE($3, expires_at)
         WHERE id = $1 AND COALESCE(last_used_at, 0) < $2",
        &[
            id.0.into(),
            used_at.0.into(),
            expires_at.map(|expires_at| expires_at.0).into(),
        ],
    )
}

/// Removes a token with those that were made with it; whether it was there.
pub(crate) fn delete(tx: &Transaction<'_>, id: TokenId) -> Result<bool, Fault> {
    let removed = tx.execute("DELETE FROM tokens WHERE id = $1", &[id.0.into()])?;
    Ok(0 < removed)
}

/// Removes all tokens of a kind that an account has; how many.
pub(crate) fn delete_kind(
    tx: &Transaction<'_>,
    account: AccountId,
    kind: TokenKind,
) -> Result<usize, Fault> {
    tx.execute(
        "DELETE FROM tokens WHERE account_id = $1 AND kind = $2",
        &[account.0.into(), kind.as_str().into()],
    )
}

/// Removes all tokens that an account has but one.
pub(crate) fn delete_others(
    tx: &Transaction<'_>,
    account: AccountId,
    kept: TokenId,
) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM tokens WHERE account_id = $1 AND id <> $2",
        &[account.0.into(), kept.0.into()],
    )
}

/// Removes those tokens of a kind that were used longest ago, so that an account has at most `rows`; how many.
pub(crate) fn delete_beyond(
    tx: &Transaction<'_>,
    account: AccountId,
    kind: TokenKind,
    rows: usize,
) -> Result<usize, Fault> {
    let used = tx.query(
        "SELECT id, COALESCE(last_used_at, created_at) FROM tokens WHERE account_id = $1 AND kind = $2",
        &[account.0.into(), kind.as_str().into()],
        |row| Ok((row.int(1)?, row.int(0)?)),
    )?;
    let mut oldest = used;
    oldest.sort_unstable();
    let excess = oldest.len().saturating_sub(rows);
    for (_, id) in &oldest[..excess] {
        delete(tx, TokenId(*id))?;
    }
    Ok(excess)
}

/// Removes tokens that have ended, at most `rows` of them; how many.
pub(crate) fn delete_expired(
    tx: &Transaction<'_>,
    now: Timestamp,
    rows: usize,
) -> Result<usize, Fault> {
    tx.execute(
        "DELETE FROM tokens WHERE id IN
             (SELECT id FROM tokens WHERE expires_at <= $1 ORDER BY id LIMIT $2)",
        &[now.0.into(), limit(rows)],
    )
}
