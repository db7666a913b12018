//! What the benchmark measures: pages of a registry that was pushed to for years.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::sync::Arc;

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::media_type::ManifestKind;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::repositories::{RepositoriesQuery, RepositorySort};
use super::tags::{Order, TagSort, TagsQuery};
use crate::auth::access::Access;
use crate::auth::directory::{Directory, Viewer};
use crate::auth::principal::Principal;
use crate::auth::{Caller, ClientAddress, Granted, Identity, Policy, Pull, RequestSource};
use crate::clock::{Clock, Random, RequestId, Timestamp};
use crate::config::meaning::{Config, Http};
use crate::fault::Fault;
use crate::meta;
use crate::meta::database::Bulk;
use crate::meta::manifests::NewManifest;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::Registry;
use crate::steps::Steps;

/// Repositories of one namespace.
const PER_NAMESPACE: usize = 10;
/// Layers that a repository has for itself.
const LAYERS: usize = 5;
/// Repositories of which one transaction is made.
const KEPT_TOGETHER: usize = 100;

/// A registry with many repositories, half of them private, one of which has very many tags.
pub struct House {
    registry: Registry,
    all: Viewer,
    nobody: Viewer,
    large: Granted<Pull>,
    names: Vec<RepositoryName>,
    large_tags: usize,
}

fn pull(name: &RepositoryName) -> Granted<Pull> {
    let caller = Caller {
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
    };
    let policy = Policy {
        allows_delete: false,
        is_read_only: true,
    };
    policy.pull(&Arc::new(caller), name).expect("all may")
}

/// What is measured.
pub type Operation<'a> = (String, Box<dyn Fn(usize) -> usize + 'a>);

fn named<'a>(name: &str, work: impl Fn(usize) -> usize + 'a) -> Operation<'a> {
    (name.to_owned(), Box::new(work))
}

/// The digest of a thing that has this number.
fn digest(what: &str, number: usize) -> Digest {
    Digest::of(Algorithm::Sha256, format!("{what} {number}").as_bytes())
}

impl House {
    /// Makes it; `tags` of each repository, and `large_tags` of the large one.
    #[must_use]
    pub fn make(config: &Config, repositories: usize, tags: usize, large_tags: usize) -> Self {
        let (clock, random) = (Clock::system(), Random::system());
        let registry = Registry::open(
            &config.root,
            config.database.as_ref(),
            config.limits,
            clock.clone(),
            random.clone(),
            Steps::default(),
        );
        let registry = registry.unwrap_or_else(|error| panic!("{error}"));
        let database = registry.database.clone();
        let mut bulk = database.bulk().expect("nobody else writes");
        bulk.change(|tx| {
            meta::blobs::put(tx, &digest("base", 0), 30_000_000, Timestamp(1)).map(drop)
        })
        .expect("it can be written");
        let mut names = Vec::new();
        for number in 0..repositories {
            let name: RepositoryName = format!("team{}/app-{number}", number / PER_NAMESPACE)
                .parse()
                .expect("a name");
            let count = if number == 0 { large_tags } else { tags };
            fill(&mut bulk, &name, number, count).expect("it can be written");
            names.push(name);
        }
        bulk.finish(meta::measured::learn_all)
            .expect("it can be kept");
        let settings = config.index.clone().expect("the index is on");
        let directory = Directory::new(database, clock, random, settings);
        let nobody = directory.viewer(&Principal::nobody()).expect("it reads");
        Self {
            registry,
            all: Viewer::of_all(),
            nobody,
            large: pull(&names[0]),
            names,
            large_tags,
        }
    }

