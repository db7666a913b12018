//! Which bytes of a file are in the page cache, to the page: the one place with `unsafe`.
//!
//! `mincore(2)` tells, and wants a mapping for it. (`cachestat(2)` wants none, but counts pages that are
//! still on their way from the disk, and older kernels lack it; `preadv2(2)` tells of bytes by copying
//! them.) Nobody reads from the mapping: its address does not leave this file, so that a file that is cut
//! short under it is no SIGBUS.
#![allow(
    unsafe_code,
    reason = "system calls that take addresses; no memory is touched through them"
)]

use std::ffi::c_void;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use rustix::process::geteuid;

/// Most bytes that are asked about at once.
pub(super) const ASKED_BYTES_MAX: usize = 1 << 20;
/// No machine has smaller pages; one more for a range that begins within a page.
const PAGES_MAX: usize = ASKED_BYTES_MAX / 4096 + 1;

/// Most bytes that are mapped at once, by cached files and by those that readers still hold: a quarter of
/// the smallest address space that 64 bits come with, and what 32 bits can spare.
const MAPPED_BYTES_MAX: usize = if usize::BITS < 64 {
    256 << 20
} else {
    128 << 30
};
static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A file's place in our address space, where nothing is ever read.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Of `length` bytes that are ours until the drop; a number, for no memory is reached through it.
    address: usize,
    length: usize,
    _share: Share,
}

/// Of [`MAPPED_BYTES_MAX`]; given back when dropped.
#[derive(Debug)]
struct Share(usize);

impl Share {
    fn take(length: usize) -> Option<Self> {
        let more = |mapped: usize| {
            let mapped = mapped.checked_add(length)?;
            (mapped <= MAPPED_BYTES_MAX).then_some(mapped)
        };
        let taken = MAPPED_BYTES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Self(length))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        MAPPED_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

impl Mapping {
    /// Of the first `length` bytes, which are not none.
    ///
    /// # Errors
    /// So much is mapped already, or the file system cannot map.
    pub(super) fn new(file: &File, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let share = Share::take(length).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        Ok(Self {
            address: address.expose_provenance(),
            length,
            _share: share,
        })
    }

    /// Whether the bytes from `first` to before `end`, at most [`ASKED_BYTES_MAX`], can be read without
    /// waiting for the disk; bytes behind the end of the file cannot. Of files that [`may_ask`] does
    /// not allow, the kernel tells nothing but yes.
    pub(super) fn is_resident(&self, first: u64, end: u64) -> bool {
        let page_bytes = page_size();
        let (Ok(first), Ok(end)) = (usize::try_from(first), usize::try_from(end)) else {
            return false;
        };
        let first_page = first - first % page_bytes;
        let Some(length) = end.checked_sub(first_page) else {
            return false;
        };
        let mut pages = [0_u8; PAGES_MAX];
        let count = length.div_ceil(page_bytes);
        if self.length < end || PAGES_MAX < count {
            return false;
        }
        let address = ptr::with_exposed_provenance_mut::<c_void>(self.address + first_page);
        // SAFETY: the range lies within the mapping, for `end` does; what is written is a byte of `pages`
        // for each page of the range, and there are `count` of them at most.
        let told = unsafe { libc::mincore(address, length, pages.as_mut_ptr()) };
        told == 0 && pages[..count].iter().all(|page| page & 1 == 1)
    }
}

/// Whether the kernel tells us what of a file is in its page cache: of our own, and of those that we may
/// write.
pub(super) fn may_ask(path: &Path, metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw()
        || accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let address = ptr::with_exposed_provenance_mut::<c_void>(self.address);
        // SAFETY: the mapping that `new` made, whole; nobody else knows its address.
        let unmapped = unsafe { munmap(address, self.length) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_was_just_written_is_resident() {
        let file = tempfile::tempfile().expect("a file");
        let length = 3 * ASKED_BYTES_MAX as u64 + 100;
        file.set_len(length).expect("it grows");
        for at in (0..length).step_by(4096) {
            file.write_all_at(b"x", at).expect("it is written");
        }
        let mapping = Mapping::new(&file, length).expect("it can be mapped");
        let check = |first, end, expected| {
            let told = mapping.is_resident(first, end);
            assert_eq!(told, expected, "{first}..{end}");
        };
        let most = ASKED_BYTES_MAX as u64;
        check(0, most, true);
        check(0, 0, true);
        check(length - 1, length, true);
        check(100, 101, true);
        check(4095, 4095 + most, true);
        check(length - most, length, true);
        // More than is mapped, or than may be asked.
        check(length, length + 1, false);
        check(0, most + 4097, false);
        check(most, 0, false);
        // Cut short by somebody else, it is no danger.
        file.set_len(most).expect("it shrinks");
        check(0, most, true);
        check(most, most + 1, false);
        check(most - 1, most + 4096, false);
    }

    #[test]
    fn holes_and_large_files() {
        let file = tempfile::tempfile().expect("a file");
        let length = (5 << 30) + 1;
        file.set_len(length).expect("it is sparse");
        let mapping = Mapping::new(&file, length).expect("it can be mapped");
        assert!(!mapping.is_resident(4 << 30, (4 << 30) + 10));
        file.write_all_at(b"x", 4 << 30).expect("it is written");
        assert!(mapping.is_resident(4 << 30, (4 << 30) + 10));
        assert!(!mapping.is_resident(length - 1, length));
        assert!(!mapping.is_resident(u64::MAX - 1, u64::MAX));
    }

    #[test]
    fn addresses_are_bounded() {
        let file = tempfile::tempfile().expect("a file");
        let larger = MAPPED_BYTES_MAX as u64 + 1;
        file.set_len(larger).expect("it is sparse");
        assert!(Mapping::new(&file, larger).is_err());
        assert!(Mapping::new(&file, 1 << 20).is_ok());
    }

    #[test]
    fn nothing_cannot_be_mapped() {
        let file = tempfile::tempfile().expect("a file");
        assert!(Mapping::new(&file, 0).is_err());
    }
}
