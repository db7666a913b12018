//! Personal access tokens, and what else somebody is signed in with.

use serde_json::json;

use super::audit::{Action, Audit};
use super::users::{self, UserError, is_line};
use super::{Index, Sort, page};
use crate::auth::credentials::Secret;
use crate::auth::directory::{new_secret, prefix, secret_hash};
use crate::auth::permits::{AccountPermit, AdminPermit, Asker};
use crate::auth::principal::Means;
use crate::auth::rights::Limits;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{AccountId, AccountKind};
use crate::meta::tokens::{self, NewToken as Row, Token, TokenId, TokenKind};
use crate::meta::transaction::Transaction;

const NAME_BYTES_MAX: usize = 128;
/// Personal tokens of one account: more are not kept an eye on, and a loop that makes them ends.
const TOKENS_MAX: usize = 500;

/// A personal access token to be.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    /// What it is for, in its owner's words.
    pub(crate) name: String,
    /// Absent, it may what its owner may.
    pub(crate) limits: Option<Limits>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    User(#[from] UserError),
    #[error("a token's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    #[error(
        "limits without any action allow nothing; name a pattern and actions, or leave them out"
    )]
    Limits,
    #[error("that is over already; choose a later time for the end")]
    Expired,
    #[error("an account has at most {TOKENS_MAX} tokens; revoke those that are not used")]
    TooMany,
    #[error("a token makes no tokens; sign in with the password")]
    ByToken,
    #[error("there is no such token; list them to see which there are")]
    Unknown,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TokenError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::User(error) => error.sort(),
            Self::Name | Self::Limits | Self::Expired => Sort::Invalid,
            Self::TooMany => Sort::Conflict,
            Self::ByToken => Sort::Forbidden,
            Self::Unknown => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Makes a token of one's own; it is shown this once.
    pub(crate) async fn create_token(
        &self,
        permit: &AccountPermit,
        new: NewToken,
    ) -> Result<(Token, Secret), TokenError> {
        // Or one that leaks would outlive its end, and its revocation.
        let is_token = match permit.asker().principal().means {
            Means::Password
            | Means::PasswordElsewhere
            | Means::Token(TokenKind::Session)
            | Means::Certificate
            | Means::Console => false,
            Means::Nobody
            | Means::Token(TokenKind::Personal | TokenKind::Robot | TokenKind::Refresh)
            | Means::AccessToken
            | Means::Workload => true,
        };
        if is_token || permit.account().kind == AccountKind::Robot {
            return Err(TokenError::ByToken);
        }
        let name = permit.asker().principal().name.to_string();
        self.write_token(permit.asker(), permit.account().id, &name, new)
            .await
    }

    /// Makes a token of somebody's; it is shown this once.
    pub(crate) async fn create_token_of(
        &self,
        permit: &AdminPermit,
        user: &str,
        new: NewToken,
    ) -> Result<(Token, Secret), TokenError> {
        let account = self.look(|tx| users::find(tx, user))?;
        self.write_token(permit.asker(), account.id, user, new)
            .await
    }

    async fn write_token(
        &self,
        asker: &Asker,
        account: AccountId,
        user: &str,
        new: NewToken,
    ) -> Result<(Token, Secret), TokenError> {
        let NewToken {
            name,
            limits,
            expires_at,
        } = new;
        if name.is_empty() || !is_line(&name, NAME_BYTES_MAX) {
            return Err(TokenError::Name);
        }
        if let Some(Limits(limits)) = &limits
            && limits.iter().all(|limit| limit.actions.is_empty())
        {
            return Err(TokenError::Limits);
        }
        let now = self.now();
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(TokenError::Expired);
        }
        let detail = json!({
            "token": name,
            "limits": limits,
            "expires_at": expires_at.map(|at| at.0),
        });
        let audit = Audit::by(asker, Action::TokenCreate, user, detail);
        let secret = new_secret(prefix(TokenKind::Personal), self.directory.random());
        let row = Row {
            account,
            kind: TokenKind::Personal,
            name,
            hash: secret_hash(secret.expose()),
            limits: limits.map(|limits| limits.to_json()),
            parent: None,
            expires_at,
        };
        let made = self.change(audit, move |tx| {
            let held = tokens::list(tx, account, TokenKind::Personal, None, TOKENS_MAX)?;
            if TOKENS_MAX <= held.len() {
                return Err(TokenError::TooMany);
            }
            let id = tokens::create(tx, &row, now)?;
            tokens::by_id(tx, id)?.ok_or(TokenError::Unknown)
        });
        Ok((made.await?, secret))
    }

    /// One's own tokens of a kind after another one, in the order in which they were made.
    pub(crate) fn tokens(
        &self,
        permit: &AccountPermit,
        kind: TokenKind,
        after: Option<TokenId>,
        rows: usize,
    ) -> Result<Vec<Token>, TokenError> {
        let account = permit.account().id;
        self.look(|tx| Ok(tokens::list(tx, account, kind, after, page(rows))?))
    }

    /// Somebody's.
    pub(crate) fn tokens_of(
        &self,
        _: &AdminPermit,
        user: &str,
        kind: TokenKind,
        after: Option<TokenId>,
        rows: usize,
    ) -> Result<Vec<Token>, TokenError> {
        self.look(|tx| {
            let account = users::find(tx, user)?;
            Ok(tokens::list(tx, account.id, kind, after, page(rows))?)
        })
    }

    /// Ends a token of one's own, with those that were made with it.
    pub(crate) async fn revoke_token(
        &self,
        permit: &AccountPermit,
        id: TokenId,
    ) -> Result<(), TokenError> {
        let user = permit.asker().principal().name.to_string();
        self.remove_token(permit.asker(), permit.account().id, &user, id)
            .await
    }

    /// Ends a token of somebody's.
    pub(crate) async fn revoke_token_of(
        &self,
        permit: &AdminPermit,
        user: &str,
        id: TokenId,
    ) -> Result<(), TokenError> {
        let account = self.look(|tx| users::find(tx, user))?;
        self.remove_token(permit.asker(), account.id, user, id)
            .await
    }

    async fn remove_token(
        &self,
        asker: &Asker,
        account: AccountId,
        user: &str,
        id: TokenId,
    ) -> Result<(), TokenError> {
        let token = self.look(|tx| of(tx, account, id))?;
        let detail = json!({ "token": token.name, "kind": token.kind.as_str() });
        let audit = Audit::by(asker, Action::TokenDelete, user, detail);
        self.change(audit, move |tx| {
            of(tx, account, id)?;
            tokens::delete(tx, id)?;
            Ok(())
        })
        .await
    }
}

/// The token of this account with this id: another's is not there (S10). A robot's secret is no token of its
/// own to revoke.
fn of(tx: &Transaction<'_>, account: AccountId, id: TokenId) -> Result<Token, TokenError> {
    let found = tokens::by_id(tx, id)?;
    found
        .filter(|token| token.account == account && token.kind != TokenKind::Robot)
        .ok_or(TokenError::Unknown)
}
