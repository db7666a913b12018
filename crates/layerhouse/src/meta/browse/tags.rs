//! Tags of a repository in the order that somebody asked for, a page at a time.

use std::ops::ControlFlow;

use super::array;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::blobs::bytes;
use crate::meta::repositories::RepositoryId;
use crate::meta::{Row, Transaction, limit};

/// What tags are sorted by. Those that have no such thing come last in both directions, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagSort {
    Name,
    /// When it was pushed, or moved.
    Pushed,
    /// The version that it names.
    Version,
    /// What a pull transfers.
    Size,
    /// When what it points at was last pulled.
    Pulled,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// Names in an order: $1 the repository, $2 how many, $3 how many are left out before them, $4 how far a list is
/// read that takes more than an index.
///
/// A list of two parts is read one after the other: their own limits keep the order in which each is. A CROSS JOIN
/// is read from the left, by its index, else SQLite would sort all there is.
fn names_sql(sort: TagSort, order: Order) -> &'static str {
    match (sort, order) {
        (TagSort::Name, Order::Ascending) => {
            "SELECT name FROM tags WHERE repository_id = $1 ORDER BY name LIMIT $2 OFFSET $3"
        }
        (TagSort::Name, Order::Descending) => {
            "SELECT name FROM tags WHERE repository_id = $1 ORDER BY name DESC LIMIT $2 OFFSET $3"
        }
        (TagSort::Pushed, Order::Ascending) => {
            "SELECT name FROM tags WHERE repository_id = $1
             ORDER BY moved_at, name LIMIT $2 OFFSET $3"
        }
        (TagSort::Pushed, Order::Descending) => {
            "SELECT name FROM tags WHERE repository_id = $1
             ORDER BY moved_at DESC, name DESC LIMIT $2 OFFSET $3"
        }
        (TagSort::Version, Order::Ascending) => {
            "SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1 AND version > ''
                               ORDER BY version, name LIMIT $4) AS versions
             UNION ALL
             SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1 AND version = ''
                               ORDER BY name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
        (TagSort::Version, Order::Descending) => {
            "SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1 AND version > ''
                               ORDER BY version DESC, name DESC LIMIT $4) AS versions
             UNION ALL
             SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1 AND version = ''
                               ORDER BY name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
        (TagSort::Size, Order::Ascending) => {
            "SELECT name FROM (SELECT tags.name FROM image_facts AS facts CROSS JOIN tags
                               WHERE facts.repository_id = $1
                                 AND tags.repository_id = $1 AND tags.digest = facts.digest
                               ORDER BY facts.image_bytes, facts.digest, tags.name LIMIT $4) AS sized
             UNION ALL
             SELECT name FROM (SELECT tags.name FROM image_queue AS queue
                               JOIN tags ON tags.repository_id = $1 AND tags.digest = queue.digest
                               WHERE queue.repository_id = $1
                                 AND NOT EXISTS (SELECT 1 FROM image_facts AS facts
                                                 WHERE facts.repository_id = $1
                                                   AND facts.digest = queue.digest)
                               ORDER BY queue.digest, tags.name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
        (TagSort::Size, Order::Descending) => {
            "SELECT name FROM (SELECT tags.name FROM image_facts AS facts CROSS JOIN tags
                               WHERE facts.repository_id = $1
                                 AND tags.repository_id = $1 AND tags.digest = facts.digest
                               ORDER BY facts.image_bytes DESC, facts.digest DESC, tags.name DESC
                               LIMIT $4) AS sized
             UNION ALL
             SELECT name FROM (SELECT tags.name FROM image_queue AS queue
                               JOIN tags ON tags.repository_id = $1 AND tags.digest = queue.digest
                               WHERE queue.repository_id = $1
                                 AND NOT EXISTS (SELECT 1 FROM image_facts AS facts
                                                 WHERE facts.repository_id = $1
                                                   AND facts.digest = queue.digest)
                               ORDER BY queue.digest, tags.name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
        (TagSort::Pulled, Order::Ascending) => {
            "SELECT name FROM (SELECT tags.name FROM manifest_pulls AS pulls CROSS JOIN tags
                               WHERE pulls.repository_id = $1
                                 AND tags.repository_id = $1 AND tags.digest = pulls.digest
                               ORDER BY pulls.pulled_at, pulls.digest, tags.name LIMIT $4) AS pulled
             UNION ALL
             SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1
                                 AND NOT EXISTS (SELECT 1 FROM manifest_pulls AS pulls
                                                 WHERE pulls.repository_id = $1
                                                   AND pulls.digest = tags.digest)
                               ORDER BY name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
        (TagSort::Pulled, Order::Descending) => {
            "SELECT name FROM (SELECT tags.name FROM manifest_pulls AS pulls CROSS JOIN tags
                               WHERE pulls.repository_id = $1
                                 AND tags.repository_id = $1 AND tags.digest = pulls.digest
                               ORDER BY pulls.pulled_at DESC, pulls.digest DESC, tags.name DESC
                               LIMIT $4) AS pulled
             UNION ALL
             SELECT name FROM (SELECT name FROM tags WHERE repository_id = $1
                                 AND NOT EXISTS (SELECT 1 FROM manifest_pulls AS pulls
                                                 WHERE pulls.repository_id = $1
                                                   AND pulls.digest = tags.digest)
                               ORDER BY name LIMIT $4) AS others
             LIMIT $2 OFFSET $3"
        }
    }
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) rows: usize,
    /// How many are left out before them.
    pub(crate) after: usize,
    /// Where a list ends that takes more than an index.
    pub(crate) depth: usize,
}

