//! Deleting, bringing back and moving back on pages: what is shown first, what is refused, what then is so.

use std::time::Duration;

use serde_json::Value;

use super::{OWN, location, open};
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;
use crate::index::house::House;

const DELETE: &str = "/ui/r/acme/web/-/delete";
const UNDELETE: &str = "/ui/r/acme/web/-/undelete";
const RESTORE: &str = "/ui/r/acme/web/-/history/restore";

/// A page as it is shown.
#[track_caller]
fn show(server: &Server, path: &str, status: u16) -> String {
    let answer = open(&server.client, path);
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    answer.text()
}

/// Posts a form as its own page does.
#[track_caller]
fn post(server: &Server, path: &str, form: &str, status: u16) -> Response {
    let answer = server.client.send("POST", path, &OWN, form.as_bytes());
    assert_eq!(answer.status, status, "{path} {form}: {}", answer.text());
    answer
}

/// What a hidden field of a page says.
#[track_caller]
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let field = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&field).expect("the page has the field");
    rest.split('"').next().expect("a value")
}

/// Looks at what a deletion would do, and does it.
#[track_caller]
fn delete(server: &Server, query: &str) -> String {
    let page = show(server, &format!("{DELETE}?{query}"), 200);
    let form = format!("{query}&seen={}", hidden(&page, "seen"));
    location(&post(server, DELETE, &form, 303)).to_owned()
}

fn digest_of(server: &Server, tag: &str) -> Option<String> {
    let path = format!("/v2/acme/web/manifests/{tag}");
    let answer = server.client.send("HEAD", &path, &[], b"");
    answer.header("docker-content-digest").map(str::to_owned)
}

fn short(digest: &str) -> &str {
    &digest[..19]
}

#[test]
fn a_tag_goes_alone_and_comes_back() {
    let server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "layer");
    images::push_manifest(&server.client, "acme/web", "latest", &manifest);
    let digest = images::digest(&manifest);
    let page = show(&server, &format!("{DELETE}?tag=v1"), 200);
    assert!(page.contains(short(&digest)), "{page}");
    assert!(page.contains("1 other tag points at it:"), "{page}");
    assert!(page.contains("no space returns"), "{page}");
    assert!(page.contains("in 7 days"), "{page}");
    let went_to = delete(&server, "tag=v1");
    assert_eq!(
        went_to,
        "/ui/r/acme/web/-/tags?said=tags_deleted&undo=tag:v1"
    );
    assert_eq!(digest_of(&server, "v1"), None);
    assert_eq!(digest_of(&server, "latest"), Some(digest.clone()));
    let page = open(&server.client, &went_to).text();
    assert!(page.contains("The tags were deleted."), "{page}");
    assert!(
        page.contains("action=\"/ui/r/acme/web/-/undelete\""),
        "{page}"
    );
    assert_eq!(hidden(&page, "tag"), "v1");
    post(&server, UNDELETE, "tag=v1", 303);
    assert_eq!(digest_of(&server, "v1"), Some(digest));
    // One that is there is nobody's to take back.
    images::push_image(&server.client, "acme/web", "v1", "other");
    let now = digest_of(&server, "v1");
    post(&server, UNDELETE, "tag=v1", 409);
    assert_eq!(digest_of(&server, "v1"), now);
    show(&server, &format!("{DELETE}?tag=none"), 404);
    show(&server, &format!("{DELETE}?tag=a/b"), 422);
    let nothing = open(&server.client, DELETE);
    let to = "/ui/r/acme/web/-/tags?said=nothing_chosen";
    assert_eq!((nothing.status, location(&nothing)), (303, to));
}

