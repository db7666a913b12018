//! Challenges: who is told who we are, and how often (S30, S34).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Seen, Server, answer};
use super::*;

/// `u:hunter2`
const BASIC: &str = "Basic dTpodW50ZXIy";

/// A registry that wants its own newest token, whose `token_answer` names them by their number.
async fn registry(realm: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |url, seen: &Seen| {
        if seen.line.contains(" /token?") || seen.line.starts_with("POST ") {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!("{{\"token\": \"t{number}\", \"expires_in\": 300}}");
            return answer(200, &[], body.as_bytes());
        }
        let number = issued.load(Ordering::SeqCst);
        if 0 < number && seen.header("authorization") == format!("Bearer t{number}") {
            return answer(200, &["Content-Type: a/b"], b"content");
        }
        let realm = realm(url);
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"");
        answer(401, &[&challenge], b"{}")
    })
    .await
}

const MANIFEST: &str = "GET /v2/library/nginx/manifests/1.27";
const TOKEN: &str = "GET /token?service=s&scope=repository%3Alibrary%2Fnginx%3Apull";

#[tokio::test]
async fn a_token_is_asked_for_and_used_until_it_is_over() {
    let server = registry(|url| format!("{url}/token")).await;
    let (upstream, clock) = open(vec![mirror::Endpoint {
        login: password(),
        ..endpoint(&server.url)
    }]);
    let pull = async || {
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        pulled.expect("it is there").content
    };
    assert_eq!(&pull().await[..], b"content");
    assert_eq!(server.lines(), [MANIFEST, TOKEN, MANIFEST]);
    assert_eq!(server.seen()[1].header("authorization"), BASIC);
    pull().await;
    clock.advance(Duration::from_secs(299));
    pull().await;
    assert_eq!(server.lines().len(), 5, "the token is good");
    assert_eq!(server.seen()[4].header("authorization"), "Bearer t1");
    clock.advance(Duration::from_secs(1));
    pull().await;
    assert_eq!(server.lines()[5..], [MANIFEST, TOKEN, MANIFEST]);
    assert_eq!(server.seen()[5].header("authorization"), "");
}

#[tokio::test]
async fn a_token_that_is_refused_is_asked_for_once_more() {
    let server = registry(|url| format!("{url}/token")).await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let pull = || async { upstream.manifest(&name(), &by_tag(), BYTES_MAX).await };
    assert!(pull().await.is_ok());
    // Somebody else gets one, so ours is old.
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let other = client.get(format!("{}/token?", server.url)).send().await;
    assert!(other.is_ok());
    assert!(pull().await.is_ok());
    assert_eq!(server.lines()[4..], [MANIFEST, TOKEN, MANIFEST]);
    assert_eq!(
        server.seen()[1].header("authorization"),
        "",
        "nobody said who we are"
    );
}

#[tokio::test]
async fn what_a_new_token_is_refused_for_is_denied() {
    let server = Server::start(|url, seen| {
        if seen.line.contains("/token") {
            return answer(200, &[], b"{\"access_token\": \"t\"}");
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{url}/token\"");
        answer(401, &[&challenge], b"")
    })
    .await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    let error = pulled.expect_err("it is refused");
    let expected = format!(
        "corp: {} {}/v2/library/nginx/manifests/1.27: it does not give that to us (401); it may want a login",
        "GET", server.url
    );
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, UpstreamError::Denied(_)));
    assert_eq!(server.lines().len(), 3);
    assert_eq!(
        (upstream.state().requests, upstream.state().failures),
        (1, 1)
    );
    assert_eq!(upstream.state().is_closed_until, None, "it is no outage");
}

