//! Where questions go: redirections, names, proxies (S31, S32).

use super::server::{Server, answer, raw};
use super::*;

/// `u:hunter2`
const BASIC: &str = "Basic dTpodW50ZXIy";

/// S31
#[tokio::test]
async fn sec_s31_the_login_stays_where_it_was_given_for() {
    let check = async |status: u16| {
        let storage = Server::start(|_, _| answer(200, &[], b"content")).await;
        let port = storage.port;
        let server = Server::start(move |_, seen| {
            if seen.header("authorization") != BASIC {
                return answer(401, &["WWW-Authenticate: Basic realm=x"], b"");
            }
            let location = if seen.line.ends_with("/near") {
                format!("Location: http://localhost:{port}/far?signature=x")
            } else {
                "Location: /near".to_owned()
            };
            answer(status, &[&location], b"moved")
        })
        .await;
        let (upstream, _) = open(vec![mirror::Endpoint {
            login: password(),
            ..endpoint(&server.url)
        }]);
        let blob = upstream.blob(&name(), &digest_of(b"x"), 0).await;
        let content = all(blob.expect("it is there")).await;
        assert_eq!(content.expect("all of it"), b"content");
        let seen = server.seen();
        assert_eq!(seen[2].line, "GET /near");
        assert_eq!(seen[2].header("authorization"), BASIC, "its own origin");
        let seen = storage.seen();
        assert_eq!(seen[0].line, "GET /far?signature=x");
        assert_eq!(seen[0].header("authorization"), "");
        assert_eq!(seen[0].header("referer"), "");
    };
    for status in [301, 302, 303, 307, 308] {
        check(status).await;
    }
}

/// S31: not even if whoever a redirection leads to asks for it.
#[tokio::test]
async fn sec_s31_who_it_redirects_to_may_ask_for_a_login_in_vain() {
    let storage = Server::start(|_, seen| {
        if seen.line.contains("/token") {
            return answer(200, &[], b"{\"token\": \"everybodys\"}");
        }
        if seen.header("authorization") == "Bearer everybodys" {
            return answer(200, &[], b"content");
        }
        let host = seen.header("host");
        let bearer = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"");
        answer(401, &["WWW-Authenticate: Basic realm=x", &bearer], b"")
    })
    .await;
    let location = format!("Location: http://localhost:{}/v2/x", storage.port);
    let server = Server::start(move |_, seen| {
        if seen.header("authorization") != BASIC {
            return answer(401, &["WWW-Authenticate: Basic realm=x"], b"");
        }
        answer(307, &[&location], b"")
    })
    .await;
    let (upstream, _) = open(vec![mirror::Endpoint {
        login: password(),
        auth_hosts: vec!["localhost".to_owned()],
        ..endpoint(&server.url)
    }]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    assert_eq!(&pulled.expect("everybody gets it").content[..], b"content");
    assert_eq!(storage.lines().len(), 3);
    for seen in storage.seen() {
        assert!(!format!("{seen:?}").contains("dTpodW50ZXIy"), "{seen:?}");
    }
}

/// S31, S32
#[tokio::test]
async fn sec_s32_redirections_lead_nowhere_in_private() {
    let check = async |location: &str, expected: &str| {
        let said = format!("Location: {location}");
        let server = Server::start(move |_, _| answer(307, &[&said], b"")).await;
        let (upstream, _) = open(vec![mirror::Endpoint {
            private: Vec::new(),
            ..endpoint(&server.url)
        }]);
        let found = upstream.blob(&name(), &digest_of(b"x"), 0).await;
        let error = found.err().expect("it is not followed");
        assert!(matches!(error, UpstreamError::Forbidden(_)), "{error:?}");
        assert!(error.to_string().ends_with(expected), "{location}: {error}");
        server.lines().len()
    };
    let add = |address: &str| {
        format!("if that is meant, add {address} to the upstream's `private` (`--private`)")
    };
    check(
        "http://169.254.169.254/latest/meta-data",
        &add("169.254.169.254"),
    )
    .await;
    check("http://0x7f.1:1/", &add("127.0.0.1")).await;
    check("http://[::ffff:10.0.0.1]/", &add("10.0.0.1")).await;
    // The name is fine, and its address is not: it is seen where the connection would be made.
    check(
        "http://localhost:1/",
        "to the upstream's `private` (`--private`)",
    )
    .await;
    check(
        "ftp://example.com/",
        "it redirects to ftp://example.com, which is not HTTP",
    )
    .await;
    check("", "it redirects without saying where to").await;
    let asked = check("/again", "it redirects more than 5 times").await;
    assert_eq!(asked, 6);
}

