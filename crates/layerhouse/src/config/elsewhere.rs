//! What `layerhouse ui` was told: which registry its pages are about, who we are there, and who may ask us.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::meaning::mirror::{Endpoint, Upstream, UpstreamLogin};
use super::sections::http::parse_address;
use super::sections::mirror_upstream::{
    FETCHES, HUB, PATIENCE, STALL, auth_host, host_of, registry_url,
};
use super::sections::ours::parse_network;
use super::variables::Surroundings;
use crate::auth::credentials::Secret;
use crate::auth::rights::Visibility;

/// Where the pages are if nothing else is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// As the command line has it.
#[derive(Clone, Debug, Default)]
pub struct ElsewhereArguments {
    /// `--registry`
    pub registry: String,
    /// `--listen`
    pub listen: Option<String>,
    /// `--user`, and what was read from standard input.
    pub login: Option<(String, String)>,
    /// `--credentials`: a `config.json` of Docker's.
    pub credentials: Option<PathBuf>,
    /// `--anonymous`
    pub is_anonymous: bool,
    /// `--ca`
    pub ca: Option<PathBuf>,
    /// `--auth-host`
    pub auth_hosts: Vec<String>,
    /// `--private`
    pub private: Vec<String>,
    /// `--host`
    pub hosts: Vec<String>,
    /// `--read-only`
    pub is_read_only: bool,
}

/// What it means.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// The registry, as if it were mirrored.
    pub(crate) registry: Upstream,
    pub(crate) listen: SocketAddr,
    /// Names by which browsers may call us, beside addresses and `localhost`; in lower case.
    pub(crate) hosts: Vec<String>,
    pub(crate) is_read_only: bool,
}

impl Elsewhere {
    /// Makes sense of the arguments. Without a login in them, that of Docker's own file is taken, if it has one.
    ///
    /// # Errors
    /// What cannot be meant, in words.
    pub fn read(
        arguments: &ElsewhereArguments,
        surroundings: &Surroundings,
    ) -> Result<Self, String> {
        let url = url(&arguments.registry)?;
        let listen = arguments.listen.as_deref().unwrap_or(LISTEN_DEFAULT);
        let listen = parse_address(listen).ok_or_else(|| {
            format!("--listen: {listen} is not HOST:PORT, such as 127.0.0.1:8080")
        })?;
        let network = |text: &String| {
            let network = parse_network(text);
            network.ok_or_else(|| {
                format!("--private: {text:?} is not a network; write 10.0.0.0/8 or 192.0.2.7")
            })
        };
        let private: Result<Vec<_>, _> = arguments.private.iter().map(network).collect();
        let host = |text: &String| {
            let is_host = !text.is_empty() && !text.contains(['/', '@', '*']);
            is_host
                .then(|| text.to_lowercase())
                .ok_or_else(|| format!("--host: {text:?} is no name; write registry.example.com"))
        };
        let hosts: Result<Vec<_>, _> = arguments.hosts.iter().map(host).collect();
        let auth = |text: &String| {
            let is_host = !text.is_empty() && !text.contains(['/', '@', ':', '*']);
            is_host.then(|| text.to_lowercase()).ok_or_else(|| {
                format!(
                    "--auth-host: {text:?} is no host; write auth.example.com, without scheme and port"
                )
            })
        };
        let auth_hosts: Result<Vec<_>, _> = arguments.auth_hosts.iter().map(auth).collect();
        let mut auth_hosts = auth_hosts?;
        auth_hosts.extend(auth_host(&url).map(str::to_owned));
        let endpoint = Endpoint {
            login: login(arguments, &url, surroundings)?,
            auth_hosts,
            ca: arguments.ca.clone(),
            proxy: None,
            private: private?,
            // Whoever named it meant it.
            is_host_trusted: true,
            patience: PATIENCE,
            stall: STALL,
            url,
        };
        Ok(Self {
            registry: Upstream {
                name: host_of(&endpoint.url),
                has_library: endpoint.url == HUB,
                endpoints: vec![endpoint],
                allow: Vec::new(),
                deny: Vec::new(),
                visibility: Visibility::Private,
                budget_bytes: None,
                fetches_max: FETCHES as usize,
            },
            listen,
            hosts: hosts?,
            is_read_only: arguments.is_read_only,
        })
    }

    /// The registry's address, as it is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        let endpoint = self.registry.endpoints.first();
        endpoint.map_or("", |endpoint| &endpoint.url)
    }

    /// Who we are at the registry, in a line.
    #[must_use]
    pub fn shown_login(&self) -> String {
        let endpoint = self.registry.endpoints.first();
        match endpoint.map(|endpoint| &endpoint.login) {
            Some(UpstreamLogin::Password { user, .. }) => format!("Login: {user}\n"),
            Some(UpstreamLogin::File(path)) => format!("Login: as {} says\n", path.display()),
            Some(UpstreamLogin::Token(_)) => "Login: a token\n".to_owned(),
            Some(UpstreamLogin::Anonymous) | None => "Login: none\n".to_owned(),
        }
    }

    /// Whether others than this machine reach the pages, and so act with the login.
    #[must_use]
    pub fn is_for_others(&self) -> bool {
        !self.listen.ip().is_loopback()
    }
}

