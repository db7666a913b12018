//! The file that is made when there is none, and the lines of `layerhouse htpasswd`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Random;

/// The user of a file that was missing, as registry:2 calls it.
const USER: &str = "docker";
/// As Go's `bcrypt.DefaultCost`.
const COST: u32 = 10;
/// What Apache's `htpasswd -B` takes if `-C` says nothing.
pub const COST_DEFAULT: u32 = 5;

/// Why there is no line for the file of users.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    #[error("the user name is empty")]
    NoUser,
    #[error("a user name has no colon and no control characters")]
    User,
    #[error("bcrypt takes costs from 4 to 17; each more takes twice the time for every login")]
    Cost,
    #[error("bcrypt reads 72 bytes of a password, this one has {0}")]
    Password(usize),
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{}: {error}; it was to take the place of the file and may be removed", path.display())]
    Temporary { path: PathBuf, error: io::Error },
}

/// `user:$2y$05$…`, as `htpasswd -Bbn user password` prints it.
///
/// # Errors
/// The name, the password or the cost is one that no file can have.
pub fn htpasswd_line(
    user: &str,
    password: &str,
    cost: u32,
    random: &Random,
) -> Result<String, HtpasswdError> {
    if user.is_empty() {
        return Err(HtpasswdError::NoUser);
    }
    if user.contains(|letter: char| letter == ':' || letter.is_control()) {
        return Err(HtpasswdError::User);
    }
    if !(4..=17).contains(&cost) {
        return Err(HtpasswdError::Cost);
    }
    if 72 < password.len() {
        return Err(HtpasswdError::Password(password.len()));
    }
    let salt = random.bits().to_be_bytes();
    let hash = bcrypt::hash_with_salt(password, cost, salt).map_err(|_| HtpasswdError::Cost)?;
    let hash = hash.format_for_version(bcrypt::Version::TwoY);
    Ok(format!("{user}:{hash}"))
}

/// Makes the file with one user and says the password in the log, once, if there is no file.
///
/// # Errors
/// It cannot be made; the message is for the operator.
pub(crate) fn provision(path: &Path, random: &Random) -> Result<(), String> {
    let fault = |error: io::Error| format!("{}: {error}", path.display());
    match fs::metadata(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error)),
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(fault)?;
    }
    let bytes = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
    let password = URL_SAFE_NO_PAD.encode(bytes);
    let line = htpasswd_line(USER, &password, COST, random).map_err(|error| error.to_string())?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(fault)?;
    tracing::warn!(
        user = USER,
        password,
        "htpasswd is missing, provisioning with default user"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::htpasswd::users::Users;

    #[test]
    fn lines_are_as_apache_writes_them() {
        let random = Random::seeded(1);
        let line = htpasswd_line("ann", "a:b", COST_DEFAULT, &random).expect("a line");
        assert!(
            line.starts_with("ann:$2y$05$") && line.len() == 64,
            "{line}"
        );
        let users = Users::parse(line.as_bytes()).expect("a good file");
        assert!(users.find("ann").0.matches(b"a:b"));
        for (user, password, cost) in [
            ("", "x", 5),
            ("a:b", "x", 5),
            ("a\nb", "x", 5),
            ("a", "x", 3),
            ("a", "x", 18),
            ("a", &"x".repeat(73), 5),
        ] {
            assert!(
                htpasswd_line(user, password, cost, &random).is_err(),
                "{user:?} {cost}"
            );
        }
    }
}
