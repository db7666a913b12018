//! A line of the file of users put in the place of another, under a server that may read it.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::create::HtpasswdError;

/// Puts the line in the file in place of those of the same user; `creates` begins a new file.
/// Whether the user was there before.
///
/// The new content takes the old one's place at once: a server that reads it sees one or the other. Only
/// where a file cannot be replaced, as one that is mounted by itself, or not with the owner that it has,
/// is it written over.
///
/// # Errors
/// The file is not there and is not to be created, or cannot be written.
pub fn htpasswd_update(path: &Path, line: &str, creates: bool) -> Result<bool, HtpasswdError> {
    // What a link points to is changed, not the link.
    let path = match fs::canonicalize(path) {
        Err(error) if creates && error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        found => found?,
    };
    let before = match fs::metadata(&path) {
        Err(error) if creates && error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    let old = if creates {
        String::new()
    } else {
        fs::read_to_string(&path)?
    };
    let (content, was_there) = with_line(&old, line);
    let Some(before) = before else {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        return Ok(was_there);
    };
    match replace(&path, &content, &before) {
        Err(HtpasswdError::File(error)) if is_no_replacing(&error) => {
            write_over(&path, &content)?;
        }
        result => result?,
    }
    Ok(was_there)
}

/// The file with the line, and whether the user had one.
fn with_line(old: &str, line: &str) -> (String, bool) {
    let user = line.split(':').next().unwrap_or_default();
    let is_users = |line: &str| line.trim().split(':').next() == Some(user);
    let was_there = old.lines().any(is_users);
    let mut content = String::new();
    let mut is_written = false;
    for own in old.lines() {
        if !is_users(own) {
            content.push_str(own);
        } else if is_written {
            continue;
        } else {
            content.push_str(line);
            is_written = true;
        }
        content.push('\n');
    }
    if !is_written {
        content.push_str(line);
        content.push('\n');
    }
    (content, was_there)
}

/// The directory is not ours, the file is mounted by itself, or its owner is one we cannot give.
fn is_no_replacing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn replace(path: &Path, content: &str, before: &Metadata) -> Result<(), HtpasswdError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = create_locked(&temporary)?;
    let mut write = || {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        // After the owner: that takes bits away.
        file.set_permissions(Permissions::from_mode(before.mode() & 0o777))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        if fs::symlink_metadata(&temporary)?.ino() != made.ino() {
            return Err(io::Error::other("another one changes the file"));
        }
        fs::rename(&temporary, path)
    };
    write().map_err(|error| match fs::remove_file(&temporary) {
        Ok(()) => HtpasswdError::File(error),
        Err(_) => HtpasswdError::Temporary {
            path: temporary.clone(),
            error,
        },
    })
}

/// A new file that nobody else has open. One that a process left behind when it was ended goes; one that
/// is being written is locked, and stays.
fn create_locked(temporary: &Path) -> Result<File, HtpasswdError> {
    let named = |error: io::Error| HtpasswdError::Temporary {
        path: temporary.to_owned(),
        error,
    };
    let lock = |file: File| match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(named(io::Error::other("another one changes the file")))
        }
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    };
    let create = || {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)
    };
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return lock(made?),
    }
    // Not written to but removed: whoever made it may still have it open, or have made a link of it.
    let mut options = OpenOptions::new();
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let stale = options
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(temporary)
        .map_err(named)?;
    let _stale = lock(stale)?;
    fs::remove_file(temporary).map_err(named)?;
    lock(create().map_err(named)?)
}

fn write_over(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_the_place_of_the_users_old_one() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("htpasswd");
        assert!(
            htpasswd_update(&path, "ann:1", false).is_err(),
            "there is no file"
        );
        assert!(!htpasswd_update(&path, "ann:1", true).expect("made"));
        assert!(!htpasswd_update(&path, "bob:2", false).expect("added"));
        assert!(htpasswd_update(&path, "ann:3", false).expect("changed"));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "ann:3\nbob:2\n");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            1
        );
    }

    #[test]
    fn what_an_ended_process_left_is_replaced_and_what_is_written_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("htpasswd");
        let stale = directory.path().join("htpasswd.new");
        htpasswd_update(&path, "ann:1", true).expect("made");
        fs::write(&stale, "half").expect("written");
        let held = File::open(&stale).expect("a file");
        held.lock().expect("locked");
        let error = htpasswd_update(&path, "ann:2", false).expect_err("held");
        assert!(error.to_string().contains("htpasswd.new"), "{error}");
        drop(held);
        assert!(htpasswd_update(&path, "ann:2", false).expect("changed"));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "ann:2\n");
        assert!(!stale.exists());
        // Nothing is written where a link leads.
        let other = directory.path().join("other");
        fs::write(&other, "other").expect("written");
        std::os::unix::fs::symlink(&other, &stale).expect("linked");
        assert!(htpasswd_update(&path, "ann:3", false).is_err());
        assert_eq!(fs::read_to_string(&other).expect("a file"), "other");
    }

    #[test]
    fn owner_mode_and_links_stay() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("htpasswd");
        htpasswd_update(&path, "ann:1", true).expect("made");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("changed");
        let is_root = fchown(File::open(&path).expect("a file"), Some(10), Some(20)).is_ok();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        htpasswd_update(&link, "ann:2", false).expect("changed");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        let now = fs::metadata(&path).expect("a file");
        assert_eq!(now.mode() & 0o777, 0o640);
        if is_root {
            assert_eq!((now.uid(), now.gid()), (10, 20));
        }
        assert_eq!(fs::read_to_string(&path).expect("a file"), "ann:2\n");
    }

    #[test]
    fn what_cannot_be_replaced_is_written_over() {
        for error in [
            rustix::io::Errno::BUSY,
            rustix::io::Errno::XDEV,
            rustix::io::Errno::PERM,
        ] {
            assert!(is_no_replacing(&error.into()), "{error}");
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("htpasswd");
        fs::write(&path, "ann:1\nmore").expect("written");
        let before = fs::metadata(&path).expect("a file").ino();
        write_over(&path, "ann:2\n").expect("written");
        assert_eq!(fs::metadata(&path).expect("a file").ino(), before);
        assert_eq!(fs::read_to_string(&path).expect("a file"), "ann:2\n");
    }
}
