//! Who we are to an upstream, and what follows from that for its copies.

use std::path::PathBuf;

use super::index_sources::{is_local, secret};
use super::mirror_upstream::host_of;
use crate::auth::rights::Visibility;
use crate::config::meaning::mirror::UpstreamLogin;
use crate::config::reader::Section;

/// At most one of the ways to sign in.
pub(super) fn login(entry: &Section<'_>, url: Option<&str>) -> UpstreamLogin {
    let user = entry.text("username");
    let password = secret(entry, "password");
    let token = secret(entry, "token");
    let file = entry.text("credentials").map(PathBuf::from);
    let ways = [
        user.is_some() || password.is_some(),
        token.is_some(),
        file.is_some(),
    ];
    if 1 < ways.iter().filter(|is_said| **is_said).count() {
        entry.refuse(
            "",
            "says more than one of username and password, token, and credentials; one must stay",
        );
        return UpstreamLogin::Anonymous;
    }
    let login = match (user, password, token, file) {
        (Some(user), Some(password), _, _) => UpstreamLogin::Password { user, password },
        (Some(_), None, _, _) => {
            entry.refuse("password", "is missing, or passwordfile");
            UpstreamLogin::Anonymous
        }
        (None, Some(_), _, _) => {
            entry.refuse("username", "is missing: whose password it is");
            UpstreamLogin::Anonymous
        }
        (None, None, Some(token), _) => UpstreamLogin::Token(token),
        (None, None, None, Some(file)) => UpstreamLogin::File(file),
        (None, None, None, None) => UpstreamLogin::Anonymous,
    };
    warn_of_plain_login(entry, "url", url, &login);
    login
}

/// Says that a login goes over the network for all to read.
pub(super) fn warn_of_plain_login(
    section: &Section<'_>,
    key: &str,
    url: Option<&str>,
    login: &UpstreamLogin,
) {
    let is_plain = url.is_some_and(|url| url.starts_with("http://") && !is_local(&host_of(url)));
    if is_plain && *login != UpstreamLogin::Anonymous {
        section.warn(
            key,
            "begins with http://: the login crosses the network for all to read",
        );
    }
}

/// Who may see copies: what only a login shows is not for all.
pub(super) fn visibility(entry: &Section<'_>, login: &UpstreamLogin) -> Visibility {
    let (default, word) = visibility_default(login);
    let words = [
        ("private", Visibility::Private),
        ("public", Visibility::Public),
    ];
    entry
        .word("visibility", &words, Some(word))
        .unwrap_or(default)
}

/// Of the copies of an upstream of which nothing is said.
pub(super) fn visibility_default(login: &UpstreamLogin) -> (Visibility, &'static str) {
    match login {
        UpstreamLogin::Anonymous => (Visibility::Public, "public"),
        UpstreamLogin::Password { .. } | UpstreamLogin::Token(_) | UpstreamLogin::File(_) => {
            (Visibility::Private, "private")
        }
    }
}
