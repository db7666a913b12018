//! Users of a file of bcrypt entries.

pub(crate) mod create;
pub(crate) mod passes;
pub(crate) mod update;
pub(crate) mod users;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::credentials::Secret;
use super::passwords::{Busy, Comparison, Guess, Passwords};
use super::sealing::Sealing;
use super::watched::Watched;
use crate::clock::{Clock, Random};
use passes::{Holder, Passes};
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
    pub(crate) fn open(
        path: &Path,
        clock: &Clock,
        random: &Random,
        sealing: &Sealing,
    ) -> Result<Self, String> {
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
            passes: Passes::new(clock, sealing),
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
        let (hash, counts) = users.find(user);
        let guess = Guess {
            entry: &hash.bytes(),
            user,
            password,
            address,
        };
        let typed = password.clone();
        // One that is not right, and a user who is not there, cost the same.
        let matches = move || hash.matches(typed.expose()) && counts;
        let comparison = Comparison::Here(Box::new(matches));
        self.passwords.check(guess, comparison).await
    }

    /// The file as it is by now.
    pub(crate) async fn users(&self) -> Arc<Users> {
        self.users.current().await
    }

    /// Whether the file has an entry of this user that a password can match.
    pub(crate) async fn knows(&self, user: &str) -> bool {
        self.users.current().await.find(user).1
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
