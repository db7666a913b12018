//! What is found, in which order, and by whom.

use tempfile::TempDir;

use super::{Query, document, find};
use crate::auth::directory::{Directory, Viewer};
use crate::auth::principal::{Means, Principal};
use crate::auth::rights::Visibility;
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::health::Health;
use crate::meta::database::Database;
use crate::meta::measured::{make_member, make_repository};
use crate::meta::pages::{self, Page};
use crate::meta::repositories::RepositoryId;
use crate::meta::search;
use crate::meta::shown;
use crate::steps::Steps;

struct House {
    _directory: TempDir,
    database: Database,
    directory: Directory,
    made: i64,
}

/// A repository to be: its name, visibility, stars, pulls, description and README.
type Given<'a> = (&'a str, &'a str, (i64, i64), &'a str, &'a str);

impl House {
    fn new(given: &[Given<'_>]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let database =
            Database::open(&path, Steps::default(), Health::default()).expect("it opens");
        let arguments = Arguments {
            listen: None,
            root: Some(directory.path().to_owned()),
            config: None,
        };
        let mut surroundings = Surroundings::default();
        let enabled = ("LAYERHOUSE_INDEX__ENABLED".to_owned(), "true".to_owned());
        surroundings.variables.extend([enabled]);
        let config = Config::load(&arguments, &surroundings).expect("it is valid");
        let settings = config.index.expect("it is on");
        let clock = Clock::manual(Timestamp(0));
        let random = Random::seeded(1);
        let mut house = Self {
            directory: Directory::new(database.clone(), clock, random, settings),
            database,
            _directory: directory,
            made: 0,
        };
        for given in given {
            house.add(given);
        }
        house
    }

    fn add(&mut self, (name, visibility, counts, description, readme): &Given<'_>) {
        self.made += 1;
        let page = Page {
            description: (*description).to_owned(),
            readme: (*readme).to_owned(),
            labels:
                r#"{"com.example.team":"payments","org.opencontainers.image.vendor":"Initech"}"#
                    .to_owned(),
            is_of_people: true,
        };
        let id = self.made;
        self.change(|tx| {
            let repository = make_repository(tx, id, name, visibility, *counts)?;
            pages::put(tx, repository, &page, Timestamp(0))?;
            document::refresh(tx, repository)
        });
    }

    fn change<T>(
        &self,
        change: impl FnOnce(
            &crate::meta::transaction::Transaction<'_>,
        ) -> Result<T, crate::fault::Fault>,
    ) -> T {
        let mut bulk = self.database.bulk().expect("nobody else writes");
        let changed = bulk.change(change).expect("it can be written");
        bulk.commit().expect("it can be kept");
        changed
    }

    /// A member of these namespaces.
    fn member(&self, id: i64, namespaces: &[&str]) -> Viewer {
        let namespaces: Vec<_> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let account = self.change(|tx| make_member(tx, id, &namespaces));
        let found = self.directory.by_id(account, None, Means::Password);
        self.viewer(&found.expect("it reads").expect("they are there"))
    }

    fn viewer(&self, who: &Principal) -> Viewer {
        self.directory.viewer(who).expect("it reads")
    }

    fn nobody(&self) -> Viewer {
        self.viewer(&Principal::nobody())
    }

    fn names(&self, viewer: &Viewer, text: &str) -> Vec<String> {
        let query = Query {
            text: text.to_owned(),
            page: 1,
            size: 100,
            ..Query::default()
        };
        let found = find(&self.database, viewer, &query).expect("it reads");
        assert_eq!(found.count, found.hits.len(), "{text}");
        found.hits.into_iter().map(|hit| hit.name).collect()
    }

    fn check(&self, viewer: &Viewer, text: &str, expected: &[&str]) {
        assert_eq!(self.names(viewer, text), expected, "{text:?}");
    }
}

const NONE: (i64, i64) = (0, 0);

#[test]
fn the_best_comes_first() {
    let house = House::new(&[
        (
            "acme/readme",
            "public",
            (900, 900),
            "",
            "It runs behind nginx.",
        ),
        ("acme/described", "public", (800, 0), "An nginx for us", ""),
        ("acme/mynginx", "public", (700, 0), "", ""),
        ("acme/web-nginx", "public", (6, 0), "", ""),
        ("zeta/nginx", "public", NONE, "", ""),
        ("acme/other-nginx", "public", (7, 0), "", ""),
        ("nginx-exporter", "public", (3, 0), "", ""),
        ("nginx/agent", "public", (400, 0), "", ""),
        ("nginxinc/gateway", "public", (300, 1), "", ""),
        ("nginxinc/proxy", "public", (300, 2), "", ""),
        ("nginx", "public", NONE, "", ""),
        ("acme/unrelated", "public", (999, 999), "", ""),
    ]);
    house.check(
        &house.nobody(),
        "nginx",
        &[
            // The name; beginnings, official ones first, then by stars and pulls.
            "nginx",
            "nginx-exporter",
            "nginx/agent",
            "nginxinc/proxy",
            "nginxinc/gateway",
            // Parts of a name, and first of all the last part as it is.
            "zeta/nginx",
            "acme/other-nginx",
            "acme/web-nginx",
            // Within a part, in the description, in the README.
            "acme/mynginx",
            "acme/described",
            "acme/readme",
        ],
    );
    house.check(
        &house.nobody(),
        "library/nginx",
        &house
            .names(&house.nobody(), "nginx")
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn words_are_found_by_their_beginnings() {
    let house = House::new(&[
        (
            "acme/my-web.app_v2",
            "public",
            NONE,
            "Ein Gateway für Zähler",
            "Façade of configurations",
        ),
        ("acme/other", "public", NONE, "", ""),
    ]);
    let found = &["acme/my-web.app_v2"][..];
    let nobody = house.nobody();
    for text in [
        "acme/my",
        "acme my",
        "ACME/My-Web",
        "app",
        "v2",
        "gate",
        "GATEWAY",
        "zahler",
        "Zähler",
        "für zähler",
        "my gateway",
        "facade",
        "configurations",
        "configure",
        "ateway app",
        "acmemyweb",
    ] {
        let expected = if text == "ateway app" { &[] } else { found };
        house.check(&nobody, text, expected);
    }
    // Of labels: values, and keys that are nobody's standard.
    house.check(&nobody, "payments", &["acme/my-web.app_v2", "acme/other"]);
    house.check(&nobody, "initech", &["acme/my-web.app_v2", "acme/other"]);
    house.check(&nobody, "opencontainers", &[]);
    house.check(&nobody, "- _ /", &[]);
    house.check(&nobody, "", &["acme/my-web.app_v2", "acme/other"]);
}

#[test]
fn chinese_is_found() {
    let house = House::new(&[
        ("acme/registry", "public", NONE, "企业级容器镜像仓库", ""),
        ("acme/redis", "public", NONE, "高性能Redis缓存服务", ""),
        (
            "acme/notes",
            "public",
            NONE,
            "",
            "本项目提供容器的日志收集与分析。",
        ),
        ("acme/kana", "public", NONE, "コンテナレジストリ", ""),
    ]);
    let nobody = house.nobody();
    house.check(&nobody, "镜像", &["acme/registry"]);
    house.check(&nobody, "容器", &["acme/registry", "acme/notes"]);
    house.check(&nobody, "容器镜像仓库", &["acme/registry"]);
    house.check(&nobody, "镜像容器", &[]);
    house.check(&nobody, "库", &["acme/registry"]);
    house.check(&nobody, "redis 缓存", &["acme/redis"]);
    house.check(&nobody, "redis缓存", &["acme/redis"]);
    house.check(&nobody, "日志收集", &["acme/notes"]);
    house.check(&nobody, "レジストリ", &["acme/kana"]);
}

/// S17: neither names nor numbers, nor the order of what is shown, tell of what is hidden.
#[test]
fn sec_s17_what_is_hidden_is_not_found() {
    let house = House::new(&[
        ("acme/shown", "public", NONE, "the gateway", ""),
        (
            "acme/secret",
            "private",
            (50, 50),
            "the gateway",
            "merger plans",
        ),
        ("beta/secret", "private", (60, 60), "the gateway", ""),
        ("secret", "private", (70, 70), "the gateway", ""),
    ]);
    let (nobody, ann) = (house.nobody(), house.member(1, &["acme"]));
    for text in [
        "secret",
        "acme/secret",
        "secr",
        "ecre",
        "merger",
        "secret gateway",
    ] {
        house.check(&nobody, text, &[]);
    }
    house.check(&nobody, "gateway", &["acme/shown"]);
    house.check(&nobody, "", &["acme/shown"]);
    house.check(&ann, "secret", &["acme/secret"]);
    house.check(&ann, "merger", &["acme/secret"]);
    house.check(&ann, "gateway", &["acme/secret", "acme/shown"]);
    house.check(&ann, "beta/secret", &[]);
    let all = house.viewer(&Principal::console());
    house.check(&all, "secret", &["secret", "beta/secret", "acme/secret"]);
    // With more namespaces than the index is asked about.
    let names: Vec<String> = (0..100).map(|number| format!("team{number}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("acme");
    let many = house.member(2, &names);
    house.check(&many, "gateway", &["acme/secret", "acme/shown"]);
    house.check(&many, "secret", &["acme/secret"]);
}

/// Who hides a repository need not tell the index.
#[test]
fn sec_s17_hidden_at_once() {
    let house = House::new(&[("acme/web", "public", NONE, "a page", "")]);
    house.check(&house.nobody(), "web", &["acme/web"]);
    let ann = house.member(1, &["acme"]);
    house.change(|tx| shown::set(tx, "acme/web", Some("private")));
    house.check(&house.nobody(), "web", &[]);
    house.check(&house.nobody(), "acme/web", &[]);
    house.check(&house.nobody(), "page", &[]);
    house.change(|tx| {
        for stale in search::stale(tx, 10)? {
            document::refresh(tx, stale)?;
        }
        Ok(())
    });
    house.check(&house.nobody(), "page", &[]);
    house.check(&ann, "page", &["acme/web"]);
    // The configuration's visibility is private here.
    house.change(|tx| shown::set(tx, "acme/web", None));
    house.change(|tx| document::refresh(tx, RepositoryId::first_made()));
    house.check(&house.nobody(), "page", &[]);
    house.check(&ann, "page", &["acme/web"]);
    assert_eq!(ann.default_visibility(), Visibility::Private);
}

#[test]
fn pages_have_no_holes() {
    let names: Vec<String> = (0..25)
        .map(|number| format!("acme/app-{number:02}"))
        .collect();
    let given: Vec<Given<'_>> = (0..)
        .zip(&names)
        .map(|(number, name)| (name.as_str(), "public", (number % 4, number), "", ""))
        .collect();
    let house = House::new(&given);
    let nobody = house.nobody();
    let whole = house.names(&nobody, "app");
    assert_eq!(whole.len(), 25);
    let mut pieces = Vec::new();
    for page in 1..=5 {
        let query = Query {
            text: "app".to_owned(),
            page,
            size: 6,
            ..Query::default()
        };
        let found = find(&house.database, &nobody, &query).expect("it reads");
        assert_eq!(found.count, 25);
        pieces.extend(found.hits.into_iter().map(|hit| hit.name));
    }
    assert_eq!(pieces, whole);
    // The most stars first, of these the most pulls.
    assert_eq!(&whole[..3], ["acme/app-23", "acme/app-19", "acme/app-15"]);
    let query = Query {
        text: "app".to_owned(),
        page: 1,
        size: 100,
        stars_min: 3,
        is_official: Some(false),
    };
    let found = find(&house.database, &nobody, &query).expect("it reads");
    assert_eq!(found.count, 6);
    let official = Query {
        is_official: Some(true),
        ..query
    };
    assert_eq!(
        find(&house.database, &nobody, &official)
            .expect("it reads")
            .count,
        0
    );
}

/// S51: what a client writes is a value, never a part of a statement or an expression.
#[test]
fn sec_s51_queries_are_values() {
    let house = House::new(&[("acme/web", "private", NONE, "a page", "")]);
    let nobody = house.nobody();
    for text in [
        "' OR 1=1 --",
        "\"web\" OR \"page\"",
        "words:web",
        "{words} : web",
        "web*",
        "^web",
        "NEAR(web page)",
        "web AND NOT x",
        "(",
        "\")) OR (\"axweb",
        "axweb",
        "pxweb",
        "ix web",
        "a\0b",
        "%",
        "_",
        "\\",
        "web\u{0}",
        "'; DROP TABLE search_documents; --",
        "password",
        "accounts.password",
        "$1",
        "?1",
        ":name",
        "\u{202e}web",
        "😀",
        "\u{ffff}",
    ] {
        house.check(&nobody, text, &[]);
    }
    house.check(&house.viewer(&Principal::console()), "web", &["acme/web"]);
}

/// Who goes takes their stars along, and a repository that goes is found no more.
#[test]
fn what_goes_is_forgotten() {
    let house = House::new(&[("acme/web", "public", NONE, "a page", "")]);
    let repository = RepositoryId::first_made();
    let account = house.change(|tx| make_member(tx, 7, &[]));
    let stars = || house.change(|tx| Ok(crate::meta::counts::find(tx, repository)?.stars));
    house.change(|tx| crate::meta::stars::add(tx, account, repository, Timestamp(0)));
    house.change(|tx| crate::meta::stars::add(tx, account, repository, Timestamp(0)));
    assert_eq!(stars(), 1);
    house.change(|tx| crate::meta::accounts::delete(tx, account));
    assert_eq!(stars(), 0);
    house.change(|tx| crate::meta::measured::delete_repository(tx, repository));
    house.check(&house.nobody(), "page", &[]);
    house.check(&house.nobody(), "", &[]);
}
