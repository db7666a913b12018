//! A machine with a data directory, and who stands before it: runs the binary's commands, on a server that runs
//! and on one that is stopped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerhouse::verify;
use tempfile::TempDir;

use super::files::quick_directory;
use super::process::Process;

const ON: (&str, &str) = ("LAYERHOUSE_INDEX__ENABLED", "true");

/// A data directory, and who stands before it.
pub(crate) struct Machine {
    directory: TempDir,
    /// What its configuration says.
    pub(crate) has_accounts: bool,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// One without accounts.
    pub(crate) fn new() -> Self {
        Self {
            directory: quick_directory(),
            has_accounts: false,
        }
    }

    pub(crate) fn with_accounts() -> Self {
        Self {
            directory: quick_directory(),
            has_accounts: true,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn serve(&self) -> Process {
        let variables = self.has_accounts.then_some(ON);
        Process::start(&self.root(), variables.as_slice())
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
        command.args(words).arg("--root").arg(self.root());
        if self.has_accounts {
            command.envs([ON]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, words: &[&str], input: &str) -> Ran {
        let mut child = self.command(words).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs a line of words that must do what it says; what it printed.
    pub(crate) fn does(&self, line: &str, input: &str) -> String {
        let ran = self.run(&words(line), input);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        ran.out
    }

    /// The exit code of a line of words, which says why.
    pub(crate) fn refuses(&self, line: &str, input: &str) -> (i32, String) {
        let ran = self.run(&words(line), input);
        assert!(ran.out.is_empty(), "{line}: {ran:?}");
        assert!(!ran.err.is_empty(), "{line}: {ran:?}");
        (ran.code.unwrap(), ran.err)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.root().exists() && !std::thread::panicking() {
            let report = verify(&self.root(), None).unwrap();
            assert!(report.findings.is_empty(), "{report}");
        }
    }
}

pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
