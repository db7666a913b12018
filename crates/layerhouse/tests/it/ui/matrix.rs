//! Whoever asks for a page is let in as the API lets them in: every page of a private repository, a public one and
//! none, for every kind of visitor, against the endpoint that it stands for.

use super::{OWN, PAGE, location};
use crate::harness::http::Response;
use crate::harness::images;
use crate::index::house::{House, MEMBERS};

/// Below a repository: a page, and what of the API its visitors may ask. A parameter that no endpoint knows is
/// found (422) once it was decided that they may.
const OF_REPOSITORY: [(&str, &str, &str); 12] = [
    ("", "GET", ""),
    ("/-/tags", "GET", "/-/tags"),
    ("/-/t/kept", "GET", "/-/tags"),
    ("/-/t/kept/layers", "GET", "/-/tags"),
    ("/-/t/kept/referrers", "GET", "/-/tags"),
    ("/-/t/kept/history", "GET", "/-/history"),
    ("/-/t/kept/raw", "GET", "/-/tags"),
    ("/-/compare?a=kept&b=kept", "GET", "/-/tags"),
    ("/-/history", "GET", "/-/history"),
    ("/-/deleted", "GET", "/-/deleted"),
    ("/-/delete?tag=kept", "DELETE", "/-/tags/kept"),
    ("/-/delete?repository=yes", "DELETE", ""),
];

/// Where pages post to and what, and what of the API that is. `TO` stands for a digest.
const FORMS: [(&str, &str, &str, &str); 4] = [
    ("/delete", "tag=kept", "DELETE", "/-/tags/kept"),
    ("/undelete", "repository=yes", "POST", "/-/restore"),
    ("/undelete", "digest=TO", "POST", "/-/manifests/TO/restore"),
    (
        "/history/restore",
        "tag=kept&to=TO",
        "POST",
        "/-/tags/kept/restore",
    ),
];

/// What became of a question, whoever was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Let,
    Unknown,
    Forbidden,
    Hidden,
}

fn of_api(answer: &Response) -> Verdict {
    match answer.status {
        200 | 422 => Verdict::Let,
        401 => Verdict::Unknown,
        403 => Verdict::Forbidden,
        404 => Verdict::Hidden,
        other => panic!("{other}: {}", answer.text()),
    }
}

fn of_page(answer: &Response) -> Verdict {
    match answer.status {
        303 if location(answer).starts_with("/ui/login?next=") => Verdict::Unknown,
        // A form that was sent without what it asks for.
        200 | 303 | 409 | 422 => Verdict::Let,
        401 => Verdict::Unknown,
        403 => Verdict::Forbidden,
        404 => Verdict::Hidden,
        other => panic!("{other}: {}", answer.text()),
    }
}

struct Visitors {
    house: House,
    /// Names with their sessions.
    all: Vec<(&'static str, Option<String>)>,
}

impl Visitors {
    fn new() -> Self {
        let house = House::new();
        for (repository, layer) in [("acme/public", "shown"), ("acme/private", "hidden")] {
            house.push(repository, "kept", layer);
        }
        house.visibility("acme/public", "public");
        let session = |name| Some(format!("layerhouse_session={}", house.session(name)));
        let mut all = vec![
            ("nobody", None),
            ("otto", session("otto")),
            ("root", session("root")),
        ];
        all.extend(MEMBERS.map(|(name, _)| (name, session(name))));
        Self { house, all }
    }

    fn ask(&self, method: &str, path: &str, cookie: Option<&String>) -> Response {
        self.send(method, path, "", cookie)
    }

    fn send(&self, method: &str, path: &str, form: &str, cookie: Option<&String>) -> Response {
        let mut headers = vec![PAGE];
        if method == "POST" && path.starts_with("/ui/") {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        headers.extend_from_slice(&OWN);
        headers.extend(cookie.map(|cookie| ("Cookie", cookie.as_str())));
        self.house
            .server
            .client
            .send(method, path, &headers, form.as_bytes())
    }

    /// What the API says, to each in their order.
    fn api(&self, method: &str, path: &str, cookie: Option<&String>) -> Verdict {
        of_api(&self.ask(method, &format!("/api/v1{path}?nope=1"), cookie))
    }

    #[track_caller]
    fn check(&self, page: &str, method: &str, path: &str) {
        for (name, cookie) in &self.all {
            let expected = self.api(method, path, cookie.as_ref());
            let answer = self.ask("GET", &format!("/ui{page}"), cookie.as_ref());
            assert_eq!(
                of_page(&answer),
                expected,
                "{name}: /ui{page}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn sec_s02_pages_of_repositories_are_as_the_api() {
    let visitors = Visitors::new();
    for repository in ["acme/private", "acme/public", "acme/missing"] {
        for (page, method, rest) in OF_REPOSITORY {
            visitors.check(
                &format!("/r/{repository}{page}"),
                method,
                &format!("/repositories/{repository}{rest}"),
            );
        }
    }
}

impl Visitors {
    /// Whoever the API refuses is refused by the form in the same way; how many that were. The others are not
    /// tried, for it would be done.
    #[track_caller]
    fn check_form(&self, page: &str, form: &str, method: &str, path: &str) -> usize {
        let mut refused = 0;
        for (name, cookie) in &self.all {
            let expected = self.api(method, path, cookie.as_ref());
            if expected == Verdict::Let {
                continue;
            }
            let answer = self.send("POST", &format!("/ui{page}"), form, cookie.as_ref());
            assert_eq!(
                of_page(&answer),
                expected,
                "{name}: /ui{page}: {}",
                answer.text()
            );
            refused += 1;
        }
        refused
    }
}

#[test]
fn sec_s02_forms_of_repositories_are_as_the_api() {
    let visitors = Visitors::new();
    let digest = images::digest("nowhere");
    let mut refused = 0;
    for repository in ["acme/private", "acme/public", "acme/missing"] {
        for (page, form, method, path) in FORMS {
            let page = format!("/r/{repository}/-{page}");
            let path = format!("/repositories/{repository}{}", path.replace("TO", &digest));
            refused += visitors.check_form(&page, &form.replace("TO", &digest), method, &path);
        }
    }
    assert!(20 < refused, "{refused}");
}

/// S17: who may not see it is told of what is private as of what is not there, byte for byte.
#[test]
fn sec_s17_hidden_and_missing_are_alike() {
    let visitors = Visitors::new();
    let plain = |answer: Response, name: &str| {
        let mut answer = crate::index::house::alike(answer, name);
        let text = answer.text();
        // The request's number, which is another each time.
        let mut number = text
            .split("<code>")
            .filter(|part| part.get(8..9) == Some("-"));
        let number = number.find_map(|part| part.get(..36));
        let text = number.map_or(text.clone(), |number| text.replace(number, "NUMBER"));
        answer.body = text.into_bytes();
        answer
    };
    for (name, cookie) in visitors.all.iter().take(2) {
        for (page, ..) in OF_REPOSITORY {
            let both = ["acme/private", "acme/missing"].map(|repository| {
                let path = format!("/ui/r/{repository}{page}");
                let answer = visitors.ask("GET", &path, cookie.as_ref());
                plain(plain(answer, &repository.replace('/', "%2F")), repository)
            });
            assert_eq!(both[0], both[1], "{name}: {page}");
        }
        // Nor do lists and searches know it.
        for path in ["/ui/", "/ui/search?q=private", "/ui/search", "/ui/n/acme"] {
            let text = visitors.ask("GET", path, cookie.as_ref()).text();
            assert!(!text.contains("acme/private"), "{name}: {path}");
        }
    }
}
