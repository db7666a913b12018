//! What seals what clients keep for us until they come back: passes, and how a sign-in with a provider began.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;

use crate::clock::Random;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// The key of a process alone, until it is told the one that all processes of a registry have. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sealing(Arc<ArcSwap<[u8; KEY_BYTES]>>);

impl Sealing {
    /// Seals what this process alone can open.
    pub(crate) fn new(random: &Random) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(new_key(random))))
    }

    /// From now on what is sealed here is opened by all who have this key.
    pub(crate) fn share(&self, key: [u8; KEY_BYTES]) {
        self.0.store(Arc::new(key));
    }

    /// The key for one purpose: what is sealed for another is not opened by it.
    pub(crate) fn key(&self, purpose: &str) -> hmac::Key {
        let all = hmac::Key::new(hmac::HMAC_SHA256, &self.0.load()[..]);
        let derived = hmac::sign(&all, purpose.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
    }
}

/// A key that nobody has yet.
pub(crate) fn new_key(random: &Random) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (first, second) = key.split_at_mut(KEY_BYTES / 2);
    first.copy_from_slice(&random.bits().to_be_bytes());
    second.copy_from_slice(&random.bits().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_a_key_opens_what_others_sealed_for_the_same_purpose() {
        let [one, two] = [1, 2].map(|seed| Sealing::new(&Random::seeded(seed)));
        let tag = |sealing: &Sealing| hmac::sign(&sealing.key("pass"), b"x").as_ref().to_vec();
        assert_ne!(tag(&one), tag(&two));
        let key = new_key(&Random::seeded(3));
        one.share(key);
        two.share(key);
        assert_eq!(tag(&one), tag(&two));
        let other = hmac::sign(&one.key("sign-in"), b"x");
        assert_ne!(tag(&one), other.as_ref());
    }
}