/// What comes back of it is said, and when.
#[test]
fn the_images_of_tags_go_with_them_if_that_is_wished() {
    let server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", &"x".repeat(4096));
    images::push_image(&server.client, "acme/web", "v2", "other");
    let digest = images::digest(&manifest);
    let page = show(&server, &format!("{DELETE}?tag=v1"), 200);
    assert!(page.contains("1 image would have no tag left"), "{page}");
    // Both ways, with what each leaves; deleting a tag takes no image unless that is chosen.
    assert!(
        page.contains("href=\"?tag=v1\" aria-current=\"true\""),
        "{page}"
    );
    assert!(page.contains("No retention policy deletes"), "{page}");
    assert!(page.contains("href=\"?tag=v1&#38;images=yes\">"), "{page}");
    assert!(page.contains("and 4.00 KiB returns once"), "{page}");
    assert!(page.contains("Delete tags only"), "{page}");
    let page = show(&server, &format!("{DELETE}?tag=v1&images=yes"), 200);
    assert!(page.contains("4.00 KiB"), "{page}");
    assert!(page.contains("1 blob is needed by nothing else"), "{page}");
    assert!(page.contains("2 B of it stays"), "{page}");
    assert!(page.contains("Delete tags and images"), "{page}");
    let plain = "<code>application/vnd.oci.image.manifest.v1+json</code>";
    assert!(page.contains(plain), "{page}");
    let went_to = delete(&server, "tag=v1&images=yes");
    assert_eq!(
        went_to,
        format!("/ui/r/acme/web/-/tags?said=image_deleted&undo={digest}")
    );
    assert_eq!(digest_of(&server, &digest), None);
    let page = show(&server, "/ui/r/acme/web/-/deleted", 200);
    assert_eq!(hidden(&page, "digest"), digest);
    assert!(page.contains("<code>v1</code>"), "{page}");
    assert!(page.contains("somebody asked for it"), "{page}");
    post(&server, UNDELETE, &format!("digest={digest}"), 303);
    assert_eq!(digest_of(&server, "v1"), Some(digest.clone()));
    let page = show(&server, "/ui/r/acme/web/-/deleted", 200);
    assert!(page.contains("There is nothing to bring back"), "{page}");
    post(&server, UNDELETE, &format!("digest={digest}"), 404);
}

/// Who looked at one thing does not delete another.
#[test]
fn what_moved_since_it_was_shown_stays() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "first");
    let page = show(&server, &format!("{DELETE}?tag=v1"), 200);
    let seen = hidden(&page, "seen").to_owned();
    let second = images::push_image(&server.client, "acme/web", "v1", "second");
    let second = images::digest(second);
    let answer = post(&server, DELETE, &format!("tag=v1&seen={seen}"), 409);
    let page = answer.text();
    assert!(
        page.contains("Something changed since you looked"),
        "{page}"
    );
    assert!(page.contains(short(&second)), "{page}");
    assert_eq!(digest_of(&server, "v1"), Some(second));
    // Who was shown the new one may go on; who was shown nothing, not.
    post(&server, DELETE, "tag=v1", 409);
    let form = format!("tag=v1&seen={}", hidden(&page, "seen"));
    post(&server, DELETE, &form, 303);
    assert_eq!(digest_of(&server, "v1"), None);
}

#[test]
fn what_an_index_needs_stays_and_goes_with_it() {
    let server = Server::start();
    let client = &server.client;
    let image = images::push_image(client, "acme/web", "amd64", "layer");
    let index = images::index(&[&image]).to_string();
    images::push_manifest(client, "acme/web", "all", &index);
    let (image, index) = (images::digest(&image), images::digest(&index));
    let page = show(&server, &format!("{DELETE}?digest={image}"), 200);
    assert!(page.contains("would be broken without it"), "{page}");
    assert!(page.contains(short(&index)), "{page}");
    assert!(!page.contains("name=\"seen\""), "{page}");
    post(&server, DELETE, &format!("digest={image}"), 409);
    // Its tag may go: it stays as a part of the index.
    let page = show(&server, &format!("{DELETE}?tag=amd64&images=yes"), 200);
    assert!(page.contains("It is part of an index:"), "{page}");
    let page = show(&server, &format!("{DELETE}?digest={index}"), 200);
    assert!(page.contains("has a tag of its own"), "{page}");
    delete(&server, &format!("digest={index}"));
    assert_eq!(digest_of(&server, "all"), None);
    assert_eq!(digest_of(&server, "amd64"), Some(image));
}

