//! Endpoints that fail, and those that stand in for them (S34).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::server::{Server, answer};
use super::*;

/// A registry whose every answer has this status.
async fn registry(status: &Arc<AtomicU16>) -> Server {
    let status = Arc::clone(status);
    Server::start(move |_, _| {
        let status = status.load(Ordering::SeqCst);
        answer(status, &["Retry-After: 90"], b"content")
    })
    .await
}

#[tokio::test]
async fn what_fails_five_times_is_left_alone_for_a_while() {
    let status = Arc::new(AtomicU16::new(503));
    let server = registry(&status).await;
    let (upstream, clock) = open(vec![endpoint(&server.url)]);
    let pull = || async { upstream.manifest(&name(), &by_tag(), BYTES_MAX).await };
    for _ in 0..7 {
        let pulled = pull().await;
        assert!(
            matches!(pulled, Err(UpstreamError::Unreachable(_))),
            "{pulled:?}"
        );
    }
    assert_eq!(server.lines().len(), 5);
    let state = upstream.state();
    assert_eq!((state.requests, state.failures), (5, 5));
    let until = clock.now().after(Duration::from_secs(5));
    assert_eq!(state.is_closed_until, Some(until));
    let (at, what) = state.last_failure.expect("it failed");
    assert_eq!(at, clock.now());
    assert!(
        what.ends_with("/v2/library/nginx/manifests/1.27: it answers 503"),
        "{what}"
    );
    let error = pull().await.expect_err("it is left alone").to_string();
    let expected = "it failed again and again, and is left alone for another 5 s";
    assert!(error.ends_with(expected), "{error}");
    clock.advance(Duration::from_secs(5));
    assert!(pull().await.is_err());
    assert_eq!(server.lines().len(), 6, "one tries");
    let until = clock.now().after(Duration::from_secs(10));
    assert_eq!(upstream.state().is_closed_until, Some(until));
    status.store(200, Ordering::SeqCst);
    clock.advance(Duration::from_secs(10));
    assert!(pull().await.is_ok());
    assert!(pull().await.is_ok());
    assert_eq!(upstream.state().is_closed_until, None);
}

#[tokio::test]
async fn who_says_429_is_not_asked_until_then() {
    let status = Arc::new(AtomicU16::new(429));
    let server = registry(&status).await;
    let (upstream, clock) = open(vec![endpoint(&server.url)]);
    let pull = || async { upstream.manifest(&name(), &by_tag(), BYTES_MAX).await };
    for _ in 0..3 {
        let error = pull().await.expect_err("it is limited");
        assert!(
            matches!(error, UpstreamError::RateLimited { retry_after: Some(after), .. } if after == Duration::from_secs(90)),
            "{error:?}"
        );
    }
    assert_eq!(server.lines().len(), 1);
    status.store(200, Ordering::SeqCst);
    clock.advance(Duration::from_secs(90));
    assert!(pull().await.is_ok());
}

#[tokio::test]
async fn that_it_is_not_there_is_no_failure() {
    let status = Arc::new(AtomicU16::new(404));
    let server = registry(&status).await;
    let (upstream, _) = open(vec![endpoint(&server.url)]);
    for _ in 0..10 {
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        assert!(matches!(pulled, Err(UpstreamError::NotFound(_))));
    }
    let state = upstream.state();
    assert_eq!((state.requests, state.failures), (10, 0));
    assert_eq!((state.is_closed_until, state.last_failure), (None, None));
}

#[tokio::test]
async fn endpoints_are_asked_in_turn() {
    let check = async |statuses: [u16; 2], asked: [usize; 2], expected: &str| {
        let servers = statuses.map(|status| Arc::new(AtomicU16::new(status)));
        let servers = [registry(&servers[0]).await, registry(&servers[1]).await];
        let (upstream, _) = open(servers.iter().map(|server| endpoint(&server.url)).collect());
        let found = match upstream.manifest(&name(), &by_tag(), BYTES_MAX).await {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert!(found.starts_with(expected), "{statuses:?}: {found}");
        let lines = [servers[0].lines().len(), servers[1].lines().len()];
        assert_eq!(lines, asked, "{statuses:?}");
    };
    check([200, 200], [1, 0], "ok").await;
    check([503, 200], [1, 1], "ok").await;
    check([429, 200], [1, 1], "ok").await;
    check([404, 200], [1, 1], "ok").await;
    check([404, 404], [1, 1], "NotFound").await;
    // An outage must not look like "not found".
    check([503, 404], [1, 1], "Unreachable").await;
    check([404, 503], [1, 1], "Unreachable").await;
    check([429, 503], [1, 1], "RateLimited").await;
    check([403, 200], [1, 0], "Denied").await;
    check([418, 200], [1, 0], "Invalid").await;
}

#[tokio::test]
async fn who_is_not_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it has one"));
    let (upstream, _) = open(vec![mirror::Endpoint {
        patience: Duration::from_millis(200),
        ..endpoint(&url)
    }]);
    let pull = || async { upstream.manifest(&name(), &by_tag(), BYTES_MAX).await };
    // It takes the connection, and says nothing.
    let error = pull().await.expect_err("nobody answers");
    assert!(matches!(error, UpstreamError::Slow(_)), "{error:?}");
    assert!(
        error.to_string().ends_with("there was no answer in 0.2 s"),
        "{error}"
    );
    drop(listener);
    let error = pull().await.expect_err("nobody is there");
    assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}
