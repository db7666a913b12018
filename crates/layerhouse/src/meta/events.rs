//! The outbox: events in the order in which they happened, and how far each endpoint came.

use std::ops::ControlFlow;

use layerhouse_oci::name::RepositoryName;

use super::{Transaction, Value};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Which event; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventId(i64);

/// An event about to be written.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) happened_at: Timestamp,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) action: &'static str,
    /// Of what it is about; empty for a delete.
    pub(crate) media_type: &'a str,
    /// As it is sent: a JSON object.
    pub(crate) body: &'a str,
}

/// An event that waits for an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct StoredEvent {
    pub(crate) id: EventId,
    pub(crate) action: String,
    pub(crate) media_type: String,
    pub(crate) body: String,
}

/// What the outbox may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxBounds {
    pub(crate) rows_max: i64,
    /// Of bodies.
    pub(crate) bytes_max: i64,
    /// Older events go.
    pub(crate) oldest: Timestamp,
}

/// Events that an endpoint will never get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) endpoint: String,
    pub(crate) events: u64,
}

/// Writes an event behind all others.
pub(crate) fn append(tx: &Transaction<'_>, event: &NewEvent<'_>) -> Result<(), Fault> {
    let last = last(tx)?;
    tx.run(
        "INSERT INTO events (id, happened_at, bytes_before, repository, action, media_type, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (last.id + 1).into(),
            event.happened_at.0.into(),
            last.end_bytes.into(),
            event.repository.as_str().into(),
            event.action.into(),
            event.media_type.into(),
            event.body.into(),
        ],
    )?;
    Ok(())
}

/// Where the outbox ends.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    id: i64,
    end_bytes: i64,
}

fn last(tx: &Transaction<'_>) -> Result<End, Fault> {
    let last = tx.query_one(
        "SELECT id, bytes_before + OCTET_LENGTH(body) FROM events ORDER BY id DESC LIMIT 1",
        &[],
        |row| {
            Ok(End {
                id: row.int(0)?,
                end_bytes: row.int(1)?,
            })
        },
    )?;
    if let Some(last) = last {
        return Ok(last);
    }
    // Empty: an id that an endpoint has passed must not come again.
    let id = tx.query_one(
        "SELECT COALESCE(MAX(passed), 0) FROM event_endpoints",
        &[],
        |row| row.int(0),
    )?;
    Ok(End {
        id: id.unwrap_or(0),
        end_bytes: 0,
    })
}

/// The names of those who are told.
pub(crate) fn endpoints(tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT name FROM event_endpoints ORDER BY name",
        &[],
        |row| row.text(0),
    )
}

/// From now on these are told: a new one of what happens next, one that was told before from where it stopped.
pub(crate) fn add_endpoints(tx: &Transaction<'_>, names: &[String]) -> Result<(), Fault> {
    let end = last(tx)?.id;
    for name in names {
        tx.run(
            "INSERT INTO event_endpoints (name, passed) VALUES ($1, $2)
             ON CONFLICT (name) DO NOTHING",
            &[name.as_str().into(), end.into()],
        )?;
    }
    Ok(())
}

/// Others than these are told no more.
pub(crate) fn remove_other_endpoints(tx: &Transaction<'_>, names: &[String]) -> Result<(), Fault> {
    for name in endpoints(tx)? {
        if !names.contains(&name) {
            tx.run(
                "DELETE FROM event_endpoints WHERE name = $1",
                &[name.as_str().into()],
            )?;
        }
    }
    Ok(())
}

/// The last event that an endpoint has, or does not want; `None` if nobody of this name is told.
pub(crate) fn passed(tx: &Transaction<'_>, endpoint: &str) -> Result<Option<EventId>, Fault> {
    tx.query_one(
        "SELECT passed FROM event_endpoints WHERE name = $1",
        &[endpoint.into()],
        |row| Ok(EventId(row.int(0)?)),
    )
}

