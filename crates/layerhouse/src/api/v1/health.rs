//! How the server is: whether it takes pushes, which checks fail, when its certificate ends.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::Nothing;
use super::output::Found;
use super::problem::Problem;
use super::views::Moment;
use super::visit::AnyVisit;
use crate::auth::permits::OperatorPermit;

/// How the server is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    version: &'static str,
    /// Whether pushes can be taken: the data directory can be written, and has room.
    is_ready: bool,
    /// Health checks (`health` in the configuration) that fail; while there is one, clients are answered with
    /// 503.
    failing_checks: Vec<FailingCheck>,
    /// Of the certificate that is served; null for plain HTTP.
    certificate_expires_at: Option<Moment>,
    /// Upload sessions that are open.
    uploads: u64,
    /// Requests that are being answered.
    requests: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FailingCheck {
    name: String,
    said: String,
}

pub(super) async fn show(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Health>, Problem> {
    let api = &visit.call.api;
    let failures = api.observers.checks.failures().into_iter();
    let expiry = api.tls.as_ref().and_then(|tls| tls.certificate_expiry());
    Ok(Found(Health {
        version: env!("CARGO_PKG_VERSION"),
        is_ready: api.is_ready().await,
        failing_checks: failures
            .map(|(name, said)| FailingCheck { name, said })
            .collect(),
        certificate_expires_at: expiry.map(Moment),
        uploads: api.registry.uploads_active(),
        requests: api.observers.metrics.in_flight(),
    }))
}
