//! Who changed what, from where: one event for each change, in its transaction.

use serde_json::Value;

use super::{Index, page};
use crate::auth::Caller;
use crate::auth::permits::{AdminPermit, Asker};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::audit::{self, AuditEvent, AuditId, NewEvent};
use crate::meta::transaction::Transaction;

/// What can be done to accounts and what belongs to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CollectionRun,
    GrantRevoke,
    GrantSet,
    InvitationCreate,
    InvitationDelete,
    ManifestRestore,
    MemberRemove,
    MemberSet,
    MirrorEvict,
    MirrorWarm,
    NamespaceUpdate,
    OrganizationCreate,
    OrganizationDelete,
    RepositoryDelete,
    RepositoryRestore,
    RepositoryVisibility,
    RobotCreate,
    RobotDelete,
    RobotRotate,
    RobotUpdate,
    SetupCode,
    TagRestore,
    TeamAdd,
    TeamCreate,
    TeamDelete,
    TeamRemove,
    TokenCreate,
    TokenDelete,
    UserCreate,
    UserDelete,
    UserPassword,
    UserUpdate,
    /// Operations of others on repositories' pages.
    RepositoryDescribe,
    RepositoryStar,
    RepositoryUnstar,
    SessionCreate,
    SessionDelete,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CollectionRun => "collection.run",
            Self::GrantRevoke => "grant.revoke",
            Self::GrantSet => "grant.set",
            Self::InvitationCreate => "invitation.create",
            Self::InvitationDelete => "invitation.delete",
            Self::ManifestRestore => "manifest.restore",
            Self::MemberRemove => "member.remove",
            Self::MemberSet => "member.set",
            Self::MirrorEvict => "mirror.evict",
            Self::MirrorWarm => "mirror.warm",
            Self::NamespaceUpdate => "namespace.update",
            Self::OrganizationCreate => "organization.create",
            Self::OrganizationDelete => "organization.delete",
            Self::RepositoryDelete => "repository.delete",
            Self::RepositoryRestore => "repository.restore",
            Self::RepositoryVisibility => "repository.visibility",
            Self::RobotCreate => "robot.create",
            Self::RobotDelete => "robot.delete",
            Self::RobotRotate => "robot.rotate",
            Self::RobotUpdate => "robot.update",
            Self::SetupCode => "setup.code",
            Self::TagRestore => "tag.restore",
            Self::TeamAdd => "team.add",
            Self::TeamCreate => "team.create",
            Self::TeamDelete => "team.delete",
            Self::TeamRemove => "team.remove",
            Self::TokenCreate => "token.create",
            Self::TokenDelete => "token.delete",
            Self::UserCreate => "user.create",
            Self::UserDelete => "user.delete",
            Self::UserPassword => "user.password",
            Self::UserUpdate => "user.update",
            Self::RepositoryDescribe => "repository.describe",
            Self::RepositoryStar => "repository.star",
            Self::RepositoryUnstar => "repository.unstar",
            Self::SessionCreate => "session.create",
            Self::SessionDelete => "session.delete",
        }
    }
}

/// A change that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) actor: String,
    pub(crate) address: String,
    pub(crate) action: Action,
    /// The name of an account, a namespace, a repository.
    pub(crate) subject: String,
    /// An object; no secrets.
    pub(crate) detail: Value,
}

impl Audit {
    /// By who asks, from where they are.
    pub(crate) fn by(
        asker: &Asker,
        action: Action,
        subject: impl Into<String>,
        detail: Value,
    ) -> Self {
        Self {
            actor: asker.principal().name.to_string(),
            address: asker.source().address.to_string(),
            action,
            subject: subject.into(),
            detail,
        }
    }

    /// The same for a caller whose rights were found.
    pub(crate) fn of(
        caller: &Caller,
        action: Action,
        subject: impl Into<String>,
        detail: Value,
    ) -> Self {
        Self {
            actor: caller.identity.name().to_owned(),
            address: caller.source.address.to_string(),
            action,
            subject: subject.into(),
            detail,
        }
    }

    pub(super) fn write(&self, tx: &Transaction<'_>, now: Timestamp) -> Result<(), Fault> {
        let event = NewEvent {
            actor: &self.actor,
            action: self.action.as_str(),
            subject: &self.subject,
            address: &self.address,
            detail: &self.detail.to_string(),
        };
        audit::add(tx, &event, now)
    }
}

/// Which events are asked for; all of them, where nothing is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    pub(crate) actor: Option<String>,
    pub(crate) subject: Option<String>,
    /// Those before this one.
    pub(crate) before: Option<AuditId>,
}

impl Index {
    /// What was changed, the last first.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn audit_events(
        &self,
        _: &AdminPermit,
        filter: &AuditFilter,
        rows: usize,
    ) -> Result<Vec<AuditEvent>, Fault> {
        let (actor, subject) = (filter.actor.as_deref(), filter.subject.as_deref());
        self.list(|tx| audit::list(tx, actor, subject, filter.before, page(rows)))
    }
}
