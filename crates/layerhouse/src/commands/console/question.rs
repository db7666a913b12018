//! What is asked of who types: passwords, which are shown nowhere, and whether they mean it.

use std::io::{self, BufRead, IsTerminal, Write};

use super::session::Failure;
use crate::commands::htpasswd::ask;

/// A new password: typed twice at a terminal, else the first line of standard input.
pub(crate) fn new_password() -> Result<String, Failure> {
    let is_typed = io::stdin().is_terminal();
    let password = read("New password: ")?;
    if password.is_empty() {
        return Err(Failure::usage(
            "no password was given; type it, or send it on standard input",
        ));
    }
    if is_typed && read("The same once more: ")? != password {
        return Err(Failure::usage("the two passwords are not the same"));
    }
    Ok(password)
}

fn read(question: &str) -> Result<String, Failure> {
    ask(question).map_err(Failure::failed)
}

/// Has who types confirm what cannot be taken back; without a terminal, `--yes` does.
pub(crate) fn confirm(what: &str, is_confirmed: bool) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    let mut stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        let message = format!("{what}? Nobody is there to ask: say --yes");
        return Err(Failure::usage(message));
    }
    let _ = write!(io::stderr(), "{what}? [y/N] ");
    let mut answer = String::new();
    stdin
        .read_line(&mut answer)
        .map_err(|error| Failure::failed(error.to_string()))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}
