//! A registry under a random client, a clock that jumps ahead, restarts, and collection in between, a piece at a
//! time, against a model of what must be there. The same seed does the same again.
//!
//! `LAYERHOUSE_TEST_OPERATIONS` says for how many operations, `LAYERHOUSE_TEST_SEED` with which seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use tempfile::TempDir;

use super::{Collected, How};
use crate::auth::access::Access;
use crate::auth::{
    Caller, ClientAddress, Delete, Granted, Identity, Policy, Pull, Push, RequestSource,
};
use crate::clock::{Clock, Random, RequestId, Timestamp};
use crate::config::meaning::{Config, Http};
use crate::config::{Arguments, Surroundings};
use crate::registry::blobs::MountSource;
use crate::registry::deletion::DeleteManifestError;
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::manifests::PushManifestError;
use crate::registry::receive::{BodyBroken, Incoming};
use crate::registry::undelete::RestoreError;
use crate::registry::uploads::Chunk;
use crate::registry::verify::verify;
use crate::registry::{Collecting, Limits, Registry};
use crate::steps::Steps;

pub(in crate::registry) const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);
pub(in crate::registry) const RULES: Collecting = Collecting {
    is_enabled: true,
    grace: Duration::from_mins(10),
    promise: Duration::from_mins(20),
    undelete: Duration::from_hours(2),
    interval: Duration::from_mins(1),
};
const REPOSITORIES: usize = 3;
const BLOBS: usize = 10;
const TAGS: usize = 3;
/// Operations between two looks at everything.
const EPOCH: usize = 2_000;

/// A body of one piece.
pub(in crate::registry) struct Whole(pub(in crate::registry) Option<Bytes>);

impl Incoming for Whole {
    async fn next(&mut self) -> Option<Result<Bytes, BodyBroken>> {
        self.0.take().map(Ok)
    }
}

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("it is below the sides")
    }

    fn one_of<T: Clone>(&mut self, things: &[T]) -> Option<T> {
        let at = (!things.is_empty()).then(|| self.roll(things.len()))?;
        things.get(at).cloned()
    }
}

/// A manifest as the model knows it.
#[derive(Clone, Debug)]
struct Image {
    blobs: BTreeSet<usize>,
    children: BTreeSet<Digest>,
    subject: Option<Digest>,
    content: Bytes,
}

/// What a repository must have.
#[derive(Clone, Debug, Default)]
struct Expected {
    live: BTreeMap<Digest, Image>,
    deleted: BTreeMap<Digest, (Image, Timestamp)>,
    tags: BTreeMap<usize, Digest>,
    /// Once left by a tag: such a manifest is nobody's orphan.
    untagged: BTreeSet<Digest>,
    /// Blobs that a client was told of, and when.
    promised: BTreeMap<usize, Timestamp>,
    /// Blobs that may be linked: once were, and no client saw that they are not.
    possible: BTreeSet<usize>,
}

impl Expected {
    fn needs(&self, blob: usize) -> bool {
        self.live.values().any(|image| image.blobs.contains(&blob))
    }

    /// The blob must be there for its clients.
    fn has_surely(&self, blob: usize, now: Timestamp) -> bool {
        let is_promised = self
            .promised
            .get(&blob)
            .is_some_and(|at| now < at.after(RULES.promise));
        self.needs(blob) || is_promised
    }

    fn is_child(&self, digest: &Digest) -> bool {
        let live = self.live.values();
        live.clone().any(|image| image.children.contains(digest))
    }

    fn drop_tags_of(&mut self, digest: &Digest) {
        let before = self.tags.len();
        self.tags.retain(|_, target| target != digest);
        if self.tags.len() < before {
            self.untagged.insert(digest.clone());
        }
    }

    /// Manifests that collection may take although nobody deleted them: what came with something that is gone.
    fn may_be_orphan(&self, digest: &Digest) -> bool {
        let is_tagged = self.tags.values().any(|target| target == digest);
        !is_tagged && !self.untagged.contains(digest) && !self.is_child(digest)
    }
}

