//! Two answers to one request, and in what they differ.

use serde_json::Value;

use super::traffic::path_of;
use crate::harness::http::Response;

/// Headers that are about the connection or the moment, not about what was asked.
const UNCOMPARED: &[&str] = &[
    "allow",
    "connection",
    "date",
    "keep-alive",
    "transfer-encoding",
];

/// Each difference as `aspect: registry:2's → Layerhouse's`; none if a client cannot tell them apart.
pub(super) fn differences(
    method: &str,
    registry2: &Response,
    layerhouse: &Response,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |aspect: &str, left: String, right: String| {
        if left != right {
            found.push(format!("{aspect}: {left} → {right}"));
        }
    };
    compare(
        "allow",
        value("allow", registry2),
        value("allow", layerhouse),
    );
    compare("outcome", outcome(registry2), outcome(layerhouse));
    // Behind another outcome nothing else means the same.
    let is_error = 400 <= registry2.status;
    if outcome(registry2) != outcome(layerhouse) {
        return found;
    }
    let bodies = (body(registry2), body(layerhouse));
    let mut names: Vec<&str> = [registry2, layerhouse]
        .iter()
        .flat_map(|answer| answer.headers.iter().map(|(name, _)| name.as_str()))
        .filter(|name| !UNCOMPARED.contains(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        // The lengths of bodies that differ say nothing new, nor do those of errors, whose words are each
        // registry's own.
        if name == "content-length" && (bodies.0 != bodies.1 || is_error) {
            continue;
        }
        // An error to HEAD has no body that its type would tell of.
        if name == "content-type" && is_error && method == "HEAD" {
            continue;
        }
        compare(name, value(name, registry2), value(name, layerhouse));
    }
    if let (Some(left), Some(right)) = (sorted(registry2), sorted(layerhouse)) {
        let is_order = left == right && bodies.0 != bodies.1;
        compare("order of tags", is_order.to_string(), false.to_string());
        if is_order {
            return found;
        }
    }
    compare("body", bodies.0, bodies.1);
    found
}

/// A list of tags with its tags in order.
fn sorted(answer: &Response) -> Option<Value> {
    let mut list: Value = serde_json::from_slice(&answer.body).ok()?;
    let tags = list.get_mut("tags")?.as_array_mut()?;
    tags.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
    Some(list)
}

/// The status and the codes of errors.
fn outcome(answer: &Response) -> String {
    if answer.status == 0 {
        return "broken".to_owned();
    }
    let mut outcome = answer.status.to_string();
    for error in errors(answer) {
        outcome.push(' ');
        outcome.push_str(error["code"].as_str().unwrap_or("?"));
    }
    outcome
}

fn errors(answer: &Response) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, &body["errors"]) {
        (400.., Value::Array(errors)) => errors.clone(),
        _ => Vec::new(),
    }
}

/// A body as it is compared: of errors the detail that clients read, of others every byte.
fn body(answer: &Response) -> String {
    let errors = errors(answer);
    if errors.is_empty() {
        return shortened(
            &String::from_utf8_lossy(&answer.body)
                .escape_debug()
                .to_string(),
        );
    }
    let details = errors.iter().map(|error| match error["code"].as_str() {
        Some("UNAUTHORIZED" | "DENIED") => error["detail"].to_string(),
        _ => String::new(),
    });
    details.collect()
}

fn value(name: &str, answer: &Response) -> String {
    let all: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
        .collect();
    let text = all.join(" | ");
    match name {
        _ if all.is_empty() => "none".to_owned(),
        // What is not there and what is empty are equally long.
        "content-length" if text == "0" => "none".to_owned(),
        "docker-upload-uuid" => "given".to_owned(),
        "content-type" => text.split(';').next().unwrap_or("").to_owned(),
        "location" => location(&text),
        "www-authenticate" => challenge(&text),
        _ => text,
    }
}

/// Without the name of the host, the id of an upload and registry:2's state of it.
fn location(url: &str) -> String {
    let path = path_of(url);
    let form = if path == url { "" } else { "host" };
    let path = path.split("?_state=").next().unwrap_or(path);
    match path.split_once("/blobs/uploads/") {
        Some((before, _)) => format!("{form}{before}/blobs/uploads/<upload>"),
        None => format!("{form}{path}"),
    }
}

/// With scopes and their actions in order, which registry:2 has in maps.
fn challenge(text: &str) -> String {
    let Some((before, rest)) = text.split_once("scope=\"") else {
        return text.to_owned();
    };
    let (scopes, behind) = rest.split_once('"').unwrap_or((rest, ""));
    let in_order = scopes.split(' ').map(|scope| {
        let (resource, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
        let mut actions: Vec<&str> = actions.split(',').collect();
        actions.sort_unstable();
        format!("{resource}:{}", actions.join(","))
    });
    let mut scopes: Vec<String> = in_order.collect();
    scopes.sort_unstable();
    format!("{before}scope=\"{}\"{behind}", scopes.join(" "))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().expect("a split has one part at least");
    for part in parts {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[test]
fn patterns_match_whole_texts() {
    for (pattern, text, expected) in [
        ("GET /v2/", "GET /v2/", true),
        ("GET /v2/", "GET /v2/x", false),
        ("GET *", "GET /v2/x", true),
        ("* /v2/*/tags/list", "GET /v2/a/tags/list", true),
        ("* /v2/*/tags/list", "GET /v2/a/tags/list?n=1", false),
        ("a*ab", "ab", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
