//! Endpoints are asked in turn: what becomes of what they said.

use super::error::UpstreamError;

/// What the endpoints said so far.
#[derive(Default)]
pub(super) struct Attempts {
    not_found: Option<UpstreamError>,
    /// The first that is more than that: an outage must not look like "not found".
    failure: Option<UpstreamError>,
}

impl Attempts {
    /// `Ok` if the next endpoint may do better.
    pub(super) fn failed(&mut self, error: UpstreamError) -> Result<(), UpstreamError> {
        if !error.is_for_the_next() {
            return Err(error);
        }
        let place = match error {
            UpstreamError::NotFound(_) => &mut self.not_found,
            UpstreamError::Denied(_)
            | UpstreamError::RateLimited { .. }
            | UpstreamError::Unreachable(_)
            | UpstreamError::Slow(_)
            | UpstreamError::Broken(_)
            | UpstreamError::Forbidden(_)
            | UpstreamError::Invalid(_) => &mut self.failure,
        };
        place.get_or_insert(error);
        Ok(())
    }

    pub(super) fn over(self) -> UpstreamError {
        let error = self.failure.or(self.not_found);
        error.expect("an upstream has an endpoint, and it failed")
    }
}