/// The events after another one: at most `rows_max`, and no more once they have `bytes_max`.
pub(crate) fn after(
    tx: &Transaction<'_>,
    passed: EventId,
    rows_max: usize,
    bytes_max: usize,
) -> Result<Vec<StoredEvent>, Fault> {
    let mut found = Vec::new();
    let mut found_bytes = 0;
    tx.each_until(
        "SELECT id, action, media_type, body FROM events WHERE id > $1 ORDER BY id LIMIT $2",
        &[passed.0.into(), super::limit(rows_max)],
        |row| {
            let event = StoredEvent {
                id: EventId(row.int(0)?),
                action: row.text(1)?,
                media_type: row.text(2)?,
                body: row.text(3)?,
            };
            found_bytes += event.body.len();
            found.push(event);
            Ok(if bytes_max <= found_bytes {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )?;
    Ok(found)
}

/// How many events are behind another one.
pub(crate) fn count_after(tx: &Transaction<'_>, passed: EventId) -> Result<u64, Fault> {
    // Ids have no gaps.
    Ok(u64::try_from(last(tx)?.id - passed.0).unwrap_or(0))
}

/// An endpoint has, or does not want, every event up to this one.
pub(crate) fn pass(tx: &Transaction<'_>, endpoint: &str, up_to: EventId) -> Result<(), Fault> {
    tx.run(
        "UPDATE event_endpoints SET passed = $2 WHERE name = $1 AND passed < $2",
        &[endpoint.into(), up_to.0.into()],
    )?;
    Ok(())
}

/// Removes events that every endpoint has passed, at most `limit`; how many. With nobody to be told,
/// these are all.
pub(crate) fn remove_passed(tx: &Transaction<'_>, limit: usize) -> Result<usize, Fault> {
    tx.execute(
        "DELETE FROM events WHERE id IN (
             SELECT id FROM events
             WHERE id <= COALESCE((SELECT MIN(passed) FROM event_endpoints), $1)
             ORDER BY id LIMIT $2)",
        &[Value::Int(i64::MAX), super::limit(limit)],
    )
}

/// Removes the oldest events of an outbox that holds more than it may, at most `limit`: how many, and
/// who does not get them.
pub(crate) fn remove_beyond(
    tx: &Transaction<'_>,
    bounds: OutboxBounds,
    limit: usize,
) -> Result<(usize, Vec<Lost>), Fault> {
    let end = last(tx)?;
    let mut cut = None;
    tx.each_until(
        "SELECT id, bytes_before, happened_at FROM events ORDER BY id LIMIT $1",
        &[super::limit(limit)],
        |row| {
            let (id, bytes_before) = (row.int(0)?, row.int(1)?);
            let is_beyond = bounds.rows_max <= end.id - id
                || bounds.bytes_max < end.end_bytes - bytes_before
                || row.int(2)? < bounds.oldest.0;
            if is_beyond {
                cut = Some(id);
                Ok(ControlFlow::Continue(()))
            } else {
                Ok(ControlFlow::Break(()))
            }
        },
    )?;
    let Some(cut) = cut else {
        return Ok((0, Vec::new()));
    };
    let mut lost = Vec::new();
    tx.each(
        "SELECT name, $1 - passed FROM event_endpoints WHERE passed < $1 ORDER BY name",
        &[cut.into()],
        |row| {
            lost.push(Lost {
                endpoint: row.text(0)?,
                events: u64::try_from(row.int(1)?).unwrap_or(0),
            });
            Ok(())
        },
    )?;
    tx.run(
        "UPDATE event_endpoints SET passed = $1 WHERE passed < $1",
        &[cut.into()],
    )?;
    let removed = tx.execute("DELETE FROM events WHERE id <= $1", &[cut.into()])?;
    Ok((removed, lost))
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) rows: i64,
    /// Of bodies.
    pub(crate) bytes: i64,
}

/// How much is held: two lookups, for ids have no gaps and each row knows the bytes before it.
pub(crate) fn held(tx: &Transaction<'_>) -> Result<Held, Fault> {
    let first = tx.query_one(
        "SELECT id, bytes_before FROM events ORDER BY id LIMIT 1",
        &[],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )?;
    let Some((id, bytes_before)) = first else {
        return Ok(Held::default());
    };
    let end = last(tx)?;
    Ok(Held {
        rows: end.id - id + 1,
        bytes: end.end_bytes - bytes_before,
    })
}

/// When the oldest event happened that is held.
pub(crate) fn first_happened_at(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT happened_at FROM events ORDER BY id LIMIT 1",
        &[],
        |row| row.int(0).map(Timestamp),
    )
}