    /// What is measured, by name. Each is given a number of its own each time, and answers how many rows it has.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut all: Vec<Operation<'_>> = Vec::new();
        for sort in [
            TagSort::Name,
            TagSort::Pushed,
            TagSort::Version,
            TagSort::Size,
            TagSort::Pulled,
        ] {
            let pages = self.large_tags / 50;
            for (what, filter, pages) in [
                ("first pages", None, 3),
                ("any page", None, pages),
                ("many found", Some("1.1"), 3),
                ("one found", Some("9.999"), 1),
                ("none found", Some("zzz"), 1),
            ] {
                let name = format!("tags by {sort:?}, {what}");
                let work = move |at| self.tags(sort, filter, at * 7919 % pages.max(1));
                all.push(named(&name, work));
            }
        }
        for sort in [
            RepositorySort::Name,
            RepositorySort::Pushed,
            RepositorySort::Pulls,
            RepositorySort::Stars,
            RepositorySort::Size,
        ] {
            for (who, viewer) in [("all", &self.all), ("nobody", &self.nobody)] {
                let name = format!("repositories by {sort:?}, {who}");
                let work = move |at| self.repositories(viewer, sort, at % 20);
                all.push(named(&name, work));
            }
        }
        all.extend(self.others());
        all
    }

    fn others(&self) -> Vec<Operation<'_>> {
        let some = move |at: usize| &self.names[at * 7919 % self.names.len()];
        let thousand = move |at: usize| -> Vec<RepositoryName> {
            let first = at * 7919 % self.names.len();
            self.names[first..].iter().take(1000).cloned().collect()
        };
        let layers: Vec<Digest> = std::iter::once(digest("base", 0))
            .chain((0..LAYERS).map(|layer| digest("layer", layer)))
            .collect();
        vec![
            named("overview, large", |_| {
                let found = self.registry.repository_overview(&self.large);
                usize::from(found.expect("it reads").is_some())
            }),
            named("latest tags", move |at| {
                let found = self.registry.latest_tags(&pull(some(at)), 10);
                found.expect("it reads").map_or(0, |rows| rows.len())
            }),
            named("namespaces", |_| {
                let found = self.registry.namespaces(&self.nobody);
                found.expect("it reads").rows.len()
            }),
            named("first namespaces", |_| {
                let found = self.registry.first_namespaces(&self.nobody, 10);
                found.expect("it reads").rows.len()
            }),
            named("recent pushes", |_| {
                let found = self.registry.recent_pushes(&self.nobody, 20);
                found.expect("it reads").len()
            }),
            named("image", |at| {
                let tag = tag_of(at * 7919 % self.large_tags.max(1));
                let reference: Reference = tag.parse().expect("a tag");
                let found = self.registry.image(&self.large, &reference);
                usize::from(found.expect("it reads").is_some())
            }),
            named("layer uses", move |_| {
                let found = self.registry.layer_uses(&self.nobody, &self.large, &layers);
                let found = found.expect("it reads");
                found.iter().map(|uses| uses.repositories.len()).sum()
            }),
            named("digest prefix", |at| {
                let hex = digest("manifest 0", at).hex()[..8].to_owned();
                let found = self.registry.by_digest_prefix(&self.all, &hex, 20);
                found.expect("it reads").len()
            }),
            named("facts of 1000", move |at| {
                let found = self.registry.facts_of(&thousand(at));
                found.expect("it reads").len()
            }),
        ]
    }

    fn tags(&self, sort: TagSort, filter: Option<&str>, page: usize) -> usize {
        let query = TagsQuery {
            filter,
            sort,
            order: Order::Descending,
            page: u32::try_from(page).expect("few") + 1,
            rows: 50,
        };
        let found = self.registry.tags_page(&self.large, &query);
        found.expect("it reads").map_or(0, |page| page.rows.len())
    }

    fn repositories(&self, viewer: &Viewer, sort: RepositorySort, page: usize) -> usize {
        let query = RepositoriesQuery {
            within: None,
            filter: None,
            sort,
            order: Order::Descending,
            page: u32::try_from(page).expect("few") + 1,
            rows: 50,
        };
        let found = self.registry.repositories_page(viewer, &query);
        found.expect("it reads").rows.len()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.registry.close();
    }
}

/// Versions, and each third what a build is called.
fn tag_of(number: usize) -> String {
    if number.is_multiple_of(3) {
        format!("build-{number}")
    } else {
        format!("v{}.{}", number / 10_000, number % 10_000)
    }
}

/// Pushes a repository: each image has the base, a layer of the repository and a tag; each second is pulled.
fn fill(bulk: &mut Bulk, name: &RepositoryName, at: usize, tags: usize) -> Result<(), Fault> {
    let id = bulk.change(|tx| begin(tx, name, at))?;
    for number in 0..tags {
        let manifest = NewManifest {
            digest: digest(&format!("manifest {at}"), number),
            kind: ManifestKind::OciManifest,
            content: vec![b' '; 800],
            subject: None,
            artifact_type: Some("application/vnd.oci.image.config.v1+json".to_owned()),
            annotations: None,
        };
        bulk.change(|tx| {
            let now = Timestamp(1_700_000_000_000 + i64::try_from(at + number * 1000).unwrap_or(0));
            meta::manifests::put(tx, id, &manifest, now)?;
            let layer = digest("layer", at * LAYERS + number % LAYERS);
            for blob in [&digest("base", 0), &layer] {
                meta::manifests::need_blob(tx, id, &manifest.digest, blob)?;
            }
            let tag = tag_of(number).parse().expect("a tag");
            meta::tags::move_tag(tx, id, &tag, &manifest.digest, "somebody", now)?;
            if number.is_multiple_of(2) {
                meta::retention::note_pull(tx, id, &manifest.digest, now)?;
            }
            Ok(())
        })?;
        if number % 10_000 == 9_999 {
            bulk.commit()?;
        }
    }
    if at.is_multiple_of(KEPT_TOGETHER) {
        bulk.commit()?;
    }
    Ok(())
}

fn begin(tx: &Transaction<'_>, name: &RepositoryName, at: usize) -> Result<RepositoryId, Fault> {
    let now = Timestamp(1);
    let id = meta::repositories::find_or_create(tx, name, now)?;
    let visibility = if at.is_multiple_of(2) {
        "public"
    } else {
        "private"
    };
    meta::shown::set(tx, name.as_str(), Some(visibility))?;
    let pulls = i64::try_from(at * 31 % 1009).unwrap_or(0);
    meta::counts::add_pulls(tx, id, pulls, now)?;
    meta::blobs::link(tx, id, &digest("base", 0), now)?;
    for layer in 0..LAYERS {
        let layer = digest("layer", at * LAYERS + layer);
        let _ = meta::blobs::put(tx, &layer, 1_000_000 + at as u64, now)?;
        meta::blobs::link(tx, id, &layer, now)?;
    }
    Ok(id)
}
