//! The configuration file: the part of registry:2's `config.yml` that this release knows, and our own
//! section `layerhouse:`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::meaning::Timeouts;
use super::units;
use crate::registry::Limits;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    version: Option<Version>,
    pub(super) log: Log,
    pub(super) http: Http,
    pub(super) storage: Storage,
    pub(super) layerhouse: Layerhouse,
}

/// `0.1`, which YAML reads as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Version {
    Number(f64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) addr: Option<String>,
    pub(super) headers: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Storage {
    pub(super) filesystem: Option<Filesystem>,
    pub(super) delete: Switch,
    pub(super) maintenance: Maintenance,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filesystem {
    pub(super) rootdirectory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Maintenance {
    pub(super) readonly: Switch,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Switch {
    pub(super) enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Layerhouse {
    uploads: Uploads,
    storage: Room,
    pub(super) connections: Connections,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Uploads {
    max: Option<usize>,
    held: Option<String>,
    idle: Option<String>,
    age: Option<String>,
    blob: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Room {
    reserve: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Connections {
    pub(super) max: Option<usize>,
    pub(super) drain: Option<String>,
    head: Option<String>,
    idle: Option<String>,
    stall: Option<String>,
}

/// Reads a file's text.
///
/// # Errors
/// Where it is wrong, and how.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let file: File =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    match &file.version {
        Some(Version::Number(number)) if (number - 0.1).abs() < f64::EPSILON => Ok(file),
        Some(Version::Text(text)) if text == "0.1" => Ok(file),
        Some(_) => Err("version: only 0.1 is known".to_owned()),
        None => Err("version: 0.1 is missing at the top".to_owned()),
    }
}

impl Layerhouse {
    pub(super) fn limits(&self, problems: &mut Vec<String>) -> Limits {
        let uploads = &self.uploads;
        let limits = Limits {
            uploads_max: uploads.max.unwrap_or(4096),
            held_bytes_max: units::size(
                "layerhouse.uploads.held",
                uploads.held.as_deref(),
                1 << 40,
                problems,
            ),
            upload_idle_max: units::duration(
                "layerhouse.uploads.idle",
                uploads.idle.as_deref(),
                Duration::from_hours(1),
                problems,
            ),
            upload_age_max: units::duration(
                "layerhouse.uploads.age",
                uploads.age.as_deref(),
                Duration::from_hours(7 * 24),
                problems,
            ),
            blob_bytes_max: units::size(
                "layerhouse.uploads.blob",
                uploads.blob.as_deref(),
                256 << 30,
                problems,
            ),
            free_bytes_min: units::size(
                "layerhouse.storage.reserve",
                self.storage.reserve.as_deref(),
                16 << 20,
                problems,
            ),
        };
        if limits.uploads_max == 0 {
            problems.push("layerhouse.uploads.max: at least 1".to_owned());
        }
        if limits.held_bytes_max < limits.blob_bytes_max {
            problems.push(format!(
                "layerhouse.uploads.held ({} bytes) is less than one blob may have ({} bytes)",
                limits.held_bytes_max, limits.blob_bytes_max
            ));
        }
        limits
    }

    pub(super) fn timeouts(&self, problems: &mut Vec<String>) -> Timeouts {
        let given = &self.connections;
        let mut duration = |key, text: &Option<String>, seconds| {
            units::duration(key, text.as_deref(), Duration::from_secs(seconds), problems)
        };
        Timeouts {
            head: duration("layerhouse.connections.head", &given.head, 10),
            idle: duration("layerhouse.connections.idle", &given.idle, 120),
            stall: duration("layerhouse.connections.stall", &given.stall, 60),
            // 136 bytes a second: slower than any link that a push would finish on.
            stall_bytes: 8 << 10,
        }
    }
}
