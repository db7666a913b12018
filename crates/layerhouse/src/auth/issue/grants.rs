//! Which of the scopes that somebody asks for they get. The rest is dropped and not refused: clients ask for
//! more than they need, and are told by the registry when they lack something.

use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use super::scopes::Scope;
use crate::auth::access::Grants;
use crate::auth::directory::Directory;
use crate::auth::principal::Principal;
use crate::auth::rights::Deed;
use crate::fault::Fault;

/// What registries know as actions on a repository.
const ACTIONS: [(&str, Deed); 3] = [
    ("pull", Deed::Pull),
    ("push", Deed::Push),
    ("delete", Deed::Delete),
];

/// Of these scopes, what `who` may do now; under the names that were asked for.
///
/// `is_ours` says that a token is for this registry, which shows everyone of its lists what they may see.
/// Others show all, so lists of theirs are for administrators.
///
/// # Errors
/// The database failed.
pub(super) fn of(
    directory: &Directory,
    who: &Principal,
    scopes: &[Scope],
    is_ours: bool,
) -> Result<Vec<Scope>, Fault> {
    let mut granted = Vec::new();
    for scope in scopes {
        let actions = match scope.kind.as_str() {
            "repository" => in_repository(directory, who, scope)?,
            "registry" if scope.name == "catalog" => in_catalog(directory, who, scope, is_ours)?,
            _ => Vec::new(),
        };
        if !actions.is_empty() {
            granted.push(Scope {
                actions,
                ..scope.clone()
            });
        }
    }
    Ok(granted)
}

fn in_repository(
    directory: &Directory,
    who: &Principal,
    scope: &Scope,
) -> Result<Vec<String>, Fault> {
    // With a host before it, it is in another registry.
    let Ok(name) = scope.name.parse::<RepositoryName>() else {
        return Ok(Vec::new());
    };
    let rights = directory.rights(who, &name)?;
    let mut actions = Vec::new();
    for asked in &scope.actions {
        for (action, deed) in ACTIONS {
            let is_asked = asked == action || asked == "*";
            if is_asked && rights.allows(deed) && !actions.iter().any(|known| known == action) {
                actions.push(action.to_owned());
            }
        }
    }
    Ok(actions)
}

fn in_catalog(
    directory: &Directory,
    who: &Principal,
    scope: &Scope,
    is_ours: bool,
) -> Result<Vec<String>, Fault> {
    let may_list = if is_ours {
        who.account.is_some() || directory.viewer(who)?.sees_public()
    } else {
        who.is_admin()
    };
    let is_known = |action: &&String| may_list && matches!(action.as_str(), "*" | "search");
    Ok(scope.actions.iter().filter(is_known).cloned().collect())
}

/// What of these scopes, which a token of ours has, its holder may do now; as the registry asks for it, by the
/// one name of each repository.
///
/// # Errors
/// The database failed.
pub(super) fn of_now(
    directory: &Directory,
    who: &Principal,
    scopes: &[Scope],
) -> Result<Grants, Fault> {
    let mut grants = Grants::default();
    for scope in of(directory, who, scopes, true)? {
        if scope.kind == "registry" {
            if scope.actions.iter().any(|action| action == "*") {
                grants.add_catalog(Arc::new(directory.viewer(who)?));
            } else if scope.actions.iter().any(|action| action == "search") {
                grants.add_search(Arc::new(directory.viewer(who)?));
            }
        } else if let Ok(name) = scope.name.parse::<RepositoryName>() {
            let actions: Vec<&str> = scope.actions.iter().map(String::as_str).collect();
            grants.add(&scope.kind, name.canonical().as_str(), &actions);
        }
    }
    Ok(grants)
}
