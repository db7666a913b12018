//! What the reader makes of texts, by the types of `meaning`; the corpus in `tests/configs` has the rest.

use std::time::Duration;

use proptest::prelude::*;

use super::meaning::glob::Glob;
use super::meaning::mirror::{Mirror, UpstreamLogin};
use super::meaning::*;
use super::*;
use crate::auth::rights::Visibility;

fn parse(text: &str) -> Config {
    let text = format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: /d}}}}\n{text}\n");
    Config::parse("t", &text, &Surroundings::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn without_file(variables: &[(&str, &str)]) -> Config {
    let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let surroundings = Surroundings {
        variables: variables.iter().map(pair).collect(),
        ..Surroundings::default()
    };
    Config::load(&Arguments::default(), &surroundings).expect("nothing is wrong")
}

#[test]
fn the_commented_example_is_a_valid_configuration() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/config.example.yml"
    );
    let arguments = Arguments {
        config: Some(example.into()),
        ..Arguments::default()
    };
    let config = Config::load(&arguments, &Surroundings::default()).expect("the example parses");
    assert_eq!(config.limits.uploads_max, 4096);
    assert_eq!(config.warnings, [""; 0]);
}

/// A server that starts takes a while until it looks at its file for the first time.
#[test]
fn a_file_that_changes_after_it_was_read_is_another_one() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("config.yml");
    let write = |rest: &str| {
        let text = format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: /d}}}}\n{rest}");
        std::fs::write(&path, text).expect("it can be written");
    };
    write("");
    let arguments = Arguments {
        config: Some(path.clone()),
        ..Arguments::default()
    };
    let config = Config::load(&arguments, &Surroundings::default()).expect("nothing is wrong");
    write("http: { relativeurls: true }\n");
    let mut watch = config.watch.expect("there is a file");
    assert!(!watch.has_changed(), "it may be half written");
    assert!(watch.has_changed());
}

#[test]
fn defaults_are_registrys_with_a_file_and_ours_without() {
    let (ours, registrys) = (without_file(&[]), parse(""));
    assert!(ours.allows_delete && !registrys.allows_delete);
    assert_eq!(ours.log.formatter, Formatter::Auto);
    assert_eq!(registrys.log.formatter, Formatter::Text);
    assert!(!ours.log.has_access_log && registrys.log.has_access_log);
    assert!(ours.root.ends_with(ROOT_DEFAULT));
    for config in [&ours, &registrys] {
        assert_eq!(config.listen, Listen::Tcp(([127, 0, 0, 1], 5000).into()));
        assert_eq!(config.auth, Auth::None);
        assert_eq!(config.http.prefix, "/");
        assert!(config.http.has_http2 && config.tls.is_none() && config.debug.is_none());
        assert_eq!((config.catalog_max, config.tags_max), (1000, 1000));
        assert_eq!(config.drain_max, Duration::from_secs(30));
        assert_eq!(
            config.limits.purging,
            Some(Purging {
                age: Duration::from_hours(168),
                interval: Duration::from_hours(24),
                is_dry_run: false,
            })
        );
        let trusts = |text: &str| {
            let address = text.parse().expect("an address");
            let mut networks = config.http.trusted_proxies.iter();
            networks.any(|network| network.contains(address))
        };
        assert!(trusts("127.0.0.7") && trusts("::1") && !trusts("10.0.0.1"));
    }
    // What a variable says of the storage is said as in a file.
    assert!(!without_file(&[("REGISTRY_STORAGE", "filesystem")]).allows_delete);
    let root = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    let config = without_file(&[(root, "/data")]);
    assert_eq!(config.root, PathBuf::from("/data"));
    assert!(!config.allows_delete);
}