struct Simulation {
    directory: TempDir,
    clock: Clock,
    random: Random,
    /// Absent only between two of them.
    open: Option<Arc<Registry>>,
    limits: Limits,
    dice: Dice,
    contents: Vec<Bytes>,
    expected: Vec<Expected>,
    rules: Arc<ManifestRules>,
    collected: Collected,
    counts: BTreeMap<&'static str, u64>,
}

fn names() -> Vec<RepositoryName> {
    (0..REPOSITORIES)
        .map(|number| format!("acme/r{number}").parse().expect("a name"))
        .collect()
}

fn tag(number: usize) -> Tag {
    format!("v{number}").parse().expect("a tag")
}

fn caller() -> Arc<Caller> {
    Arc::new(Caller {
        identity: Identity::Anonymous,
        access: Access::All,
        source: Arc::new(RequestSource {
            id: RequestId::default(),
            address: ClientAddress::Unix,
            host: String::new(),
            method: "GET".into(),
            agent: String::new(),
            forwarded_scheme: None,
            has_tls: false,
            certificate: None,
            http: Arc::new(Http::default()),
        }),
    })
}

const POLICY: Policy = Policy {
    allows_delete: true,
    is_read_only: false,
};

pub(in crate::registry) fn pull(name: &RepositoryName) -> Granted<Pull> {
    POLICY.pull(&caller(), name).expect("all may")
}

pub(in crate::registry) fn push(name: &RepositoryName) -> Granted<Push> {
    POLICY.push(&caller(), name).expect("all may")
}

