//! One request to the API once it is known who asks: what its handler works with.

use std::str::FromStr;

use super::path::Parameters;
use super::problem::Problem;
use crate::api::Call;
use crate::index::Index;

/// A request whose caller is known.
pub(super) struct Visit<I = Index> {
    pub(super) call: Call,
    pub(super) index: I,
    pub(super) parameters: Parameters,
}

/// A request to an endpoint that is there without the index, too.
pub(super) type AnyVisit = Visit<Option<Index>>;

impl From<Visit> for AnyVisit {
    fn from(visit: Visit) -> Self {
        Self {
            call: visit.call,
            index: Some(visit.index),
            parameters: visit.parameters,
        }
    }
}

impl<I> Visit<I> {
    /// What the path says of a parameter. What cannot be such a thing is one that is not there.
    ///
    /// # Errors
    /// 404
    pub(super) fn named<T: FromStr>(&self, parameter: &str) -> Result<T, Problem> {
        let text = self.parameters.get(parameter);
        text.and_then(|text| text.parse().ok())
            .ok_or_else(Problem::not_found)
    }

    /// What the path says of a parameter, as it is.
    pub(super) fn text(&self, parameter: &str) -> &str {
        self.parameters.get(parameter).unwrap_or_default()
    }
}