#[test]
fn values_become_types() {
    let config = parse(
        "http:
  addr: '[::1]:5001'
  prefix: registry
  host: https://registry.example.com/
  draintimeout: 0
  http2: {disabled: true}
  debug: {addr: '127.0.0.1:5002', prometheus: {enabled: true}}
  tls: {certificate: /c, key: /k, clientcas: [/ca], minimumtls: tls1.3}
layerhouse: {http: {trustedproxies: ['10.0.0.0/8']}}
notifications:
  endpoints:
    - {name: a, url: 'http://a/', threshold: 0, ignoredmediatypes: [x], ignore: {mediatypes: [y]}}
    - {name: b, url: 'http://b/', disabled: true}
validation: {enabled: false, manifests: {indexes: {platforms: list, platformlist: [{os: linux, architecture: amd64}]}}}
health: {storagedriver: {enabled: true}, http: [{uri: 'http://a/'}]}",
    );
    assert_eq!(
        config.listen,
        Listen::Tcp("[::1]:5001".parse().expect("one"))
    );
    assert_eq!(config.http.prefix, "/registry/");
    let host = config.http.host.as_deref();
    assert_eq!(host, Some("https://registry.example.com"));
    assert_eq!(config.drain_max, Duration::ZERO);
    assert!(!config.http.has_http2);
    let debug = config.debug.expect("it was said");
    assert_eq!(debug.metrics_path.as_deref(), Some("/metrics"));
    let tls = config.tls.expect("it was said");
    assert!(tls.only_1_3);
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(config.http.trusted_proxies.len(), 1);
    let [endpoint] = &config.notifications.endpoints[..] else {
        panic!("one is disabled");
    };
    assert_eq!(
        (endpoint.threshold, endpoint.timeout),
        (10, Duration::from_secs(1))
    );
    assert_eq!(endpoint.ignored_media_types, ["x", "y"]);
    assert!(config.validation.is_disabled);
    let platform = ("linux".to_owned(), "amd64".to_owned());
    assert_eq!(config.validation.platforms, Platforms::List(vec![platform]));
    let timing = CheckTiming {
        interval: Duration::from_secs(10),
        threshold: 1,
    };
    assert_eq!(config.health.storage, Some(timing));
    assert_eq!(config.health.http[0].status, 200);
}

#[test]
fn a_socket_of_systemd_wins_over_the_file_but_not_over_an_argument() {
    let surroundings = Surroundings {
        is_activated: true,
        ..Surroundings::default()
    };
    let check = |listen: Option<&str>, is_systemd: bool| {
        let arguments = Arguments {
            listen: listen.map(ToOwned::to_owned),
            ..Arguments::default()
        };
        let config = Config::load(&arguments, &surroundings).expect("nothing is wrong");
        assert_eq!(config.listen == Listen::Systemd, is_systemd);
    };
    check(None, true);
    check(Some("127.0.0.1:5000"), false);
}

#[test]
fn secrets_are_in_no_form_that_is_printed() {
    let config = parse(
        "http: {secret: hunter2}
redis: {password: hunter2}
layerhouse: {database: 'postgres://u:hunter2@h/d', standbys: ['postgres://u:hunter2@s/d'], mirror: {upstreams: [
  {name: quay.io, username: u, password: hunter2, proxy: 'http://u:hunter2@proxy.example:3128'}, {name: ghcr.io, token: hunter2}]}}
notifications: {endpoints: [{name: a, url: 'http://u:hunter2@a/', headers: {Authorization: [hunter2], X-Api-Key: [hunter2]}}]}",
    );
    let shown = format!(
        "{}{}{:?}",
        config.to_yaml(),
        config.origins(true),
        config.said
    ) + &format!("{:?}{:?}", config.mirror, config.database);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!format!("{:?}", config.notifications.endpoints[0].headers).contains("hunter2"));
    let same = config.changes(&config.clone());
    assert_eq!(same, []);
    let other = parse("http: {secret: hunter3}\nredis: {password: hunter2}");
    let changes = config.changes(&other);
    assert!(changes.iter().any(|change| change.key == "http.secret"));
    assert!(changes.iter().all(|change| change.key != "redis.password"));
}

#[test]
fn a_secret_may_be_in_a_file() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("secret");
    std::fs::write(&path, "hunter2\n").expect("it can be written");
    let path = path.to_string_lossy();
    let config = without_file(&[("REGISTRY_HTTP_SECRET_FILE", &path)]);
    assert!(
        config
            .origins(false)
            .contains("(REGISTRY_HTTP_SECRET_FILE)")
    );
}

/// The mirror of a `layerhouse.mirror` with these upstreams.
fn mirror(upstreams: &str) -> Mirror {
    let config = parse(&format!(
        "layerhouse: {{mirror: {{upstreams: [{upstreams}]}}}}"
    ));
    config.mirror.expect("it was said")
}

