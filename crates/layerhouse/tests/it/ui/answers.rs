//! What every answer under `/ui/` has: headers, methods, lengths, and files that stay as they are.

use std::io::Read;

use flate2::read::GzDecoder;

use super::{FORMS, OWN, PAGE, PATHS, location, open};
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;

/// A server with `acme/web:v1`.
fn open_registry() -> Server {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    server
}

/// Whether a browser lets nothing of others into a page (S52, S53).
fn is_guarded(answer: &Response) -> bool {
    let policy = answer.header("content-security-policy").unwrap_or_default();
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    let has = |directive| directives.contains(&directive);
    let is_strict = has("default-src 'none'")
        && has("script-src 'self'")
        && has("style-src 'self'")
        && has("base-uri 'none'")
        && has("form-action 'self'")
        && has("frame-ancestors 'none'")
        && !policy.contains("unsafe")
        && !policy.contains('*');
    is_strict
        && answer.header("x-content-type-options") == Some("nosniff")
        && answer.header("referrer-policy") == Some("same-origin")
}

#[test]
fn sec_s52_every_page_has_its_guards() {
    for server in [
        open_registry(),
        Server::configured("layerhouse: {index: {}}"),
    ] {
        for path in PATHS {
            let answer = open(&server.client, path);
            let status = answer.status;
            assert!(
                matches!(status, 200 | 303 | 401 | 403 | 404),
                "{path}: {status}"
            );
            assert!(is_guarded(&answer), "{path}: {:?}", answer.headers);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
            if status != 303 {
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
                let kind = answer.header("content-type");
                assert_eq!(kind, Some("text/html; charset=utf-8"), "{path}");
                assert!(answer.text().starts_with("<!doctype html>"), "{path}");
            }
        }
    }
}

