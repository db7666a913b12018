//! The way to a handler: who asks, whether they may, and the proof of it. Every request to the API goes
//! through [`enter`], and only the table says what it needs.

use std::str::FromStr;
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::namespace::NamespaceName;

use super::endpoint::{Endpoint, Handler};
use super::input::Unread;
use super::path::Parameters;
use super::problem::Problem;
use super::session::{Presented, presented};
use super::visit::{AnyVisit, Visit};
use crate::api::error::ApiError;
use crate::api::{Answer, Call};
use crate::auth::access::Access;
use crate::auth::authenticator::Denied;
use crate::auth::credentials::{Credentials, Secret};
use crate::auth::directory::Directory;
use crate::auth::permits::{
    AccountPermit, AdminPermit, Asker, NamespacePermit, OperatorPermit, RepositoryPermit,
    TendPermit,
};
use crate::auth::principal::Principal;
use crate::auth::rights::{Deed, Role};
use crate::auth::sign_in::{SignIn, SignInError};
use crate::auth::{ClientAddress, RequestSource};
use crate::index::Index;

/// Has the endpoint's handler answer, if the caller may ask it.
///
/// # Errors
/// 401 for nobody and for wrong credentials; 403 for who may see what they ask for and no more; 404 for the
/// rest, as if nothing were there.
pub(super) async fn enter(
    mut call: Call,
    endpoint: &Endpoint,
    parameters: Parameters,
    unread: Unread,
) -> Result<Answer, Problem> {
    let settings = Arc::clone(&call.settings);
    let indexed = settings.authenticator.indexed();
    let (Some(indexed), Some(index)) = (indexed, settings.index.clone()) else {
        return enter_console(call, endpoint, parameters, unread).await;
    };
    let sign_in = indexed.sign_in();
    let source = Arc::clone(&call.caller.source);
    let presented = presented(&unread.headers, &source, endpoint.verb.is_safe())?;
    let principal = Arc::new(identify(sign_in, presented, &source).await?);
    let asker = Asker::new(principal, source);
    admit(&mut call, &asker);
    let request = (parameters, unread);
    handle(call, sign_in.directory(), index, asker, endpoint, request).await
}

/// The same for who is known already.
///
/// # Errors
/// As [`enter`].
pub(super) async fn handle(
    call: Call,
    directory: &Directory,
    index: Index,
    asker: Asker,
    endpoint: &Endpoint,
    (parameters, unread): (Parameters, Unread),
) -> Result<Answer, Problem> {
    let visit = Visit {
        call,
        index,
        parameters,
    };
    match &endpoint.handler {
        Handler::Anyone(handle) => handle(visit, asker, unread).await,
        Handler::SignedIn(handle) => {
            let permit = AccountPermit::of(&asker).ok_or_else(|| refused(&asker))?;
            handle(visit, permit, unread).await
        }
        Handler::Admin(handle) => {
            let permit = AdminPermit::of(&asker).ok_or_else(|| refused(&asker))?;
            handle(visit, permit, unread).await
        }
        // Whatever the token's owner is there.
        Handler::Namespace(..) if asker.principal().limits.is_some() => Err(refused(&asker)),
        Handler::Namespace(role, handle) => {
            let name = named::<NamespaceName>(&visit, &asker)?;
            let permit = NamespacePermit::of(directory, &asker, name.clone(), *role)?;
            let Some(permit) = permit else {
                // Members know that it is there.
                let is_seen = NamespacePermit::of(directory, &asker, name, Role::Reader)?.is_some();
                return Err(hidden(&asker, is_seen));
            };
            handle(visit, permit, unread).await
        }
        Handler::Repository(deed, handle) => {
            let name = named::<RepositoryName>(&visit, &asker)?;
            let rights = directory.rights(asker.principal(), &name)?;
            if !rights.exists() || !rights.allows(Deed::Pull) {
                return Err(hidden(&asker, false));
            }
            let permit = RepositoryPermit::of(&asker, &rights, *deed);
            let permit = permit.ok_or_else(|| hidden(&asker, true))?;
            handle(visit, permit, unread).await
        }
        Handler::Operator(handle) => {
            let permit = OperatorPermit::of(&asker).ok_or_else(|| refused(&asker))?;
            handle(visit.into(), permit, unread).await
        }
        Handler::Tended(deed, handle) => {
            let name = named::<RepositoryName>(&visit, &asker)?;
            let rights = directory.rights(asker.principal(), &name)?;
            let is_known = rights.exists() || rights.was_deleted();
            if !is_known || !rights.allows(Deed::Pull) {
                return Err(hidden(&asker, false));
            }
            let permit = TendPermit::of(&asker, &rights, *deed);
            let permit = permit.ok_or_else(|| hidden(&asker, true))?;
            handle(visit.into(), permit, unread).await
        }
    }
}

