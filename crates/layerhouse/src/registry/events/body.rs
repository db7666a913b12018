//! An event as registry:2 writes it, down to which fields are left out when they are empty.

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use serde::Serialize;

use super::{Target, Teller, Thing};
use crate::auth::Identity;
use crate::clock::Timestamp;

#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    timestamp: &'a str,
    action: &'a str,
    target: TargetBody<'a>,
    request: Request<'a>,
    actor: Actor<'a>,
    source: &'a Source,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetBody<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    /// The size once more, under its older name.
    #[serde(skip_serializing_if = "is_zero")]
    length: u64,
    repository: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    from_repository: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tag: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'a [Descriptor],
}

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    addr: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    method: &'a str,
    useragent: &'a str,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

/// Who tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Source {
    /// Host and port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) addr: String,
    /// Another one after each start.
    #[serde(rename = "instanceID", skip_serializing_if = "String::is_empty")]
    pub(super) instance_id: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The event as JSON.
pub(super) fn write(teller: &Teller, target: &Target<'_>) -> String {
    let base_url = teller.request.base_url();
    let url = |kind: &str, digest: &Digest| {
        format!("{base_url}/v2/{}/{kind}/{digest}", target.repository)
    };
    let (digest, size, url) = match target.thing {
        Thing::Manifest { digest, size_bytes } => {
            (Some(digest), size_bytes, url("manifests", digest))
        }
        Thing::Blob { digest, size_bytes } => (Some(digest), size_bytes, url("blobs", digest)),
        Thing::Gone { digest } => (Some(digest), 0, String::new()),
        Thing::Nothing => (None, 0, String::new()),
    };
    let event = Event {
        id: &teller.random.uuid(),
        timestamp: &rfc3339(teller.happened_at),
        action: teller.action.as_str(),
        target: TargetBody {
            media_type: teller.media_type,
            digest,
            size,
            length: size,
            repository: target.repository.as_str(),
            from_repository: target.from.map_or("", |from| from.as_str()),
            url: &url,
            tag: target.tag.map_or("", |tag| tag.as_str()),
            references: target.references,
        },
        request: Request {
            id: &teller.request.id.to_string(),
            addr: &teller.request.address.to_string(),
            host: &teller.request.host,
            method: &teller.request.method,
            useragent: &teller.request.agent,
        },
        actor: Actor {
            name: match &teller.who {
                Identity::Anonymous => "",
                Identity::User(name) => name,
            },
        },
        source: &teller.source,
    };
    serde_json::to_string(&event).expect("texts and numbers are JSON")
}

/// As Go writes it: fractions of a second without zeros at their end.
fn rfc3339(at: Timestamp) -> String {
    at.rfc3339()
        // A clock that stands beyond the year 9999.
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let check = |at: i64, expected: &str| assert_eq!(rfc3339(Timestamp(at)), expected);
        check(1_800_000_000_000, "2027-01-15T08:00:00Z");
        check(1_800_000_000_120, "2027-01-15T08:00:00.12Z");
        check(1_800_000_000_007, "2027-01-15T08:00:00.007Z");
        check(i64::MAX, "1970-01-01T00:00:00Z");
    }
}
