//! Repositories as lists show them, and what was pushed to them last.

use std::ops::ControlFlow;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::array;
use super::tags::Facts;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::blobs::bytes;
use crate::meta::limit;
use crate::meta::repositories::{RepositoryId, within};
use crate::meta::transaction::Transaction;

/// What a list is put in order by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief<'a> {
    pub(crate) id: RepositoryId,
    pub(crate) name: &'a str,
    /// Its own, if it has one.
    pub(crate) visibility: Option<&'a str>,
    pub(crate) linked_bytes: i64,
    /// In milliseconds; absent if no tag was ever pushed.
    pub(crate) last_pushed_at: Option<i64>,
}

/// Which repositories are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Among<'a> {
    /// All, in whichever order they lie: that takes a fifth of the time of any other.
    All,
    /// All, by name.
    Names,
    /// Those whose name is this or begins with it and a slash, by name.
    Below(&'a str),
}

/// Calls `look` for repositories that are there, until it has enough.
pub(crate) fn each(
    tx: &Transaction<'_>,
    among: Among<'_>,
    mut look: impl FnMut(Brief<'_>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let mut read = |row: &crate::meta::Row<'_>| {
        Ok(look(Brief {
            id: RepositoryId(row.int(0)?),
            name: row.text_ref(1)?,
            visibility: row.optional_text(2)?.as_deref(),
            linked_bytes: row.int(3)?,
            last_pushed_at: row.optional_int(4)?,
        }))
    };
    let first = match among {
        Among::All => {
            return tx.each_until(
                "SELECT id, name, visibility, linked_bytes, last_pushed_at FROM repositories
                 WHERE deleted_at IS NULL",
                &[],
                read,
            );
        }
        Among::Names => {
            return tx.each_until(
                "SELECT id, name, visibility, linked_bytes, last_pushed_at FROM repositories
                 WHERE deleted_at IS NULL ORDER BY name",
                &[],
                read,
            );
        }
        Among::Below(first) => first,
    };
    let (from, to) = within(first);
    let mut goes_on = true;
    tx.each_until(
        "SELECT id, name, visibility, linked_bytes, last_pushed_at FROM repositories
         WHERE name = $1 AND deleted_at IS NULL",
        &[first.into()],
        |row| {
            let next = read(row)?;
            goes_on = next.is_continue();
            Ok(next)
        },
    )?;
    if !goes_on {
        return Ok(());
    }
    tx.each_until(
        "SELECT id, name, visibility, linked_bytes, last_pushed_at FROM repositories
         WHERE name >= $1 AND name < $2 AND deleted_at IS NULL ORDER BY name",
        &[from.as_str().into(), to.as_str().into()],
        read,
    )
}

/// Whether there is any repository.
pub(crate) fn has_any(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM repositories WHERE deleted_at IS NULL LIMIT 1",
        &[],
    )
}

/// What is counted of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Pulls,
    Stars,
}

/// How much was counted of repositories that have any of it.
pub(crate) fn each_count(
    tx: &Transaction<'_>,
    count: Count,
    mut look: impl FnMut(RepositoryId, i64),
) -> Result<(), Fault> {
    let sql = match count {
        Count::Pulls => "SELECT repository_id, pulls FROM repository_counts WHERE pulls > 0",
        Count::Stars => "SELECT repository_id, stars FROM repository_counts WHERE stars > 0",
    };
    tx.each(sql, &[], |row| {
        look(RepositoryId(row.int(0)?), row.int(1)?);
        Ok(())
    })
}

/// The repositories of these names, in this order; those that are not there are left out.
pub(crate) fn named(tx: &Transaction<'_>, names: &[&str]) -> Result<Vec<RepositoryId>, Fault> {
    tx.query(
        "SELECT repositories.id FROM JSON_EACH($1) AS wanted CROSS JOIN repositories
         WHERE repositories.name = wanted.value AND deleted_at IS NULL
         ORDER BY wanted.key",
        &[array(names).as_str().into()],
        |row| Ok(RepositoryId(row.int(0)?)),
    )
}

/// What a list shows of a repository.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: RepositoryName,
    pub(crate) visibility: Option<String>,
    pub(crate) description: String,
    pub(crate) tags: u64,
    pub(crate) linked_bytes: u64,
    pub(crate) last_pushed_at: Option<Timestamp>,
    pub(crate) last_pulled_at: Option<Timestamp>,
    pub(crate) pulls: u64,
    pub(crate) stars: u64,
}

