//! What a data directory belongs to when not all is in it: the server that keeps its database, and the bucket that has
//! its blobs. Both are noted in it, so that nobody serves it with another and believes that everything is gone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::layout::Layout;
use super::objects::settings::Bucket;
use super::{OpenError, Store, sync_directory};
use crate::fault::{Fault, FaultKind};

impl Store {
    /// Writes down which bucket has the blobs of this directory, once it was looked at.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn keep_bucket(&self) -> Result<(), Fault> {
        let (path, Some(objects)) = (self.layout.bucket(), &self.objects) else {
            return Ok(());
        };
        if path.exists() {
            return Ok(());
        }
        File::create(&path)
            .and_then(|mut file| {
                writeln!(file, "{}", objects.place())?;
                file.sync_all()
            })
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("noting the bucket", error))
    }

    /// Whether the database that is configured belongs to this directory: `elsewhere` where a server keeps it,
    /// else a file here. One that was begun beside another would know nothing of what is there. What that
    /// server is to know this directory by, `fresh` if it is new there.
    ///
    /// # Errors
    /// The directory was served with another; the message says what to do. It cannot be written.
    pub(crate) fn check_database(
        &self,
        elsewhere: Option<&str>,
        fresh: u128,
    ) -> Result<String, Fault> {
        let path = self.layout.database_elsewhere();
        let marked = self.database_mark()?;
        let place = marked
            .as_deref()
            .and_then(|marked| marked.lines().next())
            .filter(|place| !place.is_empty());
        let known_as = known_as(marked.as_deref(), fresh);
        let refuse = |what: String| Err(Fault::plain(FaultKind::Other, what));
        let root = self.layout.root().display();
        match (elsewhere, place) {
            (None, None) => Ok(known_as),
            (None, Some(place)) => refuse(format!(
                "{root} was served with the database {place}, and no layerhouse.database is configured: \
                 configure it; to begin anew from the link files, remove {}",
                path.display()
            )),
            (Some(_), None) if self.layout.database().exists() => refuse(format!(
                "{root} has a database of its own, {}, with accounts and history in it: move it with \
                 `layerhouse migrate --to`, or leave layerhouse.database out",
                self.layout.database().display()
            )),
            (Some(wanted), place) if place == Some(wanted) => Ok(known_as),
            // Servers may move, and be called otherwise: whether it is the same one is for it to say.
            (Some(wanted), _) => self.mark_database(wanted, &known_as).map(|()| known_as),
        }
    }

    /// What a server is to know this directory by, `fresh` if it never was known to one; written down, so that what
    /// breaks off is known by the same the next time.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub(crate) fn known_as(&self, fresh: u128) -> Result<String, Fault> {
        let marked = self.database_mark()?;
        let known_as = known_as(marked.as_deref(), fresh);
        if marked.is_none() {
            self.mark_database("", &known_as)?;
        }
        Ok(known_as)
    }

    /// Whether the directory was told already that its database is there.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn is_database_at(&self, place: &str) -> Result<bool, Fault> {
        let marked = self.database_mark()?;
        Ok(marked.is_some_and(|marked| marked.lines().next() == Some(place)))
    }

    /// From now on the database is a server's; the file that it was stays under another name.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn leave_database(&self, place: &str, known_as: &str) -> Result<(), Fault> {
        check_folded(&self.layout.database())?;
        // In this order: with the mark the file is not looked at any more.
        self.mark_database(place, known_as)?;
        let (from, to) = (self.layout.database(), self.layout.database_left());
        fs::rename(from, to)
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("setting the database aside", error))
    }

    /// From now on the database is the file that arrived.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn take_database(&self) -> Result<(), Fault> {
        let (from, to) = (self.layout.database_arriving(), self.layout.database());
        check_folded(&from)?;
        File::open(&from)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&from, to))
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("putting the database in its place", error))?;
        // The server goes on knowing this directory, if it is to have the database again.
        let marked = self.database_mark()?;
        marked.map_or(Ok(()), |marked| {
            self.mark_database("", &known_as(Some(&marked), 0))
        })
    }

    fn database_mark(&self) -> Result<Option<String>, Fault> {
        match fs::read_to_string(self.layout.database_elsewhere()) {
            Ok(marked) => Ok(Some(marked)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::io("looking where the database is", error)),
        }
    }

    fn mark_database(&self, place: &str, known_as: &str) -> Result<(), Fault> {
        let path = self.layout.database_elsewhere();
        fs::write(&path, format!("{place}\n{known_as}\n"))
            .and_then(|()| File::open(&path)?.sync_all())
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("noting where the database is", error))
    }
}

/// Whoever serves a directory whose blobs are in a bucket as one of files would find none of them, and a
/// collection or a rebuild would believe it. So the directory says which bucket it is.
pub(super) fn check_bucket(layout: &Layout, bucket: Option<&Bucket>) -> Result<(), OpenError> {
    let path = layout.bucket();
    let fault = |error| Fault::io(format!("looking at {}", path.display()), error);
    let refuse = |what: String| Err(Fault::plain(FaultKind::Other, what).into());
    let marked = match fs::read_to_string(&path) {
        Ok(marked) => Some(marked.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fault(error).into()),
    };
    let root = layout.root().display();
    match (marked, bucket.map(Bucket::place)) {
        (None, _) => Ok(()),
        (Some(marked), Some(place)) if marked == place => Ok(()),
        (Some(marked), Some(place)) => refuse(format!(
            "the blobs of {root} are in {marked}, and not in {place}: name that in storage; if all objects \
             were moved, write the new place into {}",
            path.display()
        )),
        (Some(marked), None) => refuse(format!(
            "the blobs of {root} are objects in {marked}: name the configuration that has it; what \
             takes none (rebuild, backup) works on directories of files alone"
        )),
    }
}

/// Whether a database is in its one file, and nothing of it in the log beside.
fn check_folded(database: &Path) -> Result<(), Fault> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    match fs::metadata(&log) {
        Ok(found) if 0 < found.len() => {
            let what = format!(
                "{} could not be folded into the database, which is not whole without it: is the disk full? Free \
                 some space and do it again",
                Path::new(&log).display()
            );
            Err(Fault::plain(FaultKind::Other, what))
        }
        _ => Ok(()),
    }
}

/// The second line of what was noted, or a new name.
fn known_as(marked: Option<&str>, fresh: u128) -> String {
    let known = marked.and_then(|marked| marked.lines().nth(1));
    known.map_or_else(|| format!("{fresh:032x}"), str::to_owned)
}