/// Scheme, host and port of what was said: a host alone is asked over TLS, this machine without.
fn url(text: &str) -> Result<String, String> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_near = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let scheme = if is_near { "http" } else { "https" };
        format!("{scheme}://{text}")
    };
    let shown = if text.contains('@') { "it" } else { text };
    registry_url(&whole).ok_or_else(|| {
        format!(
            "--registry: {shown} is not https://HOST or https://HOST:PORT; a path, a query and a login cannot \
             stand in it"
        )
    })
}

fn login(
    arguments: &ElsewhereArguments,
    url: &str,
    surroundings: &Surroundings,
) -> Result<UpstreamLogin, String> {
    if arguments.is_anonymous {
        return Ok(UpstreamLogin::Anonymous);
    }
    if let Some((user, password)) = &arguments.login {
        if password.is_empty() {
            return Err("--user: no password came on standard input".to_owned());
        }
        return Ok(UpstreamLogin::Password {
            user: user.clone(),
            password: Secret::new(password.clone().into_bytes()),
        });
    }
    if let Some(path) = &arguments.credentials {
        return Ok(UpstreamLogin::File(path.clone()));
    }
    // Nobody said that it may cross the network for all to read.
    let is_safe = url.starts_with("https://") || is_this_machine(url);
    let own = docker_file(surroundings).filter(|path| is_safe && has_login(path, url));
    Ok(own.map_or(UpstreamLogin::Anonymous, UpstreamLogin::File))
}

/// Where Docker's client keeps its logins.
fn docker_file(surroundings: &Surroundings) -> Option<PathBuf> {
    let variable = |name: &str| surroundings.variables.get(name).map(PathBuf::from);
    let folder = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")));
    Some(folder?.join("config.json"))
}

fn is_this_machine(url: &str) -> bool {
    let host = host_of(url);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a file has a login for the registry. What Docker left to a credential helper, which is not started, is
/// none: then public images are shown.
fn has_login(path: &Path, url: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let entries = file["auths"].as_object();
    let mut entries = entries.into_iter().flatten();
    entries.any(|(name, entry)| {
        let ways = ["auth", "username", "identitytoken", "registrytoken"];
        let is_said = |way: &str| entry[way].as_str().is_some_and(|text| !text.is_empty());
        if !ways.into_iter().any(is_said) {
            return false;
        }
        let name = name
            .split_once("://")
            .map_or(name.as_str(), |(_, rest)| rest);
        let host = name.split('/').next().unwrap_or(name);
        let scheme = url.split_once("://").map_or("https", |(scheme, _)| scheme);
        registry_url(&format!("{scheme}://{host}")).as_deref() == Some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_as_people_name_them() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(url(text).ok().as_deref(), expected, "{text}");
        };
        check(
            "https://registry.example.com",
            Some("https://registry.example.com"),
        );
        check(
            "https://registry.example.com/",
            Some("https://registry.example.com"),
        );
        check("registry.example.com", Some("https://registry.example.com"));
        check(
            "registry.example.com:5000",
            Some("https://registry.example.com:5000"),
        );
        check("localhost:5000", Some("http://localhost:5000"));
        check("127.example.com", Some("https://127.example.com"));
        check("127.0.0.1:5000", Some("http://127.0.0.1:5000"));
        check("[::1]:5000", Some("http://[::1]:5000"));
        check("http://10.0.0.7:5000", Some("http://10.0.0.7:5000"));
        check("docker.io", Some("https://registry-1.docker.io"));
        check("https://user:secret@registry.example.com", None);
        check("https://registry.example.com/v2/", None);
        check("ftp://registry.example.com", None);
        check("", None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_name() {
        let check = |change: fn(&mut ElsewhereArguments), expected: &str| {
            let mut arguments = ElsewhereArguments {
                registry: "registry.example.com".to_owned(),
                ..ElsewhereArguments::default()
            };
            change(&mut arguments);
            let error = Elsewhere::read(&arguments, &Surroundings::default());
            let error = error.expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        };
        check(
            |said| said.registry = "https://u:secret@h".to_owned(),
            "--registry: it is not",
        );
        check(
            |said| said.listen = Some("8080".to_owned()),
            "--listen: 8080",
        );
        check(
            |said| said.private = vec!["ten".to_owned()],
            "--private: \"ten\"",
        );
        check(
            |said| said.auth_hosts = vec!["https://a".to_owned()],
            "--auth-host: \"https://a\"",
        );
        check(
            |said| said.hosts = vec!["a/b".to_owned()],
            "--host: \"a/b\"",
        );
        check(
            |said| said.login = Some(("u".to_owned(), String::new())),
            "--user: no password",
        );
    }
}
