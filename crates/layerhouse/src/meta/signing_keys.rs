//! Keys that sign our tokens.

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of a row; later keys are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SigningKeyId(i64);

/// A row of `signing_keys`. Not to be printed: it has the private key.
#[derive(Clone)]
pub(crate) struct StoredKey {
    pub(crate) id: SigningKeyId,
    /// `ES256` or `EdDSA`.
    pub(crate) algorithm: String,
    /// In PKCS #8.
    pub(crate) private_key: Vec<u8>,
    /// In DER.
    pub(crate) certificate: Vec<u8>,
    pub(crate) created_at: Timestamp,
    /// Since when it signs no more.
    pub(crate) retired_at: Option<Timestamp>,
}

/// All keys, the oldest first. They are few: those retired are deleted soon.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<StoredKey>, Fault> {
    tx.query(
        "SELECT id, algorithm, private_key, certificate, created_at, retired_at
         FROM signing_keys ORDER BY id",
        &[],
        |row| {
            Ok(StoredKey {
                id: SigningKeyId(row.int(0)?),
                algorithm: row.text(1)?,
                private_key: row.bytes(2)?,
                certificate: row.bytes(3)?,
                created_at: Timestamp(row.int(4)?),
                retired_at: row.optional_int(5)?.map(Timestamp),
            })
        },
    )
}

/// Adds a key behind all others.
pub(crate) fn create(
    tx: &Transaction<'_>,
    algorithm: &str,
    private_key: &[u8],
    certificate: &[u8],
    now: Timestamp,
) -> Result<(), Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM signing_keys", now)?;
    tx.run(
        "INSERT INTO signing_keys (id, algorithm, private_key, certificate, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            id.into(),
            algorithm.into(),
            private_key.into(),
            certificate.into(),
            now.0.into(),
        ],
    )
}

/// Has a key sign no more.
pub(crate) fn retire(tx: &Transaction<'_>, key: SigningKeyId, now: Timestamp) -> Result<(), Fault> {
    tx.run(
        "UPDATE signing_keys SET retired_at = $2 WHERE id = $1",
        &[key.0.into(), now.0.into()],
    )
}

/// Removes keys that were retired before `before`.
pub(crate) fn delete_retired(tx: &Transaction<'_>, before: Timestamp) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM signing_keys WHERE retired_at < $1",
        &[before.0.into()],
    )
}
