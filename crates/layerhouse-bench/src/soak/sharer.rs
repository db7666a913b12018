//! Clients that all write the same tags: each sees one history of each tag, the same for all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use layerhouse_oci::digest::Digest;

use super::goods::{Made, Quarry};
use super::house::{PROMISE, UNDELETE};
use super::owner::repository_of;
use super::register::{Register, Value};
use super::talk::{Talk, Way};
use super::world::{Dice, Killed};

const REPOSITORY: &str = "soak/shared";
const TAGS: usize = 4;

/// What all sharers know together.
#[derive(Debug, Default)]
pub(super) struct Shared {
    tags: [Mutex<Register>; TAGS],
}

/// One of the clients.
pub(super) struct Sharer {
    pub(super) talk: Talk,
    dice: Dice,
    quarry: Quarry,
    shared: Arc<Shared>,
    /// Clients with repositories of their own, which are pulled from.
    owners: u64,
    /// What this client pushed and may be deleted once nobody can see it any more.
    pushed: Vec<(usize, Digest)>,
}

impl Sharer {
    pub(super) fn new(
        talk: Talk,
        dice: Dice,
        quarry: Quarry,
        shared: Arc<Shared>,
        owners: u64,
    ) -> Self {
        Self {
            talk,
            dice,
            quarry,
            shared,
            owners,
            pushed: Vec::new(),
        }
    }

    pub(super) fn work(&mut self) {
        while !self.talk.world.is_over() {
            let _ = match self.dice.below(100) {
                0..=24 => self.talk.cancel_forsaken().and_then(|()| self.write()),
                25..=31 => self.delete(),
                32..=71 => self.read(),
                72..=79 => self.clear(),
                _ => self.visit(),
            };
        }
    }

    fn register(&self, tag: usize) -> std::sync::MutexGuard<'_, Register> {
        let register = &self.shared.tags[tag];
        register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&mut self) -> usize {
        usize::try_from(self.dice.below(TAGS as u64)).unwrap_or(0)
    }

    fn write(&mut self) -> Result<(), Killed> {
        let made = Made::image(&self.quarry, &mut self.dice, None);
        let mut since = Instant::now();
        for blob in &made.blobs {
            let said = Instant::now();
            let head = format!("/v2/{REPOSITORY}/blobs/{}", blob.digest);
            let is_there = self.talk.ask("HEAD", &head)?.status == 200;
            let said = if is_there {
                Some(said)
            } else {
                self.talk.push_blob(REPOSITORY, blob, Way::Whole)?
            };
            let Some(said) = said else { return Ok(()) };
            since = since.min(said);
        }
        let tag = self.tag();
        let path = format!("/v2/{REPOSITORY}/manifests/s{tag}");
        let fields = format!("Content-Type: {}\r\n", made.media_type);
        let value = Some(made.digest().clone());
        let begun = self.register(tag).begin(value.clone(), Instant::now());
        let whole = 0..made.manifest.length;
        let answer = self
            .talk
            .send("PUT", &path, &fields, &made.manifest, whole)?;
        let is_late = PROMISE < since.elapsed() && answer.status == 404;
        let is_done = answer.status == 201;
        self.register(tag)
            .end(begun, &value, Instant::now(), is_done);
        if is_late {
            self.talk.world.count("manifests that came too late");
        } else if self.talk.expect(&format!("PUT {path}"), &answer, &[201]) {
            self.pushed.push((tag, made.digest().clone()));
            self.talk.world.count("shared tags written");
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<(), Killed> {
        let tag = self.tag();
        let path = format!("/v2/{REPOSITORY}/manifests/s{tag}");
        let begun = self.register(tag).begin(None, Instant::now());
        let answer = self.talk.ask("DELETE", &path)?;
        let ended = Instant::now();
        let is_done = answer.status == 202;
        self.register(tag).end(begun, &None, ended, is_done);
        if self
            .talk
            .expect(&format!("DELETE {path}"), &answer, &[202, 404])
        {
            if answer.status == 404 {
                self.saw(tag, &None, begun, ended);
            }
            self.talk.world.count("shared tags deleted");
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Killed> {
        let tag = self.tag();
        let begun = Instant::now();
        let path = format!("/v2/{REPOSITORY}/manifests/s{tag}");
        let found = self.talk.pull(&path)?;
        let digest = found.map(|(digest, _)| digest);
        self.saw(tag, &digest, begun, Instant::now());
        self.talk.world.count("shared tags read");
        Ok(())
    }

    fn saw(&mut self, tag: usize, value: &Value, begun: Instant, ended: Instant) {
        let seen = self.register(tag).read(value, begun, ended);
        if let Err(why) = seen {
            self.talk
                .fail(format!("{REPOSITORY}:s{tag} is {value:?}: {why}"));
        }
    }

    /// Deletes by digest what nobody can see under a tag any more.
    fn clear(&mut self) -> Result<(), Killed> {
        while let Some((tag, digest)) = self.pushed.first().cloned() {
            let is_over = self
                .register(tag)
                .is_over(&Some(digest.clone()), Instant::now());
            if !is_over {
                return Ok(());
            }
            self.pushed.remove(0);
            let path = format!("/v2/{REPOSITORY}/manifests/{digest}");
            let answer = self.talk.ask("DELETE", &path)?;
            self.talk.expect(&format!("DELETE {path}"), &answer, &[202]);
            self.talk.world.count("manifests deleted");
        }
        Ok(())
    }

    /// Pulls what belongs to another: who got a manifest can pull what it needs, even if it is deleted
    /// meanwhile.
    fn visit(&mut self) -> Result<(), Killed> {
        let letter = if self.dice.once_in(3) { "b" } else { "a" };
        let name = repository_of(self.dice.below(self.owners), letter);
        let tag = format!("t{}", self.dice.below(8));
        let begun = Instant::now();
        let Some((digest, content)) = self.talk.pull(&format!("/v2/{name}/manifests/{tag}"))?
        else {
            return Ok(());
        };
        let parsed: serde_json::Value = serde_json::from_slice(&content).unwrap_or_default();
        let layers = parsed["layers"].as_array().into_iter().flatten();
        for needed in layers.chain([&parsed["config"]]) {
            let Some(blob) = needed["digest"].as_str() else {
                continue;
            };
            let path = format!("/v2/{name}/blobs/{blob}");
            let pulled = self.talk.pull(&path)?;
            let is_whole = pulled.is_some_and(|(found, _)| found.as_str() == blob);
            // Its owner may have deleted manifest and blob, both, as owners may.
            if !is_whole && begun.elapsed() + Duration::from_secs(1) < UNDELETE {
                let gone = self
                    .talk
                    .pull(&format!("/v2/{name}/manifests/{digest}"))?
                    .is_none();
                if !gone {
                    self.talk.fail(format!(
                        "GET {path}: not there, and {digest} of {tag} needs it"
                    ));
                }
            }
        }
        self.talk
            .world
            .count("images of others pulled, every byte hashed");
        Ok(())
    }
}
