//! The keys of an issuer, as it published them: asked for again when they are old and when a token names
//! one that is new, but not as often as somebody who makes names up would like.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layerhouse_oci::strict_json::{self, Json};

use crate::auth::token::KeySet;
use crate::auth::token::key::Key;
use crate::clock::Timestamp;

/// A key that was taken back is good for so long at most, where the issuer answers.
const GOOD_FOR: Duration = Duration::from_hours(1);
/// And where it does not.
const KEPT_FOR: Duration = Duration::from_hours(12);
/// Between two questions.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// Keys, once there are any.
#[derive(Default)]
pub(super) struct Keys {
    state: Mutex<State>,
    /// Held by who asks for them.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    asked_at: Option<Timestamp>,
    held: Option<(Timestamp, Arc<KeySet>)>,
}

impl Keys {
    /// Those that are good now.
    pub(super) fn held(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.younger_than(GOOD_FOR, now)
    }

    /// Those that are good while the issuer does not answer.
    pub(super) fn kept(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.younger_than(KEPT_FOR, now)
    }

    fn younger_than(&self, age: Duration, now: Timestamp) -> Option<Arc<KeySet>> {
        let state = self.state();
        let (since, keys) = state.held.as_ref()?;
        (now.since(*since) < age).then(|| Arc::clone(keys))
    }

    /// One asks at a time.
    pub(super) async fn asking(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.asking.lock().await
    }

    /// Whether the issuer may be asked now; from then on it may not for a while.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let may = state
            .asked_at
            .is_none_or(|last| now < last || ASKED_EVERY <= now.since(last));
        if may {
            state.asked_at = Some(now);
        }
        may
    }

    /// Puts the keys of a set (RFC 7517, 5) in place of those of before.
    ///
    /// # Errors
    /// A sentence: there is none that signs.
    pub(super) fn put(&self, content: &[u8], now: Timestamp) -> Result<Arc<KeySet>, String> {
        let keys = Arc::new(of_set(content)?);
        self.state().held = Some((now, Arc::clone(&keys)));
        Ok(keys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a set that somebody else wrote.
///
/// # Errors
/// A sentence: there is none that signs.
pub(crate) fn of_set(content: &[u8]) -> Result<KeySet, String> {
    keys_of(content).map(KeySet::of_keys)
}

/// Others' sets have keys that we cannot use, and may have broken ones: those sign nothing.
fn keys_of(content: &[u8]) -> Result<Vec<Key>, String> {
    let set = strict_json::parse(content).map_err(|error| error.to_string())?;
    let Json::Object(set) = &set else {
        return Err("it is not a set of keys: {\"keys\": […]}".to_owned());
    };
    let Some(Json::Array(members)) = set.get("keys") else {
        return Err("it is not a set of keys: there is no list \"keys\"".to_owned());
    };
    let read = |member: &Json| {
        let Json::Object(member) = member else {
            return None;
        };
        Key::of_jwk(member).ok().flatten()
    };
    let keys: Vec<_> = members.iter().filter_map(read).collect();
    if keys.is_empty() {
        return Err("it has no RSA, EC or Ed25519 key that signs".to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x of RFC 8037, A.2.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn broken_keys_beside_a_good_one_sign_nothing() {
        let check = |keys: &str, expected: usize| {
            let found = keys_of(format!("{{\"keys\":[{keys}]}}").as_bytes());
            assert_eq!(found.map_or(0, |keys| keys.len()), expected, "{keys}");
        };
        check(ED25519, 1);
        let weak = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        check(&format!("{weak},{ED25519},7"), 1);
        check(r#"{"kty":"oct","k":"AAAA"}"#, 0);
        check("", 0);
        assert!(keys_of(b"[]").is_err());
        assert!(keys_of(b"<html>").is_err());
    }

    #[test]
    fn questions_are_bounded_and_keys_get_old() {
        let keys = Keys::default();
        let at = |seconds: i64| Timestamp(seconds * 1000);
        assert!(keys.may_ask(at(0)));
        assert!(!keys.may_ask(at(29)));
        assert!(keys.may_ask(at(30)));
        assert!(keys.held(at(0)).is_none());
        keys.put(format!("{{\"keys\":[{ED25519}]}}").as_bytes(), at(0))
            .expect("a key");
        assert!(keys.held(at(3599)).is_some());
        assert!(keys.held(at(3600)).is_none());
        assert!(keys.kept(at(3600)).is_some());
        assert!(keys.kept(at(12 * 3600)).is_none());
    }
}
