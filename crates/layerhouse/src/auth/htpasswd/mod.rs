//! Users of a file of bcrypt entries.

mod backoff;
pub(crate) mod create;
mod flights;
pub(crate) mod passes;
mod passwords;
mod queue;
pub(crate) mod update;
pub(crate) mod users;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::credentials::Secret;
use super::watched::Watched;
use crate::clock::{Clock, Random};
use passes::{Holder, Passes};
pub(crate) use passwords::Busy;
use passwords::Passwords;
use users::Users;

/// Who may sign in, by the file.
pub(crate) struct Htpasswd {
    users: Arc<Watched<Users>>,
    passwords: Passwords,
    passes: Passes,
    /// The state of the file that good logins are remembered of.
    remembered_of: Mutex<Weak<Users>>,
}

impl Htpasswd {
    /// Reads the file, and makes one with one user if there is none.
    ///
    /// # Errors
    /// It cannot be read or made, or has a line without a colon.
    pub(crate) fn open(path: &Path, clock: &Clock, random: &Random) -> Result<Self, String> {
        create::provision(path, random)?;
        let users = Watched::open(
            vec![path.to_owned()],
            |files| {
                let users = Users::parse(&files[0])?;
                users.warn();
                Ok(users)
            },
            clock,
        )?;
        Ok(Self {
            users: Arc::new(users),
            passwords: Passwords::new(clock, random),
            passes: Passes::new(clock, random),
            remembered_of: Mutex::default(),
        })
    }

    /// Whether the password is the user's.
    ///
    /// # Errors
    /// [`Busy`] if that cannot be said now.
    pub(crate) async fn check(
        &self,
        user: &str,
        password: &Secret,
        address: &str,
    ) -> Result<bool, Busy> {
        let users = self.users.current().await;
        self.forget_if_changed(&users);
        self.passwords.check(&users, user, password, address).await
    }

    /// A pass for who has just been found to be the holder.
    pub(crate) async fn issue(&self, holder: &Holder) -> Option<Secret> {
        self.passes.issue(holder, &*self.users.current().await)
    }

    /// Whose pass it is, if it is good.
    pub(crate) async fn holder(&self, pass: &Secret) -> Option<Holder> {
        self.passes.read(pass, &*self.users.current().await)
    }

    fn forget_if_changed(&self, users: &Arc<Users>) {
        let mut known = self
            .remembered_of
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(known.as_ptr(), Arc::as_ptr(users)) {
            *known = Arc::downgrade(users);
            self.passwords.forget();
        }
    }
}
