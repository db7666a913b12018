//! Tokens for pulling, kept as long as they are good; one is asked for at a time, however many need it (S34).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::error::UpstreamError;
use crate::clock::{Clock, Moment};

/// What token services mean if they do not say how long; and clients take every token for good as long.
const LIFETIME_MIN: Duration = Duration::from_mins(1);
/// Who says longer is asked again all the same.
const LIFETIME_MAX: Duration = Duration::from_hours(24);
/// Repositories whose tokens are kept; with more, those that are over go, and if there are none, all.
const SLOTS_MAX: usize = 4096;
/// Longer tokens fit no header.
const TOKEN_BYTES_MAX: usize = 32 << 10;

/// A token that can be sent.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: Arc<str>,
    /// It was not sent to anybody yet, so who refuses it would refuse the next one, too.
    pub(super) is_new: bool,
}

/// What a token service answered.
pub(super) struct Issued {
    pub(super) text: Arc<str>,
    pub(super) lifetime: Duration,
}

/// Whom a token is for: the origin that it is sent to, and a repository there.
pub(super) type Key = (String, String);

/// The tokens of one endpoint.
pub(super) struct Tokens {
    clock: Clock,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    /// Questions that were answered: who waited for one need not ask it again.
    answered: AtomicU64,
    state: tokio::sync::Mutex<State>,
    /// The token, for who only looks.
    kept: Mutex<Option<Kept>>,
}

#[derive(Default)]
struct State {
    /// Why the last question was answered with no token.
    error: Option<UpstreamError>,
}

#[derive(Clone)]
struct Kept {
    text: Arc<str>,
    asked_at: Moment,
    lifetime: Duration,
}

impl Slot {
    fn fresh(&self, now: Moment) -> Option<Arc<str>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        let is_fresh = now.since(kept.asked_at) < kept.lifetime;
        is_fresh.then(|| Arc::clone(&kept.text))
    }
}

