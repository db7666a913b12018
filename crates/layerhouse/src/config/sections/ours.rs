//! `layerhouse`: what registry:2 has no key for. Unknown keys are errors here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::meaning::{Advertise, Network, Purging, Scrubbing, Timeouts};
use crate::config::reader::Section;
use crate::meta::postgres::Place;
use crate::registry::{Collecting, Limits};

/// A database by its URL, `postgres://user:password@host/database`.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn database_place(url: &str) -> Result<Place, String> {
    Place::parse(url, |path| {
        std::fs::read(path).map_err(|error| error.to_string())
    })
}

/// Where the facts are kept, and where the standbys of that are; `None` for a file in the data directory.
pub(in crate::config) fn database(ours: &Section<'_>) -> Option<Place> {
    let place = |key, url: &str| {
        let parsed = database_place(url);
        parsed.map_err(|problem| ours.refuse(key, problem)).ok()
    };
    let standbys = ours.texts("standbys");
    let standbys = standbys.iter().filter_map(|url| place("standbys", url));
    let standbys: Vec<Place> = standbys.collect();
    let Some(url) = ours.text("database") else {
        if !standbys.is_empty() {
            ours.refuse(
                "standbys",
                "of which database? There is no layerhouse.database",
            );
        }
        return None;
    };
    Some(place("database", &url)?.with_standbys(standbys))
}

/// Where other processes on the same database reach this one.
pub(in crate::config) fn advertise(ours: &Section<'_>) -> Advertise {
    let Some(said) = ours.text("advertise") else {
        return Advertise::Found;
    };
    if said == "none" {
        return Advertise::Nothing;
    }
    let url = said.parse::<http::Uri>().ok();
    let is_origin = url.is_some_and(|url| {
        // Which is left out of it without a word.
        !said.contains('#')
            && matches!(url.scheme_str(), Some("http" | "https"))
            && url.path() == "/"
            && url.query().is_none()
            && url
                .authority()
                .is_some_and(|one| !one.as_str().contains('@'))
    });
    if !is_origin {
        ours.refuse(
            "advertise",
            format!("{said:?} is no address of this process; write http://10.0.0.5:5000, or none"),
        );
    }
    if !ours.has("database") {
        ours.refuse(
            "advertise",
            "to which other processes? There is no layerhouse.database",
        );
    }
    Advertise::At(said.trim_end_matches('/').to_owned())
}

pub(in crate::config) fn limits(
    ours: &Section<'_>,
    storage: &Section<'_>,
    purging: Option<Purging>,
) -> Limits {
    let uploads = ours.section("uploads");
    let uploads_max = uploads.number("max", 4096);
    if uploads_max < 1 {
        uploads.refuse("max", "must be at least 1");
    }
    let limits = Limits {
        uploads_max: usize::try_from(uploads_max).unwrap_or(1),
        held_bytes_max: uploads.size("held", 1 << 40),
        upload_idle_max: uploads.duration_above_zero("idle", Duration::from_hours(1)),
        upload_age_max: uploads.duration_above_zero("age", Duration::from_hours(7 * 24)),
        blob_bytes_max: uploads.size("blob", 256 << 30),
        purging,
        collection: collecting(ours),
        scrub: scrub(ours),
        free_bytes_min: storage.size("reserve", 16 << 20),
        open_files_max: if storage.flag("mapped", true) {
            open_files_max(descriptors_max())
        } else {
            0
        },
    };
    if limits.held_bytes_max < limits.blob_bytes_max {
        uploads.refuse(
            "held",
            format!(
                "{} bytes is less than one blob may have ({} bytes)",
                limits.held_bytes_max, limits.blob_bytes_max
            ),
        );
    }
    limits
}

/// When space comes back.
fn collecting(ours: &Section<'_>) -> Collecting {
    let collection = ours.section("collection");
    Collecting {
        is_enabled: collection.flag("enabled", true),
        grace: collection.duration("grace", Duration::from_hours(1)),
        promise: collection.duration("promise", Duration::from_hours(1)),
        undelete: collection.duration("undelete", Duration::from_hours(7 * 24)),
        interval: collection.duration_above_zero("interval", Duration::from_mins(1)),
    }
}

/// How stored bytes are hashed again.
fn scrub(ours: &Section<'_>) -> Scrubbing {
    /// At less, not even a small layer is hashed in a second.
    const RATE_BYTES_MIN: u64 = 64 << 10;
    let scrub = ours.section("scrub");
    let rate_bytes = scrub.size("rate", 64 << 20);
    if rate_bytes < RATE_BYTES_MIN {
        scrub.refuse("rate", "must be at least 64 KiB; bytes per second");
    }
    Scrubbing {
        is_enabled: scrub.flag("enabled", true),
        period: scrub.duration_above_zero("period", Duration::from_hours(7 * 24)),
        rate_bytes: rate_bytes.max(RATE_BYTES_MIN),
    }
}

/// What is said of connections: time-outs, how many, and how long a stop waits.
pub(in crate::config) fn connections(ours: &Section<'_>) -> (Timeouts, usize, Duration) {
    let connections = ours.section("connections");
    let default = i64::try_from(connections_default()).unwrap_or(i64::MAX);
    let max = connections.number("max", default);
    if max < 1 {
        connections.refuse("max", "must be at least 1");
    }
    let duration =
        |key, seconds| connections.duration_above_zero(key, Duration::from_secs(seconds));
    let timeouts = Timeouts {
        head: duration("head", 10),
        idle: duration("idle", 120),
        stall: duration("stall", 60),
        // 136 bytes a second: slower than any link that a push would finish on.
        stall_bytes: 8 << 10,
    };
    let drain = duration("drain", 30);
    (timeouts, usize::try_from(max).unwrap_or(1), drain)
}

/// Half of the descriptors that we may open, for an answer may need a file beside its connection;
/// some are kept for the database and for saying that we are full.
fn connections_default() -> usize {
    /// Database, log, lock, listener, runtime.
    const KEPT: u64 = 48;
    let descriptors = descriptors_max();
    let kept = KEPT + open_files_max(descriptors) as u64;
    usize::try_from(descriptors.saturating_sub(kept) / 2)
        .unwrap_or(usize::MAX)
        .clamp(8, 32_768)
}

/// Files that are kept open between pulls: the layers of a dozen images, and few of few descriptors.
fn open_files_max(descriptors: u64) -> usize {
    usize::try_from(descriptors / 16).map_or(128, |max| max.min(128))
}

fn descriptors_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(65_536)
}

/// Whose `X-Forwarded-*` is believed: those of this machine, if nothing is said.
pub(in crate::config) fn trusted_proxies(http: &Section<'_>) -> Vec<Network> {
    if !http.has("trustedproxies") {
        return vec![
            Network {
                address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
                prefix_bits: 8,
            },
            Network {
                address: IpAddr::V6(Ipv6Addr::LOCALHOST),
                prefix_bits: 128,
            },
        ];
    }
    let texts = http.texts("trustedproxies");
    let parsed = texts.iter().filter_map(|text| {
        let network = parse_network(text);
        if network.is_none() {
            http.refuse(
                "trustedproxies",
                format!("{text:?} is not a network; write 10.0.0.0/8 or 192.0.2.7"),
            );
        }
        network
    });
    parsed.collect()
}

pub(in crate::config) fn parse_network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = bits.unwrap_or(width);
    (prefix_bits <= width).then_some(Network {
        address,
        prefix_bits,
    })
}
