//! Taking stock of the tree, for `verify` and for reading a registry:2's into rows: which files are
//! there, what they say, and what they hash to.
//!
//! Anybody may have put anything into the tree, so nothing here follows a symbolic link, waits for a
//! pipe, or lets one bad entry hide the others (invariant I11): what is not understood is passed on as
//! [`Strange`], with the reason.

use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use layerhouse_oci::digest::{Digest, Hasher};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Store;
use super::stage::hash;
use crate::fault::Fault;

/// More than any link file says: `sha512:` and 128 digits, with room for white space.
pub(super) const LINK_BYTES_MAX: u64 = 256;
/// Names of repositories have at most 255 bytes: nothing deeper can be one.
const NAME_BYTES_MAX: usize = 255;

/// A file under `blobs/`.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedBlob {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
}

/// A link file of registry:2's layout.
#[derive(Clone, Debug)]
pub(crate) enum LinkFile {
    Layer(Digest),
    Manifest(Digest),
    Tag(Tag),
    Strange(Strange),
}

/// An entry of the tree that is damaged, or none of registry:2's.
#[derive(Clone, Debug)]
pub(crate) struct Strange {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

impl Strange {
    pub(super) fn new(path: PathBuf, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { path, why }
    }
}

/// What a tag's links say.
#[derive(Clone, Debug)]
pub(crate) struct TagFiles {
    pub(crate) current: Digest,
    /// When it was moved there, in milliseconds since the epoch.
    pub(crate) moved_ms: i64,
    /// What else it ever pointed at and when it first did, oldest first.
    pub(crate) before: Vec<(Digest, i64)>,
}

/// The blobs of a store, held open: looks at their files follow no symbolic link.
pub(crate) struct BlobFiles<'a> {
    store: &'a Store,
    directory: OwnedFd,
}

impl Store {
    /// The names of the repositories that have a directory, and what is no repository among them.
    pub(crate) fn survey_repositories(&self) -> (Vec<RepositoryName>, Vec<Strange>) {
        let root = self.layout().repositories();
        let mut directories = vec![root.clone()];
        let (mut names, mut strange) = (Vec::new(), Vec::new());
        // Names nest (`a` and `a/b` may both be repositories); what begins with `_` is not a name.
        while let Some(directory) = directories.pop() {
            let mut is_repository = false;
            for (entry, kind) in entries(&directory, &mut strange) {
                let path = directory.join(&entry);
                if entry.as_encoded_bytes().starts_with(b"_") {
                    is_repository |= kind.is_dir() && (entry == "_layers" || entry == "_manifests");
                } else if kind.is_dir() {
                    directories.push(path);
                } else {
                    strange.push(Strange::new(path, "no directory of a repository"));
                }
            }
            let name = directory.strip_prefix(&root).unwrap_or(&directory);
            let is_deep = NAME_BYTES_MAX < name.as_os_str().len();
            if is_deep {
                directories.retain(|below| !below.starts_with(&directory));
            }
            match name.to_str().map(str::parse) {
                Some(Ok(name)) if is_repository => names.push(name),
                _ if is_repository || is_deep => {
                    let why = "this is no name of a repository";
                    strange.push(Strange::new(directory, why));
                }
                _ => {}
            }
        }
        names.sort();
        (names, strange)
    }

    /// How many manifests a repository may have, by the names in its directory.
    pub(crate) fn count_manifests(&self, name: &RepositoryName) -> u64 {
        let place = self.layout().manifest_links(name);
        let count = |algorithm| entries(&place.join(algorithm), &mut Vec::new()).len() as u64;
        ["sha256", "sha512"].into_iter().map(count).sum()
    }

