//! The settings that the traffic is replayed under.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::general::{BRIEF, FULL, PARTING};
use super::sign_in;
use super::traffic::Request;
use super::wire::HOST;

/// A configuration, how clients meet it, and what they ask beside the general traffic.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Holds `config.yml`, which is the same for both, the files it names, and what each of them writes.
    pub(super) directory: TempDir,
    pub(super) environment: Vec<(String, String)>,
    /// What every path begins with.
    pub(super) prefix: &'static str,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// What requests that say nothing of it have as their `Authorization`.
    pub(super) authorization: Option<String>,
    /// Values of `Authorization` that lines name: `$forged`.
    pub(super) tokens: Vec<(&'static str, String)>,
    /// What is sent, in three parts: what the setting is about, what all are asked, and more of the first.
    pub(super) before: String,
    pub(super) general: [&'static str; 2],
    pub(super) behind: &'static str,
}

impl Setting {
    /// The file, in which `$FILES` is the directory, and what the environment adds.
    pub(super) fn new(
        name: &'static str,
        config: &str,
        environment: &[(&'static str, &str)],
    ) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let files = directory.path().to_string_lossy().into_owned();
        let here = |text: &str| text.replace("$FILES", &files);
        let config = format!("version: 0.1\n{}\n", here(config));
        fs::write(directory.path().join("config.yml"), config).expect("it can be written");
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), here(value)));
        Self {
            name,
            environment: environment.collect(),
            directory,
            prefix: "",
            tls: None,
            authorization: None,
            tokens: Vec::new(),
            before: String::new(),
            general: [BRIEF, ""],
            behind: "",
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn file(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).expect("it can be written");
    }

    /// Every request, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        let [first, last] = self.general;
        [&self.before, first, self.behind, last]
            .into_iter()
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// The value of a name that only this setting has.
    fn token(&self, name: &str) -> Option<&str> {
        let found = self.tokens.iter().find(|(token, _)| *token == name)?;
        Some(&found.1)
    }

    /// Adds the usual `Authorization`; `Authorization: -` is a request without.
    pub(super) fn sign_in(&self, request: &mut Request) {
        let is_authorization = |name: &str| name.eq_ignore_ascii_case("authorization");
        let has = request
            .headers
            .iter()
            .any(|(name, _)| is_authorization(name));
        for (name, value) in &mut request.headers {
            if is_authorization(name)
                && let Some(token) = value.strip_prefix('$').and_then(|name| self.token(name))
            {
                *value = token.to_owned();
            }
        }
        if let (false, Some(value)) = (has, &self.authorization) {
            let header = ("Authorization".to_owned(), value.clone());
            request.headers.push(header);
        }
        request
            .headers
            .retain(|(name, value)| !(is_authorization(name) && value == "-"));
    }
}

/// All of them.
pub(super) fn all() -> Vec<Setting> {
    vec![
        image(),
        read_only(),
        Setting {
            prefix: "/hub",
            behind: "
                GET     ^/
                GET     ^/v2/
            ",
            ..Setting::new("prefix", STORAGE, &[("REGISTRY_HTTP_PREFIX", "/hub/")])
        },
        headers(),
        Setting::new(
            "relativeurls",
            STORAGE,
            &[("REGISTRY_HTTP_RELATIVEURLS", "true")],
        ),
        host(),
        catalog(),
        validation(),
        urls(),
        tls(),
        sign_in::silly(),
        sign_in::htpasswd(),
        sign_in::token(),
        // Taken from the end, and these take longest.
        deletes(),
        plain(),
    ]
}

pub(super) const STORAGE: &str = "storage: {filesystem: {}}";
pub(super) const DELETABLE: &str = "storage: {filesystem: {}, delete: {enabled: true}}";

/// Nothing is configured; an upload goes on after a restart, if it can.
fn plain() -> Setting {
    Setting {
        behind: "
            POST    /v2/acme/web/blobs/uploads/
            PATCH   $upload  'abcd'
            restart
            GET     $upload
            PATCH   $upload  'efgh'
            GET     /v2/_catalog
            GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json
        ",
        general: [FULL, PARTING],
        ..Setting::new("plain", STORAGE, &[])
    }
}

/// The file of the official image, word for word.
fn image() -> Setting {
    let config = "
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";
    Setting::new("image", config, &[])
}

fn deletes() -> Setting {
    Setting {
        general: [FULL, PARTING],
        ..Setting::new(
            "deletes",
            STORAGE,
            &[("REGISTRY_STORAGE_DELETE_ENABLED", "true")],
        )
    }
}

