//! A small file system of a test's own, on a loop device; unmounted and freed however the test ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{is_root, skip};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    Ext4,
    /// With this many inodes.
    Ext4Inodes(u32),
    Xfs,
}

/// A mounted file system; its files are under [`Mount::path`].
#[derive(Debug)]
pub(super) struct Mount {
    directory: TempDir,
    device: String,
    options: String,
    /// The image is kept in a file system in memory of this test's own.
    has_backing: bool,
}

impl Mount {
    /// Makes and mounts one, or says why the test is skipped.
    pub(super) fn new(kind: FileSystem, size_mib: u64, options: &str) -> Option<Self> {
        Self::on(kind, size_mib, options, None)
    }

    /// An ext4 of `size_mib` on a disk that breaks after `backing_mib`.
    pub(super) fn on_small_memory(size_mib: u64, backing_mib: u64) -> Option<Self> {
        Self::on(FileSystem::Ext4, size_mib, "noatime", Some(backing_mib))
    }

    fn on(
        kind: FileSystem,
        size_mib: u64,
        options: &str,
        backing_mib: Option<u64>,
    ) -> Option<Self> {
        if !is_root() {
            skip("mounting needs root");
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        for name in ["backing", "mounted"] {
            std::fs::create_dir(directory.path().join(name)).expect("it can be written");
        }
        let mut mount = Self {
            directory,
            device: String::new(),
            options: options.to_owned(),
            has_backing: false,
        };
        if let Some(backing_mib) = backing_mib {
            let size = format!("size={backing_mib}m");
            let backing = mount.directory.path().join("backing");
            let arguments = [
                "-t",
                "tmpfs",
                "-o",
                &size,
                "tmpfs",
                &backing.to_string_lossy(),
            ];
            if !succeeds("mount", &arguments) {
                skip("no file system in memory could be mounted");
                return None;
            }
            mount.has_backing = true;
        }
        let image = mount.directory.path().join("backing/image");
        let file = std::fs::File::create(&image).expect("it can be written");
        file.set_len(size_mib << 20).expect("it is sparse");
        let image = image.to_string_lossy().into_owned();
        let is_made = match kind {
            FileSystem::Ext4 => {
                succeeds("mkfs.ext4", &["-qF", "-m", "0", "-E", "nodiscard", &image])
            }
            FileSystem::Ext4Inodes(inodes) => succeeds(
                "mkfs.ext4",
                &["-qF", "-m", "0", "-N", &inodes.to_string(), &image],
            ),
            FileSystem::Xfs => succeeds("mkfs.xfs", &["-qf", &image]),
        };
        if !is_made {
            skip(&format!("no {kind:?} could be made"));
            return None;
        }
        // Another test may take the free device between the look and the taking.
        mount.device = (0..10)
            .find_map(|_| output("losetup", &["-f", "--show", &image]))
            .unwrap_or_default();
        if mount.device.is_empty() {
            skip("there is no free loop device");
            return None;
        }
        if !mount.mount() {
            skip(&format!("no {kind:?} could be mounted"));
            return None;
        }
        Some(mount)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn mount(&self) -> bool {
        let path = self.path();
        succeeds(
            "mount",
            &["-o", &self.options, &self.device, &path.to_string_lossy()],
        )
    }

    fn unmount(&self) -> bool {
        succeeds("umount", &[&self.path().to_string_lossy()])
    }

    /// Its device's number, as `7:0`.
    pub(super) fn number(&self) -> String {
        let name = self.device.trim_start_matches("/dev/");
        let number = std::fs::read_to_string(format!("/sys/block/{name}/dev"));
        number.expect("it is a device").trim().to_owned()
    }

    /// As after the machine was off: what was not on the disk is gone.
    pub(super) fn remount(&self) {
        assert!(self.unmount(), "nothing uses it any more");
        assert!(self.mount(), "it was mounted before");
    }

    /// Has ext4 find itself damaged, so that `errors=remount-ro` takes effect; whether it could.
    pub(super) fn fail_and_turn_read_only(&self) -> bool {
        let name = self.device.trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test").is_ok()
    }

    /// Makes what the disk holds of a file unreadable (EIO), and all that lies behind it, but for what the
    /// kernel still has in memory; nothing if that cannot be done here.
    pub(super) fn lose(&self, file: &Path) -> Option<Lost> {
        const SECTOR: u64 = 512;
        let image = self.directory.path().join("backing/image");
        let opened = std::fs::File::open(file).expect("it is there");
        opened.sync_all().expect("the disk is well yet");
        // The file system's own sync has the loop device write, too.
        rustix::fs::syncfs(&opened).expect("the disk is well yet");
        let path = file.to_string_lossy();
        let extents = output("filefrag", &["-v", "-b512", &path])?;
        // `ext: logical_offset: physical_offset: length: …`, the first of them.
        let first = extents
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("0:"))?;
        let physical = first.split(':').nth(1)?.split("..").next()?.trim();
        let at = physical.parse::<u64>().ok()? * SECTOR;
        let whole = std::fs::read(&image).expect("it is there");
        let rest = whole[usize::try_from(at).expect("it is small")..].to_vec();
        let image = std::fs::OpenOptions::new().write(true).open(&image);
        let lost = Lost {
            image: image.expect("it is ours"),
            file: opened,
            at,
            rest,
        };
        lost.lose_again();
        Some(lost)
    }

    /// Makes ready to take the power away; nothing if that cannot be done here.
    pub(super) fn power_switch(&self) -> Option<PowerSwitch> {
        /// FS_IOC_SHUTDOWN with "no log flush", for which Rust would need unsafe code.
        const CUT: &str = "open(my $f, '<', $ARGV[0]) or exit 1; my $how = pack('I', 2); \
             <STDIN>; ioctl($f, 0x8004587d, $how) or exit 1;";
        let perl = Command::new("perl")
            .args(["-e", CUT])
            .arg(self.path())
            .stdin(Stdio::piped())
            .spawn();
        perl.ok().map(PowerSwitch)
    }

    /// Bytes that anybody may still write.
    pub(super) fn free_bytes(&self) -> u64 {
        let space = rustix::fs::statvfs(self.path()).expect("it is mounted");
        space.f_bavail * space.f_frsize
    }
}

/// The part of a disk that cannot be read.
#[derive(Debug)]
pub(super) struct Lost {
    image: std::fs::File,
    file: std::fs::File,
    at: u64,
    rest: Vec<u8>,
}

impl Lost {
    /// After something was written behind it, which makes a hole of it that can be read.
    pub(super) fn lose_again(&self) {
        rustix::fs::syncfs(&self.file).expect("what is written can be written");
        self.image.set_len(self.at).expect("it is ours");
        let unused = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&self.file, 0, None, unused).expect("it is a file");
    }

