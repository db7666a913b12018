//! One request of an endpoint's, and the answer to it or why there is none.

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RANGE};
use reqwest::{RequestBuilder, Response, Url};

use super::endpoint::{Endpoint, Question, Sent};
use super::error::{Asked, UpstreamError};
use super::filter::RefusedAddress;
use super::login::Credential;
use crate::outbound::OutboundError;

impl Endpoint {
    pub(super) fn request(
        &self,
        question: &Question<'_>,
        url: &Url,
        sent: &Sent,
    ) -> RequestBuilder {
        let mut request = self.client.request(question.method.clone(), url.clone());
        if let Some(accept) = question.accept {
            request = request.header(ACCEPT, accept);
        }
        if 0 < question.from {
            request = request.header(RANGE, format!("bytes={}-", question.from));
        }
        match sent {
            Sent::Nothing | Sent::Login(Credential::Refresh(_)) => request,
            Sent::Login(Credential::Basic { user, password }) => {
                request.basic_auth(user, Some(password))
            }
            Sent::Login(Credential::Bearer(token)) => bearer(request, token),
            Sent::Token(token) => bearer(request, &token.text),
        }
    }

    /// Sends a request to where it may go.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        url: &Url,
        asked: &Asked,
    ) -> Result<Response, UpstreamError> {
        let admitted = self.filter.admit_url(url);
        admitted.map_err(|refused| asked.forbidden(refused))?;
        let patience = self.settings.patience;
        let slow = || {
            asked.slow(format!(
                "there was no answer in {} s",
                patience.as_secs_f32()
            ))
        };
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_timeout() => Err(slow()),
            Ok(Err(error)) => Err(no_answer(asked, error)),
            Err(_) => Err(slow()),
        }
    }
}

fn bearer(request: RequestBuilder, token: &str) -> RequestBuilder {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    match value {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        // The upstream then says that there was none.
        Err(_) => request,
    }
}

/// Why a request was not answered: we do not connect there, or nobody can.
fn no_answer(asked: &Asked, error: reqwest::Error) -> UpstreamError {
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
            return asked.forbidden(refused);
        }
        source = cause.source();
    }
    let problem = OutboundError::from(error).to_string();
    let hint = if problem.contains("certificate") {
        "; if its authority is your own, name its file in the upstream's `ca` (`--ca`)"
    } else {
        ""
    };
    asked.unreachable(format!("{problem}{hint}"))
}