/// Written to, and then read-only.
fn read_only() -> Setting {
    Setting {
        behind: "
            POST    /v2/acme/web/blobs/uploads/
            restart REGISTRY_STORAGE_MAINTENANCE_READONLY={enabled: true}
            GET     /v2/
            GET     /v2/_catalog
            GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json
            GET     /v2/acme/web/blobs/$sha256(abcd)
            POST    /v2/acme/web/blobs/uploads/
            POST    /v2/acme/web/blobs/uploads/?mount=$sha256(abcd)&from=acme/api
            DELETE  /v2/acme/web/manifests/$sha256($small)
            DELETE  /v2/acme/web/blobs/$sha256(abcd)
            PATCH   $upload  'abcd'
            PUT     $upload&digest=$sha256(abcd)  'abcd'
            GET     $upload
            DELETE  $upload
            PUT     /v2/acme/web/manifests/v1  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
            PUT     /v2/acme/web/manifests/v1  Content-Type: application/vnd.oci.image.manifest.v1+json  'no json'
        ",
        ..Setting::new("readonly", DELETABLE, &[("REGISTRY_HTTP_SECRET", "kept")])
    }
}

fn headers() -> Setting {
    let config = "
storage: {filesystem: {}}
http:
  headers:
    X-Content-Type-Options: [nosniff]
    Access-Control-Allow-Origin: ['*']
    Access-Control-Allow-Methods: [HEAD, GET, OPTIONS]
    x-lower: [one]
";
    Setting {
        behind: "
            OPTIONS /v2/
            OPTIONS /v2/_catalog
            OPTIONS /v2/acme/web/manifests/v1
            OPTIONS /v2/acme/web/blobs/uploads/
            GET     /v2/  Origin: https://ui.example
        ",
        ..Setting::new("headers", config, &[])
    }
}

/// A name for clients, and uploads that know the secret.
fn host() -> Setting {
    let environment = [
        ("REGISTRY_HTTP_HOST", "https://hub.example"),
        ("REGISTRY_HTTP_SECRET", "of both"),
    ];
    Setting {
        behind: "
            POST    /v2/acme/web/blobs/uploads/
            PATCH   $upload  'abcd'
            restart
            GET     $upload
            PATCH   $upload  'efgh'
            PUT     $upload&digest=$sha256(abcdefgh)
            GET     /v2/_catalog?n=1
        ",
        ..Setting::new("host", STORAGE, &environment)
    }
}

fn catalog() -> Setting {
    Setting {
        behind: "
            GET     /v2/_catalog?n=2
            GET     /v2/_catalog?n=3
        ",
        ..Setting::new("catalog", STORAGE, &[("REGISTRY_CATALOG_MAXENTRIES", "2")])
    }
}

fn validation() -> Setting {
    let environment = [("REGISTRY_VALIDATION_DISABLED", "true")];
    Setting {
        behind: "
            PUT     /v2/acme/web/manifests/foreign  Content-Type: application/vnd.oci.image.manifest.v1+json  $foreign
            GET     /v2/acme/web/manifests/foreign  Accept: application/vnd.oci.image.manifest.v1+json
            GET     /v2/acme/web/manifests/v3  Accept: application/vnd.oci.image.manifest.v1+json
        ",
        ..Setting::new("validation", STORAGE, &environment)
    }
}

fn urls() -> Setting {
    let config = "
storage: {filesystem: {}}
validation: {manifests: {urls: {allow: ['^https?://example\\.com/'], deny: ['^https?://example\\.com/no']}}}
";
    Setting {
        behind: "
            PUT     /v2/acme/web/manifests/foreign  Content-Type: application/vnd.oci.image.manifest.v1+json  $foreign
            PUT     /v2/acme/web/manifests/denied  Content-Type: application/vnd.oci.image.manifest.v1+json  $denied
            PUT     /v2/acme/web/manifests/unlisted  Content-Type: application/vnd.oci.image.manifest.v1+json  $unlisted
        ",
        ..Setting::new("urls", config, &[])
    }
}

fn tls() -> Setting {
    let environment = [
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "$FILES/domain.crt"),
        ("REGISTRY_HTTP_TLS_KEY", "$FILES/domain.key"),
    ];
    let mut setting = Setting::new("tls", STORAGE, &environment);
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new([HOST.to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    setting.file("domain.crt", &certificate.pem());
    setting.file("domain.key", &key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate.der().clone())
        .expect("it is well formed");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    setting.tls = Some(Arc::new(config));
    setting
}
