//! Passes: what a client gets for a name and a password, or for nothing, and shows instead from then on.
//!
//! Docker Engine pulls without signing in only where it is challenged for a token: with `Basic` it says
//! "no basic auth credentials" and sends nothing. So a registry that lets all pull and some push hands
//! out tokens of its own. They hold no rights and no secret, nothing is kept of them, and one ends when
//! its user's entry in the file changes, or the process ends that alone can open it.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::users::Users;
use crate::auth::credentials::Secret;
use crate::auth::sealing::Sealing;
use crate::clock::{Clock, Timestamp};

/// How long a pass is good. Clients ask for another one in time.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(5);
const PURPOSE: &str = "pass";
const TAG_BYTES: usize = 32;
const DATE_BYTES: usize = 8;

/// Whose pass it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Anonymous,
    User(String),
}

/// Makes and reads passes.
pub(crate) struct Passes {
    sealing: Sealing,
    clock: Clock,
}

impl Passes {
    pub(crate) fn new(clock: &Clock, sealing: &Sealing) -> Self {
        Self {
            sealing: sealing.clone(),
            clock: clock.clone(),
        }
    }

    /// A pass for someone who was found to be the holder: tag, date of its end, holder.
    pub(crate) fn issue(&self, holder: &Holder, users: &Users) -> Option<Secret> {
        let valid_ms = i64::try_from(VALID_FOR.as_millis()).unwrap_or(0);
        let end = self.clock.now().0.saturating_add(valid_ms);
        let content = [&end.to_be_bytes()[..], &encode(holder)].concat();
        let sealed = [&content[..], &entry(holder, users)?].concat();
        let tag = hmac::sign(&self.sealing.key(PURPOSE), &sealed);
        let pass = URL_SAFE_NO_PAD.encode([tag.as_ref(), &content].concat());
        Some(Secret::new(pass.into_bytes()))
    }

    /// Whose pass it is; `None` if it is none of ours, is over, or its user is not who they were.
    pub(crate) fn read(&self, pass: &Secret, users: &Users) -> Option<Holder> {
        let bytes = URL_SAFE_NO_PAD.decode(pass.expose()).ok()?;
        let (tag, content) = bytes.split_at_checked(TAG_BYTES)?;
        let (end, holder) = content.split_at_checked(DATE_BYTES)?;
        let holder = decode(holder)?;
        let sealed = [content, &entry(&holder, users)?].concat();
        hmac::verify(&self.sealing.key(PURPOSE), &sealed, tag).ok()?;
        let end = Timestamp(i64::from_be_bytes(end.try_into().ok()?));
        (self.clock.now() < end).then_some(holder)
    }
}

fn encode(holder: &Holder) -> Vec<u8> {
    match holder {
        Holder::Anonymous => vec![0],
        Holder::User(name) => [&[1], name.as_bytes()].concat(),
    }
}

fn decode(bytes: &[u8]) -> Option<Holder> {
    match bytes.split_first()? {
        (0, []) => Some(Holder::Anonymous),
        (1, name) => Some(Holder::User(str::from_utf8(name).ok()?.to_owned())),
        _ => None,
    }
}

/// The entry that the pass depends on, if the holder needs one.
fn entry(holder: &Holder, users: &Users) -> Option<Vec<u8>> {
    match holder {
        Holder::Anonymous => Some(Vec::new()),
        Holder::User(name) => {
            let (hash, counts) = users.find(name);
            counts.then(|| hash.bytes().to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Random;

    fn users(salt: u8) -> Users {
        let hash = bcrypt::hash_with_salt("x", 4, [salt; 16]).expect("a cost that is allowed");
        Users::parse(format!("ann:{hash}").as_bytes()).expect("a good file")
    }

    #[test]
    fn passes_end_with_time_entry_and_process() {
        let clock = Clock::manual(Timestamp(1_000));
        let passes = Passes::new(&clock, &Sealing::new(&Random::seeded(1)));
        let ann = Holder::User("ann".to_owned());
        let [of_ann, of_nobody] = [&ann, &Holder::Anonymous]
            .map(|holder| passes.issue(holder, &users(1)).expect("a pass"));
        assert!(
            passes
                .issue(&Holder::User("bob".to_owned()), &users(1))
                .is_none()
        );
        assert_eq!(passes.read(&of_ann, &users(1)), Some(ann));
        assert_eq!(passes.read(&of_nobody, &users(2)), Some(Holder::Anonymous));
        assert_eq!(passes.read(&of_ann, &users(2)), None, "another entry");
        assert_eq!(
            Passes::new(&clock, &Sealing::new(&Random::seeded(2))).read(&of_ann, &users(1)),
            None
        );
        for at in 0..of_ann.expose().len() {
            let mut bytes = of_ann.expose().to_vec();
            bytes[at] ^= 1;
            assert_eq!(passes.read(&Secret::new(bytes), &users(1)), None, "{at}");
        }
        for text in ["", "AA", "!"] {
            assert_eq!(passes.read(&Secret::new(text.as_bytes()), &users(1)), None);
        }
        clock.advance(VALID_FOR);
        assert_eq!(passes.read(&of_nobody, &users(1)), None, "over");
    }
}
