//! `layerhouse ui`: pages in front of another registry.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use layerhouse::config::Surroundings;
use layerhouse::config::elsewhere::{Elsewhere, ElsewhereArguments, LISTEN_DEFAULT};

use super::htpasswd::ask;

#[derive(Debug, Args)]
pub(crate) struct UiArguments {
    /// The registry, as https://registry.example.com or localhost:5000
    #[arg(long, value_name = "URL")]
    registry: String,
    /// Where to listen
    #[arg(long, value_name = "ADDR", help = format!("Where to listen, as HOST:PORT or :PORT [default: {LISTEN_DEFAULT}]"))]
    listen: Option<String>,
    /// Sign in at the registry as this user; the password is asked for, or read from standard input
    #[arg(long, value_name = "NAME", conflicts_with_all = ["credentials", "anonymous"])]
    user: Option<String>,
    /// Take the login from this config.json [default: that of docker login, if it has one]
    #[arg(long, value_name = "FILE", conflicts_with = "anonymous")]
    credentials: Option<PathBuf>,
    /// Sign in as nobody
    #[arg(long)]
    anonymous: bool,
    /// Authorities to believe beside the system's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Another host whose token service may be told the login; can be said several times
    #[arg(long = "auth-host", value_name = "HOST")]
    auth_hosts: Vec<String>,
    /// Networks that the registry may lead us to, as 10.0.0.0/8; can be said several times
    #[arg(long = "private", value_name = "NETWORK")]
    private: Vec<String>,
    /// A name by which browsers may call these pages, beside addresses; can be said several times
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Offer no deletion
    #[arg(long)]
    read_only: bool,
}

/// What the arguments mean.
///
/// # Errors
/// What cannot be meant, in words.
pub(crate) fn settings(arguments: UiArguments) -> Result<Elsewhere, String> {
    let login = match arguments.user {
        Some(user) => Some((user, ask("Password: ")?)),
        None => None,
    };
    let arguments = ElsewhereArguments {
        registry: arguments.registry,
        listen: arguments.listen,
        login,
        credentials: arguments.credentials,
        is_anonymous: arguments.anonymous,
        ca: arguments.ca,
        auth_hosts: arguments.auth_hosts,
        private: arguments.private,
        hosts: arguments.hosts,
        is_read_only: arguments.read_only,
    };
    Elsewhere::read(&arguments, &Surroundings::system())
}

/// What a newcomer needs to know, in a few lines.
pub(crate) fn greeting(settings: &Elsewhere, address: SocketAddr) -> String {
    let warning = if settings.is_for_others() {
        "Whoever reaches this address acts with the login of these pages: put a proxy that asks who they are in \
         front of it.\n"
    } else {
        ""
    };
    format!(
        "Layerhouse {} shows {} at http://{address}\n{}{warning}",
        env!("CARGO_PKG_VERSION"),
        settings.url(),
        settings.shown_login(),
    )
}