/// Names of tags in an order.
pub(crate) fn names(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    sort: TagSort,
    order: Order,
    part: Part,
) -> Result<Vec<String>, Fault> {
    tx.query(
        names_sql(sort, order),
        &[
            repository.0.into(),
            limit(part.rows),
            limit(part.after),
            limit(part.depth),
        ],
        |row| row.text(0),
    )
}

/// Calls `look` for the names of all tags in an order, until it has enough.
pub(crate) fn each_name(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    sort: TagSort,
    order: Order,
    mut look: impl FnMut(&str) -> ControlFlow<()>,
) -> Result<(), Fault> {
    tx.each_until(
        names_sql(sort, order),
        &[
            repository.0.into(),
            limit(usize::MAX),
            limit(0),
            limit(usize::MAX),
        ],
        |row| Ok(look(row.text_ref(0)?)),
    )
}

/// The names of all tags of a repository, in the order of their bytes, each with `end` behind it.
pub(crate) fn names_text(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    end: char,
) -> Result<String, Fault> {
    let mut text = String::new();
    tx.each(
        "SELECT name FROM tags WHERE repository_id = $1 ORDER BY name",
        &[repository.0.into()],
        |row| {
            text.push_str(row.text_ref(0)?);
            text.push(end);
            Ok(())
        },
    )?;
    Ok(text)
}

/// The last move or removal of a tag of a repository; 0 if there was none.
pub(crate) fn last_event(tx: &Transaction<'_>, repository: RepositoryId) -> Result<i64, Fault> {
    let found = tx.query_one(
        "SELECT id FROM tag_events WHERE repository_id = $1 ORDER BY id DESC LIMIT 1",
        &[repository.0.into()],
        |row| row.int(0),
    )?;
    Ok(found.unwrap_or(0))
}

/// A tag that moved or was removed.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) event: i64,
    pub(crate) tag: String,
    /// Whether it was there after that.
    pub(crate) is_there: bool,
}

/// What became of tags of a repository after an event, in the order in which it did, at most `rows` of it.
pub(crate) fn events_after(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    event: i64,
    rows: usize,
) -> Result<Vec<Changed>, Fault> {
    tx.query(
        "SELECT id, tag, to_digest IS NOT NULL FROM tag_events
         WHERE repository_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        &[repository.0.into(), event.into(), limit(rows)],
        |row| {
            Ok(Changed {
                event: row.int(0)?,
                tag: row.text(1)?,
                is_there: row.int(2)? != 0,
            })
        },
    )
}

