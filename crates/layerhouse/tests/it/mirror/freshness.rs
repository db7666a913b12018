//! How old what is served may be: a tag is compared with its upstream when it was not for a while, a digest
//! never; and who cannot be asked is served from the copy, with a warning (S34).

use std::time::Duration;

use super::{COPY, LATEST, Mirror, NGINX, error, is_stale};
use crate::harness::upstream::{Guard, Trouble};

const TTL: &str = "ttl: 60s, negativettl: 10s";

#[test]
fn a_tag_is_compared_once_in_a_while() {
    let mirror = Mirror::configured("", TTL);
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.upstream.drain();
    for _ in 0..5 {
        assert_eq!(mirror.pull(LATEST).text(), image.manifest);
        mirror.server.advance(Duration::from_secs(11));
    }
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
    mirror.server.advance(Duration::from_secs(6));
    for _ in 0..5 {
        let answer = mirror.pull(LATEST);
        assert_eq!(answer.text(), image.manifest);
        assert!(!is_stale(&answer));
    }
    assert_eq!(
        mirror.upstream.drain(),
        ["HEAD /v2/library/nginx/manifests/latest"]
    );
}

#[test]
fn a_tag_that_moved_is_fetched_again() {
    let mirror = Mirror::configured("", TTL);
    let old = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    let new = mirror.upstream.give_image(NGINX, "latest", "another layer");
    assert_eq!(
        mirror.pull(LATEST).text(),
        old.manifest,
        "it was just compared"
    );
    mirror.server.advance(Duration::from_mins(2));
    mirror.upstream.drain();
    assert_eq!(mirror.pull(LATEST).text(), new.manifest);
    assert_eq!(
        mirror.upstream.drain(),
        [
            "HEAD /v2/library/nginx/manifests/latest",
            "GET /v2/library/nginx/manifests/latest",
        ]
    );
    assert_eq!(mirror.pull(LATEST).text(), new.manifest);
    // Those who know the old one by its digest go on with it.
    let by_digest = format!("{COPY}/manifests/{}", old.digest);
    assert_eq!(mirror.pull(&by_digest).text(), old.manifest);
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
}

#[test]
fn a_digest_is_asked_for_once() {
    let mirror = Mirror::configured("", TTL);
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let manifest = format!("{COPY}/manifests/{}", image.digest);
    for _ in 0..3 {
        assert_eq!(mirror.pull(&manifest).text(), image.manifest);
        assert_eq!(mirror.blob(&image.layer), "a layer");
        mirror.server.advance(Duration::from_hours(24));
    }
    let gets = mirror.upstream.drain();
    let gets: Vec<_> = gets
        .iter()
        .filter(|line| line.starts_with("GET /v2/library"))
        .collect();
    assert_eq!(gets.len(), 2, "{gets:#?}");
}

/// An upstream that does not say digests in answers to HEAD is asked by GET.
#[test]
fn an_upstream_that_does_not_know_heads() {
    let mut mirror = Mirror::troubled("", TTL);
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.upstream.always("HEAD ", Trouble::status(405));
    let new = mirror.upstream.give_image(NGINX, "latest", "another layer");
    mirror.server.advance(Duration::from_mins(2));
    let answer = mirror.pull(LATEST);
    // Either it finds out, or it says that it could not.
    assert!(
        answer.text() == new.manifest || is_stale(&answer),
        "{answer:?}"
    );
    mirror.server.may_complain();
}