#[test]
fn a_repository_goes_by_its_name_and_comes_back() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let page = show(&server, &format!("{DELETE}?repository=yes"), 200);
    let form = format!("repository=yes&seen={}", hidden(&page, "seen"));
    for typed in ["", "&name=acme", "&name=acme%2Fwebs"] {
        let answer = post(&server, DELETE, &format!("{form}{typed}"), 422);
        assert!(answer.text().contains("role=\"alert\""), "{typed}");
    }
    assert!(digest_of(&server, "v1").is_some());
    let answer = post(&server, DELETE, &format!("{form}&name=acme%2Fweb"), 303);
    let deleted = "/ui/r/acme/web/-/deleted?said=repository_deleted";
    assert_eq!(location(&answer), deleted);
    assert_eq!(digest_of(&server, "v1"), None);
    let page = show(&server, deleted, 200);
    assert!(page.contains("Bring the repository back"), "{page}");
    show(&server, &format!("{DELETE}?repository=yes"), 404);
    post(&server, UNDELETE, "repository=yes", 303);
    assert!(digest_of(&server, "v1").is_some());
    post(&server, UNDELETE, "repository=yes", 404);
}

/// S18: what is switched off is so on pages, too, and they say how to switch it on.
#[test]
fn sec_s18_pages_delete_as_the_configuration_allows() {
    let mut server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    for (configuration, said) in [
        ("storage: {delete: {enabled: false}}", "enabled: true"),
        (
            "storage: {maintenance: {readonly: {enabled: true}}}",
            "readonly:",
        ),
    ] {
        server.reconfigure(configuration);
        let page = show(&server, &format!("{DELETE}?tag=v1"), 409);
        assert!(page.contains(said), "{page}");
        post(&server, DELETE, "tag=v1", 409);
        post(&server, DELETE, "repository=yes&name=acme%2Fweb", 409);
    }
    server.reconfigure(
        "layerhouse: {policies: [{repositories: ['acme/*'], immutable: {tags: ['v*']}}]}",
    );
    for query in ["tag=v1", "repository=yes"] {
        let page = show(&server, &format!("{DELETE}?{query}"), 200);
        assert!(page.contains("tag v1 is immutable here"), "{page}");
        let form = format!("{query}&name=acme%2Fweb&seen=x");
        post(&server, DELETE, &form, 409);
    }
    assert!(digest_of(&server, "v1").is_some());
}

