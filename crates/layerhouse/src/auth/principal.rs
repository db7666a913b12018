//! Who signed in, and by what.

use std::sync::Arc;

use super::rights::{Limits, Role};
use crate::meta::accounts::{AccountId, AccountKind};
use crate::meta::tokens::{TokenId, TokenKind};

/// Who asks, as the index knows them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Principal {
    /// Absent for nobody, and for the operator at the machine's console.
    pub(crate) account: Option<AccountRef>,
    /// As it is recorded.
    pub(crate) name: Arc<str>,
    /// A role in every repository: of users of a registry:2's file, who had all rights before.
    pub(crate) everywhere: Option<Role>,
    /// What the token that they signed in with may at most; absent, all that they may.
    pub(crate) limits: Option<Arc<Limits>>,
    pub(crate) token: Option<TokenId>,
    pub(crate) means: Means,
}

/// An account that signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountRef {
    pub(crate) id: AccountId,
    pub(crate) kind: AccountKind,
    pub(crate) is_admin: bool,
}

/// What somebody signed in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Nobody,
    Password,
    /// A password that another server checked.
    PasswordElsewhere,
    /// A token of ours itself.
    Token(TokenKind),
    /// What the token service signed.
    AccessToken,
    /// A token of a workload's issuer.
    Workload,
    Certificate,
    /// The admin socket, which the machine's operator alone can open; is an administrator.
    Console,
}

impl Means {
    /// Whether they may be given something to sign in with later, which nobody else would be asked about: an
    /// account that its source disabled, and a job that ended, must not go on by it (S11).
    pub(crate) fn may_be_kept(self) -> bool {
        match self {
            Self::Password | Self::Token(_) | Self::AccessToken | Self::Console => true,
            Self::Nobody | Self::PasswordElsewhere | Self::Workload | Self::Certificate => false,
        }
    }
}

impl Principal {
    /// Who did not sign in.
    pub(crate) fn nobody() -> Self {
        Self {
            account: None,
            name: Arc::from("anonymous"),
            everywhere: None,
            limits: None,
            token: None,
            means: Means::Nobody,
        }
    }

    /// The operator at the machine's console.
    pub(crate) fn console() -> Self {
        Self {
            name: Arc::from("console"),
            means: Means::Console,
            ..Self::nobody()
        }
    }

    /// Whether a browser's session says who they are.
    pub(crate) fn is_of_session(&self) -> bool {
        self.means == Means::Token(TokenKind::Session)
    }

    /// Whether what says who they are is for the token service alone.
    pub(crate) fn is_of_refresh_token(&self) -> bool {
        self.means == Means::Token(TokenKind::Refresh)
    }

    /// Whether they may do all. What a limited token may, its limits say.
    pub(crate) fn is_admin(&self) -> bool {
        let is_admin = self.account.is_some_and(|account| account.is_admin);
        (is_admin && self.limits.is_none()) || self.means == Means::Console
    }
}
