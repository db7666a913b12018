//! What pages read of others' bytes, for the fuzz targets: what must hold, whatever they are.
#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a target reports what it found"
)]

use super::browse::aim::{Aim, aim};
use super::form::local_path;
use super::markdown::html;
use super::route::{Part, Route, page_of_reference};

/// A README: of whatever it says, only elements that do nothing come out, each closed (S52).
pub fn markdown(data: &[u8]) {
    /// Elements without an end.
    const EMPTY: [&str; 3] = ["br", "hr", "input"];
    let shown = html(&String::from_utf8_lossy(data));
    let mut open = Vec::new();
    for part in shown.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{shown}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(
            name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{shown}"
        );
        assert!(
            !matches!(name, "script" | "style" | "img" | "iframe" | "form"),
            "{shown}"
        );
        // What stands in quotes has none: every other part is outside of them.
        for outside in attributes.split('"').step_by(2) {
            let does_something =
                outside.trim_start().starts_with("on") || outside.contains("style");
            assert!(!does_something, "{shown}");
        }
        let target = attributes.split_once("href=\"").map(|(_, target)| target);
        let is_known = |target: &str| {
            let target = target.to_ascii_lowercase();
            let starts = ["https://", "http://", "mailto:", "#"];
            starts.iter().any(|start| target.starts_with(start))
        };
        assert!(target.is_none_or(is_known), "{shown}");
        if !EMPTY.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{shown}");
}

/// An address below `/ui`, a reference behind the host, what somebody searches for, and where a form leads.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(Route::Repository(name, part)) = Route::parse(&text) {
        assert!(!name.as_str().contains("/-/"), "{name}");
        assert!(!matches!(part, Part::Overview) || !text.contains("/-/"));
    }
    if let Some(page) = page_of_reference(&text) {
        let rest = super::path_below(&page).expect("a page's address");
        let found = Route::parse(rest);
        assert!(matches!(found, Some(Route::Repository(..))), "{page}");
        assert_eq!(local_path(&page), Some(&*page));
    }
    if let Some(path) = local_path(&text) {
        let before_query = path.split('?').next().unwrap_or_default();
        assert!(path.starts_with("/ui") && !path.contains('\\'));
        assert!(!before_query.contains("//"), "{path}");
    }
    match aim(&text, "registry.example:5000") {
        Aim::Digest(start) => assert!(start.starts_with("sha256:") || start.starts_with("sha512:")),
        Aim::Repository(_) | Aim::Tag(..) | Aim::Manifest(..) | Aim::Words => {}
    }
}