/// S32
#[tokio::test]
async fn sec_s32_a_name_in_a_private_network_needs_to_be_allowed() {
    let server = Server::start(|_, _| answer(200, &[], b"content")).await;
    let url = format!("http://localhost:{}", server.port);
    let pull = async |endpoint: mirror::Endpoint| {
        let (upstream, _) = open(vec![endpoint]);
        upstream.manifest(&name(), &by_tag(), BYTES_MAX).await
    };
    let unsaid = mirror::Endpoint {
        private: Vec::new(),
        ..endpoint(&url)
    };
    let refused = pull(unsaid.clone()).await.expect_err("it is this machine");
    assert!(
        matches!(refused, UpstreamError::Forbidden(_)),
        "{refused:?}"
    );
    let begin = format!("corp: GET {url}/v2/library/nginx/manifests/1.27: localhost is at ");
    assert!(refused.to_string().starts_with(&begin), "{refused}");
    assert!(server.lines().is_empty());
    assert!(pull(endpoint(&url)).await.is_ok());
    // As `proxy.remoteurl` has it.
    let trusted = mirror::Endpoint {
        is_host_trusted: true,
        ..unsaid
    };
    assert!(pull(trusted).await.is_ok());
    // And an address that was said is meant.
    let literal = mirror::Endpoint {
        private: Vec::new(),
        ..endpoint(&server.url)
    };
    assert!(pull(literal).await.is_ok());
}

/// Storage that signs its URLs for GET refuses HEAD, and the registry said that the blob is there.
#[tokio::test]
async fn a_head_that_ends_somewhere_else_may_say_nothing() {
    let storage = Server::start(|_, _| raw(403, &[], b"")).await;
    let location = format!("Location: http://localhost:{}/x", storage.port);
    let server = Server::start(move |_, _| raw(307, &[&location], b"")).await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let size = upstream.blob_size(&name(), &digest_of(b"x")).await;
    assert_eq!(size.expect("it is there"), None);
    let denied = upstream.blob(&name(), &digest_of(b"x"), 0).await.err();
    assert!(
        matches!(denied, Some(UpstreamError::Denied(_))),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_socks_proxy_resolves_names() {
    let proxy = Server::socks(|_, _| answer(200, &[], b"content")).await;
    let url = format!("socks5h://127.0.0.1:{}", proxy.port);
    let (upstream, _) = open(vec![mirror::Endpoint {
        private: Vec::new(),
        proxy: Some(Secret::new(url.into_bytes())),
        ..endpoint("http://registry.invalid:5000")
    }]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    assert!(pulled.is_ok(), "{pulled:?}");
    let expected = [
        "CONNECT registry.invalid",
        "GET /v2/library/nginx/manifests/1.27",
    ];
    assert_eq!(proxy.lines(), expected);
}

#[tokio::test]
async fn an_http_proxy_is_told_the_whole_url() {
    let proxy = Server::start(|_, _| answer(200, &[], b"content")).await;
    let url = format!("http://u:hunter2@localhost:{}", proxy.port);
    let (upstream, _) = open(vec![mirror::Endpoint {
        private: Vec::new(),
        proxy: Some(Secret::new(url.into_bytes())),
        ..endpoint("http://registry.invalid:5000")
    }]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    assert!(pulled.is_ok(), "{pulled:?}");
    let seen = &proxy.seen()[0];
    assert_eq!(
        seen.line,
        "GET http://registry.invalid:5000/v2/library/nginx/manifests/1.27"
    );
    assert_eq!(seen.header("proxy-authorization"), BASIC);
    assert_eq!(seen.header("authorization"), "");
}
