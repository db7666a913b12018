//! Reading published bytes again from the disk, to see whether they are what they were.
//!
//! Past the page cache where the file system can (O_DIRECT): what is in memory says nothing of the disk, and
//! the files that clients pull must not lose their place there to files that nobody asks for. Elsewhere what
//! was not in memory before is let go of again.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use rustix::fs::{Advice, CWD, Mode, OFlags, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use super::Store;
use super::read::FileVersion;
use crate::fault::{Fault, FaultKind};

/// Read at once: 15 ms of hashing at 64 MiB/s, so that whoever paces can.
const SLICE_BYTES: usize = 1 << 20;
/// What the addresses of direct reads are multiples of, in memory and on the disk: the largest block in use.
const ALIGNMENT: usize = 4096;

/// A file on its way through the hash.
#[derive(Debug)]
pub(crate) struct Reread {
    path: PathBuf,
    file: File,
    is_direct: bool,
    /// Aligned from `first` on.
    buffer: Vec<u8>,
    first: usize,
    /// What the last step read, in the buffer.
    length: usize,
    at: u64,
    hasher: Hasher,
    version: FileVersion,
    size_bytes: u64,
}

/// What a step through a file gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many bytes were read.
    Read(u64),
    /// What all of it hashes to.
    Whole(Digest),
    /// Somebody wrote to it meanwhile.
    Changed,
}

impl Store {
    /// Opens published bytes to be hashed step by step; `None` if there are none.
    ///
    /// # Errors
    /// They cannot be opened, or are no file.
    pub(crate) fn reread(&self, digest: &Digest) -> Result<Option<Reread>, Fault> {
        Reread::open(self.layout().blob(digest), digest.algorithm())
    }
}

impl Reread {
    /// Opens any file; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be opened, or is no file.
    pub(super) fn open(path: PathBuf, algorithm: Algorithm) -> Result<Option<Self>, Fault> {
        let fault = |error| Fault::io(format!("reading {} again", path.display()), error);
        let (file, is_direct) = match open(&path, true).or_else(|_| open(&path, false)) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let metadata = file.metadata().map_err(fault)?;
        if !metadata.is_file() {
            let what = format!("{} is no regular file", path.display());
            return Err(Fault::plain(FaultKind::Damaged, what));
        }
        let wanted = usize::try_from(metadata.len()).unwrap_or(SLICE_BYTES);
        let slice = wanted.next_multiple_of(ALIGNMENT).min(SLICE_BYTES);
        let buffer = vec![0; slice + ALIGNMENT];
        let first = buffer.as_ptr().align_offset(ALIGNMENT);
        Ok(Some(Self {
            path,
            file,
            is_direct,
            first: if first <= ALIGNMENT { first } else { 0 },
            buffer,
            length: 0,
            at: 0,
            hasher: Hasher::new(algorithm),
            version: FileVersion::new(&metadata),
            size_bytes: metadata.len(),
        }))
    }
}

fn open(path: &Path, is_direct: bool) -> io::Result<(File, bool)> {
    // Without waiting: a pipe in its place would never be written to.
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT, is_direct);
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    if !is_direct {
        // Or a small read would bring in what comes behind it, too.
        let _ = fadvise(&file, 0, None, Advice::Random);
    }
    Ok((file, is_direct))
}

impl Reread {
    /// How long the file is.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Which file it is.
    pub(crate) fn version(&self) -> FileVersion {
        self.version
    }

    /// The bytes that the last step read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.first..self.first + self.length]
    }

    /// Reads and hashes on; blocks.
    ///
    /// # Errors
    /// The disk does not give the bytes.
    pub(crate) fn step(&mut self) -> Result<Progress, Fault> {
        let fault =
            |path: &Path, error| Fault::io(format!("reading {} again", path.display()), error);
        if self.at < self.size_bytes {
            let length = match self.read() {
                Ok(length) => length,
                // A file system that opens so and then cannot.
                Err(error) if self.is_direct && is_refusal(&error) => {
                    let opened = open(&self.path, false);
                    (self.file, self.is_direct) =
                        opened.map_err(|error| fault(&self.path, error))?;
                    return self.step();
                }
                Err(error) => return Err(fault(&self.path, error)),
            };
            if length == 0 {
                return Ok(Progress::Changed);
            }
            self.length = length;
            self.hasher
                .update(&self.buffer[self.first..self.first + length]);
            self.at += length as u64;
            return Ok(Progress::Read(length as u64));
        }
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| fault(&self.path, error))?;
        if FileVersion::new(&metadata) != self.version || self.at != self.size_bytes {
            return Ok(Progress::Changed);
        }
        Ok(Progress::Whole(self.hasher.clone().finish()))
    }

    fn read(&mut self) -> io::Result<usize> {
        let length = self.buffer.len() - ALIGNMENT;
        let slice = &mut self.buffer[self.first..self.first + length];
        if self.is_direct {
            return read_at(&self.file, slice, self.at);
        }
        // What is there without waiting is there for somebody else.
        let mut slices = [IoSliceMut::new(slice)];
        match preadv2(&self.file, &mut slices, self.at, ReadWriteFlags::NOWAIT) {
            Ok(length) if 0 < length => return Ok(length),
            Ok(_) | Err(_) => {}
        }
        let length = read_at(&self.file, slice, self.at)?;
        let _ = fadvise(
            &self.file,
            self.at,
            NonZero::new(length as u64),
            Advice::DontNeed,
        );
        Ok(length)
    }
}

fn read_at(file: &File, slice: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(slice, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}
