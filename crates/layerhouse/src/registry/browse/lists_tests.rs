use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::kind::Kind;
use super::repositories::{RepositoriesQuery, RepositorySort};
use super::tags::Order;
use super::tests::{House, name};
use crate::auth::directory::{Directory, Viewer};
use crate::auth::principal::Principal;
use crate::clock::{Clock, Random};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::meta;
use crate::meta::database::Durability;
use crate::registry::collection::simulation::pull;

const ALL: RepositoriesQuery<'static> = RepositoriesQuery {
    within: None,
    filter: None,
    sort: RepositorySort::Name,
    order: Order::Ascending,
    page: 1,
    rows: 100,
};

impl House {
    /// Who did not sign in, where there are accounts.
    fn nobody(&self) -> Viewer {
        let mut surroundings = Surroundings::default();
        let enabled = ("LAYERHOUSE_INDEX__ENABLED".to_owned(), "true".to_owned());
        surroundings.variables.extend([enabled]);
        let config = Config::load(&Arguments::default(), &surroundings).expect("it is one");
        let directory = Directory::new(
            self.registry.database.clone(),
            Clock::system(),
            Random::system(),
            config.index.expect("it is on"),
        );
        directory.viewer(&Principal::nobody()).expect("it reads")
    }

    async fn publish(&self, repository: &str) {
        let repository = repository.to_owned();
        let work = move |tx: &meta::transaction::Transaction<'_>| {
            meta::shown::set(tx, &repository, Some("public"))
        };
        let written = self
            .registry
            .database
            .write_lasting(Durability::ProcessDeath, work);
        written.await.expect("it is written");
    }

    fn names(&self, viewer: &Viewer, query: &RepositoriesQuery<'_>) -> String {
        let page = self.registry.repositories_page(viewer, query);
        let page = page.expect("it reads");
        let names: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
        format!("{} of {}", names.join(" "), page.total)
    }
}

async fn house() -> House {
    let house = House::build();
    for (repository, bytes) in [
        ("acme/web", 300),
        ("zoo", 100),
        ("acme/api/v2", 200),
        ("acmeish", 400),
    ] {
        house.image(repository, Some("v1"), "amd64", bytes).await;
    }
    house.publish("acme/api/v2").await;
    house
}

#[tokio::test]
async fn repositories_are_listed() {
    let house = house().await;
    let (all, nobody) = (Viewer::of_all(), house.nobody());
    let check = |query: RepositoriesQuery<'_>, expected: &str| {
        assert_eq!(house.names(&all, &query), expected, "{query:?}");
    };
    check(ALL, "acme/api/v2 acme/web acmeish zoo of 4");
    check(
        RepositoriesQuery {
            order: Order::Descending,
            rows: 3,
            ..ALL
        },
        "zoo acmeish acme/web of 4",
    );
    check(
        RepositoriesQuery {
            rows: 3,
            page: 2,
            ..ALL
        },
        "zoo of 4",
    );
    check(
        RepositoriesQuery {
            rows: 3,
            page: 3,
            ..ALL
        },
        " of 4",
    );
    check(
        RepositoriesQuery {
            within: Some("acme"),
            ..ALL
        },
        "acme/api/v2 acme/web of 2",
    );
    check(
        RepositoriesQuery {
            within: Some("acme/api/v2"),
            ..ALL
        },
        "acme/api/v2 of 1",
    );
    check(
        RepositoriesQuery {
            within: Some(""),
            ..ALL
        },
        "acmeish zoo of 2",
    );
    check(
        RepositoriesQuery {
            filter: Some("A"),
            ..ALL
        },
        "acme/api/v2 acme/web acmeish of 3",
    );
    let by = |sort, order| RepositoriesQuery { sort, order, ..ALL };
    check(
        by(RepositorySort::Pushed, Order::Descending),
        "acmeish acme/api/v2 zoo acme/web of 4",
    );
    check(
        by(RepositorySort::Pushed, Order::Ascending),
        "acme/web zoo acme/api/v2 acmeish of 4",
    );
    check(
        by(RepositorySort::Size, Order::Descending),
        "acmeish acme/web acme/api/v2 zoo of 4",
    );
    check(
        by(RepositorySort::Pulls, Order::Descending),
        "acme/api/v2 acme/web acmeish zoo of 4",
    );
    // Who may not see a repository is not told of it by a number either.
    assert_eq!(house.names(&nobody, &ALL), "acme/api/v2 of 1");

    let overview = house.registry.repository_overview(&pull(&name("acme/web")));
    let overview = overview.expect("it reads").expect("it is there");
    assert_eq!(overview.tags, 1);
    assert!(300 < overview.linked_bytes);
    let absent = house
        .registry
        .repository_overview(&pull(&name("acme/none")));
    assert!(absent.expect("it reads").is_none());
}

