use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kind::Kind;
use super::tags::{Order, TagRow, TagSort, TagsPage, TagsQuery};
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::meta;
use crate::meta::database::Durability;
use crate::registry::Registry;
use crate::registry::collection::simulation::{BEGINNING, Whole, open, pull, push};
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::uploads::Chunk;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry that people push to.
pub(super) struct House {
    pub(super) registry: Arc<Registry>,
    clock: Clock,
    _directory: TempDir,
}

pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().expect("a name")
}

impl House {
    pub(super) fn build() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let config = Config::load(&Arguments::default(), &Surroundings::default());
        let limits = config.expect("no configuration is one").limits;
        let clock = Clock::manual(BEGINNING);
        let registry = open(&directory, limits, &clock, &Random::seeded(1));
        Self {
            registry,
            clock,
            _directory: directory,
        }
    }

    async fn blob(&self, repository: &str, media_type: &str, content: String) -> Value {
        let content = Bytes::from(content);
        let digest = Digest::of(Algorithm::Sha256, &content);
        let (push, size) = (push(&name(repository)), content.len());
        let mut body = Whole(Some(content));
        self.registry
            .push_blob(&push, &digest, Chunk::default(), &mut body)
            .await
            .expect("a good blob is taken");
        json!({"mediaType": media_type, "digest": digest.as_str(), "size": size})
    }

    async fn manifest(&self, repository: &str, tag: Option<&str>, json: &Value) -> Digest {
        let content = json.to_string().into_bytes();
        let digest = Digest::of(Algorithm::Sha256, &content);
        let reference = match tag {
            Some(tag) => Reference::Tag(tag.parse().expect("a tag")),
            None => Reference::Digest(digest.clone()),
        };
        let rules = Arc::new(ManifestRules::of_adoption());
        let push = push(&name(repository));
        self.registry
            .push_manifest(&push, &reference, None, content, &rules)
            .await
            .expect("a good manifest is taken");
        self.clock.advance(Duration::from_secs(1));
        digest
    }

    /// An image whose layer has so many bytes.
    pub(super) async fn image(
        &self,
        repository: &str,
        tag: Option<&str>,
        architecture: &str,
        layer_bytes: usize,
    ) -> Digest {
        let config =
            json!({"os": "linux", "architecture": architecture, "created": "2026-11-22T07:00:00Z"});
        let config = self.blob(repository, CONFIG, config.to_string()).await;
        let layer = self.blob(repository, LAYER, "x".repeat(layer_bytes)).await;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        self.manifest(repository, tag, &manifest).await
    }

    /// An index of these images, each with the platform that it is for.
    pub(super) async fn index(
        &self,
        repository: &str,
        tag: Option<&str>,
        images: &[(&Digest, Option<&str>)],
    ) -> Digest {
        let descriptors = images.iter().map(|(digest, architecture)| {
            let mut json = json!({"mediaType": MANIFEST, "digest": digest.as_str(), "size": 2});
            if let Some(architecture) = architecture {
                json["platform"] = json!({"os": "linux", "architecture": architecture});
            }
            json
        });
        let manifests: Vec<Value> = descriptors.collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.manifest(repository, tag, &index).await
    }

    /// Something that says something of an image.
    pub(super) async fn referrer(
        &self,
        repository: &str,
        subject: &Digest,
        artifact_type: &str,
    ) -> Digest {
        let empty = "application/vnd.oci.empty.v1+json";
        let config = self.blob(repository, empty, "{}".to_owned()).await;
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": config, "layers": [config],
            "subject": {"mediaType": MANIFEST, "digest": subject.as_str(), "size": 2}});
        self.manifest(repository, None, &manifest).await
    }

    /// Lets all be read that was pushed.
    pub(super) async fn learn(&self) {
        while self.registry.learn_images().await.expect("it reads") {}
    }

    /// A manifest was pulled, this long after the beginning.
    async fn pulled(&self, repository: &str, digest: &Digest, after: Duration) {
        let (repository, digest) = (name(repository), digest.clone());
        let work = move |tx: &meta::transaction::Transaction<'_>| {
            let id = meta::repositories::find(tx, &repository)?.expect("it is there");
            meta::retention::note_pull(tx, id, &digest, BEGINNING.after(after))
        };
        let written = self
            .registry
            .database
            .write_lasting(Durability::ProcessDeath, work);
        written.await.expect("it is written");
    }

    fn page(&self, repository: &str, query: &TagsQuery<'_>) -> TagsPage {
        let page = self.registry.tags_page(&pull(&name(repository)), query);
        page.expect("it reads").expect("it is there")
    }

    fn row(&self, repository: &str, tag: &str) -> TagRow {
        let query = TagsQuery {
            filter: Some(tag),
            ..ALL
        };
        let mut rows = self.page(repository, &query).rows.into_iter();
        rows.find(|row| row.name.as_str() == tag)
            .expect("it is there")
    }

    /// Tags as a list has them, and the number that it gives.
    fn tags(&self, query: TagsQuery<'_>) -> String {
        let page = self.page("acme/web", &query);
        let names: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
        format!("{} of {}", names.join(" "), page.total)
    }
}

