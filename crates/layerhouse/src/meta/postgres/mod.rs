//! The engine for many replicas: PostgreSQL, and what speaks its protocol.
//!
//! Whoever writes takes the one row of `commits` first, so that transactions of all replicas follow each other
//! as they do in one SQLite: what is written for one writer stays right. The row counts commits; a replica looks
//! at it four times a second, and forgets what it remembered when somebody else committed.

pub(super) mod connect;
pub(super) mod pool;
mod pooler;
pub(crate) mod schema;
pub(super) mod session;
pub(crate) mod standby;
mod statement;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod values;
pub(super) mod watch;
pub(super) mod writer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use tokio_postgres::config::Host;

/// Connections for reading, if nothing else is said.
const CONNECTIONS_DEFAULT: usize = 16;

/// Where a database is, and who is believed to be it.
#[derive(Clone)]
pub struct Place {
    pub(super) config: Box<tokio_postgres::Config>,
    pub(super) trust: Trust,
    /// For reading, and what is written apart; one more writes, and one more watches.
    pub(super) connections_max: usize,
    /// Where the server's own standbys are, which lists are read from.
    standbys: Vec<Self>,
}

/// Which certificates a server may show, in the words of libpq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// `prefer`, `require`: any.
    Any,
    /// `verify-full`: one of the system's authorities, or these in PEM, for its name.
    Verified(Option<Vec<u8>>),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.shown())
    }
}

impl Place {
    /// A place from a URL as libpq has it: `postgres://user:password@host,host/database?sslmode=verify-full`.
    /// Beside the parameters of `tokio-postgres` it may say `sslmode=verify-full`, `sslrootcert` (a file, which
    /// `read` reads) and `pool_max_conns`.
    ///
    /// # Errors
    /// A sentence: it is no such URL, or the file is no use.
    pub(crate) fn parse(
        url: &str,
        read: impl FnOnce(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err("write postgres://user:password@host/database".to_owned());
        }
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut verifies, mut file, mut connections_max) = (false, None, CONNECTIONS_DEFAULT);
        let mut kept = Vec::new();
        for parameter in parameters
            .split('&')
            .filter(|parameter| !parameter.is_empty())
        {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("sslmode", "verify-full") => {
                    verifies = true;
                    kept.push("sslmode=require");
                }
                ("sslmode", "verify-ca") => {
                    return Err("sslmode=verify-ca is not known here: write verify-full".to_owned());
                }
                ("sslrootcert", path) => {
                    // Or somebody between could say that the server has no TLS.
                    kept.push("sslmode=require");
                    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                    file = Some(decoded.into_owned());
                }
                ("pool_max_conns", number) => {
                    let wanted = number.parse().ok().filter(|number| *number != 0);
                    connections_max = wanted
                        .ok_or_else(|| format!("pool_max_conns={number} is no number above 0"))?;
                }
                _ => kept.push(parameter),
            }
        }
        let authorities = match file.as_deref() {
            None | Some("system") => None,
            Some(path) => Some(read(path).map_err(|error| format!("sslrootcert={path}: {error}"))?),
        };
        let plain = if kept.is_empty() {
            address.to_owned()
        } else {
            format!("{address}?{}", kept.join("&"))
        };
        // Its words name the parameter that it does not know; the password is in none of them.
        let mut config: tokio_postgres::Config = plain
            .parse()
            .map_err(|error: tokio_postgres::Error| words(&error))?;
        if config.get_dbname().is_none() {
            return Err("name the database: postgres://user:password@host/database".to_owned());
        }
        config.application_name("layerhouse");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        // A server that is cut off is missed in 15 s, not after two hours.
        config
            .keepalives_idle(Duration::from_secs(6))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3);
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(15));
        }
        let trust = if verifies || file.is_some() {
            Trust::Verified(authorities)
        } else {
            Trust::Any
        };
        Ok(Self {
            config: Box::new(config),
            trust,
            connections_max,
            standbys: Vec::new(),
        })
    }

    /// The address of this machine from which it reaches the server, as its routes are: others that use the server
    /// may reach it there. Resolves names, and sends nothing.
    pub(crate) fn local_address(&self) -> Option<IpAddr> {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate();
        let mut found = hosts.filter_map(|(at, host)| match host {
            Host::Tcp(name) => {
                let port = ports.get(at).or(ports.first()).copied();
                let mut servers = (name.as_str(), port.unwrap_or(5432))
                    .to_socket_addrs()
                    .ok()?;
                servers.find_map(routed_from)
            }
            // All that use it are on this machine.
            Host::Unix(_) => Some(Ipv4Addr::LOCALHOST.into()),
        });
        found.next()
    }

    /// The same, with standbys that lists are read from.
    pub(crate) fn with_standbys(self, standbys: Vec<Self>) -> Self {
        Self { standbys, ..self }
    }

    /// Where the server's own standbys are.
    pub(super) fn standbys(&self) -> &[Self] {
        &self.standbys
    }

    /// Where it is, without a password.
    pub(crate) fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        format!(
            "{} on {}",
            self.config.get_dbname().unwrap_or("?"),
            hosts.join(",")
        )
    }
}

/// An error with what is behind it: the driver says "db error" and leaves the rest to its source.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

/// The address that packets to another one would come from.
fn routed_from(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Of a datagram socket this only looks the route up.
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod places {
    use super::*;

    fn parse(url: &str) -> Result<Place, String> {
        Place::parse(url, |path| match path {
            "/ca.pem" => Ok(b"PEM".to_vec()),
            _ => Err("is not there".to_owned()),
        })
    }

    #[test]
    fn a_url_says_where_and_who_is_believed() {
        let place =
            parse("postgres://me:se%40cret@a.example,b.example:6432/layers").expect("a URL");
        assert_eq!(place.shown(), "layers on a.example,b.example");
        assert_eq!(place.trust, Trust::Any);
        assert_eq!(place.connections_max, CONNECTIONS_DEFAULT);
        let place =
            parse("postgresql://h/d?sslmode=verify-full&sslrootcert=%2Fca.pem&pool_max_conns=3");
        let place = place.expect("a URL");
        assert_eq!(place.trust, Trust::Verified(Some(b"PEM".to_vec())));
        assert_eq!(place.connections_max, 3);
        assert!(!format!("{place:?}").contains("secret"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("mysql://h/d", "write postgres://"),
            ("postgres://h", "name the database"),
            ("postgres://h/d?sslmode=verify-ca", "verify-full"),
            ("postgres://h/d?sslrootcert=/none", "is not there"),
            ("postgres://h/d?pool_max_conns=0", "above 0"),
            ("postgres://h/d?colour=red", "colour"),
        ] {
            let said = parse(url).expect_err(url);
            assert!(said.contains(part), "{url}: {said}");
        }
    }
}
