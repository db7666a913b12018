//! `layerhouse.mirror`: other registries that are served from here. What is said of each of them is read in
//! `mirror_upstream.rs`, registry:2's way to say it in `proxy.rs`.

use std::time::Duration;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::{mirror_upstream, policies, proxy};
use crate::config::meaning::glob::Glob;
use crate::config::meaning::mirror::{Mirror, Pin, Sync, Upstream, Warm};
use crate::config::reader::Section;

/// Entries of a list; each may be looked at for each pull.
const ENTRIES_MAX: usize = 1_000;
/// More often, an upstream would be asked for nothing else.
const INTERVAL_MIN: Duration = Duration::from_mins(1);

/// The mirror of either section; they do not go together.
pub(in crate::config) fn read(root: &Section<'_>, ours: &Section<'_>) -> Option<Mirror> {
    let is_given = ours.has("mirror");
    let section = ours.section("mirror");
    let mirror = is_given.then(|| mirror(&section));
    let proxy = proxy::read(root);
    if mirror.is_some() && proxy.is_some() {
        section.refuse(
            "",
            "does not go with proxy.remoteurl, which makes every name the upstream's; name it among \
             layerhouse.mirror.upstreams, with layerhouse.mirror.default, and leave proxy out",
        );
    }
    mirror.or(proxy)
}

fn mirror(section: &Section<'_>) -> Mirror {
    let upstreams = upstreams(section);
    let default = section.text("default").and_then(|name| {
        let place = upstreams.iter().position(|upstream| upstream.name == name);
        if place.is_none() {
            section.refuse("default", not_an_upstream(&name, &upstreams));
        }
        place
    });
    let deleted = section.word(
        "deleted",
        &[("keep", false), ("remove", true)],
        Some("keep"),
    );
    let warm = entries(section, "warm");
    let sync = entries(section, "sync");
    Mirror {
        default,
        is_proxy: false,
        ttl: section.duration_with_unit("ttl", Duration::from_mins(1)),
        negative_ttl: section.duration_with_unit("negativettl", Duration::from_secs(10)),
        keep: Some(section.duration_with_unit("keep", Duration::ZERO))
            .filter(|keep| !keep.is_zero()),
        budget_bytes: budget(section),
        pins: pins(section, &upstreams),
        removes_deleted: deleted.unwrap_or(false),
        finishes: section.flag("background", true),
        is_offline: section.flag("offline", false),
        warm: warm
            .iter()
            .map(|entry| self::warm(entry, &upstreams, default))
            .collect(),
        sync: sync
            .iter()
            .filter_map(|entry| self::sync(entry, &upstreams))
            .collect(),
        upstreams,
    }
}

fn upstreams(section: &Section<'_>) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    let mut is_any_refused = false;
    for entry in entries(section, "upstreams") {
        let Some(upstream) = mirror_upstream::read(&entry) else {
            is_any_refused = true;
            continue;
        };
        if upstreams.iter().any(|other| other.name == upstream.name) {
            entry.refuse(
                "name",
                format!("{:?} is another upstream's name", upstream.name),
            );
        }
        upstreams.push(upstream);
    }
    if upstreams.is_empty() && !is_any_refused {
        section.refuse(
            "upstreams",
            "is missing: the registries that are mirrored, such as {name: docker.io}",
        );
    }
    upstreams
}

fn entries<'all>(section: &Section<'all>, key: &str) -> Vec<Section<'all>> {
    let entries = section.sections(key);
    if ENTRIES_MAX < entries.len() {
        let problem = format!("has {} entries; there may be {ENTRIES_MAX}", entries.len());
        section.refuse(key, problem);
    }
    entries
}

/// `budget`: bytes, more than 0.
pub(super) fn budget(section: &Section<'_>) -> Option<u64> {
    let budget = section.has("budget").then(|| section.size("budget", 1));
    if budget == Some(0) {
        section.refuse("budget", "must be more than 0 B; leave it out for no bound");
    }
    budget
}

