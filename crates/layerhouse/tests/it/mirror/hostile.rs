//! S23, S27: an upstream, or somebody between, that sends what was not asked for. Nothing of it is stored, no
//! client takes it for whole, and when the upstream is well again the right bytes come.

use std::io;

use super::{COPY, LATEST, Mirror, NGINX};
use crate::faults::noise;
use crate::harness::bucket;
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::pull::Pull;
use crate::harness::upstream::{Trouble, Upstream};

const GZIP: Trouble = Trouble::Header {
    name: "Content-Encoding",
    value: "gzip",
};

/// What may be done to a body that must hash to its name. Neither is a body that a client could believe.
fn wrongs(content: &[u8]) -> Vec<Trouble> {
    let mut shifted = content.to_vec();
    shifted.rotate_left(1);
    vec![
        Trouble::Flipped,
        Trouble::Other(shifted),
        Trouble::Other(b"something else".to_vec()),
        Trouble::Other(Vec::new()),
        Trouble::Short { by: 1 },
        Trouble::Short {
            by: content.len() / 2,
        },
        Trouble::Long { by: 1 },
        Trouble::Long { by: 300_000 },
        Trouble::page(),
        GZIP,
    ]
}

/// A pull that must not look like a whole one: it is refused, or cut.
#[track_caller]
fn is_not_served(mirror: &Mirror, path: &str, what: &Trouble) {
    let client = mirror.server.client;
    let answer: io::Result<Response> = client.try_send("GET", path, &[], b"");
    if let Ok(answer) = answer {
        assert!(
            matches!(answer.status, 404 | 500..=504),
            "{what:?}: {} with {} bytes",
            answer.status,
            answer.body.len()
        );
        assert!(
            answer.status != 500,
            "{what:?} is no fault of ours: {}",
            answer.text()
        );
        mirror.check("GET", &answer);
    }
}

#[test]
fn sec_s23_blobs_that_are_not_what_was_asked_for() {
    for size in [2000, 3_000_000] {
        let content = noise(size as u64, size);
        for wrong in wrongs(&content) {
            let mirror = Mirror::troubled("", "");
            let digest = mirror.upstream.give_blob(NGINX, &content);
            let path = format!("{COPY}/blobs/{digest}");
            mirror
                .upstream
                .always("GET /v2/library/nginx/blobs/", wrong.clone());
            for _ in 0..2 {
                is_not_served(&mirror, &path, &wrong);
                assert!(!mirror.server.holds(&digest), "{wrong:?} is published");
            }
            mirror.upstream.heal();
            // Whoever was wrong that often is left alone for a while.
            mirror.server.advance(std::time::Duration::from_mins(5));
            assert!(mirror.pull(&path).body == content, "{wrong:?}");
            let asked = mirror.upstream.count("GET ");
            assert!(mirror.pull(&path).body == content, "{wrong:?}");
            assert_eq!(
                mirror.upstream.count("GET "),
                asked,
                "{wrong:?}: it is kept"
            );
        }
    }
}

/// All who read along are cut, and each from its own offset.
#[test]
fn sec_s23_everyone_who_reads_along_is_cut() {
    let mirror = Mirror::troubled("", "background: false");
    let content = noise(1, 4 << 20);
    let mut wrong = content.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let path = format!("{COPY}/blobs/{digest}");
    mirror
        .upstream
        .always("GET /v2/library/nginx/blobs/", Trouble::Other(wrong));
    let client = mirror.server.client;
    let asked = ["bytes=0-", "bytes=1000-", "bytes=4194303-", "bytes=-1"]
        .map(|range| Pull::ask(&client, &path, &[("Range", range)]));
    for stream in asked {
        let Ok(pull) = Pull::answered(stream) else {
            continue;
        };
        if pull.head.status == 206 {
            assert!(pull.finish().is_err(), "cut before its end");
        } else {
            assert!(matches!(pull.head.status, 502 | 504), "{:?}", pull.head);
        }
    }
    // What stands before the wrong byte may have been read; the bytes that are kept are not these.
    assert!(!mirror.server.holds(&digest));
    mirror.upstream.heal();
    mirror.server.advance(std::time::Duration::from_mins(5));
    assert!(mirror.pull(&path).body == content);
}

