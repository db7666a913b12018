//! `layerhouse.stores`: buckets with names, beside where `storage` keeps blobs, and whose blobs go there.

use std::collections::BTreeMap;

use super::policies::repository_globs;
use super::storage;
use crate::blobs::objects::settings::Bucket;
use crate::config::meaning::placement::{Placed, Placement};
use crate::config::reader::Section;

/// Each is looked at for each push.
const STORES_MAX: usize = 100;
/// A name stands in each key.
const NAME_BYTES_MAX: usize = 32;

/// The buckets by their names, and what goes where; `storage` is `layerhouse.storage`.
pub(in crate::config) fn read(
    ours: &Section<'_>,
    storage: &Section<'_>,
) -> (BTreeMap<String, Bucket>, Placement) {
    let sections = ours.sections("stores");
    if STORES_MAX < sections.len() {
        let problem = format!("has {} entries; there may be {STORES_MAX}", sections.len());
        ours.refuse("stores", problem);
    }
    let (mut buckets, mut entries) = (BTreeMap::new(), Vec::new());
    for section in &sections {
        let repositories = repository_globs(section, "repositories");
        let except = repository_globs(section, "except");
        let Some((name, bucket)) = store(section) else {
            continue;
        };
        if buckets.contains_key(&name) {
            section.refuse("name", format!("{name:?} is another store's name"));
            continue;
        }
        let store = name.clone();
        entries.push(Placed {
            store,
            repositories,
            except,
        });
        buckets.insert(name, bucket);
    }
    let moves = storage.flag("move", !sections.is_empty());
    (buckets, Placement { entries, moves })
}

fn store(section: &Section<'_>) -> Option<(String, Bucket)> {
    let name = section.text_needed("name");
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain);
    if !is_name && !name.is_empty() {
        let problem = format!(
            "{name:?} is no name of a store: 1 to {NAME_BYTES_MAX} lower-case letters, digits and -"
        );
        section.refuse("name", problem);
    }
    let redirects = !section.section("redirect").flag("disable", false);
    let mut chosen = Vec::new();
    let bucket = storage::bucket(section, redirects, &mut chosen);
    if chosen.len() != 1 {
        section.refuse("", "needs one of s3, gcs and azure, written as in storage");
        return None;
    }
    is_name.then_some(name).zip(bucket)
}