#[test]
fn a_tag_is_pointed_where_it_was() {
    let server = Server::start();
    let first = images::push_image(&server.client, "acme/web", "v1", "first");
    server.advance(Duration::from_hours(1));
    let second = images::push_image(&server.client, "acme/web", "v1", "second");
    let (first, second) = (images::digest(first), images::digest(second));
    let page = show(&server, "/ui/r/acme/web/-/history", 200);
    let (new, moved) = (page.find(short(&second)), page.rfind(short(&first)));
    assert!(new < moved, "the last is not first: {page}");
    let page = show(&server, "/ui/r/acme/web/-/history?tag=v1", 200);
    assert!(page.contains("<svg class=\"picture timeline\""), "{page}");
    assert!(page.contains("2 moves are shown"), "{page}");
    assert!(page.contains(&format!("name=\"to\" value=\"{first}\"")));
    let page = post(&server, RESTORE, &format!("tag=v1&to={first}"), 200).text();
    assert_eq!(hidden(&page, "now"), second);
    assert_eq!(digest_of(&server, "v1"), Some(second.clone()));
    let form = format!("sure=yes&tag=v1&to={first}&now={second}");
    // It was moved since, by somebody else.
    let third = images::digest(images::push_image(
        &server.client,
        "acme/web",
        "v1",
        "third",
    ));
    let answer = post(&server, RESTORE, &form, 409);
    assert!(answer.text().contains("was moved since you looked"));
    assert_eq!(digest_of(&server, "v1"), Some(third.clone()));
    let form = format!("sure=yes&tag=v1&to={first}&now={third}");
    let answer = post(&server, RESTORE, &form, 303);
    let history = "/ui/r/acme/web/-/history?tag=v1&said=tag_restored";
    assert_eq!(location(&answer), history);
    assert_eq!(digest_of(&server, "v1"), Some(first));
    // What was deleted comes back with it.
    let path = format!("/v2/acme/web/manifests/{second}");
    assert_eq!(server.client.send("DELETE", &path, &[], b"").status, 202);
    let page = post(&server, RESTORE, &format!("tag=v1&to={second}"), 200).text();
    assert!(page.contains("comes back with its tag"), "{page}");
    let gone = images::digest("never");
    let page = post(&server, RESTORE, &format!("tag=v1&to={gone}"), 200).text();
    assert!(page.contains("gone for good"), "{page}");
    assert!(!page.contains("name=\"now\""), "{page}");
    for (query, status) in [
        ("history?tag=a/b", 422),
        ("history?before=x", 422),
        ("history/restore?tag=v1", 405),
        ("history?tag=none", 200),
    ] {
        show(&server, &format!("/ui/r/acme/web/-/{query}"), status);
    }
    show(&server, "/ui/r/acme/none/-/history", 404);
    show(&server, "/ui/r/acme/none/-/deleted", 404);
}

/// With accounts, roles decide as they do for the API, and the audit says who it was.
#[test]
fn sec_s17_roles_decide_and_the_audit_says_who() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let server = &house.server;
    let digest = digest_by(&house, "v1").expect("it was pushed");
    let status = |who: &str, path: &str| {
        let cookie = format!("layerhouse_session={}", house.session(who));
        let headers = [super::PAGE, ("Cookie", cookie.as_str())];
        server.client.send("GET", path, &headers, b"").status
    };
    let delete = format!("{DELETE}?tag=v1");
    for (path, reader, writer, maintainer) in [
        ("/ui/r/acme/web/-/history", 200, 200, 200),
        ("/ui/r/acme/web/-/deleted", 200, 200, 200),
        (&*delete, 403, 403, 200),
    ] {
        assert_eq!(status("rita", path), reader, "{path}");
        assert_eq!(status("will", path), writer, "{path}");
        assert_eq!(status("max", path), maintainer, "{path}");
        assert_eq!(status("otto", path), 404, "{path}");
        let none = path.replace("acme/web", "acme/none");
        assert_eq!(status("otto", &none), 404, "{none}");
    }
    let max = format!("layerhouse_session={}", house.session("max"));
    let send = |path: &str, form: &str| {
        let mut headers = OWN.to_vec();
        headers.push(("Cookie", max.as_str()));
        server.client.send("POST", path, &headers, form.as_bytes())
    };
    let headers = [super::PAGE, ("Cookie", max.as_str())];
    let page = server
        .client
        .send("GET", &format!("{DELETE}?digest={digest}"), &headers, b"");
    let form = format!("digest={digest}&seen={}", hidden(&page.text(), "seen"));
    assert_eq!(send(DELETE, &form).status, 303);
    assert_eq!(send(UNDELETE, &format!("digest={digest}")).status, 303);
    assert_eq!(digest_by(&house, "v1"), Some(digest.clone()));
    let audit = house.rule("GET", "/audit?subject=acme/web", &Value::Null, 200);
    assert_eq!(audit["items"][0]["actor"], "max", "{audit}");
    assert_eq!(audit["items"][0]["detail"]["digest"], digest, "{audit}");
}

fn digest_by(house: &House, tag: &str) -> Option<String> {
    let path = format!("/v2/acme/web/manifests/{tag}");
    let answer = house.send("HEAD", &path, &house.root, b"");
    answer.header("docker-content-digest").map(str::to_owned)
}
