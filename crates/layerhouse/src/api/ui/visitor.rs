//! Who looks at pages, and what they may see and do. With the index that is an account's session, without it
//! whoever the authenticator lets in; both ends in the same proofs that the registry's operations demand.

use std::sync::Arc;

use http::{HeaderMap, Method};
use layerhouse_oci::name::RepositoryName;

use super::super::v1::admission;
use super::super::v1::problem::Problem;
use super::super::v1::session::presented;
use crate::api::error::ApiError;
use crate::api::{Call, authenticate};
use crate::auth::access::Access;
use crate::auth::directory::{RepositoryRights, Viewer};
use crate::auth::needs::Need;
use crate::auth::permits::{Asker, RepositoryPermit, TendPermit};
use crate::auth::rights::{Deed, Visibility};
use crate::auth::{Caller, Granted, Identity, Policy, Pull};
use crate::index::Index;

/// Who looks at a page.
#[derive(Clone)]
pub(in crate::api) struct Visitor {
    who: Who,
    policy: Policy,
}

#[derive(Clone)]
enum Who {
    /// There are accounts.
    Account { asker: Asker, index: Index },
    /// There are none.
    Caller(Arc<Caller>),
}

impl Visitor {
    /// Finds out who asks, and tells the log.
    ///
    /// # Errors
    /// 401 for wrong credentials, and for none where something must be shown; 403 for a change that another
    /// site's page asks for.
    pub(super) async fn identify(
        call: &mut Call,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let settings = Arc::clone(&call.settings);
        let source = Arc::clone(&call.caller.source);
        let policy = settings.policy;
        let indexed = settings.authenticator.indexed();
        let who = if let (Some(indexed), Some(index)) = (indexed, settings.index.clone()) {
            let is_safe = *method != Method::POST;
            let presented = presented(headers, &source, is_safe)?;
            let principal = admission::identify(indexed.sign_in(), presented, &source).await?;
            let asker = Asker::new(Arc::new(principal), source);
            admission::admit(call, &asker);
            Who::Account { asker, index }
        } else {
            let credentials = authenticate::credentials(headers);
            let decided = settings
                .authenticator
                .decide(&credentials, &Need::Catalog, &source);
            let (identity, access) = decided.await.map_err(ApiError::from)?;
            let caller = Arc::new(Caller {
                identity,
                access,
                source,
            });
            call.caller = Arc::clone(&caller);
            let _ = call.admitted.set(Arc::clone(&caller));
            Who::Caller(caller)
        };
        Ok(Self { who, policy })
    }

    /// Nobody, for pages that say why somebody was not let in.
    pub(super) fn stranger(call: &Call) -> Self {
        Self {
            who: Who::Caller(Arc::new(Caller {
                identity: Identity::Anonymous,
                access: Access::Nothing,
                source: Arc::clone(&call.caller.source),
            })),
            policy: call.settings.policy,
        }
    }

    /// What they are called, if they signed in.
    pub(in crate::api::ui) fn name(&self) -> Option<&str> {
        match &self.who {
            Who::Account { asker, .. } => (!asker.is_nobody()).then(|| &*asker.principal().name),
            Who::Caller(caller) => match &caller.identity {
                Identity::Anonymous => None,
                Identity::User(name) => Some(name),
            },
        }
    }

    /// Whether they look after the server: by their account alone.
    pub(in crate::api::ui) fn is_admin(&self) -> bool {
        match &self.who {
            Who::Account { asker, .. } => asker.principal().is_admin(),
            Who::Caller(_) => false,
        }
    }

    /// Who asks the API, where there are accounts.
    pub(in crate::api::ui) fn asker(&self) -> Option<&Asker> {
        match &self.who {
            Who::Account { asker, .. } => Some(asker),
            Who::Caller(_) => None,
        }
    }

    /// The operations on accounts, where there are any.
    pub(in crate::api::ui) fn index(&self) -> Option<&Index> {
        match &self.who {
            Who::Account { index, .. } => Some(index),
            Who::Caller(_) => None,
        }
    }

