//! Which link files of registry:2's layout may differ from the rows.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::repositories::RepositoryId;
use super::{Row, Transaction};
use crate::fault::{Fault, FaultKind};

/// A thing that registry:2 records by a link file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    Layer(Digest),
    Manifest(Digest),
    Tag(Tag),
}

/// A link file to be made as the rows are.
#[derive(Clone, Debug)]
pub(crate) struct StaleLink {
    pub(crate) repository: RepositoryName,
    pub(crate) link: Link,
    change: i64,
}

/// What the rows say of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Absent,
    Present,
    /// The tag points at this manifest.
    PointsAt(Digest),
}

impl Link {
    fn kind(&self) -> &'static str {
        match self {
            Self::Layer(_) => "layer",
            Self::Manifest(_) => "manifest",
            Self::Tag(_) => "tag",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Layer(digest) | Self::Manifest(digest) => digest.as_str(),
            Self::Tag(tag) => tag.as_str(),
        }
    }
}

/// Notes that a link file may differ from the rows; in the transaction that changes the rows.
pub(crate) fn mark_stale(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    link: &Link,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO stale_links (repository, kind, name, change) VALUES ($1, $2, $3, 1)
         ON CONFLICT (repository, kind, name) DO UPDATE SET change = stale_links.change + 1",
        &[
            repository.as_str().into(),
            link.kind().into(),
            link.name().into(),
        ],
    )?;
    Ok(())
}

/// Notes the link files of every tag that points at a manifest.
pub(crate) fn mark_tags_stale(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    id: RepositoryId,
    manifest: &Digest,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO stale_links (repository, kind, name, change)
         SELECT $1, 'tag', name, 1 FROM tags WHERE repository_id = $2 AND digest = $3
         ON CONFLICT (repository, kind, name) DO UPDATE SET change = stale_links.change + 1",
        &[
            repository.as_str().into(),
            id.0.into(),
            manifest.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Notes every link file of a repository, as it is called here or was before.
pub(crate) fn mark_all_stale(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    id: RepositoryId,
) -> Result<(), Fault> {
    let values = [repository.as_str().into(), id.0.into()];
    tx.run(
        "INSERT INTO stale_links (repository, kind, name, change)
         SELECT $1, 'layer', digest, 1 FROM repository_blobs WHERE repository_id = $2
         ON CONFLICT (repository, kind, name) DO UPDATE SET change = stale_links.change + 1",
        &values,
    )?;
    tx.run(
        "INSERT INTO stale_links (repository, kind, name, change)
         SELECT $1, 'manifest', digest, 1 FROM manifests WHERE repository_id = $2
         ON CONFLICT (repository, kind, name) DO UPDATE SET change = stale_links.change + 1",
        &values,
    )?;
    tx.run(
        "INSERT INTO stale_links (repository, kind, name, change)
         SELECT $1, 'tag', name, 1 FROM tags WHERE repository_id = $2
         ON CONFLICT (repository, kind, name) DO UPDATE SET change = stale_links.change + 1",
        &values,
    )?;
    Ok(())
}

/// Stale links after another one, or from the first, at most `limit`.
pub(crate) fn stale(
    tx: &Transaction<'_>,
    after: Option<&StaleLink>,
    limit: usize,
) -> Result<Vec<StaleLink>, Fault> {
    let (repository, kind, name) = after.map_or(("", "", ""), |after| {
        (
            after.repository.as_str(),
            after.link.kind(),
            after.link.name(),
        )
    });
    tx.query(
        "SELECT repository, kind, name, change FROM stale_links
         WHERE (repository, kind, name) > ($1, $2, $3)
         ORDER BY repository, kind, name LIMIT $4",
        &[
            repository.into(),
            kind.into(),
            name.into(),
            super::limit(limit),
        ],
        |row| {
            Ok(StaleLink {
                repository: row.parsed(0)?,
                link: link(row, 1)?,
                change: row.int(3)?,
            })
        },
    )
}

/// The stale links of one repository.
pub(crate) fn stale_in(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
) -> Result<Vec<Link>, Fault> {
    tx.query(
        "SELECT kind, name FROM stale_links WHERE repository = $1",
        &[repository.as_str().into()],
        |row| link(row, 0),
    )
}

/// A link in two columns: its kind and its name.
fn link(row: &Row<'_>, first: usize) -> Result<Link, Fault> {
    Ok(match row.text(first)?.as_str() {
        "layer" => Link::Layer(row.parsed(first + 1)?),
        "manifest" => Link::Manifest(row.parsed(first + 1)?),
        "tag" => Link::Tag(row.parsed(first + 1)?),
        _ => return Err(Fault::plain(FaultKind::Damaged, "a link of unknown kind")),
    })
}

/// What the rows say now.
pub(crate) fn state(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    link: &Link,
) -> Result<LinkState, Fault> {
    let values = [repository.as_str().into(), link.name().into()];
    let found = match link {
        Link::Layer(_) => tx.exists(
            "SELECT 1 FROM repositories
             JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
             WHERE repositories.name = $1 AND repository_blobs.digest = $2
               AND repository_blobs.removed_at IS NULL",
            &values,
        )?,
        Link::Manifest(_) => tx.exists(
            "SELECT 1 FROM repositories
             JOIN manifests ON manifests.repository_id = repositories.id
             WHERE repositories.name = $1 AND manifests.digest = $2",
            &values,
        )?,
        Link::Tag(_) => {
            let digest = tx.query_one(
                "SELECT tags.digest FROM repositories
                 JOIN tags ON tags.repository_id = repositories.id
                 WHERE repositories.name = $1 AND tags.name = $2",
                &values,
                |row| row.parsed(0),
            )?;
            return Ok(digest.map_or(LinkState::Absent, LinkState::PointsAt));
        }
    };
    Ok(if found {
        LinkState::Present
    } else {
        LinkState::Absent
    })
}

/// Whether any link is.
pub(crate) fn any_stale(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists("SELECT 1 FROM stale_links LIMIT 1", &[])
}

/// No link is stale, for there are no link files. How many were.
pub(crate) fn forget_stale(tx: &Transaction<'_>) -> Result<usize, Fault> {
    tx.execute("DELETE FROM stale_links", &[])
}

/// The file is as the rows were; keeps the mark if they changed again since.
pub(crate) fn mark_written(tx: &Transaction<'_>, written: &StaleLink) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM stale_links
         WHERE repository = $1 AND kind = $2 AND name = $3 AND change = $4",
        &[
            written.repository.as_str().into(),
            written.link.kind().into(),
            written.link.name().into(),
            written.change.into(),
        ],
    )?;
    Ok(())
}
