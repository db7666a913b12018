//! `layerhouse retention`, on a server that runs and on one that is stopped.

use std::fs;

use serde_json::Value;

use crate::harness::images;
use crate::harness::machine::Machine;
use crate::harness::process::Process;

#[test]
fn an_operator_sees_what_goes_and_lets_it_go() {
    let machine = Machine::new();
    let config = machine.directory().join("config.yml");
    let policy = "version: 0.1\nstorage: { delete: { enabled: true } }\nlayerhouse: { policies: [
        { repositories: ['acme/**'], retention: { keep: [ { tags: ['v*'] } ] } } ] }\n";
    fs::write(&config, policy).unwrap();
    let (root, config) = (machine.root(), config.display().to_string());
    let arguments = ["--root", &root.to_string_lossy(), "--config", &config];
    let server = Process::try_run(&arguments, &[]).unwrap();
    for tag in ["v1", "main", "pr-1"] {
        images::push_image(&server.client, "acme/web", tag, tag);
    }
    images::push_image(&server.client, "acme/api", "main", "main");
    let with = |line: &str| format!("retention {line} --config {config}");
    let table = machine.does(&with("preview"), "");
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("REPOSITORY  TAGS  WHY       DIGEST"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("acme/api    main  last-tag  sha256:"),
        "{table}"
    );
    assert_eq!(lines.len(), 4, "{table}");
    let json = machine.does(&with("preview --repository acme/w* -o json"), "");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{json}");
    assert_eq!(json[0]["repository"], "acme/web");
    assert_eq!(json[0]["kind"], "manifest");
    assert_eq!(machine.refuses(&with("preview --repository "), "").0, 2);

    let ran = machine.does(&with("run --repository acme/web -o json"), "");
    let ran: Value = serde_json::from_str(&ran).unwrap();
    assert_eq!((&ran["tags"], &ran["manifests"]), (&2.into(), &2.into()));
    let kept = server.client.get("/v2/acme/api/manifests/main").status;
    assert_eq!(kept, 200);
    assert!(server.terminate().0.success());
    // Nobody serves it: the command does, for as long as it takes.
    let ran = machine.does(&with("run"), "");
    assert!(ran.contains("manifests  1"), "{ran}");
    let table = machine.does(&with("preview"), "");
    assert_eq!(table.lines().count(), 1, "{table}");

    // Where nothing may be deleted, nothing is: refused.
    fs::write(&config, policy.replace("enabled: true", "enabled: false")).unwrap();
    assert_eq!(machine.refuses(&with("run"), "").0, 5);
}
