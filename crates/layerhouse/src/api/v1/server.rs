//! The server itself: what it is, who asks, and the description of its API.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::Nothing;
use super::openapi;
use super::output::Found;
use super::problem::Problem;
use super::visit::Visit;
use crate::auth::permits::Asker;
use crate::auth::principal::Means;
use crate::config::meaning::index::SignUp;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Server {
    version: &'static str,
    /// Who asks; null for nobody.
    user: Option<Who>,
    features: Features,
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
struct Who {
    name: String,
    is_admin: bool,
    /// Whether the token that says so is limited to what it says of repositories.
    is_limited: bool,
}

/// What is switched on here.
#[derive(Debug, Serialize, JsonSchema)]
struct Features {
    /// Who may make an account for themselves.
    sign_up: SignUpMode,
    /// Whether who did not sign in may pull and find what is public.
    anonymous_pull: bool,
    /// Whether users may make organizations, or administrators alone.
    users_make_organizations: bool,
    /// Providers by which people sign in with a browser (OpenID Connect).
    providers: Vec<Provider>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Provider {
    /// What stands in paths.
    name: String,
    /// What people read.
    title: String,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SignUpMode {
    Closed,
    Invitation,
    Open,
}

pub(super) async fn describe(
    visit: Visit,
    asker: Asker,
    _: Nothing,
) -> Result<Found<Server>, Problem> {
    let principal = asker.principal();
    let settings = visit.index.directory().settings();
    let providers = settings.sources.oidc.iter().map(|provider| Provider {
        name: provider.name.as_str().to_owned(),
        title: provider.title.clone(),
    });
    Ok(Found(Server {
        version: env!("CARGO_PKG_VERSION"),
        user: (principal.means != Means::Nobody).then(|| Who {
            name: principal.name.to_string(),
            is_admin: principal.is_admin(),
            is_limited: principal.limits.is_some(),
        }),
        features: Features {
            sign_up: match settings.sign_up {
                SignUp::Closed => SignUpMode::Closed,
                SignUp::Invitation => SignUpMode::Invitation,
                SignUp::Open => SignUpMode::Open,
            },
            anonymous_pull: settings.is_open_to_anonymous,
            users_make_organizations: settings.users_make_organizations,
            providers: providers.collect(),
        },
    }))
}

pub(super) async fn openapi(
    _: Visit,
    asker: Asker,
    _: Nothing,
) -> Result<Found<serde_json::Value>, Problem> {
    let url = format!("{}{}", asker.source().base_url(), super::ROOT);
    Ok(Found(openapi::document(&url)))
}
