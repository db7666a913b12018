//! The pages under `/ui/`, as HTTP has them. What they look like and do in a browser, `scripts/test-ui` says.

mod account;
mod addresses;
mod admin;
mod answers;
mod browse;
mod change;
mod elsewhere;
mod foreign;
mod matrix;

use crate::harness::http::{Client, Response};

/// What browsers send with a click on a link.
const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
/// The same server's page, as `Sec-Fetch-Site` and `Origin` say it.
const OWN: [(&str, &str); 2] = [
    ("Sec-Fetch-Site", "same-origin"),
    ("Origin", "http://registry"),
];

/// Asks as a browser does.
fn open(client: &Client, path: &str) -> Response {
    client.send("GET", path, &[PAGE], b"")
}

/// Where an answer sends a browser to; empty if nowhere.
fn location(answer: &Response) -> &str {
    answer.header("location").unwrap_or_default()
}

/// Where pages of all kinds are, those of refusals among them, on a server where `acme/web:v1` is.
const PATHS: [&str; 30] = [
    "/ui",
    "/ui/",
    "/ui/search",
    "/ui/search?q=web",
    "/ui/n/acme",
    "/ui/n/none",
    "/ui/r/acme/web",
    "/ui/r/acme/none",
    "/ui/r/acme/web/-/tags",
    "/ui/r/acme/web/-/t/v1",
    "/ui/r/acme/web/-/t/v1/layers",
    "/ui/r/acme/web/-/t/v1/referrers",
    "/ui/r/acme/web/-/t/v1/history",
    "/ui/r/acme/web/-/t/v1/raw",
    "/ui/r/acme/web/-/t/none",
    "/ui/r/acme/web/-/compare",
    "/ui/r/acme/web/-/history",
    "/ui/r/acme/web/-/delete?tag=v1",
    "/ui/r/acme/web/-/deleted",
    "/ui/r/acme/web/-/settings",
    "/ui/r/acme/web/-/access",
    "/ui/login",
    "/ui/signup",
    "/ui/me",
    "/ui/me/tokens",
    "/ui/o/acme/members",
    "/ui/admin/",
    "/ui/admin/storage",
    "/ui/help/",
    "/ui/nothing/of/ours",
];

/// Where browsers post to.
const FORMS: [&str; 16] = [
    "/ui/preferences",
    "/ui/login",
    "/ui/logout",
    "/ui/signup",
    "/ui/setup",
    "/ui/me",
    "/ui/me/tokens",
    "/ui/o/acme/members",
    "/ui/admin/users",
    "/ui/admin/collection",
    "/ui/r/acme/web/-/delete",
    "/ui/r/acme/web/-/undelete",
    "/ui/r/acme/web/-/history/restore",
    "/ui/r/acme/web/-/settings",
    "/ui/r/acme/web/-/star",
    "/ui/nothing/of/ours",
];