pub(in crate::registry) fn delete(name: &RepositoryName) -> Granted<Delete> {
    POLICY.delete(&caller(), name).expect("all may")
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let directory = TempDir::new_in("/dev/shm")
            .or_else(|_| TempDir::new())
            .expect("a temporary directory");
        let config = Config::load(&Arguments::default(), &Surroundings::default())
            .expect("no configuration is one");
        let mut limits = config.limits;
        limits.collection = RULES;
        let (clock, random) = (Clock::manual(BEGINNING), Random::seeded(seed));
        let registry = open(&directory, limits, &clock, &random);
        let mut dice = Dice(seed);
        let contents = (0..BLOBS)
            .map(|number| {
                let length = 1 + dice.roll(300);
                Bytes::from(format!("{number:08}").repeat(length))
            })
            .collect();
        Self {
            directory,
            clock,
            random,
            open: Some(registry),
            limits,
            dice,
            contents,
            expected: vec![Expected::default(); REPOSITORIES],
            rules: Arc::new(ManifestRules::none()),
            collected: Collected::default(),
            counts: BTreeMap::new(),
        }
    }

    fn digest(&self, blob: usize) -> Digest {
        Digest::of(Algorithm::Sha256, &self.contents[blob])
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn promise(&mut self, repository: usize, blob: usize) {
        let now = self.now();
        let expected = &mut self.expected[repository];
        expected.promised.insert(blob, now);
        expected.possible.insert(blob);
    }

    async fn step(&mut self) {
        // No two deeds are of one moment.
        self.clock.advance(Duration::from_millis(1));
        let repository = self.dice.roll(REPOSITORIES);
        let kind = self.dice.roll(100);
        let what = match kind {
            0..15 => self.push_blob(repository).await,
            15..25 => self.ask_for_blob(repository).await,
            25..31 => self.mount(repository).await,
            31..50 => self.push_manifest(repository).await,
            50..56 => self.delete_tag(repository).await,
            56..64 => self.delete_manifest(repository).await,
            64..67 => self.delete_blob(repository).await,
            67..68 => self.delete_repository(repository).await,
            68..72 => self.restore_manifest(repository).await,
            72..75 => self.restore_tag(repository).await,
            75..85 => self.look(repository).await,
            85..91 => {
                let minutes = [1, 5, 15, 60][self.dice.roll(4)];
                self.clock.advance(Duration::from_mins(minutes));
                "wait"
            }
            91..99 => self.collect_some().await,
            _ => self.restart().await,
        };
        *self.counts.entry(what).or_default() += 1;
    }

    async fn push_blob(&mut self, repository: usize) -> &'static str {
        let blob = self.dice.roll(BLOBS);
        let digest = self.digest(blob);
        let mut body = Whole(Some(self.contents[blob].clone()));
        let chunk = Chunk::default();
        self.registry()
            .push_blob(&push(&names()[repository]), &digest, chunk, &mut body)
            .await
            .expect("a good blob is taken");
        self.promise(repository, blob);
        "push blob"
    }

    async fn ask_for_blob(&mut self, repository: usize) -> &'static str {
        let (blob, now) = (self.dice.roll(BLOBS), self.now());
        let digest = self.digest(blob);
        let asked = self
            .registry()
            .blob_size(&pull(&names()[repository]), &digest)
            .await;
        let is_there = asked.expect("it can be asked").is_some();
        self.saw(repository, blob, is_there, now);
        "ask for blob"
    }

    /// A client saw a blob, or that there is none.
    fn saw(&mut self, repository: usize, blob: usize, is_there: bool, now: Timestamp) {
        let expected = &mut self.expected[repository];
        if is_there {
            assert!(
                expected.possible.contains(&blob),
                "a blob came from nowhere"
            );
            self.promise(repository, blob);
        } else {
            assert!(
                !expected.has_surely(blob, now),
                "a blob is gone that is needed or was promised"
            );
            expected.possible.remove(&blob);
        }
    }

    async fn mount(&mut self, repository: usize) -> &'static str {
        let (from, blob, now) = (
            self.dice.roll(REPOSITORIES),
            self.dice.roll(BLOBS),
            self.now(),
        );
        let source = MountSource::Repository(pull(&names()[from]));
        let digest = self.digest(blob);
        let mounted = self
            .registry()
            .mount_blob(&push(&names()[repository]), &digest, source)
            .await
            .expect("it can be tried");
        if mounted {
            assert!(self.expected[from].possible.contains(&blob));
            self.promise(repository, blob);
        } else {
            assert!(!self.expected[from].has_surely(blob, now));
            self.expected[from].possible.remove(&blob);
        }
        "mount"
    }

    async fn push_manifest(&mut self, repository: usize) -> &'static str {
        let name = &names()[repository];
        let now = self.now();
        let live: Vec<Digest> = self.expected[repository].live.keys().cloned().collect();
        let is_index = self.dice.roll(3) == 0 && !live.is_empty();
        let mut image = Image {
            blobs: BTreeSet::new(),
            children: BTreeSet::new(),
            subject: None,
            content: Bytes::new(),
        };
        let mut json = serde_json::json!({ "schemaVersion": 2 });
        if is_index {
            let count = 1 + self.dice.roll(2);
            image
                .children
                .extend((0..count).filter_map(|_| self.dice.one_of(&live)));
            let manifests: Vec<_> = image
                .children
                .iter()
                .map(|child| {
                    let child_image = &self.expected[repository].live[child];
                    let media_type = media_type(child_image);
                    serde_json::json!({ "mediaType": media_type, "digest": child.as_str(),
                        "size": child_image.content.len() })
                })
                .collect();
            json["manifests"] = manifests.into();
        } else {
            let descriptors: Vec<_> = (0..2)
                .map(|_| {
                    let blob = self.dice.roll(BLOBS);
                    image.blobs.insert(blob);
                    serde_json::json!({ "mediaType": "application/octet-stream",
                        "digest": self.digest(blob).as_str(), "size": self.contents[blob].len() })
                })
                .collect();
            json["config"] = descriptors[0].clone();
            json["layers"] = vec![descriptors[1].clone()].into();
        }
        if self.dice.roll(4) == 0
            && let Some(subject) = self.dice.one_of(&live)
        {
            json["subject"] = serde_json::json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": subject.as_str(), "size": 2 });
            image.subject = Some(subject);
        }
        json["mediaType"] = media_type(&image).into();
        image.content = json.to_string().into();
        let digest = Digest::of(Algorithm::Sha256, &image.content);
        let tagged = (self.dice.roll(3) != 0).then(|| self.dice.roll(TAGS));
        let reference = tagged.map_or_else(
            || Reference::Digest(digest.clone()),
            |number| Reference::Tag(tag(number)),
        );
        let pushed = self
            .registry()
            .push_manifest(
                &push(name),
                &reference,
                None,
                image.content.to_vec(),
                &self.rules,
            )
            .await;
        let expected = &mut self.expected[repository];
        match pushed {
            Ok(pushed) => assert_eq!(pushed.digest, digest),
            Err(PushManifestError::Missing { missing }) => {
                let contents = &self.contents;
                for blob in &image.blobs {
                    let is_missing =
                        missing.contains(&Digest::of(Algorithm::Sha256, &contents[*blob]));
                    if is_missing {
                        assert!(
                            !expected.has_surely(*blob, now),
                            "a manifest lacks a blob that was promised"
                        );
                        expected.possible.remove(blob);
                    }
                }
                assert!(!is_index, "a live manifest is no missing image");
                return "push manifest, refused";
            }
            Err(error) => panic!("{error}"),
        }
        expected.possible.extend(&image.blobs);
        expected.live.insert(digest.clone(), image);
        expected.deleted.remove(&digest);
        if let Some(number) = tagged {
            expected.point(number, &digest);
        }
        "push manifest"
    }

    async fn delete_tag(&mut self, repository: usize) -> &'static str {
        let number = self.dice.roll(TAGS);
        let deleted = self
            .registry()
            .delete_manifest(&delete(&names()[repository]), &Reference::Tag(tag(number)))
            .await;
        let before = self.expected[repository].tags.remove(&number);
        match deleted {
            Ok(()) => {
                let before = before.expect("only what is there is deleted");
                self.expected[repository].untagged.insert(before);
            }
            Err(DeleteManifestError::Unknown) => assert!(before.is_none()),
            Err(error) => panic!("{error}"),
        }
        "delete tag"
    }

    async fn delete_manifest(&mut self, repository: usize) -> &'static str {
        let live: Vec<Digest> = self.expected[repository].live.keys().cloned().collect();
        let Some(digest) = self.dice.one_of(&live) else {
            return "nothing to delete";
        };
        let now = self.now();
        let deleted = self
            .registry()
            .delete_manifest(
                &delete(&names()[repository]),
                &Reference::Digest(digest.clone()),
            )
            .await;
        let expected = &mut self.expected[repository];
        match deleted {
            Ok(()) => {
                assert!(!expected.is_child(&digest));
                expected.discard(&digest, now);
            }
            Err(DeleteManifestError::Needed { .. }) => assert!(expected.is_child(&digest)),
            Err(error) => panic!("{error}"),
        }
        "delete manifest"
    }

    async fn delete_blob(&mut self, repository: usize) -> &'static str {
        let blob = self.dice.roll(BLOBS);
        let digest = self.digest(blob);
        let deleted = self
            .registry()
            .delete_blob(&delete(&names()[repository]), &digest)
            .await;
        let expected = &mut self.expected[repository];
        if expected.needs(blob) {
            assert!(deleted.is_err(), "a blob went from under its manifest");
        } else {
            expected.promised.remove(&blob);
            expected.possible.remove(&blob);
        }
        "delete blob"
    }

    async fn delete_repository(&mut self, repository: usize) -> &'static str {
        let name = &names()[repository];
        let now = self.now();
        let deleted = self.registry().delete_repository(name, "somebody").await;
        let was_there = deleted.expect("it can be tried");
        let expected = &mut self.expected[repository];
        assert!(was_there || expected.live.is_empty());
        let all: Vec<Digest> = expected.live.keys().cloned().collect();
        let tags = expected.tags.clone();
        for digest in all {
            expected.discard(&digest, now);
        }
        expected.promised.clear();
        expected.possible.clear();
        if was_there && self.dice.roll(2) == 0 {
            let restored = self.registry().restore_repository(name, "somebody").await;
            let restored = restored.expect("it was just deleted");
            let expected = &mut self.expected[repository];
            for digest in &restored.manifests {
                expected.undelete(digest);
            }
            for (number, digest) in &tags {
                assert!(expected.live.contains_key(digest), "an image was lost");
                expected.point(*number, digest);
            }
            return "delete and restore repository";
        }
        "delete repository"
    }

    async fn restore_manifest(&mut self, repository: usize) -> &'static str {
        let deleted: Vec<Digest> = self.expected[repository].deleted.keys().cloned().collect();
        let Some(digest) = self.dice.one_of(&deleted) else {
            return "nothing to restore";
        };
        let now = self.now();
        let restored = self
            .registry()
            .restore_manifest(&names()[repository], &digest, "somebody")
            .await;
        let expected = &mut self.expected[repository];
        let (_, deleted_at) = expected.deleted[&digest].clone();
        match restored {
            Ok(restored) => {
                for digest in &restored.manifests {
                    expected.undelete(digest);
                }
                for (tag, digest) in &restored.tags {
                    let number = tag.as_str()[1..].parse().expect("v and a number");
                    assert!(!expected.tags.contains_key(&number), "a tag was taken away");
                    expected.point(number, digest);
                }
            }
            Err(RestoreError::UnknownManifest { .. } | RestoreError::Missing { .. }) => {
                assert!(
                    deleted_at.after(RULES.undelete) <= now,
                    "a deleted manifest cannot be restored in its time"
                );
                expected.deleted.remove(&digest);
            }
            Err(error) => panic!("{error}"),
        }
        "restore manifest"
    }

    async fn restore_tag(&mut self, repository: usize) -> &'static str {
        let number = self.dice.roll(TAGS);
        let restored = self
            .registry()
            .restore_tag(&names()[repository], &tag(number), None, "somebody")
            .await;
        let now = self.now();
        let expected = &mut self.expected[repository];
        match restored {
            Ok(restored) => {
                for digest in &restored.manifests {
                    expected.undelete(digest);
                }
                let [(_, digest)] = &restored.tags[..] else {
                    panic!("one tag was restored");
                };
                assert!(expected.live.contains_key(digest));
                expected.point(number, digest);
            }
            Err(RestoreError::Gone { digest } | RestoreError::Missing { digest, .. }) => {
                if let Some((_, deleted_at)) = expected.deleted.get(&digest) {
                    assert!(deleted_at.after(RULES.undelete) <= now, "it was lost");
                }
                assert!(!expected.live.contains_key(&digest));
            }
            Err(
                RestoreError::UnknownRepository
                | RestoreError::UnknownTag { .. }
                | RestoreError::NothingBefore { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }
        "restore tag"
    }

    /// Everything that must be there in a repository is, and nothing is that must not be.
    async fn look(&mut self, repository: usize) -> &'static str {
        let name = &names()[repository];
        let granted = pull(name);
        for number in 0..TAGS {
            let found = self
                .registry()
                .pull_manifest(&granted, &Reference::Tag(tag(number)))
                .expect("it can be asked")
                .map(|manifest| manifest.digest.clone());
            assert_eq!(
                found.as_ref(),
                self.expected[repository].tags.get(&number),
                "a tag points elsewhere"
            );
        }
        let live: Vec<Digest> = self.expected[repository].live.keys().cloned().collect();
        for digest in live {
            let found = self
                .registry()
                .pull_manifest(&granted, &Reference::Digest(digest.clone()))
                .expect("it can be asked");
            let expected = &self.expected[repository];
            let found = found.unwrap_or_else(|| panic!("manifest {digest} is gone"));
            assert_eq!(found.content, expected.live[&digest].content);
            for blob in expected.live[&digest].blobs.clone() {
                let wanted = self.digest(blob);
                let content = self.registry().pull_blob(&granted, &wanted, true).await;
                let content = content.expect("it can be asked").expect("a layer is there");
                assert_eq!(content.size_bytes(), self.contents[blob].len() as u64);
            }
        }
        for digest in self.expected[repository].deleted.keys() {
            let found = self
                .registry()
                .pull_manifest(&granted, &Reference::Digest(digest.clone()));
            assert!(
                found.expect("it can be asked").is_none(),
                "what was deleted is there"
            );
        }
        "look"
    }

    /// One stage of a collection, or all of them.
    async fn collect_some(&mut self) -> &'static str {
        let (rules, how) = (RULES, How::default());
        let until = self.now().before(rules.grace);
        let mut collected = Collected::default();
        let registry = self.registry();
        match self.dice.roll(4) {
            0 => drop(
                registry
                    .forget_deleted(rules, None, &mut collected)
                    .await
                    .expect("it goes"),
            ),
            1 => drop(
                registry
                    .review_links(rules, how, until, None, &mut collected)
                    .await
                    .expect("it goes"),
            ),
            2 => drop(
                registry
                    .review_blobs(rules, None, &mut collected)
                    .await
                    .expect("it goes"),
            ),
            _ => {
                let planned = registry.plan_collection(how, 0).expect("it can be planned");
                let due = registry
                    .collect(how, |_| Duration::ZERO, || false)
                    .await
                    .expect("it goes");
                // But for the orphans of what goes for good, which the run alone finds.
                assert!(
                    planned.manifests <= due.manifests,
                    "{planned:?} is not {due:?}"
                );
                if planned.manifests == due.manifests {
                    let planned = (planned.links, planned.blobs, planned.bytes);
                    assert_eq!(planned, (due.links, due.blobs, due.bytes));
                }
                collected = due;
            }
        }
        self.collected.add(collected);
        for repository in 0..REPOSITORIES {
            self.miss_orphans(repository);
        }
        "collect"
    }

    /// What came with something that is gone may be gone with it.
    fn miss_orphans(&mut self, repository: usize) {
        let granted = pull(&names()[repository]);
        let registry = self.registry();
        // What stood in an index that is an orphan, too, is one when that is gone.
        loop {
            let expected = &mut self.expected[repository];
            let candidates: Vec<Digest> = expected.live.keys().cloned().collect();
            let gone = candidates.into_iter().find(|digest| {
                let reference = Reference::Digest(digest.clone());
                let found = registry.pull_manifest(&granted, &reference);
                expected.may_be_orphan(digest) && found.expect("it can be asked").is_none()
            });
            let Some(gone) = gone else { return };
            if let Some(image) = expected.live.remove(&gone) {
                // Whether it can still be restored is for collection to say.
                expected.deleted.insert(gone, (image, Timestamp(0)));
            }
        }
    }

    /// Without a clean stop, now and then.
    async fn restart(&mut self) -> &'static str {
        if self.dice.roll(2) == 0 {
            self.registry()
                .write_links()
                .await
                .expect("they can be written");
        }
        self.stop();
        self.start();
        "restart"
    }

    fn stop(&mut self) {
        let registry = self.open.take().expect("it is open");
        registry.close();
        assert_eq!(Arc::strong_count(&registry), 1, "somebody still works");
    }

    fn start(&mut self) {
        let registry = open(&self.directory, self.limits, &self.clock, &self.random);
        self.open = Some(registry);
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.open.as_ref().expect("it is open"))
    }

    /// After all that may go went: what is on the disk is what is needed.
    async fn prove(&mut self) {
        for repository in 0..REPOSITORIES {
            self.look(repository).await;
        }
        for _ in 0..3 {
            self.clock.advance(Duration::from_hours(3));
            let registry = self.registry();
            let collected = registry
                .collect(How::default(), |_| Duration::ZERO, || false)
                .await;
            let collected = collected.expect("it goes");
            self.collected.add(collected);
            for repository in 0..REPOSITORIES {
                self.miss_orphans(repository);
            }
        }
        for repository in 0..REPOSITORIES {
            self.look(repository).await;
            self.expected[repository].deleted.clear();
            let needed: BTreeSet<usize> = (0..BLOBS)
                .filter(|blob| self.expected[repository].needs(*blob))
                .collect();
            self.expected[repository].possible = needed;
            self.expected[repository].promised.clear();
        }
        let plan = self.registry().plan_collection(How::default(), 10);
        let plan = plan.expect("it can be planned");
        assert_eq!(
            (plan.blobs, plan.waiting_blobs, plan.waiting_manifests),
            (0, 0, 0)
        );
        self.registry()
            .write_links()
            .await
            .expect("they can be written");
        self.stop();
        let report = verify(self.directory.path(), None).expect("it can be read");
        assert!(report.findings.is_empty(), "{report}");
        assert_eq!(report.unlinked_blobs, 0, "{report}");
        assert_eq!(report.deleted_manifests, 0, "{report}");
        let needed: BTreeSet<usize> = (0..BLOBS)
            .filter(|blob| self.expected.iter().any(|expected| expected.needs(*blob)))
            .collect();
        assert_eq!(report.blobs, needed.len() as u64, "{report}");
        self.start();
    }
}

