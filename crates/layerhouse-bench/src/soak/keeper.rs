//! Who keeps the server's data: backs it up again and again while it is used, and proves the backups good.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::house::{House, ask_console};
use super::world::World;

/// Between two backups.
const PAUSE: Duration = Duration::from_secs(3);
/// Backups that stay.
const KEPT: &str = "3";

pub(super) struct Keeper {
    world: Arc<World>,
    binary: PathBuf,
    root: PathBuf,
    backups_at: PathBuf,
    pub(super) backups: u64,
    pub(super) interrupted: u64,
    pub(super) longest: Duration,
}

impl Keeper {
    pub(super) fn new(world: &Arc<World>, house: &House) -> Self {
        Self {
            world: Arc::clone(world),
            binary: house.binary.clone(),
            root: house.root(),
            backups_at: house.directory.join("backups"),
            backups: 0,
            interrupted: 0,
            longest: Duration::ZERO,
        }
    }

    pub(super) fn work(&mut self) {
        while let Some(life) = self.world.life() {
            if self.world.is_over() {
                return;
            }
            match self.back_up() {
                Ok(()) => {}
                Err(_) if !self.world.is_life(life) => self.interrupted += 1,
                Err(error) => self.world.fail(error),
            }
            let from = self.backups_at.to_string_lossy();
            let pruned = self.run(&["backup", "prune", "--keep", KEPT, "--from", &*from]);
            // A backup that a kill cut short may be the only one.
            if let Err(error) = pruned
                && 0 < self.backups
            {
                self.world.fail(error);
            }
            self.world.rest(PAUSE);
        }
    }

    /// Makes a backup. Over the socket: the command would serve a directory itself whose server was killed.
    pub(super) fn back_up(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let place = json!({ "to": self.backups_at.to_string_lossy(), "copy": false });
        let answer = ask_console(&self.root, "POST", "/backups", &place.to_string());
        let answer = answer.map_err(|error| format!("a backup: {error}"))?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status != 201
            || made["missing"]
                .as_array()
                .is_none_or(|lost| !lost.is_empty())
        {
            return Err(format!("a backup: {} {}", answer.status, answer.text()));
        }
        self.backups += 1;
        self.longest = self.longest.max(begun.elapsed());
        Ok(())
    }

    /// Proves the backups good, and makes a data directory of the last.
    pub(super) fn restore(&self, to: &House) -> Result<(), String> {
        let (from, to) = (self.backups_at.to_string_lossy(), to.root());
        let (from, to) = (&*from, &*to.to_string_lossy());
        self.run(&["backup", "verify", "--from", from])?;
        self.run(&["backup", "restore", "--from", from, "--root", to])?;
        self.run(&["verify", "--root", to])
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
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