/// S30
#[tokio::test]
async fn sec_s30_a_foreign_realm_is_told_nothing() {
    let service = Server::start(|_, _| answer(200, &[], b"{\"token\": \"t0\"}")).await;
    let port = service.port;
    let server = registry(move |_| format!("http://localhost:{port}/token")).await;
    let (upstream, _) = open(vec![mirror::Endpoint {
        login: password(),
        auth_hosts: vec!["localhost".to_owned()],
        ..endpoint(&server.url)
    }]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    let error = pulled
        .expect_err("everybody's token is not enough")
        .to_string();
    let hint = "; the login was not told to localhost: it is not asked over TLS";
    assert!(error.ends_with(hint), "{error}");
    assert_eq!(service.lines(), [TOKEN]);
    for seen in service.seen().iter().chain(&server.seen()) {
        assert!(!format!("{seen:?}").contains("dTpodW50ZXIy"), "{seen:?}");
    }
}

/// S30: also where nobody filters addresses.
#[tokio::test]
async fn sec_s30_realms_are_not_in_private_networks() {
    let server = registry(|_| "http://169.254.169.254/token".to_owned()).await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    assert!(
        matches!(pulled, Err(UpstreamError::Forbidden(_))),
        "{pulled:?}"
    );
}

#[tokio::test]
async fn token_services_that_refuse_are_told_of() {
    let check = async |status: u16, login: UpstreamLogin, expected: &str| {
        let server = Server::start(move |url, seen| {
            if seen.line.contains("/token") {
                return answer(status, &["Location: /other", "Retry-After: 7"], b"");
            }
            let challenge = format!("WWW-Authenticate: Bearer realm=\"{url}/token\"");
            answer(401, &[&challenge], b"")
        })
        .await;
        let (upstream, _) = open(vec![mirror::Endpoint {
            login,
            ..endpoint(&server.url)
        }]);
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        let error = pulled.expect_err("there is no token").to_string();
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(server.lines().len(), 2);
        assert_eq!(upstream.state().failures, 1);
    };
    let refuses = "its token service at 127.0.0.1 refuses the login (401)";
    check(401, password(), refuses).await;
    let nobody = "its token service at 127.0.0.1 gives no token to everyone (403)";
    check(403, UpstreamLogin::Anonymous, nobody).await;
    let redirects = "its token service at 127.0.0.1 redirects (302)";
    check(302, password(), redirects).await;
    check(
        503,
        password(),
        "its token service at 127.0.0.1 answers 503",
    )
    .await;
    let limited = "it answers no more for now (429); it may be asked again in 7 s; a login may be allowed more";
    check(429, password(), limited).await;
    check(
        200,
        password(),
        "its token service answers no token in JSON",
    )
    .await;
}

#[tokio::test]
async fn a_registry_that_takes_the_login_itself_gets_it_at_once_the_next_time() {
    let server = Server::start(|_, seen| {
        if seen.header("authorization") == BASIC {
            return answer(200, &[], b"content");
        }
        answer(401, &["WWW-Authenticate: Basic realm=\"x\""], b"")
    })
    .await;
    let (upstream, _) = open(vec![mirror::Endpoint {
        login: password(),
        ..endpoint(&server.url)
    }]);
    for _ in 0..2 {
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        assert!(pulled.is_ok());
    }
    assert_eq!(server.lines(), [MANIFEST, MANIFEST, MANIFEST]);
    // Without a login there is nothing to say, and one that is refused is said once.
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
    assert!(matches!(pulled, Err(UpstreamError::Denied(_))));
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_token_of_the_operators_goes_to_the_registry() {
    let server = Server::start(|_, seen| match seen.header("authorization") {
        "Bearer pat" => answer(200, &[], b"content"),
        _ => answer(
            401,
            &["WWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/\""],
            b"",
        ),
    })
    .await;
    for (token, is_good) in [("pat", true), ("other", false)] {
        let (upstream, _) = open(vec![mirror::Endpoint {
            login: UpstreamLogin::Token(Secret::new(token.as_bytes())),
            ..endpoint(&server.url)
        }]);
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        assert_eq!(pulled.is_ok(), is_good);
    }
    assert_eq!(server.lines(), [MANIFEST, MANIFEST]);
}

#[tokio::test]
async fn files_of_docker_say_who_we_are() {
    let server = registry(|url| format!("{url}/token")).await;
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("config.json");
    let (upstream, clock) = open(vec![mirror::Endpoint {
        login: UpstreamLogin::File(path.clone()),
        ..endpoint(&server.url)
    }]);
    let pull = || async { upstream.manifest(&name(), &by_tag(), BYTES_MAX).await };
    let error = pull().await.expect_err("there is no file").to_string();
    assert!(error.contains("config.json: No such file"), "{error}");
    let write = |entry: &str| {
        let host = server.url.trim_start_matches("http://");
        let json = format!("{{\"auths\": {{\"{host}\": {{{entry}}}}}}}");
        std::fs::write(&path, json).expect("it can be written");
    };
    write("\"auth\": \"dTpodW50ZXIy\"");
    assert!(pull().await.is_ok());
    assert_eq!(server.seen()[2].header("authorization"), BASIC);
    // Somebody signed in anew, in another way.
    write("\"identitytoken\": \"i+d\"");
    clock.advance(Duration::from_mins(5));
    assert!(pull().await.is_ok());
    let seen = server
        .seen()
        .into_iter()
        .find(|seen| seen.line.starts_with("POST"));
    let seen = seen.expect("a token is exchanged");
    assert_eq!(seen.line, "POST /token");
    assert_eq!(
        seen.body,
        "grant_type=refresh_token&client_id=layerhouse&service=s&scope=repository%3Alibrary%2Fnginx%3Apull\
         &refresh_token=i%2Bd"
    );
}

/// S34
#[tokio::test]
async fn sec_s34_a_crowd_asks_for_one_token() {
    let server = registry(|url| format!("{url}/token")).await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    let (name, reference) = (name(), by_tag());
    let pulls = (0..20).map(|_| upstream.manifest(&name, &reference, BYTES_MAX));
    let pulls = futures_util::future::join_all(pulls).await;
    assert!(pulls.iter().all(Result::is_ok));
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| *line == TOKEN).count(), 1);
}
