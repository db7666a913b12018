//! Signing in with a browser, at a provider of `layerhouse.index.oidc`: there, back, and a page that says
//! how to go on with Docker.

mod page;

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::route::RouteError;

use self::page::{Language, Page};
use super::error::ApiError;
use super::{Answer, Call, Settings, cookies, request};
use crate::auth::RequestSource;
use crate::auth::credentials::Secret;
use crate::auth::indexed::Indexed;
use crate::auth::outsider::OutsiderError;
use crate::auth::permits::{AccountPermit, Asker};
use crate::auth::principal::{Means, Principal};
use crate::auth::sources::oidc::state::GOOD_FOR;
use crate::auth::sources::oidc::{Arrival, Provider, SignInError};
use crate::index::Index;
use crate::index::sessions::LIFETIME;
use crate::index::tokens::{NewToken, TokenError};

/// What paths of ours begin with.
const ROOT: &str = "/auth/oidc/";
/// Where the page's form goes, to make a token for Docker.
const TOKEN: &str = "/auth/oidc/token";
/// Kept while somebody is away at a provider.
const STATE_COOKIE: &str = "layerhouse_oidc";
/// Longest path that somebody is sent on to.
const RETURN_BYTES_MAX: usize = 1024;

/// What browsers ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// To be sent to a provider.
    Login(String),
    /// To be let in, with what it gave them.
    Callback(String),
    /// A token for Docker.
    Token,
}

impl Endpoint {
    /// What a path is of; nothing where there is no index or no provider of that name.
    pub(super) fn of(path: &str, settings: &Settings) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?;
        let sources = settings.authenticator.indexed()?.sign_in().sources();
        if path == TOKEN && !sources.providers().is_empty() {
            return Some(Self::Token);
        }
        let (name, page) = rest.split_once('/')?;
        sources.provider(name)?;
        match page {
            "login" => Some(Self::Login(name.to_owned())),
            "callback" => Some(Self::Callback(name.to_owned())),
            _ => None,
        }
    }
}

/// A browser that is answered.
struct Visit<'a> {
    indexed: &'a Indexed,
    index: &'a Index,
    source: &'a Arc<RequestSource>,
    language: Language,
}

/// Answers a browser.
pub(super) async fn serve(
    call: &Call,
    endpoint: Endpoint,
    request: &Request<Incoming>,
) -> Result<Answer, ApiError> {
    let settings = &call.settings;
    let (Some(indexed), Some(index)) = (settings.authenticator.indexed(), &settings.index) else {
        return Err(RouteError::NotFound.into());
    };
    let wanted = match endpoint {
        Endpoint::Token => (Method::POST, "POST"),
        Endpoint::Login(_) | Endpoint::Callback(_) => (Method::GET, "GET"),
    };
    if request.method() != wanted.0 {
        return Err(RouteError::MethodNotAllowed { allow: wanted.1 }.into());
    }
    let languages = request::text(request.headers(), &header::ACCEPT_LANGUAGE);
    let visit = Visit {
        indexed,
        index,
        source: &call.caller.source,
        language: Language::of(languages.unwrap_or_default()),
    };
    let sources = indexed.sign_in().sources();
    match endpoint {
        Endpoint::Token => visit.token(request).await,
        Endpoint::Login(name) => match sources.provider(&name) {
            Some(provider) => Ok(visit.leave(provider, request).await),
            None => Err(RouteError::NotFound.into()),
        },
        Endpoint::Callback(name) => match sources.provider(&name) {
            Some(provider) => visit.arrive(provider, request).await,
            None => Err(RouteError::NotFound.into()),
        },
    }
}

