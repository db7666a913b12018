//! `layerhouse htpasswd`, as people know it from `docker run --entrypoint htpasswd registry:2 -Bbn …`.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_layerhouse"))
        .arg("htpasswd")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn it_prints_what_apaches_does() {
    for (arguments, input, cost) in [
        (&["-Bbn", "admin", "secret"][..], "", "05"),
        (&["-B", "-b", "-n", "-C", "4", "admin", "secret"], "", "04"),
        (&["-nb", "admin", "secret"], "", "05"),
        (&["-Bni", "admin"], "secret\n", "05"),
        (&["-Bn", "admin"], "secret\nsecret\n", "05"),
    ] {
        let output = run(arguments, input);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let hash = text
            .strip_prefix("admin:")
            .and_then(|text| text.strip_suffix("\n\n"));
        let hash = hash.unwrap_or_else(|| panic!("{text:?}"));
        assert!(
            hash.starts_with(&format!("$2y${cost}$")) && hash.len() == 60,
            "{hash}"
        );
        assert!(bcrypt::verify("secret", hash).unwrap());
    }
}

#[test]
fn it_changes_files() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("htpasswd");
    let file = &*path.to_string_lossy();
    assert!(
        !run(&["-Bb", file, "ann", "a"], "").status.success(),
        "there is no file"
    );
    assert!(run(&["-Bbc", file, "ann", "a"], "").status.success());
    assert!(run(&["-Bb", file, "bob", "b"], "").status.success());
    assert!(run(&["-Bb", file, "ann", "c"], "").status.success());
    let text = fs::read_to_string(&path).unwrap();
    let hashes: Vec<_> = text
        .lines()
        .map(|line| line.split_once(':').unwrap())
        .collect();
    assert_eq!((hashes.len(), hashes[0].0, hashes[1].0), (2, "ann", "bob"));
    assert!(bcrypt::verify("c", hashes[0].1).unwrap() && bcrypt::verify("b", hashes[1].1).unwrap());
}

#[test]
fn it_says_what_is_wrong() {
    for arguments in [
        &["-Bbn", "a:b", "secret"][..],
        &["-Bbn", "", "secret"],
        &["-Bbn", "-C", "99", "ann", "secret"],
        &["-Bbn", "ann"],
        &["-Bn", "ann", "secret"],
        &["-mbn", "ann", "secret"],
        &["-Bbn", "ann", &"x".repeat(73)],
    ] {
        let output = run(arguments, "");
        assert!(!output.status.success(), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!error.contains("secret"), "{error}");
    }
    let output = run(&["-Bn", "ann"], "one\nother\n");
    assert!(!output.status.success(), "the two do not agree");
}
