//! The code that makes the first administrator: random, printed once, good once. There is no password that a
//! server begins with (S16).

use std::time::Duration;

use serde_json::json;

use super::Index;
use super::audit::{Action, Audit};
use crate::auth::credentials::Secret;
use crate::auth::directory::{new_secret, secret_hash};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts;
use crate::meta::invitations::{self, NewInvitation};

/// What the code begins with.
pub(crate) const SETUP_PREFIX: &str = "lhu_";
/// Several processes that are started together show a code each.
const SHOWN_TOGETHER: Duration = Duration::from_hours(1);
/// Who the audit says did what the server does by itself.
const SERVER: &str = "server";

impl Index {
    /// Whether there is no administrator yet, so that the code of the last start makes one.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn lacks_admin(&self) -> Result<bool, Fault> {
        Ok(self.look(accounts::count_admins)? == 0)
    }

    /// A code for the first administrator, unless there is one; those of earlier starts end, unless other processes may
    /// have shown them a moment ago.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn setup_code(&self, is_alone: bool) -> Result<Option<Secret>, Fault> {
        if !self.lacks_admin()? {
            return Ok(None);
        }
        let code = new_secret(SETUP_PREFIX, self.directory.random());
        let new = NewInvitation {
            hash: secret_hash(code.expose()),
            email: String::new(),
            is_setup: true,
            created_by: SERVER.to_owned(),
            expires_at: None,
        };
        let audit = Audit {
            actor: SERVER.to_owned(),
            address: String::new(),
            action: Action::SetupCode,
            subject: SERVER.to_owned(),
            detail: json!({}),
        };
        let now = self.now();
        let ended = if is_alone {
            Timestamp(i64::MAX)
        } else {
            now.before(SHOWN_TOGETHER)
        };
        self.change(audit, move |tx| {
            invitations::delete_setup(tx, ended)?;
            invitations::create(tx, &new, now).map(|_| ())
        })
        .await?;
        Ok(Some(code))
    }
}
