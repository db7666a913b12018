//! Pages of repositories: what people, or the image itself, say of them.

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What is said of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) description: String,
    pub(crate) readme: String,
    /// A JSON object of texts, or nothing.
    pub(crate) labels: String,
    /// Whether people wrote it; else the image did.
    pub(crate) is_of_people: bool,
}

/// What is said of a repository, if anything was.
pub(crate) fn find(tx: &Transaction<'_>, repository: RepositoryId) -> Result<Option<Page>, Fault> {
    tx.query_one(
        "SELECT description, readme, labels, described_by FROM repository_pages
         WHERE repository_id = $1",
        &[repository.0.into()],
        |row| {
            Ok(Page {
                description: row.text(0)?,
                readme: row.text(1)?,
                labels: row.text(2)?,
                is_of_people: row.text(3)? == "people",
            })
        },
    )
}

/// The line that stands beside a name in lists; empty if there is none.
pub(crate) fn description(tx: &Transaction<'_>, repository: RepositoryId) -> Result<String, Fault> {
    let found = tx.query_one(
        "SELECT description FROM repository_pages WHERE repository_id = $1",
        &[repository.0.into()],
        |row| row.text(0),
    )?;
    Ok(found.unwrap_or_default())
}

/// Says this of a repository from now on.
pub(crate) fn put(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    page: &Page,
    now: Timestamp,
) -> Result<(), Fault> {
    let described_by = if page.is_of_people { "people" } else { "image" };
    tx.run(
        "INSERT INTO repository_pages (repository_id, description, readme, labels, described_by,
                                       updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (repository_id)
         DO UPDATE SET description = excluded.description, readme = excluded.readme,
                       labels = excluded.labels, described_by = excluded.described_by,
                       updated_at = excluded.updated_at",
        &[
            repository.0.into(),
            page.description.as_str().into(),
            page.readme.as_str().into(),
            page.labels.as_str().into(),
            described_by.into(),
            now.0.into(),
        ],
    )?;
    Ok(())
}