/// These repositories, as lists show them, in this order.
///
/// No digest at all in `manifest_pulls` stands for since when pulls are recorded, and is no pull.
pub(crate) fn details(
    tx: &Transaction<'_>,
    repositories: &[RepositoryId],
) -> Result<Vec<Listed>, Fault> {
    let ids: Vec<i64> = repositories.iter().map(|id| id.0).collect();
    tx.query(
        "SELECT repositories.name, visibility, COALESCE(description, ''), tags_count, linked_bytes,
                repositories.last_pushed_at,
                COALESCE(last_pulled_at, (SELECT pulled_at FROM manifest_pulls AS noted
                                          WHERE noted.repository_id = repositories.id
                                            AND noted.digest <> ''
                                          ORDER BY pulled_at DESC LIMIT 1)),
                COALESCE(pulls, 0), COALESCE(stars, 0)
         FROM JSON_EACH($1) AS wanted CROSS JOIN repositories
         LEFT JOIN repository_pages ON repository_pages.repository_id = repositories.id
         LEFT JOIN repository_counts ON repository_counts.repository_id = repositories.id
         WHERE repositories.id = CAST(wanted.value AS BIGINT)
         ORDER BY wanted.key",
        &[array(&ids).as_str().into()],
        |row| {
            Ok(Listed {
                name: row.parsed(0)?,
                visibility: row.optional_text(1)?,
                description: row.text(2)?,
                tags: bytes(row.int(3)?),
                linked_bytes: bytes(row.int(4)?),
                last_pushed_at: row.optional_int(5)?.map(Timestamp),
                last_pulled_at: row.optional_int(6)?.map(Timestamp),
                pulls: bytes(row.int(7)?),
                stars: bytes(row.int(8)?),
            })
        },
    )
}

/// A tag that points where somebody moved it.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) happened_at: Timestamp,
    pub(crate) actor: String,
}

/// Calls `look` for moves of tags that are still true, the last first and at most so many, until it has enough; `look` is also told of
/// what is not true any more, so that it can count. A tag may come twice that moved away and back.
pub(crate) fn each_pushed(
    tx: &Transaction<'_>,
    most: usize,
    mut look: impl FnMut(Option<(Pushed, Option<String>)>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT tag_events.to_digest = tags.digest AND repositories.deleted_at IS NULL,
                repositories.name, tag, to_digest, happened_at, actor, visibility
         FROM tag_events
         JOIN repositories ON repositories.id = tag_events.repository_id
         LEFT JOIN tags ON tags.repository_id = tag_events.repository_id
                       AND tags.name = tag_events.tag
         ORDER BY tag_events.id DESC LIMIT $1",
        &[limit(most)],
        |row| {
            if row.optional_int(0)?.unwrap_or(0) == 0 {
                return Ok(look(None));
            }
            let pushed = Pushed {
                repository: row.parsed(1)?,
                tag: row.parsed(2)?,
                digest: row.parsed(3)?,
                happened_at: Timestamp(row.int(4)?),
                actor: row.text(5)?,
            };
            Ok(look(Some((pushed, row.optional_text(6)?))))
        },
    )
}

/// The tag of a repository that was pushed last.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) repository: RepositoryName,
    pub(crate) facts: Option<Facts>,
    pub(crate) is_signed: bool,
}

/// What the newest tags of these repositories are, in this order; those without tags are left out. What is signed is as in
/// lists of tags, and the tags of signatures themselves (`sha256-<hex>.sig`) are passed over, among the last ten.
pub(crate) fn newest(tx: &Transaction<'_>, names: &[&str]) -> Result<Vec<Newest>, Fault> {
    tx.query(
        "SELECT repositories.name, facts.kind, facts.image_bytes, facts.largest_bytes, facts.platforms, facts.created_at,
                EXISTS (SELECT 1 FROM tags AS beside WHERE beside.repository_id = repositories.id
                          AND beside.name = REPLACE(tags.digest, ':', '-') || '.sig')
                OR EXISTS (SELECT 1 FROM (SELECT digest FROM manifests AS named
                                             WHERE named.repository_id = repositories.id
                                               AND named.subject = tags.digest
                                             LIMIT 100) AS referrers
                           JOIN image_facts AS known
                               ON known.repository_id = repositories.id
                              AND known.digest = referrers.digest
                           WHERE known.kind = 'signature')
         FROM JSON_EACH($1) AS wanted CROSS JOIN repositories CROSS JOIN tags
         LEFT JOIN image_facts AS facts
             ON facts.repository_id = repositories.id AND facts.digest = tags.digest
         WHERE repositories.name = wanted.value AND tags.repository_id = repositories.id
           AND tags.name = (SELECT name FROM (SELECT name, moved_at FROM tags AS newest
                                              WHERE newest.repository_id = repositories.id
                                              ORDER BY newest.moved_at DESC, newest.name DESC
                                              LIMIT 10) AS last
                            ORDER BY name LIKE 'sha256-%', moved_at DESC, name DESC LIMIT 1)
         ORDER BY wanted.key",
        &[array(names).as_str().into()],
        |row| {
            Ok(Newest {
                repository: row.parsed(0)?,
                facts: Facts::read(row, 1)?,
                is_signed: row.int(6)? != 0,
            })
        },
    )
}
