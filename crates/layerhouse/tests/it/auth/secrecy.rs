//! S50: no password and no token gets into the log, however much is logged.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::basic;
use super::htpasswd::line;
use super::service::{Signer, claims, on};
use crate::harness::process::Process;

#[test]
fn sec_s50_secrets_are_not_logged() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let signer = Signer::new("EdDSA");
    let users = line("ann", "canary-right");
    fs::write(at("htpasswd"), format!("{users}\n")).unwrap();
    fs::write(at("bundle.pem"), &signer.pem).unwrap();
    let htpasswd = format!("htpasswd: {{realm: r, path: {}}}", at("htpasswd").display());
    let token = format!(
        "token: {{realm: r, service: service, issuer: issuer, rootcertbundle: {}}}",
        at("bundle.pem").display()
    );
    // By the machine's clock, which this process has.
    let mut claims = claims(&on("canary", &["pull"]));
    (claims["nbf"], claims["exp"]) = (json!(0), json!(1_u64 << 40));
    let good = signer.token(&json!({"kid": signer.thumbprint()}), &claims.to_string());
    let forged = good.replace('.', ".canary");
    let authorizations = [
        basic("ann", "canary-right"),
        basic("ann", "canary-wrong"),
        basic("canary-user", "canary-wrong"),
        "Basic canary".to_owned(),
        "canary".to_owned(),
        format!("Bearer {good}"),
        format!("Bearer {forged}"),
    ];
    for auth in [htpasswd, token] {
        let config = at("config.yml");
        fs::write(&config, format!("version: 0.1\nauth: {{{auth}}}\n")).unwrap();
        let root = at("root");
        let arguments = [
            "--root",
            &*root.to_string_lossy(),
            "--config",
            &*config.to_string_lossy(),
        ];
        let process = Process::try_run(&arguments, &[("LAYERHOUSE_LOG", "trace")]).unwrap();
        let mut statuses = Vec::new();
        for authorization in &authorizations {
            let headers = [("Authorization", &**authorization)];
            statuses.push(process.client.send("GET", "/v2/", &headers, b"").status);
        }
        assert!(
            statuses.contains(&200) && statuses.contains(&401),
            "{statuses:?}"
        );
        let (_, log) = process.terminate();
        let hash = users.split_once(':').unwrap().1;
        let parts = good.split('.').chain(["canary", hash]);
        for secret in parts {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
        for authorization in &authorizations {
            assert!(
                !log.contains(authorization),
                "{authorization} is in the log"
            );
        }
    }
}
