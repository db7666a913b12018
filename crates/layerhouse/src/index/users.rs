//! Users: made by administrators, changed by them and by themselves.

use layerhouse_oci::namespace::{NamespaceError, NamespaceName};
use serde_json::json;

use super::audit::{Action, Audit};
use super::passwords::PasswordError;
use super::{Index, Sort, page};
use crate::auth::credentials::Secret;
use crate::auth::outsider::RESERVED;
use crate::auth::permits::{AccountPermit, AdminPermit};
use crate::auth::sign_in::LOCAL;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{self, Account, AccountId, AccountKind, NewAccount};
use crate::meta::namespaces::{self, NamespaceKind};
use crate::meta::transaction::Transaction;
use crate::meta::{invitations, members, robots};

/// Longest full name or address, in bytes.
const TEXT_BYTES_MAX: usize = 255;

/// What there is to know of a user, but for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) email: String,
    /// Who vouches for them.
    pub(crate) source: String,
    pub(crate) is_admin: bool,
    pub(crate) is_disabled: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) signed_in_at: Option<Timestamp>,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self {
            name: account.name,
            full_name: account.full_name,
            email: account.email,
            source: account.source,
            is_admin: account.is_admin,
            is_disabled: account.is_disabled,
            created_at: account.created_at,
            signed_in_at: account.signed_in_at,
        }
    }
}

/// A user to be.
#[derive(Clone, Debug)]
pub(crate) struct NewUser {
    pub(crate) name: String,
    /// Absent, they sign in once an administrator gave them one.
    pub(crate) password: Option<Secret>,
    pub(crate) full_name: String,
    pub(crate) email: String,
    pub(crate) is_admin: bool,
}

/// What users change of themselves; absent, it stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) full_name: Option<String>,
    pub(crate) email: Option<String>,
}

/// What administrators change of users; absent, it stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserChanges {
    pub(crate) profile: Profile,
    pub(crate) is_admin: Option<bool>,
    pub(crate) is_disabled: Option<bool>,
}

/// Why a user could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error(transparent)]
    Name(#[from] NamespaceError),
    #[error("{0} is reserved; choose another name")]
    Reserved(String),
    #[error("{0} is taken; choose another name")]
    Taken(String),
    #[error(
        "repositories stand under {0}/ already; choose another name, or ask an administrator for this one"
    )]
    Occupied(String),
    #[error("{what} has at most {TEXT_BYTES_MAX} bytes and no control characters")]
    Text { what: &'static str },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("there is no user {0}")]
    Unknown(String),
    #[error("{0} is the last administrator; make another one first")]
    LastAdmin(String),
    #[error("repositories stand under {0}/; delete them first, or disable the user instead")]
    HasRepositories(String),
    #[error("{name} is the only owner of {}; make another owner there first, or delete it", organizations.join(", "))]
    OwnsAlone {
        name: String,
        organizations: Vec<String>,
    },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl UserError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Name(_) | Self::Reserved(_) | Self::Text { .. } => Sort::Invalid,
            Self::Password(error) => error.sort(),
            Self::Taken(_) | Self::Occupied(_) => Sort::Taken,
            Self::Unknown(_) => Sort::Absent,
            Self::LastAdmin(_) | Self::HasRepositories(_) | Self::OwnsAlone { .. } => {
                Sort::Conflict
            }
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Makes a user with their namespace. An administrator may give away a name that repositories stand under.
    pub(crate) async fn create_user(
        &self,
        permit: &AdminPermit,
        new: NewUser,
    ) -> Result<User, UserError> {
        check_profile(Some(&new.full_name), Some(&new.email))?;
        let name: NamespaceName = new.name.parse()?;
        // Before it is hashed, which is dear; the transaction looks again.
        self.look(|tx| check_free(tx, &name))?;
        let password = match &new.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let detail = json!({ "is_admin": new.is_admin, "source": LOCAL });
        let audit = Audit::by(permit.asker(), Action::UserCreate, name.as_str(), detail);
        let now = self.now();
        self.change(audit, move |tx| {
            check_free(tx, &name)?;
            create(tx, &name, new, password, now)
        })
        .await
    }

    /// Users after a name, in the order of their names.
    pub(crate) fn users(
        &self,
        _: &AdminPermit,
        after: &str,
        rows: usize,
    ) -> Result<Vec<User>, Fault> {
        let found = self.look(|tx| accounts::list(tx, AccountKind::User, after, page(rows)))?;
        Ok(found.into_iter().map(User::from).collect())
    }

    /// The user called `name`.
    pub(crate) fn user(&self, _: &AdminPermit, name: &str) -> Result<User, UserError> {
        self.look(|tx| find(tx, name)).map(User::from)
    }

    /// Who asks.
    pub(crate) fn own_user(&self, permit: &AccountPermit) -> Result<User, UserError> {
        let name = &permit.asker().principal().name;
        self.look(|tx| find(tx, name)).map(User::from)
    }

    /// Changes a user.
    pub(crate) async fn update_user(
        &self,
        permit: &AdminPermit,
        name: &str,
        changes: UserChanges,
    ) -> Result<User, UserError> {
        let Profile { full_name, email } = &changes.profile;
        check_profile(full_name.as_deref(), email.as_deref())?;
        let detail = json!({
            "full_name": full_name,
            "email": email,
            "is_admin": changes.is_admin,
            "is_disabled": changes.is_disabled,
        });
        let audit = Audit::by(
            permit.asker(),
            Action::UserUpdate,
            name,
            without_nulls(detail),
        );
        let name = name.to_owned();
        self.change(audit, move |tx| {
            let mut user = find(tx, &name)?;
            let was_active_admin = user.is_admin && !user.is_disabled;
            let Profile { full_name, email } = changes.profile;
            user.full_name = full_name.unwrap_or(user.full_name);
            user.email = email.unwrap_or(user.email);
            user.is_admin = changes.is_admin.unwrap_or(user.is_admin);
            user.is_disabled = changes.is_disabled.unwrap_or(user.is_disabled);
            accounts::update(tx, &user)?;
            let is_active_admin = user.is_admin && !user.is_disabled;
            if was_active_admin && !is_active_admin {
                check_admins(tx, &user.name)?;
            }
            if is_active_admin {
                invitations::delete_setup(tx, Timestamp(i64::MAX))?;
            }
            Ok(User::from(user))
        })
        .await
    }

    /// Changes what users may change of themselves.
    pub(crate) async fn update_own(
        &self,
        permit: &AccountPermit,
        changes: Profile,
    ) -> Result<User, UserError> {
        let Profile { full_name, email } = &changes;
        check_profile(full_name.as_deref(), email.as_deref())?;
        let detail = without_nulls(json!({ "full_name": full_name, "email": email }));
        let name = permit.asker().principal().name.to_string();
        let audit = Audit::by(permit.asker(), Action::UserUpdate, name.as_str(), detail);
        self.change(audit, move |tx| {
            let mut user = find(tx, &name)?;
            user.full_name = changes.full_name.unwrap_or(user.full_name);
            user.email = changes.email.unwrap_or(user.email);
            accounts::update(tx, &user)?;
            Ok(User::from(user))
        })
        .await
    }

    /// Removes a user with their namespace, robots, tokens and stars. Not while repositories stand under their
    /// name: whoever is called so next would own them.
    pub(crate) async fn delete_user(
        &self,
        permit: &AdminPermit,
        name: &str,
    ) -> Result<(), UserError> {
        let audit = Audit::by(permit.asker(), Action::UserDelete, name, json!({}));
        let name = name.to_owned();
        self.change(audit, move |tx| {
            let user = find(tx, &name)?;
            if namespaces::has_repositories(tx, &name)? {
                return Err(UserError::HasRepositories(name));
            }
            let organizations = members::owned_alone(tx, user.id)?;
            if !organizations.is_empty() {
                return Err(UserError::OwnsAlone {
                    name,
                    organizations,
                });
            }
            robots::delete_all(tx, &name)?;
            if let Some(namespace) = namespaces::by_name(tx, &name)? {
                namespaces::delete(tx, namespace.id)?;
            }
            accounts::delete(tx, user.id)?;
            if user.is_admin && !user.is_disabled {
                check_admins(tx, &name)?;
            }
            Ok(())
        })
        .await
    }
}