    /// The link files of a repository: those of blobs, of manifests, and the current ones of tags.
    pub(crate) fn survey_links(&self, name: &RepositoryName) -> Vec<LinkFile> {
        let mut links = Vec::new();
        let (layers, manifests) = (
            self.layout().layer_links(name),
            self.layout().manifest_links(name),
        );
        for place in [&layers, &manifests] {
            if let Err(why) = self.is_beneath(place) {
                let strange = Strange::new(place.clone(), why);
                return vec![LinkFile::Strange(strange)];
            }
        }
        let mut take = |place: &Path, link: fn(Digest) -> LinkFile| {
            let (directories, strange) = link_directories(place);
            links.extend(strange.into_iter().map(LinkFile::Strange));
            for (digest, directory) in directories {
                match read_link(&directory) {
                    Said::Digest(said, _) if said == digest => links.push(link(digest)),
                    Said::Digest(..) => {
                        let why = "its link file names another digest";
                        links.push(LinkFile::Strange(Strange::new(directory, why)));
                    }
                    Said::Strange(why) => {
                        links.push(LinkFile::Strange(Strange::new(directory, why)));
                    }
                    Said::Nothing => {}
                }
            }
        };
        take(&layers, LinkFile::Layer);
        take(&manifests, LinkFile::Manifest);
        let (tags, mut strange) = (self.layout().tags(name), Vec::new());
        for (entry, kind) in entries_beneath(&tags, &mut strange) {
            match entry.to_str().map(str::parse::<Tag>) {
                Some(Ok(tag)) if kind.is_dir() => links.push(LinkFile::Tag(tag)),
                _ => strange.push(Strange::new(tags.join(entry), "this is no tag")),
            }
        }
        links.extend(strange.into_iter().map(LinkFile::Strange));
        links
    }