/// What a list shows of a tag.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) moved_at: Timestamp,
    pub(crate) moved_by: Option<String>,
    /// Absent until it was read, which is soon after the push.
    pub(crate) facts: Option<Facts>,
    pub(crate) pulled_at: Option<Timestamp>,
    /// Other tags of the same manifest, parted by spaces, and how many.
    pub(crate) aliases: String,
    pub(crate) alias_count: u64,
    pub(crate) is_signed: bool,
    pub(crate) has_sbom: bool,
}

/// What is known of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: String,
    pub(crate) image_bytes: u64,
    pub(crate) largest_bytes: u64,
    /// Parted by commas.
    pub(crate) platforms: String,
    pub(crate) created_at: Option<Timestamp>,
}

impl Facts {
    /// From five columns, all NULL if nothing is known.
    pub(super) fn read(row: &Row<'_>, first: usize) -> Result<Option<Self>, Fault> {
        let Some(kind) = row.optional_text(first)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind,
            image_bytes: bytes(row.int(first + 1)?),
            largest_bytes: bytes(row.int(first + 2)?),
            platforms: row.text(first + 3)?,
            created_at: row.optional_int(first + 4)?.map(Timestamp),
        }))
    }
}

/// These tags, as lists show them, in this order; one that is gone is left out. `names` are a page: each takes some
/// ten lookups.
///
/// A signature is one of the first hundred referrers, of such a type, or what cosign tags `sha256-<hex>.sig`; an SBOM likewise.
pub(crate) fn details(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    names: &[String],
) -> Result<Vec<Listed>, Fault> {
    tx.query(
        "SELECT tags.name, tags.digest, tags.moved_at,
                facts.kind, facts.image_bytes, facts.largest_bytes, facts.platforms, facts.created_at,
                pulls.pulled_at,
                (SELECT actor FROM tag_events AS moves
                 WHERE moves.repository_id = $1 AND moves.tag = tags.name ORDER BY id DESC LIMIT 1),
                (SELECT COALESCE(GROUP_CONCAT(others.name, ' '), '') FROM
                     (SELECT same.name FROM tags AS same
                      WHERE same.repository_id = $1 AND same.digest = tags.digest
                        AND same.name <> tags.name ORDER BY same.name LIMIT $3) AS others),
                (SELECT COUNT(*) FROM (SELECT 1 FROM tags AS same
                                       WHERE same.repository_id = $1 AND same.digest = tags.digest
                                       LIMIT $4) AS others) - 1,
                EXISTS (SELECT 1 FROM tags AS beside WHERE beside.repository_id = $1
                          AND beside.name = REPLACE(tags.digest, ':', '-') || '.sig')
                OR EXISTS (SELECT 1 FROM (SELECT digest FROM manifests AS named
                                             WHERE named.repository_id = $1 AND named.subject = tags.digest
                                             LIMIT 100) AS referrers
                           JOIN image_facts AS known
                               ON known.repository_id = $1 AND known.digest = referrers.digest
                           WHERE known.kind = 'signature'),
                EXISTS (SELECT 1 FROM tags AS beside WHERE beside.repository_id = $1
                          AND beside.name = REPLACE(tags.digest, ':', '-') || '.sbom')
                OR EXISTS (SELECT 1 FROM (SELECT digest FROM manifests AS named
                                             WHERE named.repository_id = $1 AND named.subject = tags.digest
                                             LIMIT 100) AS referrers
                           JOIN image_facts AS known
                               ON known.repository_id = $1 AND known.digest = referrers.digest
                           WHERE known.kind = 'sbom')
         FROM JSON_EACH($2) AS wanted CROSS JOIN tags
         LEFT JOIN image_facts AS facts ON facts.repository_id = $1 AND facts.digest = tags.digest
         LEFT JOIN manifest_pulls AS pulls ON pulls.repository_id = $1 AND pulls.digest = tags.digest
         WHERE tags.repository_id = $1 AND tags.name = wanted.value
         ORDER BY wanted.key",
        &[
            repository.0.into(),
            array(names).as_str().into(),
            limit(ALIASES_MAX),
            limit(ALIASES_COUNTED_MAX),
        ],
        |row| {
            Ok(Listed {
                name: row.text(0)?,
                digest: row.text(1)?,
                moved_at: Timestamp(row.int(2)?),
                facts: Facts::read(row, 3)?,
                pulled_at: row.optional_int(8)?.map(Timestamp),
                moved_by: row.optional_text(9)?,
                aliases: row.text(10)?,
                alias_count: bytes(row.int(11)?),
                is_signed: row.int(12)? != 0,
                has_sbom: row.int(13)? != 0,
            })
        },
    )
}

