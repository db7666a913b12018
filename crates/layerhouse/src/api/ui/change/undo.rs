//! The way back, beside the notice of what was just deleted.

use std::fmt::Write as _;

use super::super::escape::Escaped;
use super::super::form::Pairs;
use super::super::shell::Html;

/// Steps that can be taken back at once; for more there is the page of what was deleted.
pub(super) const STEPS_MAX: usize = 50;
/// What a notice is called that comes with a way back.
const NOTICES: [&str; 2] = ["tags_deleted", "image_deleted"];

/// The form that takes back what the address of a page says was deleted: `undo=tag:v1`, `undo=sha256:…`. Who
/// follows a made-up address can bring back with it what was deleted, and nothing else: see `undelete.rs`.
pub(in crate::api::ui) fn form(root: &str, path: &str, query: &Pairs, word: &str) -> Option<Html> {
    let notice = query.get("said")?;
    let (name, _) = path.strip_prefix("/ui/r/")?.split_once("/-/")?;
    let mut fields = String::new();
    for step in query.all("undo").take(STEPS_MAX) {
        let (field, value) = match step.strip_prefix("tag:") {
            Some(tag) => ("tag", tag),
            None => ("digest", step),
        };
        let value = Escaped(value);
        let _ = write!(
            fields,
            "<input type=\"hidden\" name=\"{field}\" value=\"{value}\">"
        );
    }
    let is_known = NOTICES.contains(&notice) && !fields.is_empty();
    let action = Escaped(format!("{root}/ui/r/{name}/-/undelete"));
    is_known.then(|| {
        Html(format!(
            "<form class=\"undo\" method=\"post\" action=\"{action}\">{fields}<button type=\"submit\">{word}</button></form>"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_deleted_comes_with_a_way_back() {
        let check = |path: &str, query: &str, expected: Option<&str>| {
            let query = Pairs::parse(query.as_bytes());
            let found = form("/x", path, &query, "Undo").map(|form| form.0);
            match expected {
                None => assert_eq!(found, None, "{path}"),
                Some(part) => {
                    let found = found.expect("a form");
                    assert!(found.contains(part), "{found}");
                }
            }
        };
        let tags = "/ui/r/acme/web/-/tags";
        check(
            tags,
            "said=tags_deleted&undo=tag:v1",
            Some("name=\"tag\" value=\"v1\""),
        );
        check(
            tags,
            "said=image_deleted&undo=sha256:ab",
            Some("action=\"/x/ui/r/acme/web/-/undelete\""),
        );
        check(
            tags,
            "said=tags_deleted&undo=tag:\"><script>",
            Some("value=\"&quot;&gt;&lt;script&gt;\""),
        );
        check(tags, "said=tags_deleted", None);
        check(tags, "said=other&undo=tag:v1", None);
        check("/ui/search", "said=tags_deleted&undo=tag:v1", None);
    }
}
