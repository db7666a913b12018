//! A filter over the tags of a large repository, whose names are kept, finds what going through all of them finds.

use super::tags::{Order, TagSort, TagsQuery};
use super::tests::{House, name};
use crate::meta;
use crate::meta::database::Durability;
use crate::registry::collection::simulation::{BEGINNING, pull};

const REPOSITORY: &str = "acme/web";
/// More than are put in order by themselves, and long, so that they are kept.
const TAGS: usize = 1_500;

fn tag(number: usize) -> String {
    let version = number * 7919 % TAGS;
    let end = if number.is_multiple_of(10) { "RC" } else { "x" };
    if number.is_multiple_of(3) {
        format!("build-{number:0>60}-{end}")
    } else {
        format!("v1.{version}-{:0>50}{end}", number % 5)
    }
}

impl House {
    /// Moves or removes tags, each a millisecond after the other.
    async fn change(&self, tags: Vec<(String, bool)>, begin: i64) {
        let digest = self.image(REPOSITORY, None, "amd64", 10).await;
        let work = move |tx: &meta::transaction::Transaction<'_>| {
            let id = meta::repositories::find(tx, &name(REPOSITORY))?.expect("it is there");
            for (at, (tag, is_there)) in (begin..).zip(&tags) {
                let mut now = BEGINNING;
                now.0 += at;
                let tag = tag.parse().expect("a tag");
                if *is_there {
                    meta::tags::move_tag(tx, id, &tag, &digest, "somebody", now)?;
                } else {
                    meta::tags::remove(tx, id, &tag, "somebody", now)?;
                }
            }
            Ok::<_, crate::fault::Fault>(())
        };
        let database = &self.registry.database;
        let written = database.write_lasting(Durability::ProcessDeath, work).await;
        written.expect("it is written");
    }

    /// The names of a page, and how many there are on all.
    fn found(&self, query: &TagsQuery<'_>) -> (Vec<String>, u64) {
        let page = self.registry.tags_page(&pull(&name(REPOSITORY)), query);
        let page = page.expect("it reads").expect("it is there");
        let names = page.rows.iter().map(|row| row.name.to_string());
        (names.collect(), page.total)
    }

    /// All in an order, page by page.
    fn all(&self, sort: TagSort, order: Order) -> Vec<String> {
        let mut all = Vec::new();
        for page in 1.. {
            let query = TagsQuery {
                filter: None,
                sort,
                order,
                page,
                rows: 200,
            };
            let names = self.found(&query).0;
            if names.is_empty() {
                break;
            }
            all.extend(names);
        }
        all
    }

    fn check(&self) {
        for sort in [TagSort::Name, TagSort::Pushed, TagSort::Version] {
            for order in [Order::Ascending, Order::Descending] {
                let all = self.all(sort, order);
                for filter in ["rc", "V1.", "build-", "000", "none"] {
                    self.check_filter(filter, sort, order, &all);
                }
            }
        }
    }

    fn check_filter(&self, filter: &str, sort: TagSort, order: Order, all: &[String]) {
        let part = filter.to_lowercase();
        let fit = |name: &&String| name.to_lowercase().contains(&part);
        let expected: Vec<&String> = all.iter().filter(fit).collect();
        for (page, rows) in [(1, 50), (2, 50), (6, 200), (40, 50)] {
            let query = TagsQuery {
                filter: Some(filter),
                sort,
                order,
                page,
                rows,
            };
            let (names, total) = self.found(&query);
            let after = (page as usize - 1) * rows as usize;
            let on_page = expected.iter().skip(after).take(rows as usize);
            let on_page: Vec<&String> = on_page.copied().collect();
            assert_eq!(names.iter().collect::<Vec<_>>(), on_page, "{query:?}");
            assert_eq!(total, expected.len() as u64, "{query:?}");
        }
    }
}

#[tokio::test]
async fn names_that_are_kept_follow_what_changes() {
    let house = House::build();
    let tags = (0..TAGS).map(|number| (tag(number), true));
    house.change(tags.collect(), 0).await;
    house.check();
    // Some come, some go, some move, one comes and goes.
    let mut changes: Vec<(String, bool)> = (0..TAGS)
        .step_by(17)
        .map(|number| (tag(number), number.is_multiple_of(2)))
        .collect();
    changes.push(("none-yet".to_owned(), true));
    changes.push(("a-rc".to_owned(), true));
    changes.push(("a-rc".to_owned(), false));
    house.change(changes, 10_000).await;
    house.check();
    // More than is followed.
    let gone = (0..TAGS).map(|number| (tag(number), false));
    house.change(gone.collect(), 20_000).await;
    house.check();
}