#[tokio::test]
async fn namespaces_and_pushes_are_what_is_seen() {
    let house = house().await;
    let (all, nobody) = (Viewer::of_all(), house.nobody());
    let namespaces = |viewer: &Viewer| {
        let found = house.registry.namespaces(viewer).expect("it reads");
        let rows = found.rows.into_iter();
        let rows: Vec<_> = rows.map(|row| (row.name, row.repositories)).collect();
        rows
    };
    assert_eq!(
        namespaces(&all),
        [(String::new(), 2), ("acme".to_owned(), 2)]
    );
    assert_eq!(namespaces(&nobody), [("acme".to_owned(), 1)]);
    for repository in ["zoo/a", "acme-b/a", "zoo/b"] {
        house.image(repository, Some("v1"), "amd64", 100).await;
    }
    let first = |viewer: &Viewer, count| {
        let found = house.registry.first_namespaces(viewer, count);
        let found = found.expect("it reads");
        let rows = found.rows.iter();
        let rows = rows.map(|row| format!("{} {}", row.name, row.repositories));
        (rows.collect::<Vec<_>>().join(", "), found.is_capped)
    };
    assert_eq!(first(&all, 2), ("acme 2, acme-b 1".to_owned(), true));
    assert_eq!(
        first(&all, 3),
        ("acme 2, acme-b 1, zoo 2".to_owned(), false)
    );
    assert_eq!(first(&nobody, 3), ("acme 1".to_owned(), false));
    assert!(house.registry.has_repositories().expect("it reads"));

    house.image("zoo", Some("v2"), "arm64", 100).await;
    house.image("zoo", Some("v1"), "arm64", 100).await;
    let recent = |viewer: &Viewer, count| {
        let found = house
            .registry
            .recent_pushes(viewer, count)
            .expect("it reads");
        let shown = found
            .iter()
            .map(|push| format!("{}:{}", push.repository, push.tag));
        shown.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        recent(&all, 10),
        "zoo:v1 zoo:v2 zoo/b:v1 acme-b/a:v1 zoo/a:v1 acmeish:v1 acme/api/v2:v1 acme/web:v1"
    );
    assert_eq!(recent(&all, 2), "zoo:v1 zoo:v2");
    assert_eq!(recent(&nobody, 10), "acme/api/v2:v1");
    assert_eq!(recent(&all, 0), "");

    house.learn().await;
    let asked: Vec<RepositoryName> = ["zoo", "acme/none", "acme/web"].map(name).to_vec();
    let facts = house.registry.facts_of(&asked).expect("it reads");
    let shown = facts.iter().map(|(repository, newest)| {
        let platforms = newest.facts.as_ref().map(|facts| facts.platforms.join(","));
        format!("{repository} {}", platforms.unwrap_or_default())
    });
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown, ["zoo linux/arm64", "acme/web linux/amd64"]);
}

