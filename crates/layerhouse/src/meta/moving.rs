//! All rows of one database in another, whichever engines they are, instead of those that are there: copied, then
//! compared.

use super::database::{Bulk, Database};
use super::migrations;
use super::transaction::{Kept, Row, Transaction, Value};
use crate::fault::{Fault, FaultKind};

/// Rows read at once of a table with bytes or long texts: a hundred manifests of 4 MiB are the most that is held.
const ROWS_OF_BYTES: usize = 100;
/// And of another one.
const ROWS: usize = 1000;
/// Values in one statement to a server, in bytes: more go row by row.
const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// Every table, those before others that these name. How full-text search stands is not moved but made anew: it is
/// each engine's own, and so is `compatibility`, which says what schema that is. `image_queue` and `repository_counts`
/// come last, for triggers write them as others come.
pub(super) const TABLES: [&str; 45] = [
    "repositories",
    "blobs",
    "repository_blobs",
    "manifests",
    "manifest_blobs",
    "manifest_children",
    "absent_children",
    "absent_blobs",
    "tags",
    "tag_events",
    "uploads",
    "stale_links",
    "adoptions",
    "events",
    "event_endpoints",
    "accounts",
    "namespaces",
    "members",
    "teams",
    "team_members",
    "grants",
    "tokens",
    "invitations",
    "signing_keys",
    "repository_pages",
    "stars",
    "audit_events",
    "removals",
    "deleted_manifests",
    "deleted_manifest_blobs",
    "deleted_manifest_children",
    "manifest_pulls",
    "scrub_passes",
    "scrub_findings",
    "backups",
    "image_facts",
    "version_progress",
    "storage_samples",
    "object_removals",
    "buckets",
    "job_leases",
    "sealing_keys",
    "fetches",
    "image_queue",
    "repository_counts",
];

/// A table and its columns.
struct Table {
    name: &'static str,
    columns: Vec<Column>,
    /// In the order of the primary key, as places in `columns`.
    key: Vec<usize>,
}

struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Bytes,
}

fn read_kept(row: &Row<'_>, column: usize, kind: Kind) -> Result<Kept, Fault> {
    Ok(match kind {
        Kind::Int => row.optional_int(column)?.map_or(Kept::Null, Kept::Int),
        Kind::Text => row.optional_text(column)?.map_or(Kept::Null, Kept::Text),
        Kind::Bytes => row.optional_bytes(column)?.map_or(Kept::Null, Kept::Bytes),
    })
}

fn length_bytes(value: &Kept) -> usize {
    match value {
        Kept::Null | Kept::Int(_) => 8,
        Kept::Text(text) => text.len(),
        Kept::Bytes(bytes) => bytes.len(),
    }
}

/// Copies all rows, and compares them; how many they are. `described` is whichever of the two is embedded, whose
/// schema says what columns there are. Blocks for as long as it takes.
///
/// # Errors
/// One of the databases failed; the same call begins anew. They differ after all.
pub(crate) fn copy(from: &Database, to: &Database, described: &Database) -> Result<u64, Fault> {
    for database in [from, to] {
        if database.read(migrations::is_ahead)? {
            let what = "a newer release was here, which keeps more than this one would move: move it with that one";
            return Err(Fault::plain(FaultKind::Other, what));
        }
    }
    let tables = described.read(|tx| {
        let named = TABLES.iter().map(|name| Table::describe(tx, name));
        named.collect::<Result<Vec<_>, Fault>>()
    })?;
    let is_served = to.file().is_none();
    let mut bulk = to.bulk()?;
    // What an attempt left that broke off: rows may be gone by now that it copied.
    let empty = |bulk: &mut Bulk, table: &Table| {
        let sql = format!("DELETE FROM {}", table.name).leak();
        bulk.change(|tx| tx.execute(sql, &[])).map(drop)
    };
    for table in tables.iter().rev() {
        empty(&mut bulk, table)?;
    }
    bulk.commit()?;
    for table in &tables {
        if matches!(table.name, "image_queue" | "repository_counts") {
            empty(&mut bulk, table)?;
        }
        table.copy(from, &mut bulk, is_served)?;
        bulk.commit()?;
    }
    // Triggers counted tags as they came.
    tables[0].copy(from, &mut bulk, is_served)?;
    bulk.finish(|tx| {
        tx.execute(
            "UPDATE search_progress SET repository_id = 0, tag_event_id = 0",
            &[],
        )
    })?;
    let mut rows = 0;
    for table in &tables {
        rows += table.compare(from, to)?;
    }
    Ok(rows)
}