    /// Whether no name from the repositories to `place` is a symbolic link: those would lead elsewhere.
    /// The directories above are where the operator put them.
    fn is_beneath(&self, place: &Path) -> Result<(), &'static str> {
        let top = self.layout().repositories();
        let mut on_the_way = place.ancestors().take_while(|directory| *directory != top);
        if on_the_way.any(is_symlink) {
            return Err("a symbolic link is on the way there");
        }
        Ok(())
    }

    /// What the files of a tag say; an error is why they say nothing.
    pub(crate) fn survey_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<TagFiles, &'static str> {
        let directory = self.layout().tag(name, tag);
        let current = directory.join("current");
        if is_symlink(&current) {
            return Err("a symbolic link is on the way to its link file");
        }
        let (current, moved_ms) = match read_link(&current) {
            Said::Digest(digest, modified_ms) => (digest, modified_ms),
            Said::Strange(why) => return Err(why),
            Said::Nothing => return Err("there is no link file"),
        };
        let (directories, _) = link_directories(&directory.join("index"));
        let mut before: Vec<(Digest, i64)> = directories
            .into_iter()
            .filter(|(digest, _)| *digest != current)
            .filter_map(|(digest, directory)| match read_link(&directory) {
                Said::Digest(said, modified_ms) if said == digest => Some((digest, modified_ms)),
                Said::Digest(..) | Said::Strange(_) | Said::Nothing => None,
            })
            .collect();
        before.sort_by_key(|(_, modified_ms)| *modified_ms);
        Ok(TagFiles {
            current,
            moved_ms,
            before,
        })
    }

    /// The published bytes, to be looked at without following links.
    ///
    /// # Errors
    /// Their directory cannot be opened.
    pub(crate) fn blob_files(&self) -> Result<BlobFiles<'_>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, self.layout().blobs(), flags, Mode::empty())
            .map_err(|error| Fault::io("opening the directory of blobs", error.into()))?;
        Ok(BlobFiles {
            store: self,
            directory,
        })
    }

    /// Calls `found` for every blob file, and `unknown` for whatever else is among them.
    ///
    /// # Errors
    /// `found` fails.
    pub(crate) fn survey_blobs(
        &self,
        mut found: impl FnMut(SurveyedBlob) -> Result<(), Fault>,
        mut unknown: impl FnMut(&Path),
    ) -> Result<(), Fault> {
        let mut strange = Vec::new();
        let blobs = self.layout().blobs();
        for algorithm in directories(&blobs, &mut strange) {
            for prefix in directories(&algorithm, &mut strange) {
                for directory in directories(&prefix, &mut strange) {
                    let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
                    let digest: Option<Digest> = name(&algorithm)
                        .zip(name(&directory))
                        .and_then(|(algorithm, hex)| format!("{algorithm}:{hex}").parse().ok());
                    let metadata = fs::symlink_metadata(directory.join("data"));
                    match (digest, metadata) {
                        (Some(digest), Ok(metadata))
                            if self.layout().blob_directory(&digest) == directory
                                && metadata.is_file() =>
                        {
                            found(SurveyedBlob {
                                digest,
                                size_bytes: metadata.len(),
                            })?;
                        }
                        // An empty directory: the file was removed, or its link never made.
                        (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                        _ => unknown(&directory),
                    }
                }
            }
        }
        for strange in &strange {
            unknown(&strange.path);
        }
        Ok(())
    }

    /// Whether the published bytes of `digest` hash to it; `None` if there are none.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn rehash(&self, digest: &Digest) -> Result<Option<bool>, Fault> {
        let fault = |error| Fault::io(format!("reading blob {digest}"), error);
        // Without waiting: a pipe in its place would never be written to.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, self.layout().blob(digest), flags, Mode::empty());
        match opened.map_err(io::Error::from) {
            Ok(file) => {
                let mut file = File::from(file);
                let actual = hash(&mut file, digest.algorithm()).map(Hasher::finish);
                actual.map(|actual| Some(actual == *digest)).map_err(fault)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// What the link file of a tag says.
    pub(crate) fn tag_link(&self, repository: &RepositoryName, tag: &Tag) -> Option<Digest> {
        read_link(&self.layout().tag(repository, tag).join("current")).digest()
    }

    /// What the link file of a manifest says.
    pub(crate) fn manifest_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<Digest> {
        read_link(&self.layout().manifest_link(repository, digest)).digest()
    }

    /// What the link file of a blob says.
    pub(crate) fn layer_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<Digest> {
        read_link(&self.layout().layer_link(repository, digest)).digest()
    }

    /// Whether the link file of a tag was removed: damaged, or not to be reached, is not removed.
    pub(crate) fn is_tag_gone(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        is_gone(
            &self.layout().repositories(),
            &self.layout().tag(repository, tag).join("current/link"),
        )
    }

    /// Whether the link file of a manifest was removed.
    pub(crate) fn is_manifest_gone(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        is_gone(
            &self.layout().repositories(),
            &self.layout().manifest_link(repository, digest).join("link"),
        )
    }

    /// Whether the link file of a blob was removed.
    pub(crate) fn is_layer_gone(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        is_gone(
            &self.layout().repositories(),
            &self.layout().layer_link(repository, digest).join("link"),
        )
    }

    /// Whether the bytes of a digest were removed.
    pub(crate) fn is_blob_gone(&self, digest: &Digest) -> bool {
        is_gone(&self.layout().blobs(), &self.layout().blob(digest))
    }
}

impl BlobFiles<'_> {
    /// The size of a blob's file; an error says why it is none.
    pub(crate) fn size_bytes(&self, digest: &Digest) -> Result<u64, String> {
        let file = self.open(digest, OFlags::PATH)?;
        self.regular(&file)
    }

    /// The bytes of a manifest's copy under its digest, if there are at most `bytes_max`.
    pub(crate) fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, String> {
        // Opened without waiting: a pipe in its place would never be written to.
        let mut file = self.open(digest, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let size_bytes = self.regular(&file)?;
        if bytes_max < size_bytes {
            return Err(format!("its file has {size_bytes} bytes, no manifest does"));
        }
        let mut content = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0) + 1);
        (&mut file)
            .take(bytes_max)
            .read_to_end(&mut content)
            .map_err(|error| error.to_string())?;
        Ok(content)
    }

    fn open(&self, digest: &Digest, flags: OFlags) -> Result<File, String> {
        let path = self.store.layout().blob(digest);
        let below = path
            .strip_prefix(self.store.layout().blobs())
            .unwrap_or(&path);
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened =
            match rustix::fs::openat2(&self.directory, below, flags, Mode::empty(), resolve) {
                // Old kernels and strict sandboxes do not have it: then only the last name is checked.
                Err(Errno::NOSYS | Errno::PERM) => {
                    rustix::fs::openat(&self.directory, below, flags, Mode::empty())
                }
                opened => opened,
            };
        match opened {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::NOENT) => Err("has no file".to_owned()),
            Err(Errno::LOOP) => Err("has a symbolic link for a file".to_owned()),
            Err(error) => Err(format!("has a file that cannot be opened: {error}")),
        }
    }

    #[expect(clippy::unused_self, reason = "it belongs to the two above")]
    fn regular(&self, file: &File) -> Result<u64, String> {
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
            Ok(metadata) if metadata.is_symlink() => {
                Err("has a symbolic link for a file".to_owned())
            }
            Ok(_) => Err("has no regular file".to_owned()),
            Err(error) => Err(format!("has a file that cannot be looked at: {error}")),
        }
    }
}

