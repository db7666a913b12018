//! One endpoint of the API: its path, what it needs, what it takes and gives, and who does it. The kind of
//! need decides which proof the handler is given, so that none can be reached without it.

use std::future::Future;
use std::pin::Pin;

use http::{Method, StatusCode};
use schemars::{Schema, SchemaGenerator};

use super::input::{Input, Place, Unread};
use super::output::Output;
use super::path::Template;
use super::problem::Problem;
use super::visit::{AnyVisit, Visit};
use crate::api::Answer;
use crate::auth::permits::{
    AccountPermit, AdminPermit, Asker, NamespacePermit, OperatorPermit, RepositoryPermit,
    TendPermit,
};
use crate::auth::rights::{Deed, Role};

/// Methods that the API knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request is of this method; HEAD is a GET whose answer is not sent.
    pub(super) fn is(self, method: &Method) -> bool {
        method.as_str() == self.as_str() || (self == Self::Get && *method == Method::HEAD)
    }

    /// Whether it only looks.
    pub(super) fn is_safe(self) -> bool {
        self == Self::Get
    }
}

type Handling = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// Does what an endpoint is for, given the proof that the caller may.
pub(super) type Handle<Proof, V = Visit> = Box<dyn Fn(V, Proof, Unread) -> Handling + Send + Sync>;

/// What an endpoint needs, and who does it when that is proved.
pub(super) enum Handler {
    /// Anyone may ask; what they see depends on who they are.
    Anyone(Handle<Asker>),
    SignedIn(Handle<AccountPermit>),
    Admin(Handle<AdminPermit>),
    /// A role in the namespace that the path names.
    Namespace(Role, Handle<NamespacePermit>),
    /// A right to the repository that the path names.
    Repository(Deed, Handle<RepositoryPermit>),
    /// To look after the server. There without the index, too, but then at the console alone, as what follows.
    Operator(Handle<OperatorPermit, AnyVisit>),
    /// A right to the repository that the path names, for what the registry holds of it.
    Tended(Deed, Handle<TendPermit, AnyVisit>),
}

type Describe = fn(&mut SchemaGenerator) -> Option<Schema>;

/// A row of the table.
pub(super) struct Endpoint {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) template: Template,
    /// What programs call it.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) handler: Handler,
    pub(super) input: (Place, Describe),
    pub(super) output: (StatusCode, Describe),
    /// Whether it may be refused as things stand (409).
    pub(super) may_conflict: bool,
    /// Whether its body names what may not be there (404).
    pub(super) may_miss: bool,
}

impl Endpoint {
    /// It may be refused as things stand.
    pub(super) fn may_conflict(mut self) -> Self {
        self.may_conflict = true;
        self
    }

    /// Its body names what may not be there.
    pub(super) fn may_miss(mut self) -> Self {
        self.may_miss = true;
        self
    }
}

/// The beginning of a row.
pub(super) struct Draft {
    verb: Verb,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
}

pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Draft {
    Draft::new(Verb::Get, path, id, summary)
}

pub(super) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Draft {
    Draft::new(Verb::Post, path, id, summary)
}

pub(super) fn put(path: &'static str, id: &'static str, summary: &'static str) -> Draft {
    Draft::new(Verb::Put, path, id, summary)
}

pub(super) fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Draft {
    Draft::new(Verb::Patch, path, id, summary)
}

pub(super) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Draft {
    Draft::new(Verb::Delete, path, id, summary)
}

impl Draft {
    fn new(verb: Verb, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            verb,
            path,
            id,
            summary,
        }
    }

    /// Done for anyone.
    pub(super) fn anyone<I, O, F, Doing>(self, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(Visit, Asker, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Anyone(boxed(handle)))
    }

    /// Done for who signed in.
    pub(super) fn signed_in<I, O, F, Doing>(self, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(Visit, AccountPermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::SignedIn(boxed(handle)))
    }

    /// Done for administrators.
    pub(super) fn admin<I, O, F, Doing>(self, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(Visit, AdminPermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Admin(boxed(handle)))
    }

    /// Done for who has this role in the namespace that the path names, or a higher one.
    pub(super) fn namespace<I, O, F, Doing>(self, role: Role, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(Visit, NamespacePermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Namespace(role, boxed(handle)))
    }

    /// Done for who may do this with the repository that the path names.
    pub(super) fn repository<I, O, F, Doing>(self, deed: Deed, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(Visit, RepositoryPermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Repository(deed, boxed(handle)))
    }

    /// Done for who looks after the server.
    pub(super) fn operator<I, O, F, Doing>(self, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(AnyVisit, OperatorPermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Operator(boxed(handle)))
    }

    /// Done for who may do this with the repository that the path names, with the index and without.
    pub(super) fn tended<I, O, F, Doing>(self, deed: Deed, handle: F) -> Endpoint
    where
        I: Input,
        O: Output,
        F: Fn(AnyVisit, TendPermit, I) -> Doing + Copy + Send + Sync + 'static,
        Doing: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        self.done_by::<I, O>(Handler::Tended(deed, boxed(handle)))
    }

    fn done_by<I: Input, O: Output>(self, handler: Handler) -> Endpoint {
        Endpoint {
            verb: self.verb,
            path: self.path,
            template: Template::new(self.path),
            id: self.id,
            summary: self.summary,
            handler,
            input: (I::PLACE, I::schema),
            output: (O::STATUS, O::schema),
            may_conflict: false,
            may_miss: false,
        }
    }
}

/// Reads the input, has it handled, and writes the output.
fn boxed<V, Proof, I, O, F, Doing>(handle: F) -> Handle<Proof, V>
where
    V: Send + 'static,
    Proof: Send + 'static,
    I: Input,
    O: Output,
    F: Fn(V, Proof, I) -> Doing + Copy + Send + Sync + 'static,
    Doing: Future<Output = Result<O, Problem>> + Send + 'static,
{
    Box::new(move |visit, proof, unread| {
        Box::pin(async move {
            let input = I::read(unread).await?;
            let output = handle(visit, proof, input).await?;
            Ok(output.into_answer())
        })
    })
}