impl Table {
    fn describe(tx: &Transaction<'_>, name: &'static str) -> Result<Self, Fault> {
        // Statements are kept for ever: this runs once in a process, for forty tables.
        let sql =
            format!("SELECT name, type, pk FROM PRAGMA_TABLE_INFO('{name}') ORDER BY cid").leak();
        let described = tx.query(sql, &[], |row| {
            let kind = match row.text(1)?.as_str() {
                "TEXT" => Kind::Text,
                "BYTEA" => Kind::Bytes,
                _ => Kind::Int,
            };
            let name = row.text(0)?;
            Ok((Column { name, kind }, row.int(2)?))
        })?;
        let mut key: Vec<(i64, usize)> = described
            .iter()
            .enumerate()
            .filter(|(_, (_, place))| *place != 0)
            .map(|(at, (_, place))| (*place, at))
            .collect();
        key.sort_unstable();
        Ok(Self {
            name,
            columns: described.into_iter().map(|(column, _)| column).collect(),
            key: key.into_iter().map(|(_, at)| at).collect(),
        })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        names.join(", ")
    }

    fn key_names(&self) -> String {
        let names: Vec<&str> = self
            .key
            .iter()
            .map(|at| self.columns[*at].name.as_str())
            .collect();
        names.join(", ")
    }

    fn rows_at_once(&self) -> usize {
        let has_bytes = self.columns.iter().any(|column| column.kind == Kind::Bytes);
        // What people wrote of their repositories is text.
        if has_bytes || self.name == "repository_pages" {
            ROWS_OF_BYTES
        } else {
            ROWS
        }
    }

    /// `$first, …`, so many.
    fn parameters(first: usize, count: usize) -> String {
        let names: Vec<String> = (first..first + count)
            .map(|number| format!("${number}"))
            .collect();
        names.join(", ")
    }

    /// Reads rows in the order of the key, a page at a time.
    fn pages(&self) -> Pages<'_> {
        let (name, names, key) = (self.name, self.names(), self.key_names());
        let page = |condition: String, limit: usize| -> &'static str {
            format!("SELECT {names} FROM {name} {condition} ORDER BY {key} LIMIT ${limit}").leak()
        };
        let parameters = Self::parameters(1, self.key.len());
        Pages {
            table: self,
            first: page(String::new(), 1),
            next: page(
                format!("WHERE ({key}) > ({parameters})"),
                self.key.len() + 1,
            ),
            after: None,
        }
    }

    /// Writes all rows; `is_served` if the way to where they go is worth fewer statements.
    fn copy(&self, from: &Database, bulk: &mut Bulk, is_served: bool) -> Result<(), Fault> {
        let others: Vec<String> = (0..self.columns.len())
            .filter(|at| !self.key.contains(at))
            .map(|at| format!("{0} = excluded.{0}", self.columns[at].name))
            .collect();
        let end = if others.is_empty() {
            "DO NOTHING".to_owned()
        } else {
            format!("DO UPDATE SET {}", others.join(", "))
        };
        let (name, names, key) = (self.name, self.names(), self.key_names());
        let width = self.columns.len();
        // A statement for all pages but the last, one for that, and one for a row. SQLite, to which there is no way to save,
        // looks for each parameter among all that came before.
        let insert = |rows: usize| -> &'static str {
            let row = |number| format!("({})", Self::parameters(number * width + 1, width));
            let rows: Vec<String> = (0..rows).map(row).collect();
            let rows = rows.join(", ");
            format!("INSERT INTO {name} ({names}) VALUES {rows} ON CONFLICT ({key}) {end}").leak()
        };
        let (mut whole, mut single) = (None, None);
        let mut pages = self.pages();
        loop {
            let rows = pages.next(from)?;
            if rows.is_empty() {
                return Ok(());
            }
            let bytes: usize = rows.iter().flatten().map(length_bytes).sum();
            let rows_max = if is_served && bytes <= STATEMENT_BYTES_MAX {
                rows.len()
            } else {
                1
            };
            let sql = match rows_max {
                1 => *single.get_or_insert_with(|| insert(1)),
                all if all == self.rows_at_once() => *whole.get_or_insert_with(|| insert(all)),
                some => insert(some),
            };
            bulk.change(|tx| {
                for rows in rows.chunks(rows_max) {
                    let values: Vec<Value<'_>> = rows.iter().flatten().map(Kept::value).collect();
                    tx.execute(sql, &values)?;
                }
                Ok(())
            })?;
            bulk.commit()?;
        }
    }

    /// How many rows both have.
    fn compare(&self, from: &Database, to: &Database) -> Result<u64, Fault> {
        let (mut left, mut right, mut count) = (self.pages(), self.pages(), 0);
        loop {
            let (ours, theirs) = (left.next(from)?, right.next(to)?);
            if ours != theirs {
                let what = format!(
                    "the copy of the table {} differs: was the database empty before, and did nobody else \
                     write to it? Nothing was changed in the one that was copied",
                    self.name
                );
                return Err(Fault::plain(FaultKind::Other, what));
            }
            if ours.is_empty() {
                return Ok(count);
            }
            count += ours.len() as u64;
        }
    }
}

/// The rows of a table, in pages.
struct Pages<'a> {
    table: &'a Table,
    first: &'static str,
    next: &'static str,
    after: Option<Vec<Kept>>,
}

