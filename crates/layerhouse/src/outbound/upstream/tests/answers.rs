//! What is taken for an answer, and what is not (S23).

use super::server::{HANG, Server, answer, raw};
use super::*;

const CONTENT: &[u8] = b"0123456789";

#[tokio::test]
async fn a_manifest_is_what_was_sent() {
    let server = Server::start(|_, _| {
        let headers = [
            "Content-Type: application/vnd.oci.image.index.v1+json",
            "RateLimit-Limit: 100;w=21600",
            "RateLimit-Remaining: 76;w=21600",
        ];
        answer(200, &headers, b"{ }")
    })
    .await;
    let (upstream, clock) = open(vec![endpoint(&server.url)]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    let manifest = pulled.expect("it is there");
    assert_eq!(&manifest.content[..], b"{ }");
    let index = "application/vnd.oci.image.index.v1+json";
    assert_eq!(manifest.content_type.as_deref(), Some(index));
    let seen = &server.seen()[0];
    assert_eq!(
        seen.header("accept"),
        "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
         application/vnd.docker.distribution.manifest.v2+json, \
         application/vnd.docker.distribution.manifest.list.v2+json"
    );
    assert_eq!(
        seen.header("accept-encoding"),
        "",
        "no encoding is asked for"
    );
    assert!(seen.header("user-agent").starts_with("layerhouse/"));
    let state = upstream.state();
    let limit = state.rate_limit.expect("it was said");
    assert_eq!((limit.limit, limit.remaining), (100, 76));
    assert_eq!(
        (limit.window_seconds, limit.read_at),
        (Some(21600), clock.now())
    );
    assert_eq!(
        (state.requests, state.failures, state.received_bytes),
        (1, 0, 3)
    );
    let digest = Reference::Digest(digest_of(b"{ }"));
    assert!(upstream.manifest(&name(), &digest, BYTES_MAX).await.is_ok());
}

#[tokio::test]
async fn sec_s23_what_is_not_the_content_is_refused() {
    let check = async |sent: Vec<u8>, reference: &Reference, expected: &str| {
        let server = Server::start(move |_, _| sent.clone()).await;
        let (upstream, _) = open(vec![mirror::Endpoint {
            stall: Duration::from_millis(300),
            ..endpoint(&server.url)
        }]);
        let pulled = upstream.manifest(&name(), reference, 10).await;
        let error = pulled.expect_err("it is refused");
        let kind = match &error {
            UpstreamError::NotFound(_) => "not found",
            UpstreamError::Denied(_) => "denied",
            UpstreamError::RateLimited { .. } => "limited",
            UpstreamError::Unreachable(_) => "unreachable",
            UpstreamError::Slow(_) => "slow",
            UpstreamError::Broken(_) => "broken",
            UpstreamError::Forbidden(_) => "forbidden",
            UpstreamError::Invalid(_) => "invalid",
        };
        let text = error.to_string();
        let text = format!(
            "{kind}: {}",
            text.rsplit("manifests/").next().unwrap_or_default()
        );
        let text = text.split_once(": ").map(|(kind, rest)| {
            let said = rest.split_once(": ").map_or(rest, |(_, said)| said);
            format!("{kind}: {said}")
        });
        let text = text.expect("it has parts");
        assert!(text.starts_with(expected), "{text}\n{expected}");
        assert_eq!(upstream.state().failures, u64::from(kind != "not found"));
    };
    let tag = by_tag();
    let other = Reference::Digest(digest_of(b"other"));
    let mismatch = format!(
        "invalid: what it sends has the digest {}",
        digest_of(CONTENT)
    );
    check(answer(200, &[], CONTENT), &other, &mismatch).await;
    check(
        answer(200, &[], b""),
        &other,
        "invalid: what it sends has the digest",
    )
    .await;
    let gzip = "invalid: it sends an encoded body (Content-Encoding), which nobody asked for";
    check(
        answer(200, &["Content-Encoding: gzip"], CONTENT),
        &tag,
        gzip,
    )
    .await;
    let large = "invalid: the answer has more than 10 bytes";
    check(answer(200, &[], b"01234567890"), &tag, large).await;
    let endless = b"b\r\n01234567890\r\n<HANG>";
    check(
        raw(200, &["Transfer-Encoding: chunked"], endless),
        &tag,
        large,
    )
    .await;
    check(
        raw(200, &["Content-Length: 5"], b"0123"),
        &tag,
        "broken: its answer broke off",
    )
    .await;
    let hangs = [&raw(200, &["Content-Length: 5"], b"0123")[..], HANG].concat();
    check(hangs, &tag, "slow: its answer brought nothing for 0.3 s").await;
    check(
        answer(404, &[], b""),
        &tag,
        "not found: it does not have it (404)",
    )
    .await;
    check(
        answer(418, &[], b""),
        &tag,
        "invalid: it answers 418, which is no answer to that",
    )
    .await;
    check(answer(204, &[], b""), &tag, "invalid: it answers 204").await;
    check(answer(206, &[], CONTENT), &tag, "invalid: it answers 206").await;
    check(answer(304, &[], b""), &tag, "invalid: it answers 304").await;
    check(answer(500, &[], b""), &tag, "unreachable: it answers 500").await;
    check(
        answer(403, &[], b""),
        &tag,
        "denied: it does not give that to us (403)",
    )
    .await;
    check(b"SSH-2.0-x\r\n".to_vec(), &tag, "unreachable: ").await;
}

#[tokio::test]
async fn heads_say_digests_and_sizes() {
    let digest = digest_of(CONTENT);
    let header = format!("Docker-Content-Digest: {digest}");
    let server = Server::start(move |_, seen| {
        let headers = [header.as_str(), "Content-Length: 10"];
        match seen.line.as_str() {
            "HEAD /v2/library/nginx/manifests/said" => raw(200, &headers, b""),
            "HEAD /v2/library/nginx/manifests/wrong" => {
                raw(200, &["Docker-Content-Digest: sha256:ab"], b"")
            }
            "HEAD /v2/library/nginx/manifests/unsaid" => raw(200, &["Content-Length: 10"], b""),
            "HEAD /v2/library/nginx/manifests/unknown" => raw(405, &[], b""),
            line if line.starts_with("HEAD /v2/library/nginx/blobs/") => raw(200, &headers, b""),
            _ => raw(404, &[], b""),
        }
    })
    .await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let of = async |tag: &str| {
        let tag = tag.parse().expect("a tag");
        upstream.tag_digest(&name(), &tag).await
    };
    assert_eq!(of("said").await.expect("it is there"), Some(digest.clone()));
    for tag in ["wrong", "unsaid", "unknown"] {
        assert_eq!(of(tag).await.expect("it is there"), None, "{tag}");
    }
    assert!(matches!(
        of("missing").await,
        Err(UpstreamError::NotFound(_))
    ));
    let size = upstream.blob_size(&name(), &digest).await;
    assert_eq!(size.expect("it is there"), Some(10));
}

#[tokio::test]
async fn blobs_go_on_where_they_broke_off() {
    let server = Server::start(|_, seen| match (seen.line.as_str(), seen.header("range")) {
        (line, "bytes=4-") if line.ends_with(&"0".repeat(64)) => {
            answer(206, &["Content-Range: bytes 4-9/10"], &CONTENT[4..])
        }
        (line, "bytes=4-") if line.ends_with(&"1".repeat(64)) => {
            answer(206, &["Content-Range: bytes 3-9/10"], &CONTENT[3..])
        }
        (_, "bytes=40-") => answer(416, &["Content-Range: bytes */10"], b""),
        (line, "") if line.ends_with(&"2".repeat(64)) => {
            raw(200, &["Content-Length: 10"], &CONTENT[..4])
        }
        (line, "") if line.ends_with(&"3".repeat(64)) => {
            answer(206, &["Content-Range: bytes 0-9/10"], CONTENT)
        }
        (line, "") if line.ends_with(&"4".repeat(64)) => {
            answer(200, &["Content-Encoding: zstd"], CONTENT)
        }
        // Some know no ranges.
        _ => answer(200, &[], CONTENT),
    })
    .await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let ask = async |digit: &str, from: u64| {
        let digest: Digest = format!("sha256:{}", digit.repeat(64))
            .parse()
            .expect("a digest");
        let blob = upstream.blob(&name(), &digest, from).await?;
        let size_bytes = blob.size_bytes;
        all(blob).await.map(|content| (size_bytes, content))
    };
    let whole = (Some(10), CONTENT.to_vec());
    let rest = (Some(10), CONTENT[4..].to_vec());
    assert_eq!(ask("0", 0).await.expect("it is there"), whole);
    assert_eq!(ask("0", 4).await.expect("it is there"), rest);
    assert_eq!(
        ask("5", 4).await.expect("it is there"),
        rest,
        "it is skipped to"
    );
    let invalid = |found: Result<(Option<u64>, Vec<u8>), UpstreamError>| {
        assert!(matches!(found, Err(UpstreamError::Invalid(_))), "{found:?}");
    };
    invalid(ask("1", 4).await);
    invalid(ask("0", 40).await);
    invalid(ask("3", 0).await);
    invalid(ask("4", 0).await);
    let broken = ask("2", 0).await;
    assert!(
        matches!(broken, Err(UpstreamError::Broken(_))),
        "{broken:?}"
    );
    let short = ask("6", 12).await.expect("it is there");
    assert_eq!(short, (Some(10), Vec::new()));
}

#[tokio::test]
async fn tags_are_listed_behind_the_last_one() {
    let server = Server::start(|_, seen| {
        let (_, query) = seen.line.split_once('?').unwrap_or_default();
        let body = match query {
            "n=2" => r#"{"tags": ["a", "b"]}"#,
            "n=2&last=b" => r#"{"tags": ["c"]}"#,
            "n=2&last=%2B" => r#"{"name": "x", "tags": null}"#,
            // As registries do that know neither.
            "n=3" | "n=3&last=b" => r#"{"tags": ["a", "b", "c", "not a tag", "d", "e"]}"#,
            _ => "[",
        };
        answer(200, &["Link: </v2/x>; rel=\"next\""], body.as_bytes())
    })
    .await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let check = async |n: usize, last: Option<&str>, expected: &[&str]| {
        let tags = upstream.tags(&name(), n, last).await.expect("a list");
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, expected);
    };
    check(2, None, &["a", "b"]).await;
    check(2, Some("b"), &["c"]).await;
    check(2, Some("+"), &[]).await;
    check(3, None, &["a", "b", "c"]).await;
    check(3, Some("b"), &["c", "d", "e"]).await;
    let found = upstream.tags(&name(), 4, None).await;
    assert!(matches!(found, Err(UpstreamError::Invalid(_))));
    assert_eq!(server.lines()[0], "GET /v2/library/nginx/tags/list?n=2");
}

#[tokio::test]
async fn referrers_are_passed_on_as_they_are() {
    let server = Server::start(|_, seen| {
        if seen.line.ends_with(&"0".repeat(64)) {
            return answer(200, &[], b"{\"manifests\": []}");
        }
        answer(404, &[], b"404 page not found")
    })
    .await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let ask = async |digit: &str| {
        let digest: Digest = format!("sha256:{}", digit.repeat(64))
            .parse()
            .expect("a digest");
        upstream.referrers(&name(), &digest, 17).await
    };
    assert_eq!(
        &ask("0").await.expect("it is there")[..],
        b"{\"manifests\": []}"
    );
    assert!(matches!(ask("1").await, Err(UpstreamError::NotFound(_))));
    let accept = "application/vnd.oci.image.index.v1+json";
    assert_eq!(server.seen()[0].header("accept"), accept);
}
