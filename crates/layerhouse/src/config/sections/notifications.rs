//! `notifications`: who is told of events.

use std::time::Duration;

use http::Uri;

use crate::config::meaning::{Endpoint, Notifications};
use crate::config::reader::Section;

/// registry:2's for both, where 0 or nothing is said.
const SECOND: Duration = Duration::from_secs(1);
const THRESHOLD: u32 = 10;
const ACTIONS: [&str; 4] = ["pull", "push", "mount", "delete"];

pub(in crate::config) fn read(root: &Section<'_>) -> Notifications {
    let notifications = root.section("notifications");
    let events = notifications.section("events");
    let endpoints = notifications.sections("endpoints");
    let mut names: Vec<String> = Vec::new();
    let endpoints = endpoints.iter().filter_map(|section| {
        let is_disabled = section.flag("disabled", false);
        let mut endpoint = endpoint(section, is_disabled).filter(|_| !is_disabled)?;
        let free = free_name(&endpoint.name, &names);
        if free != endpoint.name {
            section.warn(
                "name",
                format!(
                    "{:?} is another endpoint's; this one is called {free:?}\
                     : give it a name of its own, or it goes by its place in the list",
                    endpoint.name
                ),
            );
            endpoint.name = free;
        }
        names.push(endpoint.name.clone());
        Some(endpoint)
    });
    let endpoints = endpoints.collect();
    Notifications {
        include_references: events.flag("includereferences", false),
        endpoints,
    }
}

/// By its name is known how far an endpoint came, so no two have the same; registry:2 takes that.
fn free_name(name: &str, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let mut numbered = (2_u32..).map(|number| format!("{name} ({number})"));
    Some(name.to_owned())
        .filter(is_free)
        .or_else(|| numbered.find(is_free))
        .unwrap_or_else(|| name.to_owned())
}

fn endpoint(section: &Section<'_>, is_disabled: bool) -> Option<Endpoint> {
    let name = section.text("name");
    let url = section.text("url");
    let headers = section.headers("headers");
    let timeout = section.duration_or("timeout", SECOND);
    let threshold = section.positive("threshold", THRESHOLD);
    let backoff = section.duration_or("backoff", SECOND);
    let mut ignored_media_types = section.texts("ignoredmediatypes");
    let ignore = section.section("ignore");
    ignored_media_types.extend(ignore.texts("mediatypes"));
    let ignored_actions = ignore.texts("actions");
    for action in &ignored_actions {
        if !ACTIONS.contains(&action.as_str()) {
            ignore.warn(
                "actions",
                format!("{action:?} is no action; there are {}", ACTIONS.join(", ")),
            );
        }
    }
    let Some(text) = url else {
        if !is_disabled {
            section.refuse("url", "is missing: where events are sent");
        }
        return None;
    };
    let url = text
        .parse::<Uri>()
        .ok()
        .filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    let Some(url) = url else {
        section.refuse("url", "is not a URL that begins with http:// or https://");
        return None;
    };
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| name_of(&url));
    Some(Endpoint {
        name,
        url,
        headers,
        timeout,
        threshold,
        backoff,
        ignored_media_types,
        ignored_actions,
    })
}

/// Host, port and path: what may be shown of a URL, and tells two on one host apart.
fn name_of(url: &Uri) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let path = Some(url.path()).filter(|path| *path != "/");
    let host = url.host().unwrap_or_default();
    format!("{host}{port}{}", path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_endpoints_apart_and_no_secrets() {
        let check = |url: &str, name: &str| {
            assert_eq!(name_of(&url.parse().expect("a URL")), name, "{url}");
        };
        check("http://ci.example.com", "ci.example.com");
        check("http://u:secret@ci.example.com:81/", "ci.example.com:81");
        check("https://ci.example.com/a?key=secret", "ci.example.com/a");
        let taken = ["a", "a (2)"].map(str::to_owned);
        assert_eq!(free_name("b", &taken), "b");
        assert_eq!(free_name("a", &taken), "a (3)");
    }
}