/// Other tags of the same manifest that a list names.
const ALIASES_MAX: usize = 8;
/// How far they are counted: a manifest may have a million tags.
const ALIASES_COUNTED_MAX: usize = 1_000;

/// These tags by what they are sorted by, in this order: for the few that a filter found. Their names again; one that
/// is gone is left out.
pub(crate) fn sorted(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    names: &[&str],
    sort: TagSort,
    order: Order,
) -> Result<Vec<String>, Fault> {
    let sql = match sort {
        TagSort::Name => {
            "SELECT tags.name, 0, '' FROM JSON_EACH($2) AS wanted CROSS JOIN tags
             WHERE tags.repository_id = $1 AND tags.name = wanted.value"
        }
        TagSort::Pushed => {
            "SELECT tags.name, tags.moved_at, '' FROM JSON_EACH($2) AS wanted CROSS JOIN tags
             WHERE tags.repository_id = $1 AND tags.name = wanted.value"
        }
        TagSort::Version => {
            "SELECT tags.name, CASE WHEN tags.version = '' THEN NULL ELSE 0 END, tags.version
             FROM JSON_EACH($2) AS wanted CROSS JOIN tags
             WHERE tags.repository_id = $1 AND tags.name = wanted.value"
        }
        TagSort::Size => {
            "SELECT tags.name, facts.image_bytes, '' FROM JSON_EACH($2) AS wanted CROSS JOIN tags
             LEFT JOIN image_facts AS facts
                 ON facts.repository_id = $1 AND facts.digest = tags.digest
             WHERE tags.repository_id = $1 AND tags.name = wanted.value"
        }
        TagSort::Pulled => {
            "SELECT tags.name, pulls.pulled_at, '' FROM JSON_EACH($2) AS wanted CROSS JOIN tags
             LEFT JOIN manifest_pulls AS pulls
                 ON pulls.repository_id = $1 AND pulls.digest = tags.digest
             WHERE tags.repository_id = $1 AND tags.name = wanted.value"
        }
    };
    let names = array(names);
    let values = [repository.0.into(), names.as_str().into()];
    let mut found = tx.query(sql, &values, |row| {
        let key = row.optional_int(1)?.map(|number| (number, row.text(2)));
        let key = match key {
            Some((number, text)) => Some((number, text?)),
            None => None,
        };
        Ok((key, row.text(0)?))
    })?;
    found.sort_by(|(key, name), (other_key, other_name)| {
        let by_name = name.cmp(other_name);
        // Those that have none come last either way, by name.
        let (Some(key), Some(other_key)) = (key, other_key) else {
            return key.is_none().cmp(&other_key.is_none()).then(by_name);
        };
        let by_key = key.cmp(other_key).then(by_name);
        match order {
            Order::Ascending => by_key,
            Order::Descending => by_key.reverse(),
        }
    });
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// A repository that is there, and how many tags it has.
pub(crate) fn repository(
    tx: &Transaction<'_>,
    name: &str,
) -> Result<Option<(RepositoryId, usize)>, Fault> {
    tx.query_one(
        "SELECT id, tags_count FROM repositories WHERE name = $1 AND deleted_at IS NULL",
        &[name.into()],
        |row| {
            let count = usize::try_from(row.int(1)?).unwrap_or(0);
            Ok((RepositoryId(row.int(0)?), count))
        },
    )
}