/// The same where there is no index: only the operator at the console is let in, and only to what needs no
/// accounts.
async fn enter_console(
    mut call: Call,
    endpoint: &Endpoint,
    parameters: Parameters,
    unread: Unread,
) -> Result<Answer, Problem> {
    let source = Arc::clone(&call.caller.source);
    if source.address != ClientAddress::Console {
        return Err(Problem::not_found());
    }
    let asker = Asker::new(Arc::new(Principal::console()), source);
    admit(&mut call, &asker);
    let visit = AnyVisit {
        call,
        index: None,
        parameters,
    };
    match &endpoint.handler {
        Handler::Operator(handle) => {
            let permit = OperatorPermit::of(&asker).ok_or_else(Problem::not_found)?;
            handle(visit, permit, unread).await
        }
        Handler::Tended(_, handle) => {
            let repository = visit.named("repository")?;
            let permit = TendPermit::of_operator(&asker, repository);
            let permit = permit.ok_or_else(Problem::not_found)?;
            handle(visit, permit, unread).await
        }
        Handler::Anyone(_)
        | Handler::SignedIn(_)
        | Handler::Admin(_)
        | Handler::Namespace(..)
        | Handler::Repository(..) => Err(Problem::not_found()),
    }
}

/// Takes note of who asks, for the log and for the handler.
pub(in crate::api) fn admit(call: &mut Call, asker: &Asker) {
    call.caller = asker.caller(Access::Nothing);
    let _ = call.admitted.set(Arc::clone(&call.caller));
}

/// Who asks: nobody, if nothing is said and if a session is over.
pub(in crate::api) async fn identify(
    sign_in: &SignIn,
    presented: Presented,
    source: &RequestSource,
) -> Result<Principal, Problem> {
    let directory = sign_in.directory();
    if source.address == ClientAddress::Console {
        return Ok(Principal::console());
    }
    let found = match presented {
        Presented::Nothing => return Ok(Principal::nobody()),
        Presented::Session(secret) => {
            sign_in.refresh().await;
            let found = directory.by_token(secret.expose())?;
            let session = found.filter(Principal::is_of_session);
            return Ok(session.unwrap_or_else(Principal::nobody));
        }
        Presented::Credentials(Credentials::Basic { user, password }) => {
            password_or_token(sign_in, &user, &password, source).await?
        }
        Presented::Credentials(Credentials::Bearer(secret)) => {
            sign_in.refresh().await;
            let found = directory.by_token(secret.expose())?;
            // A refresh token is for the token service alone.
            found.filter(|found| !found.is_of_refresh_token())
        }
        Presented::Credentials(Credentials::None | Credentials::Unknown) => None,
    };
    found.ok_or_else(|| {
        tracing::info!(address = %source.address, "a sign-in to the API was refused");
        Problem::unauthorized()
    })
}

/// Who has this name and password, or this token in the password's place.
pub(super) async fn password_or_token(
    sign_in: &SignIn,
    user: &str,
    password: &Secret,
    source: &RequestSource,
) -> Result<Option<Principal>, Problem> {
    let address = source.address.to_string();
    match sign_in.sign_in(user, password, &address).await {
        Ok(found) => Ok(found),
        Err(SignInError::Busy(busy)) => {
            Err(ApiError::from(Denied::Busy { wait: busy.wait }).into())
        }
        Err(SignInError::Fault(fault)) => Err(fault.into()),
    }
}

/// What the path names; a text that cannot be a name is no name of anything.
fn named<T: FromStr>(visit: &Visit, asker: &Asker) -> Result<T, Problem> {
    let parameter = match visit.parameters.get("organization") {
        Some(_) => "organization",
        None if visit.parameters.get("namespace").is_some() => "namespace",
        None => "repository",
    };
    visit.named(parameter).map_err(|_| hidden(asker, false))
}

/// The answer to who has not what it needs, whatever else is there.
pub(super) fn refused(asker: &Asker) -> Problem {
    if asker.is_nobody() {
        return Problem::unauthorized();
    }
    if asker.principal().limits.is_some() {
        return Problem::denied("this token is limited to what it says of repositories");
    }
    Problem::denied("this is for administrators")
}

/// The answer to who may not do this to a thing: nobody signs in first; of what they may not see, others
/// learn nothing (S17).
pub(in crate::api) fn hidden(asker: &Asker, is_seen: bool) -> Problem {
    if asker.is_nobody() {
        return Problem::unauthorized();
    }
    if is_seen {
        return Problem::denied("your role here is too low for this");
    }
    Problem::not_found()
}
