//! Passwords of accounts of our own, as they are stored: argon2id with the parameters of RFC 9106's second
//! choice as OWASP has it (19 MiB, 2 passes), 21 ms of one core.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::auth::credentials::Secret;
use crate::clock::Random;

/// Longest password: what is longer was not typed, and hashing reads all of it.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password (NIST SP 800-63B, 3.1.1.2).
pub(crate) const PASSWORD_CHARACTERS_MIN: usize = 8;

/// A hash that no password is known for: what is compared where there is none (S14). Its cost is that of
/// every other, for all are made below.
pub(crate) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bGF5ZXJob3VzZS1ub2JvZHk$q9m4eVJw3m1cG0kK0Lr3v7b8j2m1b0u7c4V3nXb7i7A";

/// The hash of a password, in PHC's form. Takes 21 ms and 19 MiB.
pub(crate) fn hash(password: &Secret, random: &Random) -> String {
    let salt = random.bits().to_be_bytes();
    Argon2::default()
        .hash_password_with_salt(password.expose(), &salt)
        .expect("a salt of 16 bytes and the default parameters are allowed")
        .to_string()
}

/// Whether a password is the one that was hashed. Takes as long as [`hash`].
pub(crate) fn matches(stored: &str, password: &Secret) -> bool {
    if PASSWORD_BYTES_MAX < password.expose().len() {
        return false;
    }
    PasswordHash::new(stored).is_ok_and(|stored| {
        Argon2::default()
            .verify_password(password.expose(), &stored)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_their_password_alone() {
        let (right, wrong) = (
            Secret::new(*b"correct horse"),
            Secret::new(*b"correct hors"),
        );
        let stored = hash(&right, &Random::seeded(1));
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(matches(&stored, &right));
        assert!(!matches(&stored, &wrong));
        assert!(!matches(
            &stored,
            &Secret::new(vec![b'x'; PASSWORD_BYTES_MAX + 1])
        ));
        assert!(!matches("", &right) && !matches("$2y$05$x", &right));
        // It can be read, or comparing with it would cost nothing.
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!matches(NOBODY, &right));
    }
}