/// Whether any event is held.
pub(crate) fn is_empty(tx: &Transaction<'_>) -> Result<bool, Fault> {
    Ok(!tx.exists("SELECT 1 FROM events LIMIT 1", &[])?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::health::Health;
    use crate::meta::database::Database;
    use crate::steps::Steps;

    const EVERYTHING: OutboxBounds = OutboxBounds {
        rows_max: i64::MAX,
        bytes_max: i64::MAX,
        oldest: Timestamp(i64::MIN),
    };

    /// An outbox of its own, `count` events of ten bytes in it, told to these endpoints.
    fn with_outbox(endpoints: &[&str], count: i64, test: impl FnOnce(&Transaction<'_>)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("database");
        let database = Database::open(&path, Steps::default(), Health::default()).expect("opens");
        let mut bulk = database.bulk().expect("nobody else writes");
        bulk.change(|tx| {
            let names: Vec<_> = endpoints.iter().map(|name| (*name).to_owned()).collect();
            add_endpoints(tx, &names)?;
            fill(tx, count);
            test(tx);
            Ok(())
        })
        .expect("the test's statements are right");
        drop(bulk);
        database.close();
    }

    fn fill(tx: &Transaction<'_>, count: i64) {
        let repository = "acme/web".parse().expect("a name");
        for _ in 0..count {
            let end = last(tx).expect("it can be read").id;
            let event = NewEvent {
                happened_at: Timestamp(end + 1),
                repository: &repository,
                action: "push",
                media_type: "",
                body: "0123456789",
            };
            append(tx, &event).expect("it can be written");
        }
    }

    fn ids(tx: &Transaction<'_>, endpoint: &str) -> Vec<i64> {
        let passed = passed(tx, endpoint).expect("it can be read");
        let events = after(tx, passed.expect("it is told"), 1000, usize::MAX);
        let events = events.expect("they can be read");
        events.iter().map(|event| event.id.0).collect()
    }

    #[test]
    fn an_event_stays_until_everyone_has_it() {
        with_outbox(&["a", "b"], 5, |tx| {
            pass(tx, "a", EventId(4)).unwrap();
            assert_eq!(remove_passed(tx, 100).unwrap(), 0);
            pass(tx, "b", EventId(3)).unwrap();
            assert_eq!(remove_passed(tx, 2).unwrap(), 2);
            assert_eq!(remove_passed(tx, 2).unwrap(), 1);
            assert_eq!((ids(tx, "a"), ids(tx, "b")), (vec![5], vec![4, 5]));
            pass(tx, "b", EventId(1)).unwrap();
            assert_eq!(ids(tx, "b"), [4, 5], "nobody goes back");
        });
    }

    #[test]
    fn ids_do_not_come_again() {
        with_outbox(&["a"], 2, |tx| {
            pass(tx, "a", EventId(2)).unwrap();
            remove_passed(tx, 100).unwrap();
            assert!(is_empty(tx).unwrap());
            fill(tx, 1);
            assert_eq!(ids(tx, "a"), [3]);
        });
    }

    #[test]
    fn an_endpoint_is_told_from_when_it_came_until_it_goes() {
        with_outbox(&["a"], 2, |tx| {
            add_endpoints(tx, &["a".to_owned(), "b".to_owned()]).unwrap();
            fill(tx, 1);
            assert_eq!((ids(tx, "a"), ids(tx, "b")), (vec![1, 2, 3], vec![3]));
            remove_other_endpoints(tx, &["b".to_owned()]).unwrap();
            assert_eq!(passed(tx, "a").unwrap(), None);
            assert_eq!(remove_passed(tx, 100).unwrap(), 2);
            remove_other_endpoints(tx, &[]).unwrap();
            assert_eq!(remove_passed(tx, 100).unwrap(), 1);
        });
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let check = |bounds: OutboxBounds, removed: usize, left: &[i64]| {
            with_outbox(&["dead", "slow"], 6, |tx| {
                pass(tx, "slow", EventId(2)).unwrap();
                let (actual, lost) = remove_beyond(tx, bounds, 100).unwrap();
                assert_eq!(actual, removed, "{bounds:?}");
                assert_eq!(ids(tx, "dead"), left, "{bounds:?}");
                let lost: u64 = lost.iter().map(|lost| lost.events).sum();
                let expected = removed + removed.saturating_sub(2);
                assert_eq!(lost, expected as u64, "{bounds:?}");
            });
        };
        check(EVERYTHING, 0, &[1, 2, 3, 4, 5, 6]);
        let rows_max = |rows_max| OutboxBounds {
            rows_max,
            ..EVERYTHING
        };
        check(rows_max(6), 0, &[1, 2, 3, 4, 5, 6]);
        check(rows_max(2), 4, &[5, 6]);
        let bytes_max = |bytes_max| OutboxBounds {
            bytes_max,
            ..EVERYTHING
        };
        check(bytes_max(60), 0, &[1, 2, 3, 4, 5, 6]);
        check(bytes_max(59), 1, &[2, 3, 4, 5, 6]);
        check(bytes_max(20), 4, &[5, 6]);
        let oldest = Timestamp(4);
        check(
            OutboxBounds {
                oldest,
                ..EVERYTHING
            },
            3,
            &[4, 5, 6],
        );
    }

    #[test]
    fn what_is_held_is_known() {
        with_outbox(&["a"], 5, |tx| {
            let check = |rows, first| {
                let bytes = 10 * rows;
                assert_eq!(held(tx).unwrap(), Held { rows, bytes });
                assert_eq!(first_happened_at(tx).unwrap(), first);
            };
            check(5, Some(Timestamp(1)));
            pass(tx, "a", EventId(2)).unwrap();
            remove_passed(tx, 100).unwrap();
            check(3, Some(Timestamp(3)));
            pass(tx, "a", EventId(5)).unwrap();
            remove_passed(tx, 100).unwrap();
            check(0, None);
        });
    }

    #[test]
    fn a_page_ends_at_its_bytes() {
        with_outbox(&["a"], 5, |tx| {
            let page = |rows_max, bytes_max| after(tx, EventId(1), rows_max, bytes_max).unwrap();
            assert_eq!(page(3, 1000).len(), 3);
            assert_eq!(page(3, 11).len(), 2);
            assert_eq!(page(3, 0).len(), 1, "one at least, or nothing would go on");
            assert_eq!(count_after(tx, EventId(1)).unwrap(), 4);
        });
    }
}
