//! OpenLDAP's server, on free ports, with a directory of its own; nothing where it is not installed.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tls::Authority;

/// It starts within this, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PROGRAM: &str = "/usr/sbin/slapd";
/// Whose entries these are.
pub(crate) const ADMIN: &str = "cn=admin,dc=example,dc=com";
pub(crate) const ADMIN_PASSWORD: &str = "of the directory";

/// A running directory; killed when dropped.
pub(crate) struct Slapd {
    child: Child,
    files: TempDir,
    port: u16,
    tls_port: u16,
}

impl Slapd {
    /// Starts with these entries; `None` where the program is missing, which is said.
    pub(crate) fn start(entries: &str) -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            eprintln!("skipped: {PROGRAM} is not installed (Debian's slapd and ldap-utils)");
            return None;
        }
        let files = TempDir::new().unwrap();
        let authority = Authority::new("the directory's authority");
        let (certificate, key) = authority.issue_local().write(files.path());
        let at = |name: &str| files.path().join(name);
        fs::write(at("ca.pem"), authority.pem()).unwrap();
        fs::create_dir(at("data")).unwrap();
        // Where AppArmor confines the installed program to its own places, it does not confine a copy.
        let program = at("slapd");
        // By another process: what this one writes cannot be run while a child of it is being started.
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
        assert!(copied.unwrap().success());
        let schemas = ["core", "cosine", "inetorgperson"]
            .map(|name| format!("include /etc/ldap/schema/{name}.schema\n"));
        let configuration = format!(
            "{}modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {pid}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
# An empty password signs in as nobody, and is told that it did (RFC 4513, 5.1.2).
allow bind_anon_cred bind_anon_dn
database mdb
suffix dc=example,dc=com
rootdn {ADMIN}
rootpw \"{ADMIN_PASSWORD}\"
directory {data}
maxsize 16777216
overlay memberof
",
            schemas.concat(),
            pid = at("pid").display(),
            certificate = certificate.display(),
            key = key.display(),
            data = at("data").display(),
        );
        fs::write(at("slapd.conf"), configuration).unwrap();
        let [port, tls_port] = [free_port(), free_port()];
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new(program)
            .args(["-d", "0", "-f"])
            .arg(at("slapd.conf"))
            .arg("-h")
            .arg(format!(
                "ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut slapd = Self {
            child,
            files,
            port,
            tls_port,
        };
        slapd.wait();
        slapd.change(&["-a"], entries);
        Some(slapd)
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.files.path().join("log")).unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has `ldapmodify` make these changes.
    pub(crate) fn change(&self, arguments: &[&str], changes: &str) {
        let mut command = Command::new("ldapmodify")
            .args(["-x", "-H", &self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = command.stdin.take().unwrap();
        input.write_all(changes.as_bytes()).unwrap();
        drop(input);
        let output = command.wait_with_output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{problem}");
    }

    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// The same by a name, over TLS from the first byte.
    pub(crate) fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port)
    }

    pub(crate) fn authority_file(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