#[test]
fn upstreams_are_known_by_their_names() {
    let check = |entry: &str, url: &str, has_library: bool, auth_hosts: &[&str]| {
        let mirror = mirror(entry);
        let [upstream] = &mirror.upstreams[..] else {
            panic!("there is one");
        };
        let endpoint = &upstream.endpoints[0];
        assert_eq!(endpoint.url, url, "{entry}");
        assert_eq!(upstream.has_library, has_library, "{entry}");
        assert_eq!(endpoint.auth_hosts, auth_hosts, "{entry}");
        assert!(!endpoint.is_host_trusted && !mirror.is_proxy);
    };
    let hub = "https://registry-1.docker.io";
    check("{name: docker.io}", hub, true, &["auth.docker.io"]);
    let other = "{name: hub, url: 'https://index.docker.io/'}";
    check(other, hub, true, &["auth.docker.io"]);
    for name in [
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "registry.k8s.io",
        "mcr.microsoft.com",
        "public.ecr.aws",
        "lscr.io",
    ] {
        let entry = format!("{{name: {name}}}");
        check(&entry, &format!("https://{name}"), false, &[]);
    }
    let gitlab = "{name: registry.gitlab.com}";
    check(
        gitlab,
        "https://registry.gitlab.com",
        false,
        &["gitlab.com"],
    );
    let corp = "{name: corp, url: 'http://Registry.Corp.example:5000', authhosts: [Auth.example]}";
    let url = "http://registry.corp.example:5000";
    check(corp, url, false, &["auth.example"]);
}

/// S30, S31
#[test]
fn sec_s30_fallbacks_on_other_hosts_are_told_no_login() {
    let mirror = mirror(
        "{name: corp, url: 'https://a.example', fallbacks: ['https://b.example', 'https://a.example:444', 'http://a.example'],
          username: u, password: p, authhosts: [auth.example]}",
    );
    let endpoints = mirror.upstreams[0].endpoints.iter();
    let found: Vec<_> = endpoints
        .map(|endpoint| {
            let is_anonymous = endpoint.login == UpstreamLogin::Anonymous;
            (&*endpoint.url, is_anonymous, endpoint.auth_hosts.len())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("https://a.example", false, 1),
            ("https://b.example", true, 0),
            ("https://a.example:444", false, 1),
            ("http://a.example", true, 0)
        ]
    );
}

#[test]
fn copies_are_seen_by_all_unless_there_is_a_login() {
    let check = |entry: &str, expected: Visibility| {
        assert_eq!(mirror(entry).upstreams[0].visibility, expected, "{entry}");
    };
    check("{name: quay.io}", Visibility::Public);
    check("{name: quay.io, token: t}", Visibility::Private);
    let said = "{name: quay.io, token: t, visibility: public}";
    check(said, Visibility::Public);
}

#[test]
fn a_proxy_of_registrys_is_a_mirror_of_one() {
    let proxy = |rest: &str| {
        let config = parse(&format!("proxy: {{{rest}}}"));
        config.mirror.expect("it was said")
    };
    let hub = proxy("remoteurl: 'https://docker.io', username: u, password: p");
    assert_eq!((hub.default, hub.is_proxy), (Some(0), true));
    assert_eq!(
        (hub.ttl, hub.keep),
        (Duration::ZERO, Some(Duration::from_hours(168)))
    );
    let upstream = &hub.upstreams[0];
    assert!(upstream.has_library && upstream.visibility == Visibility::Private);
    assert_eq!(upstream.endpoints[0].url, "https://registry-1.docker.io");
    let near = proxy("remoteurl: 'http://registry:5000/', ttl: 0");
    assert_eq!(near.keep, None);
    assert!(near.upstreams[0].endpoints[0].is_host_trusted);
    assert!(!near.upstreams[0].has_library);
    assert!(parse("proxy: {username: u}").mirror.is_none());
    assert!(parse("").mirror.is_none() && without_file(&[]).mirror.is_none());
}

#[test]
fn pins_are_of_tags_or_of_all() {
    let config = parse(
        "layerhouse: {mirror: {upstreams: [{name: docker.io}], keep: 0,
          pins: ['docker.io/library/nginx:1.*', 'docker.io/a/*']}}",
    );
    let mirror = config.mirror.expect("it was said");
    let pins: Vec<_> = mirror
        .pins
        .iter()
        .map(|pin| {
            (
                pin.repositories.as_str(),
                pin.tags.as_ref().map(Glob::as_str),
            )
        })
        .collect();
    let nginx = ("docker.io/library/nginx", Some("1.*"));
    assert_eq!(pins, [nginx, ("docker.io/a/*", None)]);
    assert_eq!(mirror.keep, None);
}

proptest! {
    /// Any text is a configuration or has problems; what is accepted can be printed.
    #[test]
    fn any_text_is_read(text in "(version: 0.1\n)?[a-z:{}\\[\\], \n&*<|>'\"!-]{0,200}") {
        match Config::parse("t", &text, &Surroundings::default()) {
            Ok(config) => prop_assert!(!config.to_yaml().is_empty()),
            Err(error) => prop_assert!(!error.problems.is_empty()),
        }
    }
}