#[tokio::test]
async fn an_image_is_shown_with_what_is_around_it() {
    let house = House::build();
    let amd64 = house.image("acme/web", Some("amd64"), "amd64", 100).await;
    let absent = Digest::of(Algorithm::Sha256, b"never pushed");
    let index = house
        .index(
            "acme/web",
            Some("v1"),
            &[(&amd64, Some("amd64")), (&absent, Some("arm64"))],
        )
        .await;
    house
        .referrer("acme/web", &amd64, "application/spdx+json")
        .await;
    house.learn().await;
    let image = |reference: &str| {
        let reference: Reference = reference.parse().expect("one");
        let found = house.registry.image(&pull(&name("acme/web")), &reference);
        found.expect("it reads")
    };
    let found = image("v1").expect("it is there");
    assert_eq!(
        (&found.digest, found.tag_count, found.parents.len()),
        (&index, 1, 0)
    );
    assert_eq!(found.facts.map(|facts| facts.kind), Some(Kind::Index));
    let children: Vec<_> = found
        .children
        .iter()
        .map(|child| {
            (
                &child.digest,
                child.platform.as_deref(),
                child.is_here,
                child.facts.is_some(),
            )
        })
        .collect();
    assert_eq!(
        children,
        [
            (&amd64, Some("linux/amd64"), true, true),
            (&absent, Some("linux/arm64"), false, false)
        ]
    );
    let found = image(amd64.as_str()).expect("it is there");
    assert_eq!((found.parents, found.referrers), (vec![index], 1));
    assert_eq!((found.is_signed, found.has_sbom), (false, true));
    assert!(image("v2").is_none() && image(absent.as_str()).is_none());
}

#[tokio::test]
async fn layers_are_shared_with_what_is_seen() {
    let house = house().await;
    house.image("acme/web", Some("v2"), "arm64", 300).await;
    house.image("zoo", Some("v2"), "arm64", 300).await;
    house.image("acme/api/v2", Some("v2"), "arm64", 300).await;
    let web = pull(&name("acme/web"));
    let image = house
        .registry
        .image(&web, &"v1".parse().expect("a reference"));
    let image = image.expect("it reads").expect("it is there");
    let manifest = layerhouse_oci::manifest::Manifest::parse(&image.content, None);
    let manifest = manifest.expect("a good one");
    let layer = manifest.layers[0].digest.clone();
    let uses = |viewer: &Viewer| {
        let found = house
            .registry
            .layer_uses(viewer, &web, std::slice::from_ref(&layer));
        let uses = found.expect("it reads").pop().expect("one layer");
        let names: Vec<String> = uses.repositories.iter().map(ToString::to_string).collect();
        (uses.images, names.join(" "), uses.is_capped)
    };
    assert_eq!(
        uses(&Viewer::of_all()),
        (2, "acme/api/v2 zoo".to_owned(), false)
    );
    assert_eq!(uses(&house.nobody()), (2, "acme/api/v2".to_owned(), false));

    let config = manifest.config.expect("an image has one").digest;
    let content = house
        .registry
        .image_config(&web, &config)
        .expect("it reads");
    assert!(content.is_some_and(|content| content.starts_with(b"{\"architecture\"")));
    let elsewhere = house.registry.image_config(&pull(&name("acmeish")), &layer);
    assert!(elsewhere.expect("it reads").is_none());

    let found = |viewer: &Viewer, hex: &str| {
        let found = house
            .registry
            .by_digest_prefix(viewer, hex, 10)
            .expect("it reads");
        found.len()
    };
    let hex = image.digest.hex();
    assert_eq!(found(&Viewer::of_all(), &hex[..12].to_uppercase()), 1);
    assert_eq!(found(&Viewer::of_all(), hex), 1);
    assert_eq!(found(&house.nobody(), &hex[..12]), 0);
    assert_eq!(found(&Viewer::of_all(), &hex[..5]), 0);
    assert_eq!(found(&Viewer::of_all(), "zzzzzz"), 0);
}