    /// The disk reads again what it held. Only for who wrote nothing meanwhile.
    pub(super) fn find_again(self) {
        use std::os::unix::fs::FileExt;
        let written = self.image.write_all_at(&self.rest, self.at);
        written.expect("there was room before");
    }
}

/// Takes the power of a file system away as soon as it is told to.
#[derive(Debug)]
pub(super) struct PowerSwitch(Child);

impl PowerSwitch {
    /// Nothing reaches the disk any more, not even the journal; when that was, if it could be done.
    pub(super) fn cut(mut self) -> Option<Instant> {
        let moment = Instant::now();
        // Its input ends, for which it waits.
        drop(self.0.stdin.take());
        self.0
            .wait()
            .is_ok_and(|status| status.success())
            .then_some(moment)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let lazily = |path: &Path| succeeds("umount", &["-l", &path.to_string_lossy()]);
        if !self.device.is_empty() {
            if !self.unmount() {
                lazily(&self.path());
            }
            succeeds("losetup", &["-d", &self.device]);
        }
        if self.has_backing {
            lazily(&self.directory.path().join("backing"));
        }
    }
}

fn succeeds(command: &str, arguments: &[&str]) -> bool {
    output(command, arguments).is_some()
}

/// What a command said, if there is such a command and it succeeded.
fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
