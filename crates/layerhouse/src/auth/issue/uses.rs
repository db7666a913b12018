//! When tokens were last used: noted in memory, where a sign-in costs no write, and written now and then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::refresh;
use crate::auth::directory::Directory;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::database::Durability;
use crate::meta::tokens::{self, TokenId};
use crate::meta::transaction::Transaction;

/// Tokens whose use waits to be written: 100 a second between two writes, and 2 MiB. What comes beyond is
/// noted the next time.
const WAITING_MAX: usize = 100_000;
/// Rows of tokens that ended, removed at a time.
const ENDED_ROWS: usize = 1000;

/// Tokens that were used since the last write.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<TokenId, Timestamp>>);

impl Uses {
    pub(crate) fn note(&self, token: TokenId, now: Timestamp) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX || waiting.contains_key(&token) {
            waiting.insert(token, now);
        }
    }

    fn take(&self) -> Vec<(TokenId, Timestamp)> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).into_iter().collect()
    }

    /// Writes what was noted, in one transaction that need not survive a power cut. Refresh tokens begin a new
    /// term with their use.
    ///
    /// # Errors
    /// The database failed; what was noted is lost, and only that.
    pub(crate) async fn write(&self, directory: &Directory) -> Result<(), Fault> {
        let used = self.take();
        if used.is_empty() {
            return Ok(());
        }
        let change = move |tx: &Transaction<'_>| -> Result<(), Fault> {
            for (id, used_at) in used {
                if let Some(token) = tokens::by_id(tx, id)? {
                    let end = refresh::new_end(tx, &token, used_at)?;
                    tokens::touch(tx, id, used_at, end)?;
                }
            }
            Ok(())
        };
        let durability = Durability::ProcessDeath;
        directory.database().write_lasting(durability, change).await
    }
}

/// Removes the tokens that have ended. Nothing else changes by it: nobody could use them before.
///
/// # Errors
/// The database failed.
pub(crate) async fn remove_ended(directory: &Directory) -> Result<(), Fault> {
    let now = directory.clock().now();
    let change = move |tx: &Transaction<'_>| tokens::delete_expired(tx, now, ENDED_ROWS);
    let durability = Durability::ProcessDeath;
    while directory
        .database()
        .write_lasting(durability, change)
        .await?
        == ENDED_ROWS
    {}
    Ok(())
}