impl Tokens {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            slots: Mutex::default(),
        }
    }

    /// A token that is there and good.
    pub(super) fn kept(&self, key: &Key) -> Option<Token> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let text = slots.get(key)?.fresh(self.clock.moment())?;
        Some(Token {
            text,
            is_new: false,
        })
    }

    /// A token other than `refused`: one that is there, or what `ask` gets. Who waits while another one asks
    /// gets the same answer, be it an error.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(super) async fn obtain(
        &self,
        key: Key,
        refused: Option<&str>,
        ask: impl Future<Output = Result<Issued, UpstreamError>>,
    ) -> Result<Token, UpstreamError> {
        let slot = self.slot(key);
        let answered = slot.answered.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        let now = self.clock.moment();
        if let Some(text) = slot.fresh(now)
            && refused != Some(&*text)
        {
            return Ok(Token {
                text,
                is_new: false,
            });
        }
        if let Some(error) = &state.error
            && slot.answered.load(Ordering::Acquire) != answered
        {
            return Err(error.clone());
        }
        let issued = ask.await;
        slot.answered.fetch_add(1, Ordering::AcqRel);
        let (kept, error) = match &issued {
            Ok(issued) => {
                let kept = Kept {
                    text: Arc::clone(&issued.text),
                    asked_at: now,
                    lifetime: issued.lifetime,
                };
                (Some(kept), None)
            }
            Err(error) => (None, Some(error.clone())),
        };
        *slot.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        state.error = error;
        issued.map(|issued| Token {
            text: issued.text,
            is_new: true,
        })
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if SLOTS_MAX <= slots.len() && !slots.contains_key(&key) {
            let now = self.clock.moment();
            slots.retain(|_, slot| slot.fresh(now).is_some() || 1 < Arc::strong_count(slot));
            if SLOTS_MAX <= slots.len() {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Reads the answer of a token service. Pure.
pub(super) fn read_answer(json: &[u8]) -> Result<Issued, &'static str> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
        /// Seconds; some have fractions.
        #[serde(default)]
        expires_in: Option<f64>,
    }
    let answer: Answer =
        serde_json::from_slice(json).map_err(|_| "its token service answers no token in JSON")?;
    let text = answer.token.filter(|token| !token.is_empty());
    let text = text.or(answer.access_token).unwrap_or_default();
    let is_sendable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || TOKEN_BYTES_MAX < text.len() || !is_sendable {
        return Err("its token service answers what is no token");
    }
    let seconds = answer.expires_in.unwrap_or_default();
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(LIFETIME_MIN);
    Ok(Issued {
        text: text.into(),
        lifetime: lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn answers_of_token_services_are_read() {
        let check = |json: &str, expected: Result<(&str, u64), &str>| {
            let found = read_answer(json.as_bytes());
            let found = found
                .as_ref()
                .map(|found| (&*found.text, found.lifetime.as_secs()));
            assert_eq!(found.map_err(|error| *error), expected, "{json}");
        };
        check(r#"{"token": "t", "expires_in": 300}"#, Ok(("t", 300)));
        check(r#"{"access_token": "a", "token": ""}"#, Ok(("a", 60)));
        check(
            r#"{"token": "t", "access_token": "a", "expires_in": 1}"#,
            Ok(("t", 60)),
        );
        check(r#"{"token": "t", "expires_in": 1e300}"#, Ok(("t", 60)));
        check(r#"{"token": "t", "expires_in": 999999}"#, Ok(("t", 86400)));
        check(r#"{"token": "t", "expires_in": -5.5}"#, Ok(("t", 60)));
        let no_token = "its token service answers what is no token";
        check("{}", Err(no_token));
        check(r#"{"token": "a b"}"#, Err(no_token));
        check(r#"{"token": "a\r\nX: y"}"#, Err(no_token));
        let no_json = "its token service answers no token in JSON";
        check("", Err(no_json));
        check("\"t\"", Err(no_json));
        check(r#"{"token": 1}"#, Err(no_json));
    }

    fn issued(text: &str, seconds: u64) -> Issued {
        Issued {
            text: text.into(),
            lifetime: Duration::from_secs(seconds),
        }
    }

    fn key() -> Key {
        ("https://r.example".to_owned(), "a/b".to_owned())
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_over() {
        let clock = Clock::manual(Timestamp(0));
        let tokens = Tokens::new(&clock);
        assert!(tokens.kept(&key()).is_none());
        let first = tokens
            .obtain(key(), None, async { Ok(issued("1", 60)) })
            .await;
        assert!(first.is_ok_and(|token| token.is_new && &*token.text == "1"));
        let again = tokens
            .obtain(key(), None, async { panic!("it is there") })
            .await;
        assert!(again.is_ok_and(|token| !token.is_new && &*token.text == "1"));
        let refused = tokens
            .obtain(key(), Some("1"), async { Ok(issued("2", 60)) })
            .await;
        assert!(refused.is_ok_and(|token| token.is_new && &*token.text == "2"));
        clock.advance(Duration::from_secs(59));
        assert!(tokens.kept(&key()).is_some_and(|token| &*token.text == "2"));
        clock.advance(Duration::from_secs(1));
        assert!(tokens.kept(&key()).is_none());
    }

    /// S34
    #[tokio::test]
    async fn sec_s34_one_asks_and_all_get_the_answer() {
        let clock = Clock::manual(Timestamp(0));
        let tokens = Tokens::new(&clock);
        let asked = AtomicU64::new(0);
        let ask = |answer: Option<&'static str>| {
            let asked = &asked;
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let error = || UpstreamError::Unreachable("gone".into());
                answer.map(|text| issued(text, 60)).ok_or_else(error)
            }
        };
        let all = (0..50).map(|_| tokens.obtain(key(), None, ask(None)));
        let all = futures_util::future::join_all(all).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let all = (0..50).map(|_| tokens.obtain(key(), None, ask(Some("t"))));
        let all = futures_util::future::join_all(all).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::SeqCst), 2, "an error is not kept");
    }

    #[tokio::test]
    async fn tokens_of_many_repositories_are_bounded() {
        let clock = Clock::manual(Timestamp(0));
        let tokens = Tokens::new(&clock);
        for number in 0..SLOTS_MAX + 10 {
            let key = (String::new(), number.to_string());
            let obtained = tokens
                .obtain(key, None, async { Ok(issued("t", 60)) })
                .await;
            assert!(obtained.is_ok());
        }
        let slots = tokens.slots.lock().expect("nobody panicked");
        assert!(slots.len() <= SLOTS_MAX);
    }
}