#[test]
fn sec_s23_manifests_that_are_not_what_was_asked_for() {
    let other = images::image("{}", &["another layer"]).to_string();
    let large = format!(
        "{{\"schemaVersion\": 2, \"padding\": \"{}\"}}",
        "x".repeat(9 << 20)
    );
    let troubles = [
        Trouble::Flipped,
        Trouble::Other(other.into_bytes()),
        Trouble::Other(b"{}".to_vec()),
        Trouble::Other(Vec::new()),
        Trouble::Other(large.into_bytes()),
        Trouble::Short { by: 1 },
        Trouble::Long { by: 1 },
        Trouble::page(),
        GZIP,
    ];
    for trouble in troubles {
        let mirror = Mirror::troubled("", "");
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        let path = format!("{COPY}/manifests/{}", image.digest);
        mirror
            .upstream
            .always("GET /v2/library/nginx/manifests/", trouble.clone());
        for _ in 0..2 {
            is_not_served(&mirror, &path, &trouble);
        }
        mirror.upstream.heal();
        mirror.server.advance(std::time::Duration::from_mins(5));
        assert_eq!(mirror.pull(&path).text(), image.manifest, "{trouble:?}");
    }
}

/// A tag may be anything, but it is a manifest.
#[test]
fn sec_s23_tags_that_are_no_manifests() {
    let large = format!(
        "{{\"schemaVersion\": 2, \"padding\": \"{}\"}}",
        "x".repeat(9 << 20)
    );
    let troubles = [
        Trouble::page(),
        Trouble::Other(Vec::new()),
        Trouble::Other(b"null".to_vec()),
        Trouble::Other(b"{\"schemaVersion\": 1}".to_vec()),
        Trouble::Other(b"\xff\xfe".to_vec()),
        Trouble::Other(large.into_bytes()),
        Trouble::Short { by: 1 },
        Trouble::BreaksOff { after: 10 },
        GZIP,
    ];
    for trouble in troubles {
        let mirror = Mirror::troubled("", "");
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror
            .upstream
            .always("GET /v2/library/nginx/manifests/", trouble.clone());
        is_not_served(&mirror, LATEST, &trouble);
        mirror.upstream.heal();
        mirror.server.advance(std::time::Duration::from_mins(5));
        assert_eq!(mirror.pull(LATEST).text(), image.manifest, "{trouble:?}");
    }
}

/// The copy of a tag stays what it was when what comes next is rubbish.
#[test]
fn sec_s23_rubbish_does_not_replace_a_copy() {
    for trouble in [
        Trouble::page(),
        Trouble::Flipped,
        Trouble::Other(Vec::new()),
        Trouble::Other(b"{}".to_vec()),
        GZIP,
    ] {
        let mirror = Mirror::troubled("", "ttl: 10s");
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror.pull(LATEST);
        mirror.upstream.give_image(NGINX, "latest", "another layer");
        mirror.upstream.always("GET ", trouble.clone());
        mirror.server.advance(std::time::Duration::from_mins(1));
        let answer = mirror.pull(LATEST);
        assert_eq!(answer.text(), image.manifest, "{trouble:?}");
        assert!(super::is_stale(&answer), "{trouble:?}");
    }
}

/// The type that clients hear is one that the bytes allow: who says another has them read something else.
#[test]
fn sec_s23_a_type_that_flips() {
    for value in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "text/html",
        "application/json",
        "application/octet-stream",
    ] {
        let mirror = Mirror::troubled("", "");
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        let name = "Content-Type";
        mirror
            .upstream
            .always("/manifests/", Trouble::Header { name, value });
        for path in [
            LATEST.to_owned(),
            format!("{COPY}/manifests/{}", image.digest),
        ] {
            let answer = mirror.get(&path);
            if answer.status == 200 {
                let told = answer.header("content-type");
                assert_eq!(
                    told,
                    Some(layerhouse_oci::media_type::OCI_MANIFEST),
                    "{value}: {path}"
                );
                assert_eq!(answer.text(), image.manifest);
            } else {
                assert!(
                    matches!(answer.status, 404 | 502),
                    "{value}: {}",
                    answer.text()
                );
                mirror.check("GET", &answer);
            }
        }
    }
}

