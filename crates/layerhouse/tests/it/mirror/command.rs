//! `layerhouse mirror`, on a server that runs and on one that is stopped.

use std::fs;

use serde_json::Value;

use super::{NGINX, section};
use crate::harness::machine::Machine;
use crate::harness::process::Process;
use crate::harness::upstream::Upstream;

#[test]
fn an_operator_looks_fetches_and_lets_go() {
    let (machine, upstream) = (Machine::new(), Upstream::start());
    upstream.give_image(NGINX, "v1", "a layer");
    upstream.give_image(NGINX, "v2", "another layer");
    let config = machine.directory().join("config.yml");
    let list = machine.directory().join("images.txt");
    fs::write(&list, "# what we run\n\nup1/library/nginx:v2\n").unwrap();
    let mirrored = section(&[("up1", &upstream.url(), "")], "up1", "budget: 1 GiB");
    fs::write(&config, format!("version: 0.1\n{mirrored}\n")).unwrap();
    let (root, config) = (machine.root(), config.display().to_string());
    let arguments = ["--root", &root.to_string_lossy(), "--config", &config];
    let server = Process::try_run(&arguments, &[]).unwrap();
    let with = |line: &str| format!("mirror {line} --config {config}");

    let said = machine.does(&with("warm up1/library/nginx:v1"), "");
    assert_eq!(
        said,
        "up1/library/nginx:v1: fetched 1 manifest and 2 blobs, 9 B\n"
    );
    let list = list.display();
    let said = machine.does(&with(&format!("warm --file {list} -o json")), "");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said[0]["manifests"], &said[0]["blobs"]),
        (&1.into(), &1.into())
    );
    let said = machine.does(&with("warm library/nginx:v1"), "");
    assert_eq!(said, "library/nginx:v1: all of it is here\n");
    let line = with("warm up1/library/nginx:v1 up1/library/nginx:v3");
    let ran = machine.run(&line.split(' ').collect::<Vec<_>>(), "");
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.out.contains("nginx:v3: up1: GET"), "{ran:?}");
    assert_eq!(ran.err, "layerhouse: 1 image could not be fetched\n");
    assert_eq!(machine.refuses(&with("warm"), "").0, 2);

    let table = machine.does(&with("status"), "");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("UPSTREAM  STATE  KEPT"), "{table}");
    assert!(lines[1].starts_with("up1       ok     22 B"), "{table}");
    assert!(
        table.contains("kept: 22 B of 1 GiB, 0 blobs being fetched"),
        "{table}"
    );
    let json = machine.does(&with("status -o json"), "");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["upstreams"][0]["name"], "up1");
    let said = machine.does(&with("evict --plan"), "");
    assert_eq!(said, "goes: 0 manifests, 0 B\n");

    assert!(server.terminate().0.success());
    // Nobody serves it: the command does, for as long as it takes.
    let small = section(&[("up1", &upstream.url(), "")], "up1", "budget: 20 B");
    fs::write(&config, format!("version: 0.1\n{small}\n")).unwrap();
    let plan = machine.does(&with("evict --plan"), "");
    assert!(plan.contains("up1/library/nginx"), "{plan}");
    let said = machine.does(&with("evict"), "");
    // Whichever was noted first, for all were pulled in one minute.
    let rest = if said.ends_with("evicted: 1 manifest, 7 B\n") {
        15
    } else {
        9
    };
    let table = machine.does(&with("status"), "");
    assert!(
        table.contains(&format!("kept: {rest} B of 20 B")),
        "{said}{table}"
    );

    fs::write(&config, "version: 0.1\n").unwrap();
    for line in ["status", "warm nginx", "evict"] {
        let (code, said) = machine.refuses(&with(line), "");
        assert_eq!(code, 1, "{line}");
        assert!(said.contains("layerhouse.mirror"), "{line}: {said}");
    }
}
