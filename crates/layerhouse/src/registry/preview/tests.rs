//! That a preview says what a deletion then does: registries of images that share layers, of indexes and of
//! referrers, as a seed decides; a preview of something; the deletion; and, when its time is over, a collection,
//! which must free so much and not a byte more or less.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use layerhouse_oci::name::RepositoryName;

use super::*;
use crate::clock::{Clock, Random};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::registry::collection::simulation::{BEGINNING, RULES, Whole, delete, open, push};
use crate::registry::collection::{Collected, How};
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::uploads::Chunk;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry in which nothing waits to be collected.
struct World {
    registry: Arc<Registry>,
    clock: Clock,
    rules: Arc<ManifestRules>,
    _directory: TempDir,
}

fn name(text: &str) -> RepositoryName {
    text.parse().expect("a name")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    let digest = Digest::of(Algorithm::Sha256, content);
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": content.len() })
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        let directory = directory.expect("a temporary directory");
        let config = Config::load(&Arguments::default(), &Surroundings::default());
        let mut limits = config.expect("no configuration is one").limits;
        limits.collection = RULES;
        let (clock, random) = (Clock::manual(BEGINNING), Random::seeded(1));
        Self {
            registry: open(&directory, limits, &clock, &random),
            clock,
            rules: Arc::new(ManifestRules::none()),
            _directory: directory,
        }
    }

    /// Pushes a manifest with its blobs under a tag, or by its digest alone; its digest and content.
    async fn push(&self, repository: &str, tagged: &str, manifest: &Value) -> (Digest, Vec<u8>) {
        let (granted, content) = (push(&name(repository)), manifest.to_string().into_bytes());
        let digest = Digest::of(Algorithm::Sha256, &content);
        let reference = if tagged.is_empty() {
            Reference::Digest(digest.clone())
        } else {
            Reference::Tag(tag(tagged))
        };
        let pushed =
            self.registry
                .push_manifest(&granted, &reference, None, content.clone(), &self.rules);
        pushed.await.expect("what it needs is there");
        (digest, content)
    }

    async fn blob(&self, repository: &str, content: &str) -> Value {
        let content = Bytes::from(content.to_owned());
        let described = descriptor("application/octet-stream", &content);
        let digest = Digest::of(Algorithm::Sha256, &content);
        let (mut body, granted) = (Whole(Some(content)), push(&name(repository)));
        let pushed = self
            .registry
            .push_blob(&granted, &digest, Chunk::default(), &mut body);
        pushed.await.expect("a good blob is taken");
        described
    }

    /// Pushes an image of these layers.
    async fn image(&self, repository: &str, tagged: &str, layers: &[&str]) -> (Digest, Vec<u8>) {
        let config = self.blob(repository, "{}").await;
        let mut described = Vec::new();
        for layer in layers {
            described.push(self.blob(repository, layer).await);
        }
        let image = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config,
            "layers": described });
        self.push(repository, tagged, &image).await
    }

    async fn collect(&self) -> Collected {
        let mut all = Collected::default();
        // What is put off in a round waits for the next.
        for _ in 0..4 {
            let collected = self
                .registry
                .collect(How::default(), |_| Duration::ZERO, || false);
            let collected = collected.await.expect("it can be collected");
            all.bytes += collected.bytes;
            all.manifests += collected.manifests;
            all.blobs += collected.blobs;
        }
        all
    }

    /// Lets all that nobody needs go.
    async fn settle(&self) {
        self.clock.advance(RULES.undelete * 4);
        self.collect().await;
    }

    fn preview(&self, repository: &str, target: &Target) -> Option<Preview> {
        let preview = self
            .registry
            .preview_deletion(&delete(&name(repository)), target);
        preview.expect("it can be read")
    }

    /// Does what was shown, and compares what comes of it.
    async fn carry_out(&self, repository: &str, target: &Target, preview: &Preview) {
        let granted = delete(&name(repository));
        if *target == Target::Repository {
            let name = name(repository);
            let deleted = self.registry.delete_repository(&name, "me");
            assert!(deleted.await.expect("nothing refuses it"));
        }
        for (reference, seen) in &preview.steps {
            let deleted = self.registry.delete_seen(&granted, reference, seen.clone());
            deleted.await.expect("nothing stands in the way");
        }
        let freed_at = preview.freed.at.unwrap_or(preview.undelete_until);
        let away = freed_at.0.abs_diff(self.clock.now().0);
        self.clock.advance(Duration::from_millis(away - 1));
        let early = self.collect().await;
        assert!(
            early.bytes < preview.freed.bytes || preview.freed.bytes == 0,
            "all came back before it was said: {preview:?}"
        );
        self.clock.advance(Duration::from_millis(1));
        let late = self.collect().await;
        assert_eq!(
            (early.bytes + late.bytes, early.blobs + late.blobs),
            (preview.freed.bytes, preview.freed.blobs),
            "{preview:?}"
        );
        assert_eq!(
            early.manifests + late.manifests,
            preview.manifest_count,
            "{preview:?}"
        );
        self.settle().await;
    }
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

