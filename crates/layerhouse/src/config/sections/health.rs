//! `health`: what must be well for answers to be given.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::meaning::{CheckTiming, FileCheck, Health, HttpCheck, TcpCheck};
use crate::config::reader::Section;

/// registry:2's interval; it waits for ever where no time-out is said, which would hide a failure.
const TEN_SECONDS: Duration = Duration::from_secs(10);

pub(in crate::config) fn read(root: &Section<'_>) -> Health {
    let health = root.section("health");
    let storage = health.section("storagedriver");
    let is_enabled = storage.flag("enabled", false);
    let storage = timing(&storage);
    Health {
        storage: is_enabled.then_some(storage),
        files: health.sections("file").iter().map(file).collect(),
        http: health.sections("http").iter().map(http).collect(),
        tcp: health.sections("tcp").iter().map(tcp).collect(),
    }
}

fn timing(section: &Section<'_>) -> CheckTiming {
    CheckTiming {
        interval: section.duration_or("interval", TEN_SECONDS),
        threshold: section.positive("threshold", 1),
    }
}

fn file(section: &Section<'_>) -> FileCheck {
    FileCheck {
        file: PathBuf::from(section.text_needed("file")),
        timing: timing(section),
    }
}

fn http(section: &Section<'_>) -> HttpCheck {
    let uri = section.text_needed("uri");
    let is_url = uri.starts_with("http://") || uri.starts_with("https://");
    if !uri.is_empty() && (!is_url || uri.parse::<http::Uri>().is_err()) {
        section.refuse("uri", "is not a URL that begins with http:// or https://");
    }
    let status = section.positive("statuscode", 200);
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (100..1000).contains(status));
    if status.is_none() {
        section.refuse("statuscode", "is not a status of HTTP");
    }
    HttpCheck {
        uri,
        headers: section.headers("headers"),
        status: status.unwrap_or(200),
        timeout: section.duration_or("timeout", TEN_SECONDS),
        timing: timing(section),
    }
}

fn tcp(section: &Section<'_>) -> TcpCheck {
    let address = section.text_needed("addr");
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !address.is_empty() && !has_port {
        section.refuse("addr", format!("{address:?} has no port"));
    }
    TcpCheck {
        address,
        timeout: section.duration_or("timeout", TEN_SECONDS),
        timing: timing(section),
    }
}
