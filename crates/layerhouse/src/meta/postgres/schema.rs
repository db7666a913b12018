//! Brings the schema up to date: the steps of SQLite's, with texts of their own where PostgreSQL says it
//! otherwise.

use super::Place;
use super::session::Session;
use crate::fault::{Fault, FaultKind};
use crate::meta::migrations::{OLDEST, STEPS};

/// The row that counts commits, and says how many steps were taken; made by whoever comes first.
const BEGINNING: &str = "
    CREATE TABLE IF NOT EXISTS commits (
        id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
        generation BIGINT NOT NULL,
        schema     BIGINT NOT NULL,
        -- The data directory that has the bytes of what is written here.
        directory  TEXT
    );
    INSERT INTO commits (id, generation, schema) VALUES (1, 0, 0) ON CONFLICT DO NOTHING";

/// What SQLite has and PostgreSQL says with other words, so that statements are the same for both.
const WORDS: &str = include_str!("words.sql");

/// Steps that have a text of their own.
fn own_text(number: usize) -> Option<&'static str> {
    match number {
        6 => Some(include_str!("0006_search.sql")),
        10 => Some(include_str!("0010_browse.sql")),
        _ => None,
    }
}

/// Takes the steps that this database has not taken; one replica does, others wait.
///
/// # Errors
/// A step fails, or a newer release was here.
pub(in crate::meta) fn run(session: &Session, place: &Place) -> Result<(), Fault> {
    // Two that come first at once are in each other's way: the second finds it made.
    if session.simple(BEGINNING).is_err() {
        session.simple(BEGINNING)?;
    }
    // Where nothing is to be done nobody is kept from writing, and least of all by a process that stands still.
    let found = taken(session, place)?;
    if STEPS.len() < found {
        tracing::warn!(
            schema = found,
            known = STEPS.len(),
            "a newer release was here, and this one goes on: what that brought is not served"
        );
    }
    if STEPS.len() <= found {
        return Ok(());
    }
    session.be_patient()?;
    loop {
        let begin = session.beginning();
        let taken = session
            .simple(&format!(
                "{begin}; UPDATE commits SET generation = generation + 1 RETURNING schema"
            ))
            .and_then(|found| known(session, found.unwrap_or(0), place))?;
        let Some(step) = STEPS.get(taken) else {
            session.simple("ROLLBACK")?;
            return Ok(());
        };
        let number = taken + 1;
        let text = own_text(number).map_or_else(|| by_bytes(step), str::to_owned);
        let words = if taken == 0 { WORDS } else { "" };
        if found != 0 {
            tracing::info!(step = number, "the database is brought up to date");
        }
        let sql = format!("{words}; {text}; UPDATE commits SET schema = {number}; COMMIT");
        if let Err(fault) = session.simple(&sql) {
            let doing = format!(
                "step {number} of the schema of the database {}",
                place.shown()
            );
            return Err(Fault::new(fault.kind(), doing, fault));
        }
    }
}

fn taken(session: &Session, place: &Place) -> Result<usize, Fault> {
    let found = session.simple("SELECT schema FROM commits")?;
    known(session, found.unwrap_or(0), place)
}

/// Who has the bytes of what is written in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The data directory that is known as this.
    Directory(String),
    /// A bucket, or, of what came before there was one, the data directory that is known as this.
    Bucket { or_directory: String },
}

impl Owner {
    /// Of a data directory that is known as this, and whether its blobs are in a bucket.
    pub(crate) fn new(directory: String, has_bucket: bool) -> Self {
        if has_bucket {
            let or_directory = directory;
            Self::Bucket { or_directory }
        } else {
            Self::Directory(directory)
        }
    }
}

/// What stands in the place of a directory when all bytes are in a bucket: any process that has it may come.
const BUCKET: &str = "bucket";

