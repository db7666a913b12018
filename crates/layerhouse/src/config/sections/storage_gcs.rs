//! `storage.gcs`: a bucket of Google Cloud Storage, with the keys of registry:2.

use std::path::PathBuf;

use super::storage::{root_directory, user_agent};
use crate::blobs::objects::settings::{
    Bucket, Gcs, GcsKey, PART_BYTES_MAX, PART_BYTES_MIN, Service,
};
use crate::config::reader::Section;

/// registry:2 sends whole pieces of so many bytes.
const CHUNK_STEP: i64 = 256 << 10;
/// registry:2's `chunksize`.
const CHUNK_DEFAULT: i64 = 5 << 20;
/// What is in the key of a service account and is of no use here.
const KEY_REST: [&str; 8] = [
    "type",
    "project_id",
    "client_id",
    "auth_uri",
    "token_uri",
    "auth_provider_x509_cert_url",
    "client_x509_cert_url",
    "universe_domain",
];

pub(super) fn read(gcs: &Section<'_>, redirects: bool) -> Bucket {
    let name = gcs.text_needed("bucket");
    let key = key(gcs);
    if redirects && key.is_none() {
        gcs.warn(
            "",
            "without keyfile or credentials no address can be signed: pulls are passed on by this server, as with \
             redirect.disable",
        );
    }
    gcs.ignore(
        "maxconcurrency",
        "is accepted and does nothing: Layerhouse bounds its own requests",
    );
    Bucket {
        name,
        root: root_directory(gcs),
        user_agent: user_agent(gcs),
        is_certificate_ignored: false,
        part_bytes: part_bytes(gcs),
        redirects: redirects && key.is_some(),
        service: Service::Gcs(Gcs { key }),
    }
}

fn key(gcs: &Section<'_>) -> Option<GcsKey> {
    let file = gcs.text("keyfile").map(PathBuf::from);
    let text = credentials(&gcs.section("credentials"));
    if file.is_some() && text.is_some() {
        gcs.warn("keyfile", "wins over credentials, as in registry:2");
    }
    file.map(GcsKey::File).or(text.map(GcsKey::Text))
}

/// The key in the configuration itself; as Google's JSON.
fn credentials(section: &Section<'_>) -> Option<String> {
    let fields = ["private_key", "private_key_id", "client_email"];
    let fields = fields.map(|field| (field, section.text(field)));
    for key in KEY_REST {
        section.take_all(key);
    }
    if !section.is_given() && fields.iter().all(|(_, text)| text.is_none()) {
        return None;
    }
    let mut written = serde_json::Map::new();
    for (field, text) in fields {
        // Google tells keys apart by their id, and takes those without one.
        if text.is_none() && field != "private_key_id" {
            section.refuse(
                field,
                "is missing; write the whole key of a service account, or name its file with keyfile",
            );
        }
        written.insert(field.to_owned(), text.unwrap_or_default().into());
    }
    Some(serde_json::Value::Object(written).to_string())
}

fn part_bytes(gcs: &Section<'_>) -> u64 {
    let wanted = gcs.number("chunksize", CHUNK_DEFAULT);
    if wanted <= 0 || wanted % CHUNK_STEP != 0 {
        gcs.refuse(
            "chunksize",
            "must be a multiple of 262144 (256 KiB), as in registry:2",
        );
    }
    let wanted = u64::try_from(wanted).unwrap_or(0);
    let taken = wanted.clamp(PART_BYTES_MIN, PART_BYTES_MAX);
    if taken != wanted {
        gcs.warn(
            "chunksize",
            format!(
                "is taken for {} MiB: Google takes no part below 5 MiB, and a part, 64 MiB at most, is in memory \
                 while it is sent",
                taken >> 20
            ),
        );
    }
    taken
}
