//! Namespaces: users' own, and organizations.

use super::accounts::AccountId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// The key of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespaceId(pub(crate) i64);

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceKind {
    User,
    Organization,
}

impl NamespaceKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organization => "organization",
        }
    }
}

/// A row of `namespaces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) id: NamespaceId,
    pub(crate) name: String,
    pub(crate) kind: NamespaceKind,
    pub(crate) description: String,
    /// `public` or `private`; absent for that of the configuration.
    pub(crate) default_visibility: Option<String>,
    pub(crate) created_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Namespace, Fault> {
    let kind = match row.text(2)?.as_str() {
        "user" => NamespaceKind::User,
        "organization" => NamespaceKind::Organization,
        other => {
            let doing = format!("reading a namespace of kind {other:?}");
            return Err(Fault::plain(FaultKind::Damaged, doing));
        }
    };
    Ok(Namespace {
        id: NamespaceId(row.int(0)?),
        name: row.text(1)?,
        kind,
        description: row.text(3)?,
        default_visibility: row.optional_text(4)?,
        created_at: Timestamp(row.int(5)?),
    })
}

/// The namespace called `name`.
pub(crate) fn by_name(tx: &Transaction<'_>, name: &str) -> Result<Option<Namespace>, Fault> {
    tx.query_one(
        "SELECT id, name, kind, description, default_visibility, created_at
         FROM namespaces WHERE name = $1",
        &[name.into()],
        read,
    )
}

/// Namespaces of a kind after `after` in byte order of their names, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    kind: NamespaceKind,
    after: &str,
    rows: usize,
) -> Result<Vec<Namespace>, Fault> {
    tx.query(
        "SELECT id, name, kind, description, default_visibility, created_at
         FROM namespaces WHERE name > $1 AND kind = $2 ORDER BY name LIMIT $3",
        &[after.into(), kind.as_str().into(), limit(rows)],
        read,
    )
}

/// Makes a namespace with its first owner; its name must be free.
pub(crate) fn create(
    tx: &Transaction<'_>,
    name: &str,
    kind: NamespaceKind,
    owner: Option<AccountId>,
    now: Timestamp,
) -> Result<NamespaceId, Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM namespaces", now)?;
    tx.run(
        "INSERT INTO namespaces (id, name, kind, created_at) VALUES ($1, $2, $3, $4)",
        &[id.into(), name.into(), kind.as_str().into(), now.0.into()],
    )?;
    if let Some(owner) = owner {
        tx.run(
            "INSERT INTO members (namespace_id, account_id, role, added_at)
             VALUES ($1, $2, 'owner', $3)",
            &[id.into(), owner.0.into(), now.0.into()],
        )?;
    }
    Ok(NamespaceId(id))
}

/// Sets what its owners may change about a namespace.
pub(crate) fn update(tx: &Transaction<'_>, namespace: &Namespace) -> Result<(), Fault> {
    tx.run(
        "UPDATE namespaces SET description = $2, default_visibility = $3 WHERE id = $1",
        &[
            namespace.id.0.into(),
            namespace.description.as_str().into(),
            namespace.default_visibility.as_deref().into(),
        ],
    )
}

/// Removes a namespace with its members, teams and grants.
pub(crate) fn delete(tx: &Transaction<'_>, id: NamespaceId) -> Result<(), Fault> {
    tx.run("DELETE FROM namespaces WHERE id = $1", &[id.0.into()])
}

/// Whether repositories stand under a namespace's name, those that were deleted and can come back among them:
/// who takes the name next must not find another's there.
pub(crate) fn has_repositories(tx: &Transaction<'_>, name: &str) -> Result<bool, Fault> {
    // `0` is the byte behind `/`.
    tx.exists(
        "SELECT 1 FROM repositories WHERE name > $1 AND name < $2
           AND (deleted_at IS NULL OR EXISTS (SELECT 1 FROM deleted_manifests
                                              WHERE repository_id = repositories.id))
         LIMIT 1",
        &[
            format!("{name}/").as_str().into(),
            format!("{name}0").as_str().into(),
        ],
    )
}
