//! F23: whatever stands in the directory of a registry:2, a start serves what of it is whole, says what
//! is not, follows nothing out of the root, and never panics.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use layerhouse::clock::{Clock, Random, Timestamp};
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Environment, Rebuild, start};
use tokio::runtime::Runtime;

use super::super::harness::http::Client;
use super::super::harness::images::{digest, image, index};
use super::{noise, quick_directory, rounds};

/// What stands outside and must be neither read nor changed.
const SECRET: &str = "outside of the root";

/// A registry:2's tree, as the test knows it.
struct Tree {
    registry: PathBuf,
    /// Manifests by repository and tag, and the files without which they cannot be served.
    images: BTreeMap<(&'static str, &'static str), (String, Vec<PathBuf>)>,
}

impl Tree {
    fn make(root: &Path) -> Self {
        let registry = root.join("docker/registry/v2");
        let mut tree = Self {
            registry,
            images: BTreeMap::new(),
        };
        let first = image("{}", &["one"]).to_string();
        let second = image("{}", &["one", "two"]).to_string();
        let both = index(&[&first, &second]).to_string();
        for repository in ["acme/web", "acme/web/api", "tools"] {
            let base = tree.registry.join("repositories").join(repository);
            let link = |place: &str, content: &str| {
                let path = base.join(place).join("sha256").join(&digest(content)[7..]);
                write(&path.join("link"), digest(content).as_bytes())
            };
            let images: [(_, _, &[&str], &[&str]); 3] = [
                ("v1", &first, &["{}", "one"], &[&first]),
                ("v2", &second, &["{}", "one", "two"], &[&second]),
                (
                    "all",
                    &both,
                    &["{}", "one", "two"],
                    &[&first, &second, &both],
                ),
            ];
            for (tag, manifest, blobs, manifests) in images {
                let mut needs = Vec::new();
                for content in blobs {
                    needs.push(link("_layers", content));
                    needs.push(tree.blob(content));
                }
                for content in manifests {
                    needs.push(link("_manifests/revisions", content));
                    needs.push(tree.blob(content));
                }
                let tags = base.join("_manifests/tags").join(tag);
                link(&format!("_manifests/tags/{tag}/index"), manifest);
                needs.push(write(
                    &tags.join("current/link"),
                    digest(manifest).as_bytes(),
                ));
                tree.images
                    .insert((repository, tag), (manifest.clone(), needs));
            }
            write(&base.join("_uploads/01234567/data"), b"left over");
        }
        tree
    }

    fn blob(&self, content: &str) -> PathBuf {
        let hex = &digest(content)[7..];
        let place = self.registry.join("blobs/sha256").join(&hex[..2]).join(hex);
        write(&place.join("data"), content.as_bytes())
    }

    /// Every file and directory that may be damaged.
    fn entries(&self) -> Vec<PathBuf> {
        let mut open = vec![
            self.registry.join("blobs/sha256"),
            self.registry.join("repositories"),
        ];
        let mut found = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("it was made") {
                let entry = entry.expect("it can be read");
                if entry.file_type().expect("it can be read").is_dir() {
                    open.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }
}

fn write(path: &Path, content: &[u8]) -> PathBuf {
    fs::create_dir_all(path.parent().expect("below the root")).expect("it can be written");
    fs::write(path, content).expect("it can be written");
    path.to_owned()
}

/// Numbers in a sequence that its seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 += 1;
        let bytes = noise(self.0, 8);
        let number = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        usize::try_from(number % bound as u64).expect("it is below the bound")
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

/// Does one thing to one entry that no registry does; which.
fn damage(tree: &Tree, outside: &Path, dice: &mut Dice) -> String {
    let entries = tree.entries();
    if entries.is_empty() {
        return "nothing is left".to_owned();
    }
    let path = &entries[dice.below(entries.len())];
    let is_file = path.is_file();
    // Beside it, if the entry is to stay.
    let directory = if path.is_dir() {
        path
    } else {
        path.parent().expect("below the root")
    };
    let what = match dice.below(14) {
        0 => {
            remove(path);
            "removed"
        }
        1 if is_file => {
            fs::write(path, b"").expect("it can be written");
            "emptied"
        }
        2 if is_file => {
            let length = 1 + dice.below(600);
            fs::write(path, noise(dice.0, length)).expect("it can be written");
            "garbage"
        }
        3 if is_file => {
            let content = fs::read(path).expect("it can be read");
            fs::write(path, &content[..content.len() / 2]).expect("it can be written");
            "cut"
        }
        4 if is_file => {
            let file = fs::File::options()
                .write(true)
                .open(path)
                .expect("it is there");
            file.set_len(9 << 20).expect("it can be written");
            "huge"
        }
        5 => {
            remove(path);
            write(&path.join("nested/file"), b"junk");
            "a directory in its place"
        }
        6 => {
            remove(path);
            write(path, b"junk");
            "a file in its place"
        }
        7 => {
            remove(path);
            symlink(outside, path).expect("it can be written");
            "a link out of the root in its place"
        }
        8 => {
            remove(path);
            symlink(path, path).expect("it can be written");
            "a link to itself in its place"
        }
        9 => {
            let name = OsStr::from_bytes(b"no\xffname");
            write(&directory.join(name).join("_manifests/x"), b"junk");
            write(&directory.join(OsStr::from_bytes(b"\xfe")), b"junk");
            "names that are no text beside it"
        }
        10 => {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o0));
            "no permission"
        }
        11 => {
            remove(path);
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("it can be made");
            "a pipe in its place"
        }
        12 => {
            let times = rustix::fs::Timestamps {
                last_access: rustix::fs::Timespec {
                    tv_sec: 1 << 40,
                    tv_nsec: 0,
                },
                last_modification: rustix::fs::Timespec {
                    tv_sec: 1 << 40,
                    tv_nsec: 0,
                },
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags);
            "a time far away"
        }
        _ => {
            let other = &entries[dice.below(entries.len())];
            let _ = fs::rename(path, other);
            "moved over another"
        }
    };
    format!("{}: {what}", path.display())
}

