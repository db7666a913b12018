//! `storage.s3`: a bucket of S3, or of what speaks like it, with the keys of registry:2.

use super::storage::{root_directory, user_agent};
use crate::blobs::objects::settings::{
    Bucket, Encryption, Keys, PART_BYTES_DEFAULT, PART_BYTES_MAX, PART_BYTES_MIN, S3, Service,
};
use crate::config::reader::Section;

/// Where an upload ends in one object and is never copied, these have nothing to say.
const COPYING: [&str; 3] = [
    "multipartcopychunksize",
    "multipartcopymaxconcurrency",
    "multipartcopythresholdsize",
];

pub(super) fn read(s3: &Section<'_>, redirects: bool) -> Bucket {
    let name = s3.text_needed("bucket");
    let region = s3.text_needed("region");
    let keys = keys(s3);
    let is_secure = s3.flag("secure", true);
    let endpoint = endpoint(s3, &name, &region, is_secure);
    let is_own = endpoint.as_ref().is_some_and(|endpoint| endpoint.is_own);
    let is_path_style = s3.flag("forcepathstyle", is_own);
    if !s3.flag("v4auth", true) {
        s3.refuse(
            "v4auth",
            "false would sign with version 2, which no store takes any more",
        );
    }
    if s3.flag("usefipsendpoint", false) {
        s3.refuse(
            "usefipsendpoint",
            "this release does not know the addresses; name one with regionendpoint",
        );
    }
    if let Some(acl) = s3.text("objectacl")
        && acl != "private"
    {
        s3.warn(
            "objectacl",
            "is accepted and does nothing: objects are private, and the bucket's policy says more",
        );
    }
    for key in COPYING {
        s3.ignore(
            key,
            "is accepted and does nothing: objects are never copied",
        );
    }
    s3.ignore(
        "loglevel",
        "is accepted and does nothing: log.level says what is logged",
    );
    let root = root_directory(s3);
    let service = S3 {
        endpoint: endpoint.map(|endpoint| endpoint.url),
        is_path_style,
        keys,
        encryption: encryption(s3),
        storage_class: storage_class(s3),
        region,
    };
    Bucket {
        name,
        root,
        service: Service::S3(service),
        user_agent: user_agent(s3),
        is_certificate_ignored: s3.flag("skipverify", false),
        part_bytes: part_bytes(s3),
        redirects,
    }
}

/// An address, and whether it is the operator's and not one of AWS.
struct Endpoint {
    url: String,
    is_own: bool,
}

fn endpoint(s3: &Section<'_>, bucket: &str, region: &str, is_secure: bool) -> Option<Endpoint> {
    let scheme = if is_secure { "https" } else { "http" };
    let own = s3.text("regionendpoint");
    let is_accelerated = s3.flag("accelerate", false);
    let is_dual = s3.flag("usedualstack", false);
    let host = match own {
        Some(own) => {
            if is_accelerated || is_dual {
                s3.warn(
                    "regionendpoint",
                    "wins over accelerate and usedualstack, which are AWS's",
                );
            }
            let has_scheme = own.starts_with("http://") || own.starts_with("https://");
            if !has_scheme && own.contains("://") {
                s3.refuse(
                    "regionendpoint",
                    "is an address of HTTP; write https://host or host:port",
                );
            }
            let url = if has_scheme {
                own
            } else {
                format!("{scheme}://{own}")
            };
            let url = url.trim_end_matches('/').to_owned();
            return Some(Endpoint { url, is_own: true });
        }
        None if is_accelerated && bucket.contains('.') => {
            s3.refuse("accelerate", "takes no bucket with a dot in its name");
            return None;
        }
        None if is_accelerated && is_dual => "s3-accelerate.dualstack.amazonaws.com".to_owned(),
        None if is_accelerated => "s3-accelerate.amazonaws.com".to_owned(),
        None if is_dual => format!("s3.dualstack.{region}.amazonaws.com"),
        None if !is_secure => format!("s3.{region}.amazonaws.com"),
        None => return None,
    };
    Some(Endpoint {
        url: format!("{scheme}://{host}"),
        is_own: false,
    })
}

fn keys(s3: &Section<'_>) -> Option<Keys> {
    let (id, secret, session) = (
        s3.text("accesskey"),
        s3.text("secretkey"),
        s3.text("sessiontoken"),
    );
    match (id, secret) {
        (Some(id), Some(secret)) => Some(Keys {
            id,
            secret,
            session,
        }),
        (None, None) => {
            if session.is_some() {
                s3.refuse(
                    "sessiontoken",
                    "is of no use without accesskey and secretkey",
                );
            }
            None
        }
        (Some(_), None) => {
            s3.refuse("secretkey", "is missing; accesskey is there");
            None
        }
        (None, Some(_)) => {
            s3.refuse("accesskey", "is missing; secretkey is there");
            None
        }
    }
}

fn encryption(s3: &Section<'_>) -> Encryption {
    let (is_wanted, key) = (s3.flag("encrypt", false), s3.text("keyid"));
    match (is_wanted, key) {
        (false, None) => Encryption::Default,
        (false, Some(_)) => {
            s3.warn("keyid", "does nothing without encrypt: true");
            Encryption::Default
        }
        (true, None) => Encryption::Aes256,
        (true, Some(key)) => Encryption::Kms(key),
    }
}

fn storage_class(s3: &Section<'_>) -> Option<String> {
    let class = s3.text("storageclass")?;
    // registry:2's word for stores that know none.
    (!class.eq_ignore_ascii_case("NONE")).then(|| class.to_uppercase())
}

fn part_bytes(s3: &Section<'_>) -> u64 {
    let default = i64::try_from(PART_BYTES_DEFAULT).expect("10 MiB");
    let wanted = u64::try_from(s3.number("chunksize", default)).unwrap_or(0);
    if wanted < PART_BYTES_MIN {
        s3.refuse(
            "chunksize",
            "must be at least 5242880 (5 MiB): S3 takes no smaller part",
        );
    }
    if PART_BYTES_MAX < wanted {
        s3.warn(
            "chunksize",
            "is taken for 64 MiB: a part is in memory while it is sent",
        );
    }
    wanted.clamp(PART_BYTES_MIN, PART_BYTES_MAX)
}