    /// What of all lists they see.
    ///
    /// # Errors
    /// The database failed, or they see none.
    pub(in crate::api::ui) fn viewer(&self) -> Result<Arc<Viewer>, Problem> {
        match &self.who {
            Who::Account { asker, index } => {
                Ok(Arc::new(index.directory().viewer(asker.principal())?))
            }
            Who::Caller(caller) => {
                let viewer = caller.access.viewer();
                viewer.ok_or_else(Problem::unauthorized)
            }
        }
    }

    /// What they may do with what a repository holds, if they may do `deed` there.
    ///
    /// # Errors
    /// As the API: 401 for nobody, 404 for what they may not see, 403 for what they may see and not do.
    pub(in crate::api::ui) fn tend(
        &self,
        repository: &RepositoryName,
        deed: Deed,
    ) -> Result<TendPermit, Problem> {
        match &self.who {
            Who::Account { asker, index } => {
                let rights = index.directory().rights(asker.principal(), repository)?;
                let is_known = rights.exists() || rights.was_deleted();
                if !is_known || !rights.allows(Deed::Pull) {
                    return Err(admission::hidden(asker, false));
                }
                let permit = TendPermit::of(asker, &rights, deed);
                permit.ok_or_else(|| admission::hidden(asker, true))
            }
            Who::Caller(caller) => {
                let permit = TendPermit::of_caller(caller, repository, deed);
                permit.ok_or_else(|| Problem::denied("you may not do this here"))
            }
        }
    }

    /// To read what a repository holds.
    ///
    /// # Errors
    /// As [`Visitor::tend`].
    pub(in crate::api::ui) fn pull(
        &self,
        repository: &RepositoryName,
    ) -> Result<Granted<Pull>, Problem> {
        let permit = self.tend(repository, Deed::Pull)?;
        Ok(self.policy.pull(permit.caller(), permit.repository())?)
    }

    /// What they may do with a repository's page, if they may do `deed`; without accounts, there is none.
    ///
    /// # Errors
    /// As the API.
    pub(in crate::api::ui) fn repository(
        &self,
        repository: &RepositoryName,
        deed: Deed,
    ) -> Result<RepositoryPermit, Problem> {
        let Who::Account { asker, .. } = &self.who else {
            return Err(Problem::not_found());
        };
        let rights = self.rights(repository)?.ok_or_else(Problem::not_found)?;
        if !rights.exists() || !rights.allows(Deed::Pull) {
            return Err(admission::hidden(asker, false));
        }
        let permit = RepositoryPermit::of(asker, &rights, deed);
        permit.ok_or_else(|| admission::hidden(asker, true))
    }

    /// Their rights to a repository, there or not, where there are accounts.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::api::ui) fn rights(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<RepositoryRights>, Problem> {
        match &self.who {
            Who::Account { asker, index } => {
                let rights = index.directory().rights(asker.principal(), repository)?;
                Ok(Some(rights))
            }
            Who::Caller(_) => Ok(None),
        }
    }

    /// Who may see it without a role, where there are accounts.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::api::ui) fn visibility(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<Visibility>, Problem> {
        Ok(self
            .rights(repository)?
            .and_then(|rights| rights.visibility()))
    }

    /// Whether a page offers it: what they may do, and what the operator allows.
    pub(in crate::api::ui) fn may(&self, repository: &RepositoryName, deed: Deed) -> bool {
        let is_off = match deed {
            Deed::Pull => false,
            Deed::Push | Deed::Maintain | Deed::Own => self.policy.is_read_only,
            Deed::Delete => self.policy.is_read_only || !self.policy.allows_delete,
        };
        !is_off && self.tend(repository, deed).is_ok()
    }

    /// What the operator allows.
    pub(in crate::api::ui) fn policy(&self) -> Policy {
        self.policy
    }
}
