//! What was changed, by whom, from where; the last first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Paging, Query, number};
use super::output::{Found, Page};
use super::problem::Problem;
use super::views::{Id, Moment};
use super::visit::Visit;
use crate::auth::permits::AdminPermit;
use crate::index::audit::AuditFilter;
use crate::meta::audit::{AuditEvent as Stored, AuditId};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// What the page before said in `next`: events before that one.
    #[schemars(length(max = 255))]
    after: Option<String>,
    /// Entries on the page.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 999))]
    n: Option<u32>,
    /// By whom.
    #[schemars(length(max = 255))]
    actor: Option<String>,
    /// Of which account, namespace or repository.
    #[schemars(length(max = 255))]
    subject: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Event {
    id: Id,
    happened_at: Moment,
    actor: String,
    /// `user.create`
    action: String,
    /// The account, namespace or repository that was changed.
    subject: String,
    /// Where the actor was.
    address: String,
    detail: serde_json::Map<String, serde_json::Value>,
}

impl From<Stored> for Event {
    fn from(event: Stored) -> Self {
        Self {
            id: Id(event.id.0),
            happened_at: Moment(event.happened_at),
            actor: event.actor,
            action: event.action,
            subject: event.subject,
            address: event.address,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
        }
    }
}

pub(super) async fn list(
    visit: Visit,
    permit: AdminPermit,
    Query(which): Query<Which>,
) -> Result<Found<Page<Event>>, Problem> {
    let paging = Paging {
        after: which.after,
        n: which.n,
    };
    let rows = paging.rows()?;
    let filter = AuditFilter {
        actor: which.actor,
        subject: which.subject,
        before: paging.id()?.map(AuditId),
    };
    let found = visit.index.audit_events(&permit, &filter, rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |event| event.id.0.to_string(),
        Event::from,
    )))
}