/// Makes the rows of a user: account, namespace, ownership. Its name was found free.
pub(super) fn create(
    tx: &Transaction<'_>,
    name: &NamespaceName,
    new: NewUser,
    password: Option<String>,
    now: Timestamp,
) -> Result<User, UserError> {
    let is_admin = new.is_admin;
    let account = NewAccount {
        name: name.as_str().to_owned(),
        kind: AccountKind::User,
        source: LOCAL.to_owned(),
        subject: None,
        password,
        is_admin,
        full_name: new.full_name,
        email: new.email,
    };
    let id = accounts::create(tx, &account, now)?;
    namespaces::create(tx, name.as_str(), NamespaceKind::User, Some(id), now)?;
    if is_admin {
        // It makes the first administrator, and no second.
        invitations::delete_setup(tx, Timestamp(i64::MAX))?;
    }
    by_id(tx, id, name.as_str()).map(User::from)
}

fn by_id(tx: &Transaction<'_>, id: AccountId, name: &str) -> Result<Account, UserError> {
    accounts::by_id(tx, id)?.ok_or_else(|| UserError::Unknown(name.to_owned()))
}

/// The user called `name`; robots are none.
pub(super) fn find(tx: &Transaction<'_>, name: &str) -> Result<Account, UserError> {
    let found = accounts::by_name(tx, name)?;
    found
        .filter(|account| account.kind == AccountKind::User)
        .ok_or_else(|| UserError::Unknown(name.to_owned()))
}

/// Whether nobody has this name and nobody is to have it.
pub(super) fn check_free(tx: &Transaction<'_>, name: &NamespaceName) -> Result<(), UserError> {
    let text = || name.as_str().to_owned();
    if RESERVED.contains(&name.as_str()) {
        return Err(UserError::Reserved(text()));
    }
    let is_taken = accounts::by_name(tx, name.as_str())?.is_some()
        || namespaces::by_name(tx, name.as_str())?.is_some();
    if is_taken {
        return Err(UserError::Taken(text()));
    }
    Ok(())
}

fn check_admins(tx: &Transaction<'_>, name: &str) -> Result<(), UserError> {
    match accounts::count_admins(tx)? {
        0 => Err(UserError::LastAdmin(name.to_owned())),
        _ => Ok(()),
    }
}

/// What people say of themselves is shown to others.
pub(super) fn check_profile(full_name: Option<&str>, email: Option<&str>) -> Result<(), UserError> {
    for (text, what) in [(full_name, "a full name"), (email, "an e-mail address")] {
        if text.is_some_and(|text| !is_line(text, TEXT_BYTES_MAX)) {
            return Err(UserError::Text { what });
        }
    }
    Ok(())
}

/// Whether a text is one line of at most so many bytes.
pub(super) fn is_line(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.chars().any(char::is_control)
}

/// What was not said did not change.
fn without_nulls(mut object: serde_json::Value) -> serde_json::Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    object
}