fn tags(names: &[&str], with_images: bool) -> Target {
    Target::Tags {
        tags: names.iter().map(|name| tag(name)).collect(),
        with_images,
    }
}

#[test]
fn a_tag_goes_alone() {
    run(async {
        let world = World::new();
        let (digest, _) = world.image("acme/web", "v1", &["abcd"]).await;
        world.image("acme/web", "latest", &["abcd"]).await;
        world.settle().await;
        let target = tags(&["v1", "none"], true);
        let preview = world.preview("acme/web", &target).expect("it is there");
        assert_eq!(preview.tags, [(tag("v1"), digest.clone())]);
        assert_eq!(preview.absent, [tag("none")]);
        assert_eq!((preview.manifest_count, preview.freed.bytes), (0, 0));
        let why = Why::OtherTags(1, vec![tag("latest")]);
        assert_eq!(preview.stays, [Stays { digest, why }]);
        world.carry_out("acme/web", &target, &preview).await;
        assert!(world.preview("acme/web", &tags(&["v1"], false)).is_none());
        assert!(world.preview("acme/none", &Target::Repository).is_none());
    });
}

#[test]
fn the_last_tag_takes_its_image_only_if_that_is_wished() {
    run(async {
        let world = World::new();
        let (digest, _) = world.image("acme/web", "v1", &["abcd", "of both"]).await;
        world.image("acme/web", "v2", &["efgh", "of both"]).await;
        world.image("acme/api", "v1", &["efgh"]).await;
        world.settle().await;
        let alone = tags(&["v1"], false);
        let preview = world.preview("acme/web", &alone).expect("it is there");
        let why = Why::ByDigest;
        let stays = Stays {
            digest: digest.clone(),
            why,
        };
        assert_eq!((&*preview.stays, preview.untagged_count), (&[stays][..], 1));
        assert_eq!((preview.freed.bytes, preview.untagged_bytes), (0, 4));
        let target = tags(&["v1"], true);
        let preview = world.preview("acme/web", &target).expect("it is there");
        assert_eq!((preview.manifest_count, preview.freed.bytes), (1, 4));
        // The config and the layer that the other image has, too.
        assert_eq!(preview.freed.shared_here_bytes, 2 + 7);
        assert_ne!(
            preview.fingerprint(),
            world
                .preview("acme/web", &alone)
                .expect("it is")
                .fingerprint()
        );
        world.carry_out("acme/web", &target, &preview).await;
        // The other repository has its layer and the config.
        let preview = world
            .preview("acme/web", &Target::Repository)
            .expect("it is");
        assert_eq!(preview.freed.bytes, 7);
        assert_eq!(preview.freed.shared_elsewhere_bytes, 2 + 4);
        world
            .carry_out("acme/web", &Target::Repository, &preview)
            .await;
    });
}