/// A digest that the upstream says is a claim; what is stored is named by what was hashed.
#[test]
fn sec_s23_a_digest_that_is_said_is_not_believed() {
    let mirror = Mirror::troubled("", "");
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.upstream.always(
        "/manifests/",
        Trouble::Header {
            name: "Docker-Content-Digest",
            value: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        },
    );
    let answer = mirror.get(LATEST);
    if answer.status == 200 {
        assert_eq!(answer.header("docker-content-digest"), Some(&*image.digest));
        assert_eq!(answer.text(), image.manifest);
    } else {
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    mirror.upstream.heal();
    mirror.server.advance(std::time::Duration::from_mins(5));
    mirror.pull(LATEST);
}

/// Nothing is asked for that could come in another coding.
#[test]
fn sec_s23_no_coding_is_asked_for() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    for asked in mirror.upstream.asked("") {
        let coding = asked.header("accept-encoding").unwrap_or("identity");
        assert_eq!(coding, "identity", "{asked:?}");
        let agent = asked.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("layerhouse/"), "{asked:?}");
    }
}

/// What clients say to us is not said to upstreams: no login, cookie or address of theirs.
#[test]
fn sec_s23_what_clients_send_goes_no_further() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let headers = [
        ("Authorization", "Basic Y2FuYXJ5OmNhbmFyeQ=="),
        ("Cookie", "canary=1"),
        ("X-Forwarded-For", "203.0.113.77"),
        ("X-Canary", "canary"),
        ("User-Agent", "canary/1"),
        ("If-None-Match", "\"canary\""),
    ];
    let blob = format!("{COPY}/blobs/{}", image.layer);
    for path in [
        LATEST,
        &*blob,
        "/v2/library/nginx/manifests/latest?ns=up1&canary=1",
    ] {
        let answer = mirror.server.client.send("GET", path, &headers, b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for asked in mirror.upstream.asked("") {
        let said = format!("{asked:?}").to_lowercase();
        for secret in ["canary", "y2fuyxj5", "203.0.113.77", "ns=up1"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// S27: `urls` of a layer are nobody's to fetch but the client's.
#[test]
fn sec_s27_urls_in_manifests_are_never_fetched() {
    let mirror = Mirror::troubled("", "");
    let service = Upstream::start();
    let metadata = format!("{}/latest/meta-data/iam", service.url());
    mirror.upstream.give_blob(NGINX, "{}");
    let mut manifest = images::image("{}", &["a foreign layer"]);
    manifest["layers"][0]["mediaType"] =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    manifest["layers"][0]["urls"] = serde_json::json!([metadata, "http://169.254.169.254/"]);
    let manifest = manifest.to_string();
    mirror.upstream.give_manifest(NGINX, "latest", &manifest);
    let answer = mirror.get(LATEST);
    assert!(
        matches!(answer.status, 200 | 404 | 502),
        "{}",
        answer.text()
    );
    let layer = format!("{COPY}/blobs/{}", images::digest("a foreign layer"));
    assert_eq!(mirror.get(&layer).status, 404);
    mirror.server.advance(std::time::Duration::from_mins(5));
    mirror.get(LATEST);
    assert_eq!(service.connections(), 0);
}

/// Bytes on the disk that are damaged come from the upstream again.
#[test]
fn sec_s23_damage_of_a_copy_heals() {
    if bucket::is_given() {
        return;
    }
    let mut mirror = Mirror::troubled("", "");
    let content = noise(9, 200_000);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let path = format!("{COPY}/blobs/{digest}");
    for damage in ["truncated", "gone"] {
        assert!(mirror.pull(&path).body == content);
        mirror.server.stop();
        let file = mirror.server.blob_path(&digest);
        if damage == "gone" {
            std::fs::remove_file(&file).unwrap();
        } else {
            std::fs::write(&file, &content[..100_000]).unwrap();
        }
        mirror.server.restart();
        let before = mirror.upstream.count("GET ");
        // The one who finds it may be cut; nobody is given it as whole.
        let mut tries = 0;
        loop {
            let answer = mirror.server.client.try_send("GET", &path, &[], b"");
            match answer {
                Ok(answer) if answer.status == 200 => {
                    assert!(answer.body == content, "{damage}");
                    break;
                }
                Ok(answer) => assert!(
                    matches!(answer.status, 404 | 500 | 502),
                    "{}",
                    answer.text()
                ),
                Err(_) => {}
            }
            tries += 1;
            assert!(tries < 3, "{damage} does not heal");
        }
        assert_eq!(mirror.upstream.count("GET "), before + 1, "{damage}");
    }
}
