//! How `WWW-Authenticate` says what to sign in with, and for what.

use std::fmt::Write as _;

use super::needs::{Need, Wanted};

/// A challenge for tokens (RFC 6750, 3).
pub(super) fn bearer(realm: &str, service: &str, scopes: &[String]) -> String {
    let mut challenge = format!("Bearer realm={},service={}", quoted(realm), quoted(service));
    if !scopes.is_empty() {
        let _ = write!(challenge, ",scope={}", quoted(&scopes.join(" ")));
    }
    challenge
}

/// The scopes of all that is asked for, those of one resource in one.
pub(super) fn scopes(need: &Need) -> Vec<String> {
    let asked_for = need.asked_for();
    let mut groups: Vec<Vec<&Wanted>> = Vec::new();
    for wanted in &asked_for {
        let group = groups
            .iter_mut()
            .find(|group| group[0].resource == wanted.resource);
        match group {
            Some(group) if group.contains(&wanted) => {}
            Some(group) => group.push(wanted),
            None => groups.push(vec![wanted]),
        }
    }
    groups.iter().map(|group| scope(group)).collect()
}

/// `repository:acme/web:pull,push`
pub(super) fn scope(wanted: &[&Wanted]) -> String {
    let resource = &wanted[0].resource;
    let actions: Vec<_> = wanted.iter().map(|wanted| wanted.action.name()).collect();
    format!(
        "{}:{}:{}",
        resource.kind(),
        resource.name(),
        actions.join(",")
    )
}

/// A quoted string (RFC 9110, 5.6.4); what no header can have becomes a space.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => quoted.push(' '),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_header_early_is_escaped() {
        assert_eq!(quoted("a \"q\\ é\r\nX: y"), "\"a \\\"q\\\\ é  X: y\"");
    }
}