impl Pages<'_> {
    /// The next rows; none at the end.
    fn next(&mut self, from: &Database) -> Result<Vec<Vec<Kept>>, Fault> {
        let (sql, mut values) = match &self.after {
            None => (self.first, Vec::new()),
            Some(key) => (self.next, key.iter().map(Kept::value).collect()),
        };
        let rows_max = i64::try_from(self.table.rows_at_once()).expect("few rows");
        values.push(Value::Int(rows_max));
        let columns = &self.table.columns;
        let rows = from.read(|tx| {
            tx.query(sql, &values, |row| {
                let read = columns.iter().enumerate();
                read.map(|(at, column)| read_kept(row, at, column.kind))
                    .collect()
            })
        })?;
        if let Some(last) = rows.last() {
            let last: &Vec<Kept> = last;
            self.after = Some(self.table.key.iter().map(|at| last[*at].clone()).collect());
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::meta::postgres::tests::Prepared;
    use crate::steps::Steps;

    fn open(directory: &tempfile::TempDir, name: &str) -> Database {
        let path = directory.path().join(name);
        Database::open(&path, Steps::default(), Health::default()).expect("it opens")
    }

    /// A table that a later step of the schema brings is not to be forgotten here.
    #[test]
    fn every_table_is_moved() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let database = open(&directory, "a.db");
        let found = database.read(|tx| {
            tx.query(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search_%'
                   AND name <> 'compatibility' ORDER BY name",
                &[],
                |row| row.text(0),
            )
        });
        let mut moved: Vec<String> = TABLES.iter().map(|name| (*name).to_owned()).collect();
        moved.sort();
        assert_eq!(found.expect("it reads"), moved);
        database.close();
    }

    #[test]
    fn what_was_copied_is_the_same_also_the_second_time() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (from, to) = (open(&directory, "a.db"), open(&directory, "b.db"));
        let mut bulk = from.bulk().expect("nobody else writes");
        bulk.change(|tx| {
            for sql in [
                "INSERT INTO repositories (id, name, created_at) VALUES (1, 'a', 1), (2, 'b', 2)",
                "INSERT INTO manifests (repository_id, digest, media_type, size, pushed_at, content)
                 VALUES (1, 'sha256:a', 'm', 3, 5, X'00FF')",
                "INSERT INTO tags (repository_id, name, digest, moved_at) VALUES (1, 't', 'sha256:a', 7)",
                "DELETE FROM image_queue",
            ] {
                tx.execute(sql, &[])?;
            }
            Ok(())
        })
        .expect("it can be written");
        bulk.finish(|_| Ok(())).expect("it can be kept");
        for _ in 0..2 {
            // Two repositories, a manifest, a tag.
            assert_eq!(copy(&from, &to, &from).expect("it is copied"), 4);
        }
        // What is there and not here goes.
        let extra = to.bulk().and_then(|bulk| {
            bulk.finish(|tx| tx.execute("INSERT INTO removals (digest) VALUES ('x')", &[]))
        });
        extra.expect("it can be written");
        assert_eq!(copy(&from, &to, &from).expect("it is copied"), 4);
        from.close();
        to.close();
    }

    /// Several pages of a table, the last of them not whole; PostgreSQL takes no more than 65,535 values in a statement.
    #[test]
    fn many_rows_are_moved() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (from, to) = (open(&directory, "a.db"), open(&directory, "b.db"));
        let numbers =
            "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 2345)";
        let rows = from.bulk().and_then(|bulk| {
            let sql = format!(
                "{numbers} INSERT INTO repositories (id, name, created_at) SELECT id, 'r' || id, id FROM n"
            );
            bulk.finish(|tx| tx.execute(sql.leak(), &[]))
        });
        assert_eq!(rows.expect("it can be written"), 2345);
        assert_eq!(copy(&from, &to, &from).expect("it is copied"), 2345);
        if let Some(prepared) = Prepared::make("moving") {
            let served = prepared.connect().expect("it connects");
            assert_eq!(copy(&from, &served, &from).expect("it is copied"), 2345);
            let back = open(&directory, "c.db");
            assert_eq!(copy(&served, &back, &back).expect("it is copied"), 2345);
            served.close();
            back.close();
        }
        let widths = from.read(|tx| {
            let described = TABLES.iter().map(|name| Table::describe(tx, name));
            described.collect::<Result<Vec<_>, Fault>>()
        });
        for table in widths.expect("it reads") {
            assert!(
                table.columns.len() * table.rows_at_once() <= 65_535,
                "{}",
                table.name
            );
        }
        from.close();
        to.close();
    }

    /// What a newer release keeps besides would be lost without a word.
    #[test]
    fn what_a_newer_release_brought_up_to_date_is_not_moved() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (from, to) = (open(&directory, "a.db"), open(&directory, "b.db"));
        let newer = from.bulk().and_then(|bulk| {
            let sql = "UPDATE compatibility SET schema = schema + 1";
            bulk.finish(|tx| tx.execute(sql, &[]))
        });
        newer.expect("it can be written");
        for (from, to) in [(&from, &to), (&to, &from)] {
            let refused = copy(from, to, from).expect_err("it has more than is known");
            assert!(refused.to_string().contains("newer release"), "{refused}");
        }
        from.close();
        to.close();
    }
}
