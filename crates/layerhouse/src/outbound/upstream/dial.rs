//! The client of one endpoint: whom it trusts (S33), what it goes through, and by which addresses.

use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, Proxy, Url};

use super::files;
use super::filter::Filter;
use crate::config::meaning::mirror::Endpoint;
use crate::outbound::is_local;

/// Connections that wait for the next request: as many as blobs of a few images.
const IDLE_MAX: usize = 32;
const IDLE_PATIENCE: Duration = Duration::from_mins(1);

/// Why an upstream could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenUpstreamError {
    #[error("upstream {upstream}: ca: {path}: {problem}")]
    Ca {
        upstream: String,
        path: String,
        problem: String,
    },
    #[error("upstream {upstream}: proxy: {problem}; write http://HOST:PORT or socks5h://HOST:PORT")]
    Proxy { upstream: String, problem: String },
    #[error("upstream {upstream}: {problem}")]
    Client { upstream: String, problem: String },
}

/// Resolves names as the system does; what is connected to is what was looked at, so a name that says one
/// address first and another one then gains nothing.
struct Dialer(Arc<Filter>);

impl Resolve for Dialer {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted = filter.admitted(name.as_str(), found)?;
            let addresses: Addrs = Box::new(admitted.into_iter());
            Ok(addresses)
        })
    }
}

/// The client of an endpoint; it follows no redirections and decodes nothing.
///
/// Through a proxy, names are resolved there, and the filter sees addresses in URLs alone.
pub(super) fn client(
    upstream: &str,
    settings: &Endpoint,
    origin: &Url,
    filter: &Arc<Filter>,
) -> Result<Client, OpenUpstreamError> {
    let authorities = authorities(upstream, settings)?;
    let proxy = match &settings.proxy {
        Some(proxy) => {
            let wrong = |problem: String| OpenUpstreamError::Proxy {
                upstream: upstream.to_owned(),
                problem,
            };
            let url = str::from_utf8(proxy.expose());
            let url = url.map_err(|error| wrong(error.to_string()))?;
            let proxy = Proxy::all(url);
            Some(proxy.map_err(|error| wrong(error.without_url().to_string()))?)
        }
        None => None,
    };
    let builder = || {
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .user_agent(concat!("layerhouse/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.patience)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_PATIENCE)
            .dns_resolver(Dialer(Arc::clone(filter)));
        if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.clone());
        } else if is_local(origin) {
            // As Go does: the proxy of the environment is for others.
            builder = builder.no_proxy();
        }
        builder
    };
    let built = builder().tls_certs_merge(authorities).build();
    let built = match built {
        // A machine without certificates can speak plain HTTP all the same.
        Err(_) if origin.scheme() == "http" && settings.ca.is_none() => {
            builder().tls_certs_only([]).build()
        }
        built => built,
    };
    built.map_err(|error| OpenUpstreamError::Client {
        upstream: upstream.to_owned(),
        problem: crate::outbound::OutboundError::from(error).to_string(),
    })
}

/// The operator's own authorities, beside the system's.
fn authorities(upstream: &str, settings: &Endpoint) -> Result<Vec<Certificate>, OpenUpstreamError> {
    let Some(path) = &settings.ca else {
        return Ok(Vec::new());
    };
    let wrong = |problem: String| OpenUpstreamError::Ca {
        upstream: upstream.to_owned(),
        path: path.display().to_string(),
        problem,
    };
    let pem = files::read(path).map_err(wrong)?;
    let certificates = Certificate::from_pem_bundle(&pem);
    let certificates = certificates.map_err(|error| {
        let problem = error.without_url();
        wrong(format!("is no file of certificates in PEM: {problem}"))
    })?;
    if certificates.is_empty() {
        return Err(wrong(
            "has no certificate in it; it must be in PEM".to_owned(),
        ));
    }
    Ok(certificates)
}
