//! Servers as the command line names them: `NAME=URL[,pid=PID[+children]][,files=TEMPLATE]`.

use std::str::FromStr;

use layerhouse_oci::digest::Digest;

/// A server to drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) processes: Vec<Process>,
    pub(crate) files: Option<Files>,
}

/// `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A process whose CPU time and memory are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Together with all that descend from it, as the workers of nginx do.
    pub(crate) children: bool,
}

/// Where a server that knows no registry has the file of a digest: a path with `{hex}` (all digits) and
/// `{hex2}` (the first two).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files(String);

impl Files {
    pub(crate) fn path(&self, digest: &Digest) -> String {
        let hex = digest.hex();
        self.0.replace("{hex2}", &hex[..2]).replace("{hex}", hex)
    }
}

impl FromStr for Url {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(format!("`{text}` does not begin with http:// or https://"));
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(format!(
                "`{text}` has a path: name only scheme, host and port"
            ));
        }
        if authority.contains('@') {
            return Err("credentials do not belong in a URL: use --user".to_owned());
        }
        // An IPv6 address has colons of its own, within brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let number = port.parse().ok().filter(|port| *port != 0);
                (host, number.ok_or(format!("`{port}` is not a port"))?)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(format!("`{text}` names no host"));
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

impl Url {
    /// For `Host`, and to tell whether a `Location` leads elsewhere.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for Process {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, children) = match text.strip_suffix("+children") {
            Some(id) => (id, true),
            None => (text, false),
        };
        match id.parse() {
            Ok(id) if id != 0 => Ok(Self { id, children }),
            _ => Err(format!(
                "`{text}` is not a process: say 1234 or 1234+children"
            )),
        }
    }
}

impl FromStr for Files {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_graphic();
        if text.starts_with('/') && text.contains("{hex}") && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is not a path with {{hex}} in it"))
        }
    }
}

impl FromStr for Server {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains(['/', ',']))
            .ok_or_else(|| format!("`{text}` is not NAME=URL[,pid=PID][,files=PATH]"))?;
        let mut parts = rest.split(',');
        let mut server = Self {
            name: name.to_owned(),
            url: parts.next().unwrap_or("").parse()?,
            processes: Vec::new(),
            files: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("pid", process)) => server.processes.push(process.parse()?),
                Some(("files", path)) if server.files.is_none() => {
                    server.files = Some(path.parse()?);
                }
                _ => return Err(format!("`{part}` is neither pid=PID nor one files=PATH")),
            }
        }
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let server: Server =
            "nginx=http://[::1]:8080/,pid=7+children,pid=9,files=/b/{hex2}/{hex}/data"
                .parse()
                .unwrap();
        assert_eq!(server.name, "nginx");
        assert_eq!(server.url.authority(), "[::1]:8080");
        assert_eq!(server.processes[0], "7+children".parse().unwrap());
        assert!(!server.processes[1].children);
        let digest: Digest = format!("sha256:ab{}", "0".repeat(62)).parse().unwrap();
        let path = server.files.unwrap().path(&digest);
        assert_eq!(path, format!("/b/ab/ab{}/data", "0".repeat(62)));
    }

    #[test]
    fn ports_follow_the_scheme() {
        for (text, port) in [
            ("http://a", 80),
            ("https://a/", 443),
            ("https://[::1]", 443),
            ("http://a:5000", 5000),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().port, port, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "http://a",
            "a=ftp://b",
            "a=http://b:0",
            "a=http://b:x",
            "a=http://b/v2/",
            "a=http://",
            "a=http://u:p@b",
            "a=http://b,pid=0",
            "a=http://b,pid=x",
            "a=http://b,files=x/{hex}",
            "a=http://b,files=/x",
            "a=http://b,colour=red",
            "=http://b",
            "a=http://b c",
        ] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }
}