/// Whether a file is as it was made, and so is the way to it.
fn is_as_made(path: &Path, registry: &Path, content: &[u8]) -> bool {
    let mut way = path.ancestors().take_while(|above| *above != registry);
    let is_real = way.all(|step| fs::symlink_metadata(step).is_ok_and(|found| !found.is_symlink()));
    // A pipe would be read for ever.
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    is_real && is_file && fs::read(path).is_ok_and(|found| found == content)
}

#[test]
fn fault_f23_whatever_stands_in_the_tree_what_is_whole_is_served() {
    let runtime = Runtime::new().expect("threads for a runtime");
    for seed in 0..rounds("LAYERHOUSE_JUNK_STARTS", 40) {
        let directory = quick_directory();
        let root = directory.path().join("root");
        let outside = directory.path().join("outside");
        let made = Tree::make(&root);
        let contents: BTreeMap<PathBuf, Vec<u8>> = made
            .entries()
            .into_iter()
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).expect("it was made")))
            .collect();
        for name in ["data", "link", "sha256/link"] {
            write(&outside.join(name), SECRET.as_bytes());
        }
        let mut dice = Dice((seed as u64) << 20);
        let damages: Vec<String> = (0..=dice.below(6))
            .map(|_| damage(&made, &outside, &mut dice))
            .collect();
        let whole: Vec<_> = made
            .images
            .iter()
            .filter(|(_, (_, needs))| {
                let is_whole = |path: &PathBuf| is_as_made(path, &made.registry, &contents[path]);
                needs.iter().all(is_whole)
            })
            .collect();
        let told = || format!("seed {seed}: {damages:#?}");

        for _ in 0..2 {
            with_server(&runtime, &root, &told(), |client| {
                for ((repository, tag), (manifest, _)) in &whole {
                    let path = format!("/v2/{repository}/manifests/{tag}");
                    let answer = client.get(&path);
                    assert_eq!(
                        (answer.status, &answer.text()),
                        (200, manifest),
                        "{path} {}",
                        told()
                    );
                }
                for ((repository, tag), (manifest, _)) in &made.images {
                    let answer = client.get(&format!("/v2/{repository}/manifests/{tag}"));
                    let is_served = answer.status == 200;
                    let is_known = made
                        .images
                        .values()
                        .any(|(known, _)| *known == answer.text());
                    assert!(
                        !is_served || is_known,
                        "{manifest} {} {}",
                        answer.text(),
                        told()
                    );
                    for content in ["{}", "one", "two"] {
                        let path = format!("/v2/{repository}/blobs/{}", digest(content));
                        if let Ok(answer) = client.try_send("GET", &path, &[], b"") {
                            let is_right = answer.status != 200 || answer.text() == content;
                            assert!(is_right, "{path}: {} {}", answer.text(), told());
                        }
                    }
                }
                assert_eq!(client.get("/v2/_catalog").status, 200, "{}", told());
            });
        }
        // To look again, and to prove what is there, meet the same things.
        let first = layerhouse::rebuild(&root, None, Rebuild::ChangeMost)
            .unwrap_or_else(|error| panic!("rebuild: {error} {}", told()));
        let again = layerhouse::rebuild(&root, None, Rebuild::ChangeMost)
            .unwrap_or_else(|error| panic!("rebuild: {error} {}", told()));
        assert!(again.is_unchanged(), "{first}{again}{}", told());
        if let Err(error) = layerhouse::verify(&root, None) {
            panic!("verify: {error} {}", told());
        }
        for name in ["data", "link", "sha256/link"] {
            let found = fs::read_to_string(outside.join(name)).expect("nobody removed it");
            assert_eq!(found, SECRET, "{}", told());
        }
        let names = super::names(&outside).len() + super::names(&outside.join("sha256")).len();
        assert_eq!(names, 4, "something was written outside: {}", told());
    }
}

/// Starts a server in this process, on this directory.
fn with_server(runtime: &Runtime, root: &Path, told: &str, ask: impl FnOnce(Client)) {
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(root.to_owned()),
        config: None,
    };
    let config = Config::load(&arguments, &Surroundings::default()).expect("a valid configuration");
    let environment = Environment {
        clock: Clock::manual(Timestamp(1_800_000_000_000)),
        random: Random::seeded(7),
    };
    let running = runtime
        .block_on(start(&config, environment))
        .unwrap_or_else(|error| panic!("{error} {told}"));
    ask(Client::new(
        running.address().tcp().expect("it listens on TCP"),
    ));
    runtime.block_on(running.stop());
}