const ALL: TagsQuery<'static> = TagsQuery {
    filter: None,
    sort: TagSort::Name,
    order: Order::Ascending,
    page: 1,
    rows: 100,
};

fn sorted(sort: TagSort, order: Order) -> TagsQuery<'static> {
    TagsQuery { sort, order, ..ALL }
}

#[tokio::test]
async fn tags_are_sorted() {
    use Order::{Ascending, Descending};
    let house = House::build();
    for (tag, bytes) in [
        ("v1.10.0", 300),
        ("latest", 100),
        ("v1.9.0", 200),
        ("v1.9.0-rc.1", 400),
        ("Zeta", 50),
    ] {
        house.image("acme/web", Some(tag), "amd64", bytes).await;
    }
    let check = |sort, order, expected: &str| {
        assert_eq!(
            house.tags(sorted(sort, order)),
            format!("{expected} of 5"),
            "{sort:?} {order:?}"
        );
    };
    check(
        TagSort::Name,
        Ascending,
        "Zeta latest v1.10.0 v1.9.0 v1.9.0-rc.1",
    );
    check(
        TagSort::Name,
        Descending,
        "v1.9.0-rc.1 v1.9.0 v1.10.0 latest Zeta",
    );
    check(
        TagSort::Pushed,
        Descending,
        "Zeta v1.9.0-rc.1 v1.9.0 latest v1.10.0",
    );
    check(
        TagSort::Pushed,
        Ascending,
        "v1.10.0 latest v1.9.0 v1.9.0-rc.1 Zeta",
    );
    check(
        TagSort::Version,
        Descending,
        "v1.10.0 v1.9.0 v1.9.0-rc.1 Zeta latest",
    );
    check(
        TagSort::Version,
        Ascending,
        "v1.9.0-rc.1 v1.9.0 v1.10.0 Zeta latest",
    );
}

#[tokio::test]
async fn tags_are_sorted_by_what_is_read_behind_them() {
    use Order::{Ascending, Descending};
    let house = House::build();
    let tags = [("b", 300), ("d", 100), ("a", 200), ("c", 400)];
    let mut pushed = Vec::new();
    for (tag, bytes) in tags {
        let digest = house.image("acme/web", Some(tag), "amd64", bytes).await;
        pushed.push((digest, tag));
    }
    let check = |sort, order, expected: &str| {
        let found = house.tags(sorted(sort, order));
        assert_eq!(found, format!("{expected} of 4"), "{sort:?} {order:?}");
    };
    // Before they were read they are in no order that says anything.
    assert!(house.row("acme/web", "d").facts.is_none());
    let first = pushed[0].0.clone();
    pushed.sort();
    let unread: Vec<&str> = pushed.iter().map(|(_, tag)| *tag).collect();
    check(TagSort::Size, Ascending, &unread.join(" "));
    house.learn().await;
    check(TagSort::Size, Ascending, "d a b c");
    let before = house.row("acme/web", "d");
    let last = house.image("acme/web", Some("d"), "arm64", 1000).await;
    // One that was not read yet comes last.
    check(TagSort::Size, Descending, "c b a d");
    house.learn().await;
    check(TagSort::Size, Descending, "d c b a");
    check(TagSort::Pushed, Descending, "d c a b");

    let minute = Duration::from_mins(1);
    house.pulled("acme/web", &last, minute).await;
    house.pulled("acme/web", &first, minute * 2).await;
    check(TagSort::Pulled, Descending, "b d a c");
    check(TagSort::Pulled, Ascending, "d b a c");
    let pulled_at = house.row("acme/web", "d").pulled_at;
    assert_eq!(pulled_at, Some(BEGINNING.after(minute)));

    let facts = before.facts.expect("it was read");
    assert_eq!(
        (facts.kind, facts.platforms),
        (Kind::Image, vec!["linux/amd64".to_owned()])
    );
    assert_eq!(facts.created_at, Some(Timestamp(1_795_330_800_000)));
    assert_eq!(facts.image_bytes, facts.largest_bytes);
    assert!(100 < facts.image_bytes && facts.image_bytes < 200);
    assert_eq!(before.moved_by.as_deref(), Some("anonymous"));
}