impl Visit<'_> {
    /// `GET /auth/oidc/<provider>/login?return=/path`
    async fn leave(&self, provider: &Provider, request: &Request<Incoming>) -> Answer {
        let return_to = request::query(request, "return");
        let return_to = return_to.and_then(|path| local_path(&path).map(str::to_owned));
        let departure = provider.begin(&self.url(provider), return_to).await;
        let location = departure.and_then(|departure| {
            let location = HeaderValue::from_str(&departure.url);
            let broken = |_| provider.lacks_address();
            Ok((location.map_err(broken)?, departure.state))
        });
        match location {
            Ok((location, state)) => {
                let mut answer = super::plain(StatusCode::SEE_OTHER, "");
                let headers = answer.headers_mut();
                headers.insert(header::LOCATION, location);
                headers.insert(header::CACHE_CONTROL, NO_STORE);
                headers.append(
                    header::SET_COOKIE,
                    self.state_cookie(provider, Some(&state)),
                );
                answer
            }
            Err(error) => {
                tracing::warn!(%error, "a provider of sign-ins does not answer");
                self.page(&Page::Silent {
                    title: provider.title(),
                })
            }
        }
    }

    /// `GET /auth/oidc/<provider>/callback?state=&code=`
    async fn arrive(
        &self,
        provider: &Provider,
        request: &Request<Incoming>,
    ) -> Result<Answer, ApiError> {
        let parameter = |name| request::query(request, name).unwrap_or_default();
        let (state, code) = (parameter("state"), parameter("code"));
        let kept = cookies::find(request.headers(), STATE_COOKIE);
        let kept = kept.unwrap_or_else(|| Secret::new([]));
        let mut answer = if code.is_empty() {
            // They changed their mind, or the provider refuses them.
            tracing::info!(
                provider = provider.name(),
                error = super::cut(&parameter("error")),
                "a provider signed nobody in"
            );
            self.page(&self.begin_again(provider))
        } else {
            let arrival = Arrival {
                state: &state,
                code: &code,
                kept: &kept,
                redirect_url: &self.url(provider),
            };
            self.let_in(provider, arrival).await?
        };
        // It was good for one time.
        let forget = self.state_cookie(provider, None);
        answer.headers_mut().append(header::SET_COOKIE, forget);
        Ok(answer)
    }

    async fn let_in(&self, provider: &Provider, arrival: Arrival<'_>) -> Result<Answer, ApiError> {
        let address = self.source.address.to_string();
        let name = provider.name();
        let (outsider, return_to) = match provider.finish(arrival).await {
            Ok(found) => found,
            Err(error) => {
                tracing::info!(provider = name, %error, address, "a sign-in by a provider was refused");
                return Ok(self.page(&match error {
                    SignInError::State | SignInError::Code(_) | SignInError::Token(_) => {
                        self.begin_again(provider)
                    }
                    SignInError::NotAllowed(_) => Page::NotAllowed,
                    SignInError::Source(error) => {
                        tracing::warn!(%error, "a provider of sign-ins does not answer");
                        Page::Silent {
                            title: provider.title(),
                        }
                    }
                }));
            }
        };
        let how = outsider.source.clone();
        let directory = self.indexed.directory();
        let means = Means::PasswordElsewhere;
        let principal = match directory.provision(outsider, means, &address).await {
            Ok(principal) => principal,
            Err(OutsiderError::Fault(fault)) => return Err(fault.into()),
            Err(error) => {
                tracing::warn!(provider = name, %error, "somebody who proved who they are cannot sign in");
                return Ok(self.page(&Page::NotAllowed));
            }
        };
        let user = Arc::clone(&principal.name);
        let permit = self.permit(principal)?;
        let session = self.index.open_session(&permit, &how).await?;
        let url = self.source.base_url();
        let mut answer = self.page(&Page::SignedIn {
            user: &user,
            host: &host(&url),
            form: &self.source.http.outer_path(TOKEN),
            return_to: return_to.as_deref(),
        });
        let cookie = cookies::session(&session, LIFETIME, self.source);
        answer.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(answer)
    }

    /// `POST /auth/oidc/token`: a token for Docker, shown once.
    async fn token(&self, request: &Request<Incoming>) -> Result<Answer, ApiError> {
        // A cookie comes along with what any page asks; a token is made for a page of ours alone (S53).
        if !cookies::is_own_page(request.headers(), self.source) {
            return Err(ApiError::unauthorized());
        }
        let session = cookies::find(request.headers(), cookies::SESSION);
        let directory = self.indexed.directory();
        let found = match session {
            Some(session) => directory.by_token(session.expose())?,
            None => None,
        };
        let principal = found.filter(Principal::is_of_session);
        let principal = principal.ok_or_else(ApiError::unauthorized)?;
        let user = Arc::clone(&principal.name);
        let permit = self.permit(principal)?;
        let new = NewToken {
            name: "docker login".to_owned(),
            limits: None,
            expires_at: None,
        };
        let url = self.source.base_url();
        let (user, host) = (user.as_ref(), host(&url));
        Ok(match self.index.create_token(&permit, new).await {
            Ok((_, secret)) => self.page(&Page::Token {
                user,
                host: &host,
                token: &String::from_utf8_lossy(secret.expose()),
            }),
            Err(TokenError::Fault(fault)) => return Err(fault.into()),
            Err(error) => self.page(&Page::NoToken {
                why: &error.to_string(),
            }),
        })
    }

    fn permit(&self, principal: Principal) -> Result<AccountPermit, ApiError> {
        let asker = Asker::new(Arc::new(principal), Arc::clone(self.source));
        AccountPermit::of(&asker).ok_or_else(ApiError::unauthorized)
    }

    fn begin_again<'a>(&self, provider: &'a Provider) -> Page<'a> {
        let path = format!("{ROOT}{}/login", provider.name());
        Page::BeginAgain {
            title: provider.title(),
            path: self.source.http.outer_path(&path),
        }
    }

    /// Where the provider sends browsers back to; it must have been told the same.
    fn url(&self, provider: &Provider) -> String {
        let name = provider.name();
        format!("{}{ROOT}{name}/callback", self.source.base_url())
    }

    /// It must come along when the provider sends the browser back, which a strict one would not.
    fn state_cookie(&self, provider: &Provider, state: Option<&Secret>) -> HeaderValue {
        let path = format!("{ROOT}{}/", provider.name());
        let cookie = cookies::Cookie {
            name: STATE_COOKIE,
            value: state,
            path: &self.source.http.outer_path(&path),
            lifetime: GOOD_FOR,
            same_site: "Lax",
        };
        cookie.header(self.source)
    }

    fn page(&self, page: &Page<'_>) -> Answer {
        let mut answer = super::json(
            page.status(),
            "text/html; charset=utf-8",
            page.html(self.language).into_bytes(),
        );
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            page::CONTENT_SECURITY_POLICY.clone(),
        );
        // The form says where it comes from, and nobody else is told the code in the address.
        let referrer = HeaderValue::from_static("same-origin");
        headers.insert(header::REFERRER_POLICY, referrer);
        answer
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What `docker login` wants of a URL of ours.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// A path on this host, and nothing that a browser takes for another one (S36): `//evil`, `/\evil`, and a
/// tab or line break within, which browsers leave out.
fn local_path(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let is_local = text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= RETURN_BYTES_MAX
        && text.bytes().all(is_plain);
    is_local.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S36
    #[test]
    fn sec_s36_nobody_is_sent_on_to_another_host() {
        for path in [
            "/",
            "/ui",
            "/ui/acme?tab=tags#top",
            "/a//b",
            "/@evil",
            "/a:b",
        ] {
            assert_eq!(local_path(path), Some(path));
        }
        for text in [
            "",
            "ui",
            "//evil.example.com",
            "///evil.example.com",
            "/\\evil.example.com",
            "\\\\evil.example.com",
            "/\\/evil.example.com",
            "/\t/evil.example.com",
            "/\n/evil.example.com",
            " //evil.example.com",
            "https:evil.example.com",
            "https://evil.example.com",
            "javascript:alert(1)",
            "/a b",
            "/\u{e9}",
            "/\0",
        ] {
            assert_eq!(local_path(text), None, "{text:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(1024))), None);
    }

    #[test]
    fn hosts_for_docker() {
        let check = |url: &str, expected: &str| assert_eq!(host(url), expected);
        check("https://registry.example.com", "registry.example.com");
        check("http://localhost:5000/prefix", "localhost:5000");
    }
}
