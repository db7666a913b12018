//! Robots: accounts of a namespace for machines, which sign in by a secret and have the rights of their grants.

use serde_json::json;

use super::audit::{Action, Audit};
use super::organizations::{OrganizationError, demand_owner, find};
use super::teams::is_component;
use super::users::is_line;
use super::{Index, Sort, page};
use crate::auth::credentials::Secret;
use crate::auth::directory::{new_secret, prefix, secret_hash};
use crate::auth::permits::NamespacePermit;
use crate::auth::sign_in::LOCAL;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{self, Account, AccountId, AccountKind, NewAccount};
use crate::meta::robots;
use crate::meta::tokens::{self, NewToken, TokenKind};
use crate::meta::transaction::Transaction;

const DESCRIPTION_BYTES_MAX: usize = 255;

/// What there is to know of a robot, but for its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Robot {
    /// `namespace+name`, as it signs in.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) is_disabled: bool,
    pub(crate) created_at: Timestamp,
    /// When its secret ends.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// Why a robot was not made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RobotError {
    #[error(transparent)]
    Namespace(#[from] OrganizationError),
    #[error(
        "{0:?} cannot be the name of a robot: it takes 1 to 64 of a-z, 0-9, and between them `.`, `_`, `-`"
    )]
    Name(String),
    #[error("a description has at most {DESCRIPTION_BYTES_MAX} bytes and no control characters")]
    Description,
    #[error("that is over already; choose a later time for the end")]
    Expired,
    #[error("there is a robot {0} already; choose another name, or rotate its secret")]
    Taken(String),
    #[error("there is no robot {0}")]
    Unknown(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl RobotError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Namespace(error) => error.sort(),
            Self::Name(_) | Self::Description | Self::Expired => Sort::Invalid,
            Self::Taken(_) => Sort::Taken,
            Self::Unknown(_) => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Robots of a namespace after a whole name, in the order of their names.
    pub(crate) fn robots(
        &self,
        permit: &NamespacePermit,
        after: &str,
        rows: usize,
    ) -> Result<Vec<Robot>, RobotError> {
        demand_owner(permit)?;
        self.look(|tx| {
            find(tx, permit.namespace())?;
            let found = robots::list(tx, permit.namespace().as_str(), after, page(rows))?;
            found.into_iter().map(|account| show(tx, account)).collect()
        })
    }

    /// A robot by the name that it has in its namespace.
    pub(crate) fn robot(&self, permit: &NamespacePermit, name: &str) -> Result<Robot, RobotError> {
        demand_owner(permit)?;
        let whole = whole_name(permit, name);
        self.look(|tx| show(tx, find_robot(tx, &whole)?))
    }

    /// Makes a robot; its secret is shown this once.
    pub(crate) async fn create_robot(
        &self,
        permit: &NamespacePermit,
        name: &str,
        description: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(Robot, Secret), RobotError> {
        demand_owner(permit)?;
        if !is_component(name) {
            return Err(RobotError::Name(name.to_owned()));
        }
        if !is_line(description, DESCRIPTION_BYTES_MAX) {
            return Err(RobotError::Description);
        }
        let now = self.now();
        check_end(expires_at, now)?;
        let (secret, hash) = self.fresh();
        let account = NewAccount {
            name: whole_name(permit, name),
            kind: AccountKind::Robot,
            source: LOCAL.to_owned(),
            subject: None,
            password: None,
            is_admin: false,
            full_name: description.to_owned(),
            email: String::new(),
        };
        let audit = of_robot(permit, Action::RobotCreate, &account.name, json!({}));
        let home = permit.namespace().clone();
        let made = self.change(audit, move |tx| {
            find(tx, &home)?;
            if accounts::by_name(tx, &account.name)?.is_some() {
                return Err(RobotError::Taken(account.name));
            }
            let id = accounts::create(tx, &account, now)?;
            tokens::create(tx, &robot_token(id, hash, expires_at), now)?;
            show(tx, find_robot(tx, &account.name)?)
        });
        Ok((made.await?, secret))
    }

    /// Has a robot sign in no more, or again.
    pub(crate) async fn set_robot_disabled(
        &self,
        permit: &NamespacePermit,
        name: &str,
        is_disabled: bool,
    ) -> Result<Robot, RobotError> {
        demand_owner(permit)?;
        let whole = whole_name(permit, name);
        let detail = json!({ "is_disabled": is_disabled });
        let audit = of_robot(permit, Action::RobotUpdate, &whole, detail);
        self.change(audit, move |tx| {
            let mut robot = find_robot(tx, &whole)?;
            robot.is_disabled = is_disabled;
            accounts::update(tx, &robot)?;
            show(tx, robot)
        })
        .await
    }

    /// Gives a robot another secret, which is shown this once; the one before is good no more.
    pub(crate) async fn rotate_robot(
        &self,
        permit: &NamespacePermit,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(Robot, Secret), RobotError> {
        demand_owner(permit)?;
        let now = self.now();
        check_end(expires_at, now)?;
        let whole = whole_name(permit, name);
        let audit = of_robot(permit, Action::RobotRotate, &whole, json!({}));
        let (secret, hash) = self.fresh();
        let rotated = self.change(audit, move |tx| {
            let robot = find_robot(tx, &whole)?;
            // Before the old ones go, so that it cannot be given the id of one, which access tokens name.
            let new = tokens::create(tx, &robot_token(robot.id, hash, expires_at), now)?;
            tokens::delete_others(tx, robot.id, new)?;
            show(tx, robot)
        });
        Ok((rotated.await?, secret))
    }

    /// Removes a robot with what was granted to it.
    pub(crate) async fn delete_robot(
        &self,
        permit: &NamespacePermit,
        name: &str,
    ) -> Result<(), RobotError> {
        demand_owner(permit)?;
        let whole = whole_name(permit, name);
        let audit = of_robot(permit, Action::RobotDelete, &whole, json!({}));
        self.change(audit, move |tx| {
            let robot = find_robot(tx, &whole)?;
            Ok(accounts::delete(tx, robot.id)?)
        })
        .await
    }

    fn fresh(&self) -> (Secret, String) {
        let secret = new_secret(prefix(TokenKind::Robot), self.directory.random());
        let hash = secret_hash(secret.expose());
        (secret, hash)
    }
}

fn whole_name(permit: &NamespacePermit, name: &str) -> String {
    format!("{}+{name}", permit.namespace())
}

fn of_robot(
    permit: &NamespacePermit,
    action: Action,
    whole_name: &str,
    detail: serde_json::Value,
) -> Audit {
    Audit::by(permit.asker(), action, whole_name, detail)
}

fn robot_token(account: AccountId, hash: String, expires_at: Option<Timestamp>) -> NewToken {
    NewToken {
        account,
        kind: TokenKind::Robot,
        name: "secret".to_owned(),
        hash,
        limits: None,
        parent: None,
        expires_at,
    }
}

fn find_robot(tx: &Transaction<'_>, whole_name: &str) -> Result<Account, RobotError> {
    let found = accounts::by_name(tx, whole_name)?;
    found
        .filter(|account| account.kind == AccountKind::Robot)
        .ok_or_else(|| RobotError::Unknown(whole_name.to_owned()))
}

fn show(tx: &Transaction<'_>, account: Account) -> Result<Robot, RobotError> {
    let secret = tokens::list(tx, account.id, TokenKind::Robot, None, 1)?.pop();
    Ok(Robot {
        name: account.name,
        description: account.full_name,
        is_disabled: account.is_disabled,
        created_at: account.created_at,
        expires_at: secret.as_ref().and_then(|secret| secret.expires_at),
        last_used_at: secret.and_then(|secret| secret.last_used_at),
    })
}

fn check_end(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), RobotError> {
    match expires_at {
        Some(expires_at) if expires_at <= now => Err(RobotError::Expired),
        _ => Ok(()),
    }
}