/// Whatever befalls the upstream, what is here is served, and says that it may be old.
#[test]
fn sec_s34_an_upstream_that_cannot_be_asked_does_not_stop_pulls() {
    let troubles = [
        Trouble::status(500),
        Trouble::status(502),
        Trouble::status(503),
        Trouble::status(401),
        Trouble::status(403),
        Trouble::too_many("Retry-After: 30\r\n"),
        Trouble::page(),
        Trouble::Closes,
        Trouble::Silent,
    ];
    for trouble in troubles {
        let mirror = Mirror::troubled("timeout: 1s, stall: 1s", TTL);
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror.pull(LATEST);
        mirror.blob(&image.layer);
        mirror.upstream.always("", trouble.clone());
        mirror.server.advance(Duration::from_mins(2));
        for _ in 0..3 {
            let answer = mirror.pull(LATEST);
            assert_eq!(answer.text(), image.manifest, "{trouble:?}");
            assert!(is_stale(&answer), "{trouble:?}: {answer:?}");
            assert_eq!(mirror.blob(&image.layer), "a layer", "{trouble:?}");
        }
        let head = mirror.server.client.send("HEAD", LATEST, &[], b"");
        assert!(
            head.status == 200 && is_stale(&head),
            "{trouble:?}: {head:?}"
        );
        // Not at each pull: neither we nor it have time for that.
        let asked = mirror.upstream.count("/v2/");
        assert!(asked <= 8, "{trouble:?}: asked {asked} times");
        mirror.upstream.heal();
        mirror.upstream.open();
        mirror.server.advance(Duration::from_mins(5));
        let answer = mirror.pull(LATEST);
        assert!(!is_stale(&answer), "{trouble:?}: it is back: {answer:?}");
    }
}

#[test]
fn sec_s34_a_dead_upstream_does_not_stop_pulls() {
    let mut mirror = Mirror::troubled("", TTL);
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    mirror.upstream.die();
    mirror.server.advance(Duration::from_mins(2));
    let answer = mirror.pull(LATEST);
    assert_eq!(answer.text(), image.manifest);
    assert!(is_stale(&answer), "{answer:?}");
    mirror.server.restart();
    let answer = mirror.pull(LATEST);
    assert_eq!(answer.text(), image.manifest, "also after a restart");
    mirror.upstream.rise();
    mirror.server.advance(Duration::from_mins(5));
    assert!(!is_stale(&mirror.pull(LATEST)));
}

/// What is not here is refused with words that say who could not be asked, and why.
#[test]
fn what_was_never_copied_says_why_it_cannot_be_had() {
    let rows: [(Trouble, &[u16]); 9] = [
        (Trouble::status(500), &[502]),
        (Trouble::status(503), &[502]),
        (Trouble::status(401), &[502, 404]),
        (Trouble::status(403), &[502, 404]),
        (Trouble::status(404), &[404]),
        (Trouble::too_many("Retry-After: 30\r\n"), &[429]),
        (Trouble::Closes, &[502]),
        (Trouble::Silent, &[504]),
        (Trouble::page(), &[502]),
    ];
    for (trouble, statuses) in rows {
        let mirror = Mirror::troubled("timeout: 1s, stall: 1s", TTL);
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror.upstream.always("", trouble.clone());
        let blob = format!("{COPY}/blobs/{}", image.layer);
        let by_digest = format!("{COPY}/manifests/{}", image.digest);
        for path in [LATEST, &blob, &by_digest] {
            if trouble == Trouble::page() && path == blob {
                // With bytes that are not its digest's; `hostile` is about those.
                continue;
            }
            let answer = mirror.refuses(path, statuses);
            if answer.status == 429 {
                assert_eq!(error(&answer).0, "TOOMANYREQUESTS");
                let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=30).contains(&seconds), "{seconds}");
            }
        }
        mirror.upstream.heal();
        mirror.upstream.open();
        mirror.server.advance(Duration::from_mins(5));
        mirror.pull(LATEST);
        assert_eq!(mirror.blob(&image.layer), "a layer", "{trouble:?}");
    }
}

