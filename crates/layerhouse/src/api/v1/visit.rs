//! One request to the API once it is known who asks: what its handler works with.

use std::str::FromStr;

use serde_json::Value;

use super::path::Parameters;
use super::problem::Problem;
use crate::api::Call;
use crate::auth::permits::TendPermit;
use crate::index::Index;
use crate::index::audit::{Action, Audit};
use crate::registry::note::{Doer, Note};

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

/// Who changes a repository, with what the audit is to say of it, where there is one.
pub(in crate::api) fn doer(
    index: Option<&Index>,
    permit: &TendPermit,
    action: Action,
    detail: Value,
) -> Doer {
    let name = permit.caller().identity.name();
    match index {
        None => name.into(),
        Some(index) => {
            let subject = permit.repository().as_str();
            let audit = Audit::of(permit.caller(), action, subject, detail);
            Doer::noted(name, Note::of(index.noting(audit)))
        }
    }
}

impl AnyVisit {
    /// Who changes a repository, with what the audit is to say of it, where there is one.
    pub(super) fn doer(&self, permit: &TendPermit, action: Action, detail: Value) -> Doer {
        doer(self.index.as_ref(), permit, action, detail)
    }

    /// A repository came or went: who may do what there is decided anew.
    pub(super) fn moved(&self) {
        if let Some(index) = &self.index {
            index.directory().moved();
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
