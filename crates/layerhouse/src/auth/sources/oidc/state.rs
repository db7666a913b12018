//! What a browser keeps while it is away at a provider: sealed, so that nothing is
//! kept here, and of no use in another browser, at another provider, or later.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::auth::credentials::Secret;
use crate::auth::sealing::Sealing;
use crate::clock::{Clock, Random, Timestamp};

/// How long somebody may take to sign in at the provider.
pub(crate) const GOOD_FOR: Duration = Duration::from_mins(10);
const PURPOSE: &str = "sign-in with a provider";
const TAG_BYTES: usize = 32;

/// Seals and opens states.
pub(super) struct States {
    /// So that one of another provider is none.
    provider: String,
    sealing: Sealing,
    clock: Clock,
    random: Random,
}

/// A sign-in that began.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Comes back in the address.
    pub(super) state: String,
    /// Comes back in the token.
    pub(super) nonce: String,
    /// Proves to the provider that it was us who asked (RFC 7636).
    pub(super) verifier: String,
    /// A path of ours.
    pub(super) return_to: Option<String>,
    ends_ms: i64,
}

impl Begun {
    pub(super) fn has_state(&self, state: &str) -> bool {
        constant_time::verify_slices_are_equal(self.state.as_bytes(), state.as_bytes()).is_ok()
    }
}

impl States {
    pub(super) fn new(provider: &str, clock: &Clock, random: &Random, sealing: &Sealing) -> Self {
        Self {
            provider: provider.to_owned(),
            sealing: sealing.clone(),
            clock: clock.clone(),
            random: random.clone(),
        }
    }

    pub(super) fn begin(&self, return_to: Option<String>) -> Begun {
        let random = || URL_SAFE_NO_PAD.encode(bytes(&self.random));
        let good_ms = i64::try_from(GOOD_FOR.as_millis()).unwrap_or(0);
        Begun {
            state: random(),
            nonce: random(),
            verifier: random(),
            return_to,
            ends_ms: self.clock.now().0.saturating_add(good_ms),
        }
    }

    /// What the browser is to keep.
    pub(super) fn seal(&self, begun: &Begun) -> Secret {
        let content = serde_json::to_vec(begun).unwrap_or_default();
        let tag = hmac::sign(&self.sealing.key(PURPOSE), &self.sealed(&content));
        let sealed = URL_SAFE_NO_PAD.encode([tag.as_ref(), &content].concat());
        Secret::new(sealed.into_bytes())
    }

    /// What it kept; `None` if that is nothing of ours, or over.
    pub(super) fn open(&self, kept: &Secret) -> Option<Begun> {
        let bytes = URL_SAFE_NO_PAD.decode(kept.expose()).ok()?;
        let (tag, content) = bytes.split_at_checked(TAG_BYTES)?;
        hmac::verify(&self.sealing.key(PURPOSE), &self.sealed(content), tag).ok()?;
        let begun: Begun = serde_json::from_slice(content).ok()?;
        (self.clock.now() < Timestamp(begun.ends_ms)).then_some(begun)
    }

    fn sealed(&self, content: &[u8]) -> Vec<u8> {
        [self.provider.as_bytes(), &[0], content].concat()
    }
}

/// 256 random bits.
fn bytes(random: &Random) -> Vec<u8> {
    [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_of_one_provider_and_over_soon() {
        let (clock, random) = (Clock::manual(Timestamp(1000)), Random::seeded(1));
        let sealing = Sealing::new(&random);
        let states = States::new("one", &clock, &random, &sealing);
        let begun = states.begin(Some("/ui".to_owned()));
        let kept = states.seal(&begun);
        assert_eq!(states.open(&kept).as_ref(), Some(&begun));
        assert!(begun.has_state(&begun.state));
        assert!(!begun.has_state("") && !begun.has_state(&begun.nonce));
        let other = States {
            provider: "two".to_owned(),
            sealing: Sealing::new(&random),
            clock: clock.clone(),
            random: random.clone(),
        };
        assert!(other.open(&kept).is_none());
        let renamed = States {
            provider: "two".to_owned(),
            ..States::new("one", &clock, &random, &sealing)
        };
        assert!(
            renamed.open(&kept).is_none(),
            "the same key, another provider"
        );
        for at in 0..kept.expose().len() {
            let mut bytes = kept.expose().to_vec();
            bytes[at] ^= 1;
            assert!(states.open(&Secret::new(bytes)).is_none(), "{at}");
        }
        for text in ["", "AA", "!"] {
            assert!(states.open(&Secret::new(text.as_bytes())).is_none());
        }
        clock.advance(GOOD_FOR);
        assert!(states.open(&kept).is_none(), "over");
    }
}