impl Expected {
    fn point(&mut self, number: usize, digest: &Digest) {
        let before = self.tags.insert(number, digest.clone());
        if let Some(before) = before.filter(|before| before != digest) {
            self.untagged.insert(before);
        }
    }

    fn discard(&mut self, digest: &Digest, now: Timestamp) {
        self.drop_tags_of(digest);
        if let Some(image) = self.live.remove(digest) {
            self.deleted.insert(digest.clone(), (image, now));
        }
    }

    fn undelete(&mut self, digest: &Digest) {
        if let Some((image, _)) = self.deleted.remove(digest) {
            self.possible.extend(&image.blobs);
            self.live.insert(digest.clone(), image);
        }
    }
}

fn media_type(image: &Image) -> &'static str {
    if image.children.is_empty() {
        "application/vnd.oci.image.manifest.v1+json"
    } else {
        "application/vnd.oci.image.index.v1+json"
    }
}

pub(in crate::registry) fn open(
    directory: &TempDir,
    limits: Limits,
    clock: &Clock,
    random: &Random,
) -> Arc<Registry> {
    let (clock, random) = (clock.clone(), random.clone());
    let opened = Registry::open(
        directory.path(),
        None,
        limits,
        clock,
        random,
        Steps::default(),
    );
    Arc::new(opened.unwrap_or_else(|error| panic!("{error}")))
}

fn number(variable: &str, everyday: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(everyday)
}

#[test]
fn inv_i5_collection_takes_nothing_that_is_needed_or_promised() {
    let seed = number("LAYERHOUSE_TEST_SEED", 1);
    let operations = number("LAYERHOUSE_TEST_OPERATIONS", 20_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut simulation = Simulation::new(seed);
        let mut done = 0;
        while done < operations {
            for _ in 0..EPOCH {
                simulation.step().await;
                done += 1;
            }
            simulation.prove().await;
        }
        let Collected {
            manifests, blobs, ..
        } = simulation.collected;
        assert!(0 < manifests && 0 < blobs, "nothing was collected");
        // For who asked for a longer run, with --nocapture.
        eprintln!("{:?} {:?}", simulation.counts, simulation.collected);
    });
}