fn pins(section: &Section<'_>, upstreams: &[Upstream]) -> Vec<Pin> {
    let read = |text: &String| {
        let (repositories, tags) = split_tag(text);
        let glob = |part: &str| {
            let glob = part.parse::<Glob>();
            glob.map_err(|error| section.refuse("pins", format!("{text:?}: {error}")))
                .ok()
        };
        let tags = match tags {
            Some(tags) => Some(glob(tags)?),
            None => None,
        };
        let repositories = glob(repositories)?;
        let first = text.split('/').next().unwrap_or_default();
        let is_upstream = upstreams.iter().any(|upstream| upstream.name == first);
        if !first.contains('*') && !is_upstream {
            let problem = format!("{text:?}: {}", not_an_upstream(first, upstreams));
            section.refuse("pins", problem);
        }
        Some(Pin { repositories, tags })
    };
    section.texts("pins").iter().filter_map(read).collect()
}

fn warm(entry: &Section<'_>, upstreams: &[Upstream], default: Option<usize>) -> Warm {
    let images = entry.texts("images");
    if images.is_empty() {
        entry.refuse("images", "is missing: such as docker.io/library/nginx:1.27");
    }
    for image in &images {
        let (repository, reference) = match image.split_once('@') {
            Some((name, digest)) => (split_tag(name).0, Some(digest)),
            None => split_tag(image),
        };
        let is_reference = reference.is_none_or(|text| text.parse::<Reference>().is_ok());
        if repository.parse::<RepositoryName>().is_err() || !is_reference {
            entry.refuse(
                "images",
                format!("{image:?} is no image; write docker.io/library/nginx:1.27"),
            );
        } else if default.is_none() && upstream_of(repository, upstreams).is_none() {
            let first = repository.split('/').next().unwrap_or_default();
            entry.refuse(
                "images",
                format!("{image:?}: {}", not_an_upstream(first, upstreams)),
            );
        }
    }
    Warm {
        images,
        platforms: platforms(entry),
        interval: interval(entry),
    }
}

fn sync(entry: &Section<'_>, upstreams: &[Upstream]) -> Option<Sync> {
    let from = entry.text_needed("from");
    let to = entry.text_needed("to");
    let tags = policies::tag_globs(entry, "tags");
    if tags.is_empty() && entry.texts("tags").is_empty() {
        entry.refuse(
            "tags",
            "is missing: patterns such as 1.*, or \"*\" for all tags",
        );
    }
    let sync = Sync {
        tags,
        platforms: platforms(entry),
        interval: interval(entry),
        from,
        to,
    };
    for (key, name) in [("from", &sync.from), ("to", &sync.to)] {
        if name.is_empty() {
            return None;
        }
        if let Err(error) = name.parse::<RepositoryName>() {
            entry.refuse(key, error);
            return None;
        }
    }
    if upstream_of(&sync.from, upstreams).is_none() {
        let first = sync.from.split('/').next().unwrap_or_default();
        entry.refuse("from", not_an_upstream(first, upstreams));
    }
    if let Some(upstream) = upstream_of(&sync.to, upstreams) {
        entry.refuse(
            "to",
            format!(
                "is below {}, where its copies are; name a repository of this registry's own",
                upstream.name
            ),
        );
    }
    Some(sync)
}

/// `os/architecture` or `os/architecture/variant`.
fn platforms(entry: &Section<'_>) -> Vec<String> {
    let platforms = entry.texts("platforms");
    for platform in &platforms {
        let parts: Vec<&str> = platform.split('/').collect();
        if !(2..=3).contains(&parts.len()) || parts.contains(&"") {
            entry.refuse(
                "platforms",
                format!("{platform:?} is no platform; write linux/amd64 or linux/arm/v7"),
            );
        }
    }
    platforms
}

fn interval(entry: &Section<'_>) -> Duration {
    let interval = entry.duration_above_zero("interval", Duration::from_hours(1));
    if interval < INTERVAL_MIN {
        entry.refuse("interval", "must be at least 1m");
    }
    interval.max(INTERVAL_MIN)
}

/// The upstream whose name is the first component of a repository's.
fn upstream_of<'a>(repository: &str, upstreams: &'a [Upstream]) -> Option<&'a Upstream> {
    let (first, _) = repository.split_once('/')?;
    upstreams.iter().find(|upstream| upstream.name == first)
}

fn not_an_upstream(name: &str, upstreams: &[Upstream]) -> String {
    let names: Vec<&str> = upstreams.iter().map(|one| one.name.as_str()).collect();
    format!("{name:?} is no upstream; there are: {}", names.join(", "))
}

/// A name and the tag behind it; the colon of a port has a slash behind it.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}