/// Whether who comes is the owner, or the first; before anything is changed for it.
///
/// # Errors
/// It is another's.
pub(in crate::meta) fn admit(session: &Session, place: &Place, owner: &Owner) -> Result<(), Fault> {
    let is_there = "SELECT 1 WHERE to_regclass('commits') IS NOT NULL";
    if session.query(is_there, &[])?.is_empty() {
        return Ok(());
    }
    let (directory, shared) = match owner {
        Owner::Directory(directory) => (directory, directory.as_str()),
        Owner::Bucket { or_directory } => (or_directory, BUCKET),
    };
    let is_ours = session.query(
        "SELECT 1 FROM commits WHERE directory IS NULL OR directory IN ($1, $2)",
        &[directory.as_str().into(), shared.into()],
    )?;
    // None, where another one makes it right now.
    let has_any = session.query("SELECT 1 FROM commits", &[])?;
    if !is_ours.is_empty() || has_any.is_empty() {
        return Ok(());
    }
    let is_of_bucket = session.query(
        "SELECT 1 FROM commits WHERE directory = $1",
        &[BUCKET.into()],
    )?;
    let what = if is_of_bucket.is_empty() {
        format!(
            "the database {} belongs to another data directory, which has the bytes of what is in it: name that \
             directory, or another database. If that directory is lost and its blobs are in a bucket or were brought \
             here, stop whatever serves it, and have the database forget it: UPDATE commits SET directory = NULL",
            place.shown()
        )
    } else {
        format!(
            "the bytes of what is in the database {} are objects of a bucket, and any process that has the bucket may \
             serve it: configure that, in storage, or name another database",
            place.shown()
        )
    };
    Err(Fault::plain(FaultKind::Other, what))
}

/// Takes the database for a directory, unless it is another's: two directories would each lack the bytes of the other.
/// For a bucket it is taken when that was found to be the right one ([`share`]).
///
/// # Errors
/// It is another's.
pub(in crate::meta) fn claim(session: &Session, place: &Place, owner: &Owner) -> Result<(), Fault> {
    if let Owner::Directory(directory) = owner {
        // With objects it is not for files alone, which the start finds next.
        session.execute(
            "UPDATE commits SET directory = $1 WHERE directory IS NULL
               AND NOT EXISTS (SELECT 1 FROM blobs WHERE object_key IS NOT NULL)",
            &[directory.as_str().into()],
        )?;
    }
    admit(session, place, owner)
}

/// Lets any process that has the bucket use the database; one with files in a directory is for that alone.
///
/// # Errors
/// It is another's by now, or the server does not answer.
pub(in crate::meta) fn share(
    session: &Session,
    place: &Place,
    directory: &str,
) -> Result<(), Fault> {
    session.execute(
        "UPDATE commits SET directory = CASE
             WHEN EXISTS (SELECT 1 FROM blobs WHERE object_key IS NULL AND damaged_at IS NULL)
             THEN $1 ELSE $2 END
         WHERE directory IS NULL OR directory = $1",
        &[directory.into(), BUCKET.into()],
    )?;
    let or_directory = directory.to_owned();
    admit(session, place, &Owner::Bucket { or_directory })
}

/// Gives the database to a directory, whoever had it: for who moved all of it there, or away from there.
///
/// # Errors
/// The server does not answer.
pub(in crate::meta) fn give(session: &Session, directory: &str) -> Result<(), Fault> {
    let values = [directory.into()];
    session
        .execute("UPDATE commits SET directory = $1", &values)
        .map(drop)
}

/// Refuses a database that has steps to take, and takes none.
///
/// # Errors
/// As said, or a newer release was here.
pub(in crate::meta) fn check(session: &Session, place: &Place) -> Result<(), Fault> {
    if STEPS.len() <= taken(session, place)? {
        return Ok(());
    }
    let what = format!(
        "the database {} is of another release: only to look, it is not brought up to date; start this \
         release first",
        place.shown()
    );
    Err(Fault::plain(FaultKind::Other, what))
}

/// So many steps, if this release knows them or may go on beside them.
fn known(session: &Session, found: i64, place: &Place) -> Result<usize, Fault> {
    let taken = usize::try_from(found).ok();
    let is_known = taken.is_some_and(|taken| taken <= STEPS.len());
    let is_allowed = is_known
        || session
            .query(OLDEST, &[found.into()])?
            .first()
            .is_some_and(|row| {
                i64::try_from(STEPS.len()).is_ok_and(|known| row.get::<_, i64>(0) <= known)
            });
    taken.filter(|_| is_allowed).ok_or_else(|| {
        let what = format!(
            "the database {} has schema {found} and this release knows schemas up to {}: a newer release \
             wrote it, and nothing was changed; start that release or a later one",
            place.shown(),
            STEPS.len()
        );
        Fault::plain(FaultKind::Other, what)
    })
}

/// A step as PostgreSQL is to take it: names and digests are in the order of their bytes, whatever the
/// language of the database is.
fn by_bytes(step: &str) -> String {
    let mut text = String::with_capacity(step.len() * 2);
    let mut rest = step;
    while let Some(at) = rest.find("TEXT") {
        let (before, after) = rest.split_at(at + "TEXT".len());
        text.push_str(before);
        if after.starts_with([' ', ',', '\n']) {
            text.push_str(" COLLATE \"C\"");
        }
        rest = after;
    }
    text.push_str(rest);
    text
}
