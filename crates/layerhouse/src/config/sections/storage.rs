//! `storage`: one driver, and what holds for all of them.

use std::path::PathBuf;
use std::time::Duration;

use super::{middleware, storage_azure, storage_gcs, storage_s3};
use crate::blobs::objects::settings::Bucket;
use crate::blobs::redirection::Change;
use crate::config::meaning::Purging;
use crate::config::reader::Section;

/// Where registry:2 keeps its data if the driver is named and the directory is not.
const ROOT_OF_REGISTRY: &str = "/var/lib/registry";
/// What registry:2 and its older releases call S3.
const S3_NAMES: [&str; 3] = ["s3", "s3aws", "s3goamz"];
/// Drivers of registry:2 and registry:3 besides.
const OTHER_DRIVERS: [(&str, &str); 3] = [
    ("swift", "OpenStack Swift"),
    ("oss", "Alibaba Cloud OSS"),
    ("inmemory", "memory, lost at the end"),
];

/// What `storage` means.
pub(in crate::config) struct Storage {
    pub(in crate::config) root: Option<PathBuf>,
    pub(in crate::config) bucket: Option<Bucket>,
    pub(in crate::config) redirection: Vec<Change>,
    pub(in crate::config) allows_delete: Option<bool>,
    pub(in crate::config) is_read_only: bool,
    pub(in crate::config) purging: Option<Purging>,
}

/// `needs_driver`: nothing else says where the data is.
pub(in crate::config) fn read(root: &Section<'_>, has_file: bool, needs_driver: bool) -> Storage {
    let is_given = root.has("storage");
    let storage = root.choice("storage");
    let mut chosen = Vec::new();
    let mut directory = None;
    if storage.chooses("filesystem") {
        chosen.push("filesystem");
        let filesystem = storage.section("filesystem");
        directory = Some(filesystem.text_or("rootdirectory", ROOT_OF_REGISTRY));
        filesystem.ignore(
            "maxthreads",
            "is accepted and does nothing: Layerhouse bounds its own threads",
        );
    } else {
        // Its keys are known, so that a variable with a slip of the pen is told the right one.
        let _ = storage.section("filesystem").has("rootdirectory");
    }
    let redirect = storage.section("redirect");
    let redirects = !redirect.flag("disable", false);
    let bucket = self::bucket(&storage, redirects, &mut chosen);
    for (driver, what) in OTHER_DRIVERS {
        if !storage.chooses(driver) {
            continue;
        }
        chosen.push(driver);
        storage.take_all(driver);
        storage.refuse(
            driver,
            format!(
                "this release stores in a directory, in S3, in Google's cloud or in Azure, not in {driver} \
                 ({what}); write storage.filesystem.rootdirectory, storage.s3, storage.gcs or storage.azure"
            ),
        );
    }
    if 1 < chosen.len() {
        storage.refuse(
            "",
            format!(
                "multiple storage drivers are configured: {}; one must stay (a variable of one \
                 driver does not replace the one of the file, REGISTRY_STORAGE=… does)",
                chosen.join(", ")
            ),
        );
    }
    if chosen.is_empty() && has_file && needs_driver {
        root.refuse(
            "storage",
            "no storage configuration provided; write storage: {filesystem: {rootdirectory: …}}",
        );
    }
    let allows_delete = if is_given || has_file {
        Some(storage.section("delete").flag("enabled", false))
    } else {
        storage.section("delete").flag_given("enabled")
    };
    let redirection = middleware::read(root, bucket.as_ref(), redirects);
    if redirects && redirect.is_given() && bucket.is_none() && redirection.is_empty() {
        redirect.warn(
            "disable",
            "false is accepted and does nothing: the registry serves every blob itself",
        );
    }
    storage.ignore(
        "cache",
        "is accepted and does nothing: what it would keep is in the database, and exact",
    );
    storage.ignore(
        "tag",
        "is accepted and does nothing: tags are rows, and need no bound for looking them up",
    );
    let maintenance = storage.section("maintenance");
    Storage {
        root: directory.map(PathBuf::from),
        bucket,
        redirection,
        allows_delete,
        is_read_only: maintenance.section("readonly").flag("enabled", false),
        purging: purging(&maintenance.section("uploadpurging")),
    }
}

/// The bucket of the driver that is chosen, whose names are added to those that are.
pub(super) fn bucket(
    storage: &Section<'_>,
    redirects: bool,
    chosen: &mut Vec<&'static str>,
) -> Option<Bucket> {
    let mut bucket = None;
    for driver in S3_NAMES {
        if storage.chooses(driver) {
            chosen.push(driver);
            bucket = Some(storage_s3::read(&storage.section(driver), redirects));
        }
    }
    if storage.chooses("gcs") {
        chosen.push("gcs");
        bucket = Some(storage_gcs::read(&storage.section("gcs"), redirects));
    }
    if storage.chooses("azure") {
        chosen.push("azure");
        bucket = Some(storage_azure::read(&storage.section("azure"), redirects));
    }
    bucket
}

fn purging(section: &Section<'_>) -> Option<Purging> {
    let purging = Purging {
        age: section.duration("age", Duration::from_hours(168)),
        interval: section.duration_or("interval", Duration::from_hours(24)),
        is_dry_run: section.flag("dryrun", false),
    };
    section.flag("enabled", true).then_some(purging)
}

/// `rootdirectory` of a bucket: what its keys begin with.
pub(super) fn root_directory(driver: &Section<'_>) -> String {
    let root = driver.text("rootdirectory").unwrap_or_default();
    let root = root.trim_matches('/');
    let is_plain = root
        .split('/')
        .all(|part| part != "." && part != ".." && (root.is_empty() || !part.is_empty()));
    if !is_plain || root.contains(|one: char| one.is_control()) {
        driver.refuse(
            "rootdirectory",
            "is no prefix of keys; write it as team/registry",
        );
    }
    root.to_owned()
}

/// `useragent`: what we call ourselves when we ask the store.
pub(super) fn user_agent(driver: &Section<'_>) -> Option<String> {
    let agent = driver.text("useragent")?;
    let is_header = agent.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if !is_header {
        driver.refuse("useragent", "is no text that can stand in a header");
    }
    Some(agent)
}
