//! Who keeps the server's data: backs it up again and again while it is used, and proves each backup good.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::house::House;
use super::world::World;

/// Between two backups.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Keeper {
    world: Arc<World>,
    binary: PathBuf,
    configuration: PathBuf,
    root: PathBuf,
    backup: PathBuf,
    restored: PathBuf,
    /// The binary has backups.
    pub(super) can: bool,
    pub(super) backups: u64,
    pub(super) interrupted: u64,
    pub(super) longest: Duration,
}

impl Keeper {
    pub(super) fn new(world: &Arc<World>, house: &House) -> Self {
        Self {
            world: Arc::clone(world),
            binary: house.binary.clone(),
            configuration: house.configuration_path(),
            root: house.root(),
            backup: house.directory.join("backup"),
            restored: house.directory.join("restored"),
            can: false,
            backups: 0,
            interrupted: 0,
            longest: Duration::ZERO,
        }
    }

    pub(super) fn work(&mut self) {
        if !self.can {
            return;
        }
        while let Some(life) = self.world.life() {
            if self.world.is_over() {
                return;
            }
            let begun = Instant::now();
            match self.back_up() {
                Ok(()) => {
                    self.backups += 1;
                    self.longest = self.longest.max(begun.elapsed());
                }
                Err(_) if !self.world.is_life(life) => self.interrupted += 1,
                Err(error) => self.world.fail(error),
            }
            self.world.rest(PAUSE);
        }
    }

    fn back_up(&self) -> Result<(), String> {
        let (to, root) = (self.backup.to_string_lossy(), self.root.to_string_lossy());
        self.run(&["backup", "create", "--root", &*root, "--to", &*to])
    }

    /// Proves the last backup good, and that a server can be made of it; what is wrong.
    pub(super) fn finish(&mut self) -> Option<String> {
        if !self.can {
            return None;
        }
        if self.backups == 0 {
            return Some("no backup was made".to_owned());
        }
        let (from, to) = (
            self.backup.to_string_lossy(),
            self.restored.to_string_lossy(),
        );
        let (from, to) = (&*from, &*to);
        let steps: [&[&str]; 3] = [
            &["backup", "verify", from],
            &["backup", "restore", from, "--root", to],
            &["verify", "--root", to],
        ];
        steps.into_iter().find_map(|step| self.run(step).err())
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let _ = &self.configuration;
        let what = arguments.join(" ");
        let output = Command::new(&self.binary).args(arguments).output();
        let output = output.map_err(|error| format!("{what}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(format!("{what}: {}: {said}", output.status))
    }
}