/// No text of a template stands in for itself, and nothing is styled or scripted in place.
#[test]
fn pages_are_whole() {
    let server = open_registry();
    for path in PATHS {
        for language in ["en", "zh-CN,zh;q=0.9"] {
            let headers = [PAGE, ("Accept-Language", language)];
            let answer = server.client.send("GET", path, &headers, b"");
            // The history of a tag is a part of its repository's, which has a page.
            if !location(&answer).is_empty() {
                continue;
            }
            let text = answer.text();
            let lang = if language == "en" { "en" } else { "zh-CN" };
            assert!(text.contains(&format!("<html lang=\"{lang}\"")), "{path}");
            assert_eq!(text.matches("<h1").count(), 1, "{path}");
            assert!(text.trim_end().ends_with("</html>"), "{path}");
            for inline in [
                " style=\"",
                " onclick=",
                "<style",
                "<script>",
                "javascript:",
            ] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
    }
}

#[test]
fn methods_that_pages_do_not_have() {
    let server = open_registry();
    for path in ["/ui/", "/ui/r/acme/web", "/ui/nothing/of/ours"] {
        for method in ["PUT", "PATCH", "DELETE", "FANCY"] {
            let answer = server.client.send(method, path, &OWN, b"");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(
                answer.header("allow"),
                Some("GET, HEAD, POST"),
                "{method} {path}"
            );
            assert!(is_guarded(&answer), "{method} {path}");
        }
    }
    // What only changes something cannot be looked at: a link cannot do it.
    for path in [
        "/ui/preferences",
        "/ui/r/acme/web/-/undelete",
        "/ui/r/acme/web/-/star",
    ] {
        let status = open(&server.client, path).status;
        assert!(matches!(status, 404 | 405), "{path}: {status}");
    }
}

/// HEAD answers as GET, without the page.
#[test]
fn heads() {
    let server = open_registry();
    for path in PATHS {
        let page = open(&server.client, path);
        let head = server.client.send("HEAD", path, &[PAGE], b"");
        assert_eq!(head.status, page.status, "{path}");
        assert_eq!(
            head.header("content-type"),
            page.header("content-type"),
            "{path}"
        );
    }
}

#[test]
fn pages_are_sent_short_to_who_takes_gzip() {
    let server = open_registry();
    let asked = |path: &str, encoding: &str| {
        let headers = [PAGE, ("Accept-Encoding", encoding)];
        server.client.send("GET", path, &headers, b"")
    };
    for path in ["/ui/nothing/of/ours", "/ui/r/acme/none"] {
        let plain = asked(path, "identity");
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        for accepted in ["gzip", "br, gzip;q=0.5", "GZIP", "gzip, deflate, br, zstd"] {
            let short = asked(path, accepted);
            assert_eq!(short.header("content-encoding"), Some("gzip"), "{accepted}");
            assert!(short.body.len() < plain.body.len(), "{accepted}");
            let mut whole = String::new();
            GzDecoder::new(&*short.body)
                .read_to_string(&mut whole)
                .unwrap();
            assert!(whole.starts_with("<!doctype html>"));
        }
        for refused in ["gzip;q=0", "br", ""] {
            assert_eq!(
                asked(path, refused).header("content-encoding"),
                None,
                "{refused}"
            );
        }
    }
}

/// What is shown once, and made of what was posted, is sent as it is: its length would tell (BREACH).
#[test]
fn answers_to_forms_are_not_compressed() {
    let server = open_registry();
    for path in FORMS {
        let mut headers = OWN.to_vec();
        headers.push(("Accept-Encoding", "gzip"));
        let answer = server.client.send("POST", path, &headers, b"");
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
}

#[test]
fn files_have_their_digest_in_their_name_and_stay() {
    let server = open_registry();
    let page = open(&server.client, "/ui/nothing/of/ours").text();
    let files: Vec<_> = page
        .split('"')
        .filter(|part| part.starts_with("/ui/assets/"))
        .collect();
    for (name, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("script.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let path = files.iter().find(|path| path.ends_with(name)).unwrap();
        let answer = server.client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        let kept = "public, max-age=31536000, immutable";
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let digest = images::digest(&answer.body);
        let version = path.split('/').nth(3).unwrap();
        assert!(digest[7..].starts_with(version), "{path}: {digest}");
        let short = server
            .client
            .send("GET", path, &[("Accept-Encoding", "gzip")], b"");
        let mut whole = Vec::new();
        GzDecoder::new(&*short.body)
            .read_to_end(&mut whole)
            .unwrap();
        assert_eq!(whole, answer.body, "{path}");
        // 12 kB each is what a first visit may cost.
        assert!(short.body.len() < 12_000, "{path}: {}", short.body.len());
        // Those of another release are not there, and nobody keeps that.
        let other = path.replace(version, "000000000000");
        let answer = server.client.get(&other);
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (404, Some("no-store"))
        );
    }
    for path in [
        "/ui/assets/x/../style.css",
        "/ui/assets/x/%2e%2e%2fstyle.css",
        "/ui/assets/",
        "/ui/assets/style.css",
    ] {
        assert_eq!(server.client.get(path).status, 404, "{path}");
    }
}

/// A language and a theme that somebody chose hold on every page, and lead back to where they were chosen.
#[test]
fn what_was_chosen_is_kept() {
    let server = open_registry();
    let form = b"lang=zh-CN&theme=dark&next=%2Fui%2Fr%2Facme%2Fweb%3Fpage%3D2";
    let answer = server.client.send("POST", "/ui/preferences", &OWN, form);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/ui/r/acme/web?page=2"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite="),
        "{cookie}"
    );
    let (pair, _) = cookie.split_once(';').unwrap();
    let headers = [PAGE, ("Cookie", pair), ("Accept-Language", "en")];
    let text = server
        .client
        .send("GET", "/ui/nothing", &headers, b"")
        .text();
    assert!(
        text.contains("<html lang=\"zh-CN\" data-theme=\"dark\""),
        "{text}"
    );
    // A link can ask for a language, for one page.
    let text = server
        .client
        .send("GET", "/ui/nothing?lang=en", &headers, b"")
        .text();
    assert!(text.contains("<html lang=\"en\""), "{text}");
    // What nobody offered is not kept.
    let form = b"lang=%22%3E%3Cscript%3E&theme=%0d%0aX%3A+y&next=%2F%2Fevil.example";
    let answer = server.client.send("POST", "/ui/preferences", &OWN, form);
    assert_eq!(answer.header("location"), Some("/ui/"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        !cookie.contains("script") && !cookie.contains("X:"),
        "{cookie}"
    );
}
