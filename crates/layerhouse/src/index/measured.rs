//! What the benchmarks measure: searches in a house of many repositories, and the count of a pull.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::fmt::Write as _;

use super::counts::Tally;
use super::search::document;
use super::search::{Query, find};
use crate::auth::directory::Directory;
use crate::auth::principal::{Means, Principal};
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::Config;
use crate::health::Health;
use crate::meta::accounts::AccountId;
use crate::meta::database::Database;
use crate::meta::measured::{make_member, make_repository};
use crate::meta::pages::{self, Page};
use crate::steps::Steps;

/// Repositories of one namespace.
const PER_NAMESPACE: usize = 10;

/// Words of names, from the most common on.
const COMMON: [&str; 24] = [
    "app", "api", "web", "service", "server", "worker", "base", "proxy", "cache", "gateway",
    "auth", "data", "redis", "nginx", "batch", "search", "mail", "queue", "report", "billing",
    "image", "video", "audit", "ledger",
];
const CHINESE: [&str; 8] = [
    "网关服务",
    "容器镜像",
    "数据处理",
    "缓存",
    "日志收集与分析",
    "用户认证",
    "消息队列",
    "前端应用",
];

/// A house of many repositories, indexed.
pub struct House {
    database: Database,
    directory: Directory,
    member: AccountId,
    few: AccountId,
}

/// Who searches.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Anonymous,
    /// A member of a thousand namespaces.
    Member,
    /// A member of ten.
    MemberOfFew,
    Everything,
}

/// Numbers that look like none.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    /// The first are rolled most often.
    fn word(&mut self) -> &'static str {
        let first = self.roll(COMMON.len());
        COMMON[self.roll(first + 1)]
    }
}

impl House {
    /// Makes it; half of the repositories are private.
    #[must_use]
    pub fn make(config: &Config, repositories: usize) -> Self {
        let path = config.root.join("layerhouse.db");
        let database =
            Database::open(&path, Steps::default(), Health::default()).expect("it opens");
        let mut dice = Dice(1);
        let mut bulk = database.bulk().expect("nobody else writes");
        for number in 0..repositories {
            let namespace = format!("team{}", number / PER_NAMESPACE);
            let name = format!("{namespace}/{}-{}-{number}", dice.word(), dice.word());
            let visibility = if dice.roll(2) == 0 {
                "public"
            } else {
                "private"
            };
            let counts = (1 << dice.roll(8), 1 << dice.roll(20));
            let (id, page) = (
                i64::try_from(number).expect("few") + 1,
                page(&mut dice, number),
            );
            bulk.change(|tx| {
                let repository = make_repository(tx, id, &name, visibility, counts)?;
                pages::put(tx, repository, &page, Timestamp(0))?;
                document::refresh(tx, repository)
            })
            .expect("it can be written");
            if number % 100 == 0 {
                bulk.commit().expect("it can be kept");
            }
        }
        let namespaces = repositories / PER_NAMESPACE;
        let teams = |count: usize| -> Vec<String> {
            let step = (namespaces / count).max(1);
            (0..count)
                .map(|number| format!("team{}", number * step))
                .collect()
        };
        let (member, few) = bulk
            .finish(|tx| {
                Ok((
                    make_member(tx, 1, &teams(1000))?,
                    make_member(tx, 2, &teams(10))?,
                ))
            })
            .expect("it can be kept");
        let settings = config.index.clone().expect("the index is on");
        Self {
            directory: Directory::new(
                database.clone(),
                Clock::system(),
                Random::system(),
                settings,
            ),
            database,
            member,
            few,
        }
    }

    /// Searches as a request does, who may see what included; hits and all that was found.
    #[must_use]
    pub fn search(&self, who: Who, text: &str, size: usize) -> (usize, usize) {
        let of = |account| {
            let found = self.directory.by_id(account, None, Means::Password);
            found.expect("it reads").expect("they are there")
        };
        let principal = match who {
            Who::Anonymous => Principal::nobody(),
            Who::Everything => Principal::console(),
            Who::Member => of(self.member),
            Who::MemberOfFew => of(self.few),
        };
        let viewer = self.directory.viewer(&principal).expect("it reads");
        let query = Query {
            text: text.to_owned(),
            page: 1,
            size,
            ..Query::default()
        };
        let found = find(&self.database, &viewer, &query).expect("it reads");
        (found.hits.len(), found.count)
    }
}

fn page(dice: &mut Dice, number: usize) -> Page {
    let mut description = format!("The {} of the {} team", dice.word(), dice.word());
    if dice.roll(3) == 0 {
        description += CHINESE[dice.roll(CHINESE.len())];
        description += CHINESE[dice.roll(CHINESE.len())];
    }
    let mut readme = String::from("# How to run this\n");
    for _ in 0..150 {
        let word = dice.word();
        let _ = write!(readme, "the {word} and {word}{} ", dice.roll(20_000));
    }
    let _ = write!(readme, "unique{number} ");
    Page {
        description,
        readme,
        labels: format!("{{\"maintainer\":\"team{number}\"}}"),
        is_of_people: true,
    }
}

/// Counts pulls of a few repositories, as the path of a pull does; nothing is written.
#[derive(Debug, Default)]
pub struct Pulls(Tally);

impl Pulls {
    pub fn count(&self, repository: &layerhouse_oci::name::RepositoryName) {
        self.0.count_pull(repository, Timestamp(0));
    }
}
