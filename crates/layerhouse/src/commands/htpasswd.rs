//! `layerhouse htpasswd`: a line for the file of users, as Apache's program of that name makes it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use layerhouse::clock::Random;
use layerhouse::{HTPASSWD_COST_DEFAULT, htpasswd_line, htpasswd_update};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
#[command(
    override_usage = "layerhouse htpasswd [-Bbci] [-C COST] FILE USER [PASSWORD]\n       \
                            layerhouse htpasswd -n [-Bbi] [-C COST] USER [PASSWORD]"
)]
pub(crate) struct HtpasswdArguments {
    /// Use bcrypt; nothing else is used, with and without it
    #[arg(short = 'B')]
    _bcrypt: bool,
    /// Take the password from the command line, where others on the machine can see it
    #[arg(short = 'b')]
    is_batch: bool,
    /// Print the line instead of changing a file
    #[arg(short = 'n', conflicts_with = "creates")]
    prints: bool,
    /// Make a new file; what the old one said is lost
    #[arg(short = 'c')]
    creates: bool,
    /// Read the password from standard input, once
    #[arg(short = 'i', conflicts_with = "is_batch")]
    is_piped: bool,
    /// From 4 to 17; each more takes twice the time for every login
    #[arg(short = 'C', value_name = "COST", default_value_t = HTPASSWD_COST_DEFAULT)]
    cost: u32,
    #[arg(value_name = "FILE USER PASSWORD", required = true)]
    words: Vec<String>,
}

pub(crate) fn run(arguments: &HtpasswdArguments) -> Result<(), String> {
    let mut words = arguments.words.iter();
    let file = if arguments.prints { None } else { words.next() };
    let missing = "name a user; --help shows how";
    let user = words.next().ok_or(missing)?;
    let given = if arguments.is_batch {
        Some(
            words
                .next()
                .ok_or("-b takes the password behind the user")?,
        )
    } else {
        None
    };
    if words.next().is_some() {
        return Err("there is a word too many; a password on the command line needs -b".to_owned());
    }
    let password = match given {
        Some(password) => password.clone(),
        None if arguments.is_piped => ask("")?,
        None => {
            let password = ask("New password: ")?;
            if ask("Re-type new password: ")? != password {
                return Err("the two passwords are not the same".to_owned());
            }
            password
        }
    };
    let line = htpasswd_line(user, &password, arguments.cost, &Random::system());
    let line = line.map_err(|error| error.to_string())?;
    let Some(file) = file else {
        // With an empty line behind it, as Apache's does.
        let mut out = io::stdout().lock();
        let written = out.write_all(format!("{line}\n\n").as_bytes());
        return written
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string());
    };
    let updated = htpasswd_update(Path::new(file), &line, arguments.creates);
    let was_there = updated.map_err(|error| format!("{file}: {error}"))?;
    let done = if was_there { "Updating" } else { "Adding" };
    let _ = writeln!(io::stderr(), "{done} password for user {user}");
    Ok(())
}

/// A line of standard input; a terminal is asked for it and does not show it.
pub(crate) fn ask(question: &str) -> Result<String, String> {
    let mut stdin = io::stdin().lock();
    let shown = stdin
        .is_terminal()
        .then(|| tcgetattr(&stdin).ok())
        .flatten();
    if let Some(shown) = &shown {
        let _ = write!(io::stderr(), "{question}");
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &hidden);
    }
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    if let Some(shown) = &shown {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, shown);
        let _ = writeln!(io::stderr());
    }
    read.map_err(|error| format!("the password cannot be read: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