#[test]
fn an_index_takes_what_came_with_it() {
    run(async {
        let world = World::new();
        let (one, one_content) = world.image("acme/web", "", &["one"]).await;
        let (two, two_content) = world.image("acme/web", "v2", &["second"]).await;
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [descriptor(IMAGE, &one_content), descriptor(IMAGE, &two_content)] });
        let (index, _) = world.push("acme/web", "all", &index).await;
        let config = world.blob("acme/web", "{}").await;
        let signature = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [],
            "subject": descriptor(IMAGE, &one_content) });
        let (signature, _) = world.push("acme/web", "", &signature).await;
        world.settle().await;
        let needed = Target::Manifest(one.clone());
        let preview = world.preview("acme/web", &needed).expect("it is there");
        let index_needs = Obstacle::Needed {
            index: index.clone(),
        };
        assert_eq!(preview.obstacles, [index_needs]);
        let target = Target::Manifest(index.clone());
        let preview = world.preview("acme/web", &target).expect("it is there");
        let goes: BTreeSet<_> = preview
            .manifests
            .iter()
            .map(|goes| (goes.digest.clone(), goes.is_along))
            .collect();
        assert_eq!(
            goes,
            BTreeSet::from([(index, false), (one, true), (signature, true)])
        );
        let why = Why::Companion {
            is_referrer: false,
            is_tagged: true,
        };
        assert_eq!(preview.stays, [Stays { digest: two, why }]);
        assert_eq!(preview.freed.bytes, 3);
        world.carry_out("acme/web", &target, &preview).await;
    });
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
}

const REPOSITORIES: [&str; 3] = ["acme/a", "acme/b", "c"];
const LAYERS: [&str; 8] = [
    "1",
    "22",
    "4444",
    "88888888",
    "sixteen bytes 16",
    "seven b",
    "x x x",
    "11 bytes 11",
];

/// Pushes something at random: an image, an index, something about another manifest.
async fn push_some(
    world: &World,
    dice: &mut Dice,
    pushed: &mut [Vec<(Digest, Vec<u8>, &'static str)>],
) {
    let at = dice.roll(REPOSITORIES.len());
    let repository = REPOSITORIES[at];
    let tagged = match dice.roll(6) {
        number @ 0..3 => format!("v{number}"),
        _ => String::new(),
    };
    let some = |dice: &mut Dice| {
        let (_, content, media_type) = &pushed[at][dice.roll(pushed[at].len())];
        descriptor(media_type, content)
    };
    let is_index = !pushed[at].is_empty() && dice.roll(3) == 0;
    let mut manifest = if is_index {
        let children: Vec<_> = (0..=dice.roll(2)).map(|_| some(dice)).collect();
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children })
    } else {
        let config = world.blob(repository, "{}").await;
        let layer = LAYERS[dice.roll(LAYERS.len())];
        let layer = world.blob(repository, layer).await;
        json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer],
            "annotations": { "n": dice.roll(4).to_string() } })
    };
    if !pushed[at].is_empty() && dice.roll(4) == 0 {
        manifest["subject"] = some(dice);
    }
    let media_type = if is_index { INDEX } else { IMAGE };
    let (digest, content) = world.push(repository, &tagged, &manifest).await;
    pushed[at].push((digest, content, media_type));
}

#[test]
fn prop_what_is_said_comes_back_does() {
    run(async {
        let (mut carried_out, mut bytes, mut along) = (0, 0, 0);
        for seed in 0..120 {
            let (world, mut dice) = (World::new(), Dice(seed));
            let mut pushed = vec![Vec::new(); REPOSITORIES.len()];
            for _ in 0..12 {
                push_some(&world, &mut dice, &mut pushed).await;
                world.clock.advance(Duration::from_millis(1));
            }
            for _ in 0..4 {
                world.settle().await;
                let at = dice.roll(REPOSITORIES.len());
                let target = match dice.roll(5) {
                    0 if 0 < dice.roll(3) => Target::Repository,
                    0..3 if !pushed[at].is_empty() => {
                        let (digest, ..) = &pushed[at][dice.roll(pushed[at].len())];
                        Target::Manifest(digest.clone())
                    }
                    number => tags(&["v0", "v1", "v2"][..=dice.roll(3)], number != 3),
                };
                let Some(preview) = world.preview(REPOSITORIES[at], &target) else {
                    continue;
                };
                if !preview.obstacles.is_empty() {
                    continue;
                }
                world.carry_out(REPOSITORIES[at], &target, &preview).await;
                carried_out += 1;
                bytes += preview.freed.bytes;
                along += preview.along_count;
            }
        }
        // The dice found what this is about.
        assert!(
            100 < carried_out && 200 < bytes && 10 < along,
            "{carried_out} {bytes} {along}"
        );
    });
}