/// What a link file says.
enum Said {
    /// And when it was written, in milliseconds since the epoch.
    Digest(Digest, i64),
    Strange(&'static str),
    /// There is none.
    Nothing,
}

impl Said {
    fn digest(self) -> Option<Digest> {
        match self {
            Self::Digest(digest, _) => Some(digest),
            Self::Strange(_) | Self::Nothing => None,
        }
    }
}

fn read_link(directory: &Path) -> Said {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(CWD, directory.join("link"), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Said::Nothing,
        Err(Errno::LOOP) => return Said::Strange("its link file is a symbolic link"),
        Err(_) => return Said::Strange("its link file cannot be opened"),
    };
    let Ok(metadata) = file.metadata() else {
        return Said::Strange("its link file cannot be looked at");
    };
    if !metadata.is_file() || LINK_BYTES_MAX < metadata.len() {
        return Said::Strange("its link file is none");
    }
    let mut text = String::with_capacity(128);
    match file.take(LINK_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => match text.trim().parse() {
            Ok(digest) => Said::Digest(digest, modified_ms(&metadata)),
            Err(_) => Said::Strange("its link file says no digest"),
        },
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Said::Strange("its link file says no digest")
        }
        Err(_) => Said::Strange("its link file cannot be read"),
    }
}

/// Anybody can set it to anything, so it is brought into the range of times that can be told.
fn modified_ms(metadata: &fs::Metadata) -> i64 {
    metadata.mtime().clamp(0, 1 << 32) * 1000 + metadata.mtime_nsec() / 1_000_000
}

/// Only what surely is not there is gone: an outage must not look like it. So every directory from `top`
/// down to where the path ends is a real one, for a symbolic link may lead to a disk that is not mounted.
fn is_gone(top: &Path, path: &Path) -> bool {
    let is_missing = |found: &io::Result<fs::Metadata>| {
        let error = found.as_ref().err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    if !is_missing(&fs::symlink_metadata(path)) || !top.is_dir() {
        return false;
    }
    let on_the_way = path
        .ancestors()
        .skip(1)
        .take_while(|directory| *directory != top);
    for directory in on_the_way {
        let found = fs::symlink_metadata(directory);
        if !is_missing(&found) && !found.is_ok_and(|found| found.is_dir()) {
            return false;
        }
    }
    true
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// What may hold a link file under `place/<algorithm>/<digits>`, in the order of digests.
fn link_directories(place: &Path) -> (Vec<(Digest, PathBuf)>, Vec<Strange>) {
    let (mut found, mut strange) = (Vec::new(), Vec::new());
    for (algorithm, kind) in entries_beneath(place, &mut strange) {
        let directory = place.join(&algorithm);
        if !kind.is_dir() {
            strange.push(Strange::new(directory, "no directory of an algorithm"));
            continue;
        }
        for (digits, kind) in entries(&directory, &mut strange) {
            let digest = algorithm
                .to_str()
                .zip(digits.to_str())
                .and_then(|(algorithm, digits)| format!("{algorithm}:{digits}").parse().ok());
            match digest {
                Some(digest) if kind.is_dir() => found.push((digest, directory.join(digits))),
                _ => strange.push(Strange::new(
                    directory.join(digits),
                    "no digest's directory",
                )),
            }
        }
    }
    // In this order their rows are appended to an index and not spread over it.
    found.sort();
    (found, strange)
}

/// The directories in a directory; what else is there is strange.
fn directories(directory: &Path, strange: &mut Vec<Strange>) -> Vec<PathBuf> {
    let found = entries(directory, strange);
    let (below, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, kind)| kind.is_dir());
    let path = |(name, _): (OsString, FileType)| directory.join(name);
    let others = others.into_iter().map(path);
    strange.extend(others.map(|path| Strange::new(path, "no directory")));
    below.into_iter().map(path).collect()
}

/// The entries of what is no symbolic link to a directory elsewhere.
fn entries_beneath(directory: &Path, strange: &mut Vec<Strange>) -> Vec<(OsString, FileType)> {
    if is_symlink(directory) {
        strange.push(Strange::new(directory.to_owned(), "a symbolic link"));
        return Vec::new();
    }
    entries(directory, strange)
}

/// The entries of a directory; none if it is not there.
fn entries(directory: &Path, strange: &mut Vec<Strange>) -> Vec<(OsString, FileType)> {
    let list = || -> io::Result<Vec<(OsString, FileType)>> {
        fs::read_dir(directory)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name(), entry.file_type()?))
            })
            .collect()
    };
    match list() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let why = format!("it cannot be listed: {error}");
            strange.push(Strange::new(directory.to_owned(), why));
            Vec::new()
        }
    }
}
