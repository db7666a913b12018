//! Accounts: users and robots.

use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// The key of an account; a name may be given to another one day, an id is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccountId(pub(crate) i64);

/// People and machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountKind {
    User,
    Robot,
}

impl AccountKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Robot => "robot",
        }
    }
}

/// A row of `accounts`. Not to be printed whole: it has the password's hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) kind: AccountKind,
    /// `local`, `htpasswd`, `ldap`, `mtls`, `oidc:<provider>`.
    pub(crate) source: String,
    /// What the source calls them.
    pub(crate) subject: Option<String>,
    /// argon2id in PHC's form.
    pub(crate) password: Option<String>,
    pub(crate) is_admin: bool,
    pub(crate) is_disabled: bool,
    pub(crate) full_name: String,
    pub(crate) email: String,
    pub(crate) created_at: Timestamp,
    pub(crate) signed_in_at: Option<Timestamp>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Account")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn read(row: &Row<'_>) -> Result<Account, Fault> {
    let kind = match row.text(2)?.as_str() {
        "user" => AccountKind::User,
        "robot" => AccountKind::Robot,
        other => {
            let doing = format!("reading an account of kind {other:?}");
            return Err(Fault::plain(FaultKind::Damaged, doing));
        }
    };
    Ok(Account {
        id: AccountId(row.int(0)?),
        name: row.text(1)?,
        kind,
        source: row.text(3)?,
        subject: row.optional_text(4)?,
        password: row.optional_text(5)?,
        is_admin: row.int(6)? != 0,
        is_disabled: row.int(7)? != 0,
        full_name: row.text(8)?,
        email: row.text(9)?,
        created_at: Timestamp(row.int(10)?),
        signed_in_at: row.optional_int(11)?.map(Timestamp),
    })
}

/// The account with this id.
pub(crate) fn by_id(tx: &Transaction<'_>, id: AccountId) -> Result<Option<Account>, Fault> {
    tx.query_one(
        "SELECT id, name, kind, source, subject, password, is_admin, is_disabled, full_name, email,
                created_at, signed_in_at
         FROM accounts WHERE id = $1",
        &[id.0.into()],
        read,
    )
}

/// The account called `name`.
pub(crate) fn by_name(tx: &Transaction<'_>, name: &str) -> Result<Option<Account>, Fault> {
    tx.query_one(
        "SELECT id, name, kind, source, subject, password, is_admin, is_disabled, full_name, email,
                created_at, signed_in_at
         FROM accounts WHERE name = $1",
        &[name.into()],
        read,
    )
}

/// The account that a source outside knows as `subject`.
pub(crate) fn by_subject(
    tx: &Transaction<'_>,
    source: &str,
    subject: &str,
) -> Result<Option<Account>, Fault> {
    tx.query_one(
        "SELECT id, name, kind, source, subject, password, is_admin, is_disabled, full_name, email,
                created_at, signed_in_at
         FROM accounts WHERE source = $1 AND subject = $2",
        &[source.into(), subject.into()],
        read,
    )
}

/// Users and robots after `after` in byte order of their names, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    kind: AccountKind,
    after: &str,
    rows: usize,
) -> Result<Vec<Account>, Fault> {
    tx.query(
        "SELECT id, name, kind, source, subject, password, is_admin, is_disabled, full_name, email,
                created_at, signed_in_at
         FROM accounts WHERE name > $1 AND kind = $2 ORDER BY name LIMIT $3",
        &[after.into(), kind.as_str().into(), limit(rows)],
        read,
    )
}

/// An account to be.
#[derive(Clone)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) kind: AccountKind,
    pub(crate) source: String,
    pub(crate) subject: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) is_admin: bool,
    pub(crate) full_name: String,
    pub(crate) email: String,
}

/// Makes an account; its name must be free.
pub(crate) fn create(
    tx: &Transaction<'_>,
    new: &NewAccount,
    now: Timestamp,
) -> Result<AccountId, Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM accounts", now)?;
    tx.run(
        "INSERT INTO accounts (id, name, kind, source, subject, password, is_admin, full_name, email,
                               created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            id.into(),
            new.name.as_str().into(),
            new.kind.as_str().into(),
            new.source.as_str().into(),
            new.subject.as_deref().into(),
            new.password.as_deref().into(),
            i64::from(new.is_admin).into(),
            new.full_name.as_str().into(),
            new.email.as_str().into(),
            now.0.into(),
        ],
    )?;
    Ok(AccountId(id))
}

/// Sets what people may change about an account.
pub(crate) fn update(tx: &Transaction<'_>, account: &Account) -> Result<(), Fault> {
    tx.run(
        "UPDATE accounts SET is_admin = $2, is_disabled = $3, full_name = $4, email = $5 WHERE id = $1",
        &[
            account.id.0.into(),
            i64::from(account.is_admin).into(),
            i64::from(account.is_disabled).into(),
            account.full_name.as_str().into(),
            account.email.as_str().into(),
        ],
    )
}

/// Sets the hash of a password.
pub(crate) fn set_password(
    tx: &Transaction<'_>,
    id: AccountId,
    password: &str,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE accounts SET password = $2 WHERE id = $1",
        &[id.0.into(), password.into()],
    )
}

/// Takes note of a sign-in.
pub(crate) fn signed_in(tx: &Transaction<'_>, id: AccountId, now: Timestamp) -> Result<(), Fault> {
    tx.run(
        "UPDATE accounts SET signed_in_at = $2 WHERE id = $1",
        &[id.0.into(), now.0.into()],
    )
}

/// Removes an account with its tokens, roles and stars.
pub(crate) fn delete(tx: &Transaction<'_>, id: AccountId) -> Result<(), Fault> {
    tx.run("DELETE FROM accounts WHERE id = $1", &[id.0.into()])
}

/// How many users are administrators and not disabled.
pub(crate) fn count_admins(tx: &Transaction<'_>) -> Result<u64, Fault> {
    tx.count("SELECT COUNT(*) FROM accounts WHERE is_admin = 1 AND is_disabled = 0")
}