/// Docker Hub counts pulls: one that says to wait is not asked until then.
#[test]
fn sec_s34_who_says_to_wait_is_not_asked_meanwhile() {
    let mirror = Mirror::troubled("", TTL);
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.server.advance(Duration::from_mins(2));
    mirror
        .upstream
        .always("", Trouble::too_many("Retry-After: 120\r\n"));
    assert!(is_stale(&mirror.pull(LATEST)));
    mirror.upstream.drain();
    for seconds in [1, 20, 60] {
        mirror.server.advance(Duration::from_secs(seconds));
        assert!(is_stale(&mirror.pull(LATEST)));
        let other = mirror.refuses(&format!("{COPY}/manifests/other"), &[429]);
        assert!(other.header("retry-after").is_some());
    }
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
    mirror.upstream.heal();
    mirror.server.advance(Duration::from_mins(1));
    assert!(!is_stale(&mirror.pull(LATEST)));
    assert_eq!(mirror.upstream.drain().len(), 1);
}

/// Who fails again and again is left alone for a while, and tried again after it.
#[test]
fn sec_s34_an_upstream_that_fails_is_left_alone_for_a_while() {
    let mirror = Mirror::troubled("", "ttl: 1s, negativettl: 1s");
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.upstream.always("", Trouble::status(503));
    for number in 0..30 {
        let path = format!("{COPY}/manifests/v{number}");
        assert_eq!(mirror.get(&path).status, 502);
    }
    let asked = mirror.upstream.count("/v2/");
    assert!((5..=15).contains(&asked), "asked {asked} times");
    mirror.upstream.heal();
    mirror.server.advance(Duration::from_mins(2));
    mirror.pull(LATEST);
}

#[test]
fn what_an_upstream_does_not_have_is_not_asked_for_again_at_once() {
    let mirror = Mirror::configured("", TTL);
    let missing = [
        format!("{COPY}/manifests/later"),
        format!(
            "{COPY}/manifests/{}",
            crate::harness::images::digest("none")
        ),
        format!("{COPY}/blobs/{}", crate::harness::images::digest("none")),
    ];
    for path in &missing {
        mirror.upstream.drain();
        for _ in 0..5 {
            mirror.refuses(path, &[404]);
        }
        assert_eq!(mirror.upstream.drain().len(), 1, "{path}");
    }
    let image = mirror.upstream.give_image(NGINX, "later", "a layer");
    mirror.refuses(&missing[0], &[404]);
    mirror.server.advance(Duration::from_secs(11));
    assert_eq!(mirror.pull(&missing[0]).text(), image.manifest);
}

#[test]
fn a_tag_that_is_gone_upstream_stays_or_goes_as_configured() {
    for (setting, stays) in [
        ("", true),
        (", deleted: keep", true),
        (", deleted: remove", false),
    ] {
        let mirror = Mirror::troubled("", &format!("{TTL}{setting}"));
        let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror.pull(LATEST);
        mirror.blob(&image.layer);
        mirror
            .upstream
            .take_away("/v2/library/nginx/manifests/latest");
        assert_eq!(mirror.pull(LATEST).status, 200, "{setting}: just compared");
        mirror.server.advance(Duration::from_mins(2));
        if stays {
            assert_eq!(mirror.pull(LATEST).text(), image.manifest, "{setting}");
            assert_eq!(mirror.pull(LATEST).text(), image.manifest, "{setting}");
        } else {
            mirror.refuses(LATEST, &[404]);
            mirror.refuses(LATEST, &[404]);
        }
        // The image is no tag.
        assert_eq!(mirror.blob(&image.layer), "a layer", "{setting}");
    }
}

/// A login that its upstream no longer takes does not take from clients what is here.
#[test]
fn sec_s34_a_login_that_ended_does_not_stop_pulls() {
    let mirror = Mirror::troubled("username: ann, password: secret-of-ann", TTL);
    mirror.upstream.guard(Guard::basic("ann", "secret-of-ann"));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.upstream.guard(Guard::basic("ann", "another"));
    mirror.server.advance(Duration::from_mins(2));
    let answer = mirror.pull(LATEST);
    assert_eq!(answer.text(), image.manifest);
    assert!(is_stale(&answer));
    let refused = mirror.refuses(&format!("{COPY}/manifests/other"), &[502, 404]);
    assert!(!refused.text().contains("secret-of-ann"));
}
