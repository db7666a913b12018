//! `layerhouse.index`: the section switches the index on.

use std::time::Duration;

use layerhouse_oci::namespace::NamespaceName;

use crate::auth::rights::{Role, Visibility};
use crate::config::meaning::index::{Index, IndexTokens, SignUp, SigningAlgorithm};
use crate::config::meaning::{Auth, Tls};
use crate::config::reader::Section;

/// Clients take a token for good for a minute, whatever it says.
const LIFETIME_MIN: Duration = Duration::from_mins(1);
const LIFETIME_MAX: Duration = Duration::from_hours(1);
const ROTATION_MIN: Duration = Duration::from_hours(1);

/// `auth`: how callers of a registry without an index sign in.
pub(in crate::config) fn read(ours: &Section<'_>, auth: &Auth, tls: Option<&Tls>) -> Option<Index> {
    let is_given = ours.has("index");
    let index = ours.section("index");
    let is_enabled = index.flag("enabled", is_given);
    let anonymous = index.word(
        "anonymous",
        &[("none", false), ("pull", true)],
        Some("pull"),
    );
    let sign_up = index.word(
        "signup",
        &[
            ("closed", SignUp::Closed),
            ("invitation", SignUp::Invitation),
            ("open", SignUp::Open),
        ],
        Some("closed"),
    );
    let organizations = index.word(
        "organizations",
        &[("administrators", false), ("users", true)],
        Some("users"),
    );
    let visibility = index.word(
        "visibility",
        &[
            ("private", Visibility::Private),
            ("public", Visibility::Public),
        ],
        Some("private"),
    );
    let htpasswd_role = index.word(
        "htpasswdrole",
        &[
            ("none", None),
            ("reader", Some(Role::Reader)),
            ("writer", Some(Role::Writer)),
            ("maintainer", Some(Role::Maintainer)),
        ],
        Some("maintainer"),
    );
    let official_team = official_team(&index);
    let tokens = tokens(&index.section("tokens"));
    let sources = super::index_sources::read(&index, tls);
    let rates = super::index_rate::rate_limits(&index);
    if is_enabled && matches!(auth, Auth::Silly { .. }) {
        index.refuse(
            "",
            "does not go with auth.silly, which lets everyone do everything",
        );
    }
    is_enabled.then_some(Index {
        is_open_to_anonymous: anonymous.unwrap_or(true),
        sign_up: sign_up.unwrap_or(SignUp::Closed),
        users_make_organizations: organizations.unwrap_or(true),
        visibility: visibility.unwrap_or(Visibility::Private),
        official_team,
        htpasswd_role: htpasswd_role.unwrap_or(None),
        tokens,
        sources,
        rates,
        copies: Vec::new(),
    })
}

fn official_team(index: &Section<'_>) -> Option<(String, String)> {
    let text = index.text("officialteam")?;
    let parts = text.split_once('/').filter(|(namespace, team)| {
        let is_name = |name: &str| name.parse::<NamespaceName>().is_ok();
        is_name(namespace) && is_name(team)
    });
    if parts.is_none() {
        let problem = format!("{text:?} is no team; write ORGANIZATION/TEAM");
        index.refuse("officialteam", problem);
    }
    parts.map(|(namespace, team)| (namespace.to_owned(), team.to_owned()))
}

fn tokens(tokens: &Section<'_>) -> IndexTokens {
    let algorithm = tokens.word(
        "algorithm",
        &[
            ("es256", SigningAlgorithm::Es256),
            ("eddsa", SigningAlgorithm::EdDsa),
        ],
        Some("es256"),
    );
    let lifetime = tokens.duration_above_zero("lifetime", Duration::from_mins(5));
    if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
        tokens.refuse("lifetime", "must be from 1m to 1h");
    }
    let rotation = tokens.duration_above_zero("rotation", Duration::from_hours(90 * 24));
    if rotation < ROTATION_MIN {
        tokens.refuse("rotation", "must be at least 1h");
    }
    IndexTokens {
        issuer: tokens.text_or("issuer", "layerhouse"),
        service: tokens.text_or("service", "layerhouse"),
        services: tokens.texts("services"),
        algorithm: algorithm.unwrap_or(SigningAlgorithm::Es256),
        lifetime,
        rotation,
    }
}
