//! How often a client may ask, in the form of Docker Hub: its headers, its 429, its way to look at what is
//! left (a HEAD, which does not count).
//!
//! Windows are fixed: each begins with the first request after the last one ended. Who is not told apart
//! by an account is by the address; of IPv6 by its network, for one machine has all of a /64.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use layerhouse_oci::error_code::Code;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::error::ApiError;
use super::{Answer, Call};
use crate::auth::{ClientAddress, Identity};
use crate::clock::Timestamp;
use crate::config::meaning::rate::Rate;

/// Clients that are remembered, of some 200 bytes each; beyond, those not seen for longest begin anew.
const REMEMBERED_MAX: u64 = 100_000;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const SOURCE: HeaderName = HeaderName::from_static("docker-ratelimit-source");

/// Who asked how often lately.
pub(crate) struct Windows(Cache<Who, Arc<Mutex<Window>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Account(Arc<str>),
    /// Pulls of nobody in particular.
    Address(Place),
    /// Requests to the API, whoever's.
    Api(Place),
}

/// The part of an address that tells one client from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    V4([u8; 4]),
    /// The first 64 bits.
    V6(u64),
    Unix,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Timestamp,
    count: u32,
}

/// What is left, as clients are told.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    rate: Rate,
    remaining: u32,
    source: Option<String>,
    /// Until the window ends, if nothing was left.
    wait: Option<Duration>,
}

impl Default for Windows {
    fn default() -> Self {
        // By when they were last seen, not how often: who comes with many addresses must not keep new
        // ones from being counted.
        let windows = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru());
        Self(windows.build())
    }
}

impl Windows {
    /// Takes `cost` of what is left: what is left then. If it is too little, nothing is taken, and how long
    /// that lasts is said as well.
    fn take(&self, who: Who, rate: Rate, cost: u32, now: Timestamp) -> (u32, Option<Duration>) {
        let begin = || {
            Arc::new(Mutex::new(Window {
                began: now,
                count: 0,
            }))
        };
        let window = self.0.get_with(who, begin);
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back ends the window, too.
        let is_over = rate.window <= now.since(window.began) || now < window.began;
        if is_over {
            *window = Window {
                began: now,
                count: 0,
            };
        }
        let left = rate.requests.saturating_sub(window.count);
        if left < cost {
            let wait = rate.window.saturating_sub(now.since(window.began));
            return (0, Some(wait));
        }
        window.count += cost;
        (left - cost, None)
    }
}