#[tokio::test]
async fn tags_are_filtered_and_turned() {
    let house = House::build();
    for number in 0..7 {
        house
            .image(
                "acme/web",
                Some(&format!("v1.{number}")),
                "amd64",
                10 + number,
            )
            .await;
    }
    house.image("acme/web", Some("RC"), "amd64", 5).await;
    house.learn().await;
    let check =
        |query: TagsQuery<'_>, expected: &str| assert_eq!(house.tags(query), expected, "{query:?}");
    for (sort, all) in [
        (
            TagSort::Name,
            ["RC v1.0 v1.1 of 8", "v1.2 v1.3 v1.4 of 8", "v1.5 v1.6 of 8"],
        ),
        (
            TagSort::Pushed,
            ["v1.0 v1.1 v1.2 of 8", "v1.3 v1.4 v1.5 of 8", "v1.6 RC of 8"],
        ),
        (
            TagSort::Version,
            ["v1.0 v1.1 v1.2 of 8", "v1.3 v1.4 v1.5 of 8", "v1.6 RC of 8"],
        ),
        (
            TagSort::Size,
            ["RC v1.0 v1.1 of 8", "v1.2 v1.3 v1.4 of 8", "v1.5 v1.6 of 8"],
        ),
        (
            TagSort::Pulled,
            ["RC v1.0 v1.1 of 8", "v1.2 v1.3 v1.4 of 8", "v1.5 v1.6 of 8"],
        ),
    ] {
        for (page, expected) in (1..).zip(all) {
            check(
                TagsQuery {
                    sort,
                    page,
                    rows: 3,
                    ..ALL
                },
                expected,
            );
        }
        check(
            TagsQuery {
                sort,
                page: 4,
                rows: 3,
                ..ALL
            },
            " of 8",
        );
        check(
            TagsQuery {
                sort,
                page: u32::MAX,
                rows: 200,
                ..ALL
            },
            " of 8",
        );
        check(
            TagsQuery {
                sort,
                filter: Some("rc"),
                ..ALL
            },
            "RC of 1",
        );
        check(
            TagsQuery {
                sort,
                filter: Some("1."),
                rows: 2,
                page: 2,
                ..ALL
            },
            "v1.2 v1.3 of 7",
        );
        check(
            TagsQuery {
                sort,
                filter: Some("%"),
                ..ALL
            },
            " of 0",
        );
    }
    let absent = house.registry.tags_page(&pull(&name("acme/none")), &ALL);
    assert!(absent.expect("it reads").is_none());
}

#[tokio::test]
async fn rows_say_what_a_tag_is() {
    let house = House::build();
    let amd64 = house.image("acme/web", None, "amd64", 100).await;
    let arm64 = house.image("acme/web", None, "arm64", 300).await;
    let images = [
        (&amd64, Some("amd64")),
        (&arm64, Some("arm64")),
        (&arm64, Some("unknown")),
    ];
    let index = house.index("acme/web", Some("v1"), &images).await;
    house.index("acme/web", Some("latest"), &images).await;
    house
        .referrer("acme/web", &index, "application/vnd.cncf.notary.signature")
        .await;
    house
        .image(
            "acme/web",
            Some(&format!("sha256-{}.sbom", amd64.hex())),
            "amd64",
            3,
        )
        .await;
    house.image("acme/web", Some("amd64"), "amd64", 100).await;
    house.learn().await;
    let row = house.row("acme/web", "v1");
    let facts = row.facts.expect("it was read");
    assert_eq!(facts.kind, Kind::Index);
    assert_eq!(facts.platforms, ["linux/amd64", "linux/arm64"]);
    assert!(300 < facts.largest_bytes && facts.largest_bytes < 400);
    assert!(2 * facts.largest_bytes < facts.image_bytes);
    let aliases: Vec<&str> = row
        .aliases
        .iter()
        .map(layerhouse_oci::tag::Tag::as_str)
        .collect();
    assert_eq!((aliases, row.alias_count), (vec!["latest"], 1));
    assert_eq!((row.is_signed, row.has_sbom), (true, false));
    let row = house.row("acme/web", "amd64");
    assert_eq!(
        (row.is_signed, row.has_sbom, row.alias_count),
        (false, true, 0)
    );
    assert_eq!(row.digest, amd64);
}

/// An index that was pushed before its images, as a copy of another registry's may be.
#[tokio::test]
async fn what_comes_later_is_read_again() {
    let house = House::build();
    let elsewhere = House::build();
    let image = elsewhere.image("acme/web", None, "arm64", 100).await;
    house.index("acme/web", Some("v1"), &[(&image, None)]).await;
    house.learn().await;
    let facts = house.row("acme/web", "v1").facts.expect("it was read");
    assert_eq!((facts.image_bytes, facts.platforms.len()), (0, 0));
    assert_eq!(house.image("acme/web", None, "arm64", 100).await, image);
    house.learn().await;
    let facts = house.row("acme/web", "v1").facts.expect("it was read");
    assert!(100 < facts.image_bytes);
    assert_eq!(facts.platforms, ["linux/arm64"]);
}
