//! Stretches of published files that the kernel sends by itself: their bytes never come into our memory.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::mapping::ASKED_BYTES_MAX;
use super::read::OpenFile;

/// A stretch is at most as long.
pub(crate) const STRETCH_BYTES_MAX: usize = ASKED_BYTES_MAX;
/// Below this a copy costs less than asking.
const STRETCH_BYTES_MIN: u64 = 16 << 10;
const COPIED_AT_ONCE_BYTES: usize = 64 << 10;

/// Bytes of a published file, not none. They stay those of the file when it is removed or replaced.
#[derive(Debug)]
pub(crate) struct Stretch {
    digest: Digest,
    file: Arc<OpenFile>,
    at: u64,
    end: u64,
}

impl Stretch {
    /// The bytes from `first` on, before `end`, if they are in the page cache.
    pub(super) fn cached(
        file: &Arc<OpenFile>,
        digest: &Digest,
        first: u64,
        end: u64,
    ) -> Option<Self> {
        let mapping = file.mapping.as_ref()?;
        let end = end.min(first + STRETCH_BYTES_MAX as u64);
        let pays = first + STRETCH_BYTES_MIN <= end;
        (pays && mapping.is_resident(first, end)).then(|| Self {
            digest: digest.clone(),
            file: Arc::clone(file),
            at: first,
            end,
        })
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes that are still to be sent.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.end - self.at).expect("a stretch is at most a MiB long")
    }

    /// Whether sending goes on without waiting for the disk: memory may have become short meanwhile.
    pub(crate) fn is_cached(&self) -> bool {
        let mapping = self.file.mapping.as_ref();
        mapping.is_some_and(|mapping| mapping.is_resident(self.at, self.end))
    }

    /// What brings it into the page cache again; blocks.
    pub(crate) fn loader(&self) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let (file, mut at, end) = (Arc::clone(&self.file), self.at, self.end);
        move || {
            let mut passed = vec![0; COPIED_AT_ONCE_BYTES];
            while at < end {
                match file.file.read_at(&mut passed, at)? {
                    // Sending finds that out, too.
                    0 => break,
                    length => at += length as u64,
                }
            }
            Ok(())
        }
    }

    /// Has the kernel send what the socket has room for; how many bytes that was. 0 says that the file is
    /// shorter than it was.
    ///
    /// # Errors
    /// The socket has no room ([`io::ErrorKind::WouldBlock`]) or is closed, or the disk failed.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut at = self.at;
        let sent = match sendfile(socket, &self.file.file, Some(&mut at), self.length()) {
            // A file system or socket that knows nothing of it, or a filter that does not want it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => {
                self.send_copy(socket)?
            }
            sent => sent?,
        };
        self.at += sent as u64;
        Ok(sent)
    }

    /// The same with the bytes in our memory on the way. What there is no room for is read once more.
    fn send_copy(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut copied = vec![0; self.length().min(COPIED_AT_ONCE_BYTES)];
        let length = self.file.file.read_at(&mut copied, self.at)?;
        if length == 0 {
            return Ok(0);
        }
        Ok(send(socket, &copied[..length], SendFlags::empty())?)
    }
}

#[cfg(test)]
impl Stretch {
    /// The bytes of a file from `first` to before `end`, which are in the page cache.
    pub(crate) fn of(file: std::fs::File, first: u64, end: u64) -> Self {
        let length = file.metadata().expect("it is open").len();
        let mapping = super::mapping::Mapping::new(&file, length).ok();
        let file = Arc::new(OpenFile { file, mapping });
        let digest = Digest::of(layerhouse_oci::digest::Algorithm::Sha256, b"");
        Self::cached(&file, &digest, first, end).expect("it is cached")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn far_into_a_large_file() {
        const AT: u64 = (5 << 30) + 123;
        let file = tempfile::tempfile().expect("a file");
        let content: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        file.write_all_at(&content, AT).expect("it is written");
        let mut stretch = Stretch::of(file, AT, AT + 200_000);
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        ours.set_nonblocking(true).expect("it is a socket");
        let mut came = Vec::new();
        // The socket holds less than all of it.
        while 0 < stretch.length() {
            let sent = match stretch.send(ours.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                sent => sent.expect("both ends are open"),
            };
            assert!(stretch.is_cached());
            let at = came.len();
            came.resize(at + sent, 0);
            theirs.read_exact(&mut came[at..]).expect("it was sent");
        }
        assert!(came == content);
    }

    #[test]
    fn what_the_kernel_does_not_send_is_copied() {
        let file = tempfile::tempfile().expect("a file");
        let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        file.write_all_at(&content, 0).expect("it is written");
        let mut stretch = Stretch::of(file, 1000, 100_000);
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        ours.set_nonblocking(true).expect("it is a socket");
        let mut came = Vec::new();
        while 0 < stretch.length() {
            let sent = match stretch.send_copy(ours.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                sent => sent.expect("both ends are open"),
            };
            stretch.at += sent as u64;
            let at = came.len();
            came.resize(at + sent, 0);
            theirs.read_exact(&mut came[at..]).expect("it was sent");
        }
        assert!(came == content[1000..]);
    }

    #[test]
    fn a_file_that_is_cut_short_ends() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&vec![1; 100_000], 0)
            .expect("it is written");
        let other = file.try_clone().expect("a descriptor");
        let mut stretch = Stretch::of(file, 0, 100_000);
        other.set_len(10).expect("it shrinks");
        assert!(!stretch.is_cached());
        (stretch.loader())().expect("that it is shorter is found by sending");
        let (ours, _theirs) = UnixStream::pair().expect("sockets");
        assert_eq!(stretch.send(ours.as_fd()).expect("it is read"), 10);
        assert_eq!(stretch.send(ours.as_fd()).expect("it is read"), 0);
    }
}