impl Place {
    fn of(address: ClientAddress) -> Self {
        let address = match address {
            ClientAddress::Direct(address) => address.ip(),
            ClientAddress::Forwarded(address) => address,
            ClientAddress::Unix | ClientAddress::Console => return Self::Unix,
        };
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// What is left after this pull of a manifest; nothing, where pulls are not limited.
///
/// # Errors
/// 429 for who asked too often.
pub(super) fn pull(call: &Call, method: &Method) -> Result<Option<Allowance>, ApiError> {
    let source = &call.caller.source;
    let limits = call.settings.rates;
    let (rate, who, shown) = match &call.caller.identity {
        Identity::User(name) => (
            limits.account,
            Who::Account(Arc::clone(name)),
            name.to_string(),
        ),
        Identity::Anonymous => {
            let who = Who::Address(Place::of(source.address));
            let shown = match source.address {
                ClientAddress::Direct(address) => address.ip().to_canonical().to_string(),
                ClientAddress::Forwarded(_) | ClientAddress::Unix | ClientAddress::Console => {
                    source.address.to_string()
                }
            };
            (limits.anonymous, who, shown)
        }
    };
    let Some(rate) = rate else {
        return Ok(None);
    };
    let is_look = *method == Method::HEAD;
    let now = call.api.registry.clock().now();
    let (remaining, wait) = call.api.windows.take(who, rate, u32::from(!is_look), now);
    let allowance = Allowance {
        rate,
        remaining,
        source: Some(shown),
        wait,
    };
    match allowance.wait {
        None => Ok(Some(allowance)),
        Some(_) => Err(allowance.refuse("too many pulls from here; sign in, or wait")),
    }
}

/// Whether the API may be asked from here now.
///
/// # Errors
/// 429 for who asked too often.
pub(super) fn request(call: &Call) -> Result<(), ApiError> {
    let Some(rate) = call.settings.rates.api else {
        return Ok(());
    };
    let address = call.caller.source.address;
    // The machine's operator needs no bounds.
    if address == ClientAddress::Console {
        return Ok(());
    }
    let who = Who::Api(Place::of(address));
    let now = call.api.registry.clock().now();
    let (remaining, wait) = call.api.windows.take(who, rate, 1, now);
    let allowance = Allowance {
        rate,
        remaining,
        source: None,
        wait,
    };
    match allowance.wait {
        None => Ok(()),
        Some(_) => Err(allowance.refuse("too many requests from here; wait before the next")),
    }
}

impl Allowance {
    /// The answer, with what is left.
    pub(super) fn told_in(allowance: Option<Self>, mut answer: Answer) -> Answer {
        if let Some(allowance) = allowance {
            let headers: HeaderMap = allowance.headers().into_iter().collect();
            answer.headers_mut().extend(headers);
        }
        answer
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let seconds = self.rate.window.as_secs();
        let text = |number| HeaderValue::from_str(&format!("{number};w={seconds}")).ok();
        let source = self.source.as_deref();
        let source = source.and_then(|source| HeaderValue::from_str(source).ok());
        let headers = [
            (LIMIT, text(self.rate.requests)),
            (REMAINING, text(self.remaining)),
            (SOURCE, source),
        ];
        let present = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        present.collect()
    }

    fn refuse(&self, message: &str) -> ApiError {
        let wait = self.wait.unwrap_or_default();
        // Up, so that who waits as long is let in.
        let seconds = (wait.as_secs() + u64::from(0 < wait.subsec_nanos())).max(1);
        let refusal = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            Code::TooManyRequests,
            message,
        );
        let refusal = refusal.with(header::RETRY_AFTER, HeaderValue::from(seconds));
        let headers = self.headers().into_iter();
        headers.fold(refusal, |refusal, (name, value)| refusal.with(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        requests: 3,
        window: Duration::from_mins(1),
    };

    fn account(name: &str) -> Who {
        Who::Account(name.into())
    }

    #[test]
    fn windows_begin_with_the_first_request() {
        let windows = Windows::default();
        let count = |who, cost, second: i64| {
            let now = Timestamp(1_800_000_000_000 + second * 1000);
            let (left, wait) = windows.take(account(who), RATE, cost, now);
            (left, wait.map(|wait| wait.as_secs()))
        };
        assert_eq!(count("ann", 0, 0), (3, None));
        assert_eq!(count("ann", 1, 0), (2, None));
        assert_eq!(count("ann", 1, 20), (1, None));
        assert_eq!(count("ann", 1, 30), (0, None));
        assert_eq!(count("ann", 0, 31), (0, None), "a look is free");
        assert_eq!(count("ann", 1, 40), (0, Some(20)));
        assert_eq!(count("bob", 1, 40), (2, None), "each has their own");
        assert_eq!(count("ann", 1, 59), (0, Some(1)), "to be refused is free");
        assert_eq!(count("ann", 1, 60), (2, None));
        assert_eq!(count("ann", 1, -1000), (2, None), "the clock was set back");
    }

    #[test]
    fn places() {
        let place = |text: &str| {
            let address: IpAddr = text.parse().expect("an address");
            Place::of(ClientAddress::Forwarded(address))
        };
        assert_eq!(place("192.0.2.7"), place("::ffff:192.0.2.7"));
        assert_ne!(place("192.0.2.7"), place("192.0.2.8"));
        assert_eq!(place("2001:db8:1:2::7"), place("2001:db8:1:2:ffff::1"));
        assert_ne!(place("2001:db8:1:2::7"), place("2001:db8:1:3::7"));
    }
}
