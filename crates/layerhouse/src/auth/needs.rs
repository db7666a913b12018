//! The one table of what each request needs: who may do it is decided from nothing else, so a route
//! that is not in it does not compile (S02).

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::route::Route;

/// What can be done with a [`Resource`], in the words of registry:2's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
    /// `*`: what is asked of the catalog.
    Everything,
    /// To find names in the catalog.
    Search,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Everything => "*",
            Self::Search => "search",
        }
    }
}

/// What something can be done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Repository(RepositoryName),
    /// The names of all repositories.
    Catalog,
}

impl Resource {
    /// Its type, as it stands in scopes and tokens.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Catalog => "registry",
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name.as_str(),
            Self::Catalog => "catalog",
        }
    }
}

/// One thing that a request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) resource: Resource,
    pub(crate) action: Action,
}

/// What a request needs before it is looked at any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anyone may ask.
    Nothing,
    /// Whoever signed in, whatever they may do.
    SignIn,
    /// To see the names of all repositories.
    Catalog,
    /// To find some of them.
    Search,
    /// To do all of these in a repository.
    In {
        repository: RepositoryName,
        actions: &'static [Action],
        /// To pull here is asked for along with them, but not required: where a mount would take the
        /// blob from. Who may not read there uploads instead, as if nothing were there (S07).
        helpful: Option<RepositoryName>,
    },
}

impl Need {
    /// What a token should be for: everything that may be of use to the request.
    pub(crate) fn asked_for(&self) -> Vec<Wanted> {
        let on = |repository: &RepositoryName, action| Wanted {
            resource: Resource::Repository(repository.clone()),
            action,
        };
        match self {
            Self::Nothing | Self::SignIn => Vec::new(),
            Self::Catalog => vec![Wanted {
                resource: Resource::Catalog,
                action: Action::Everything,
            }],
            Self::Search => vec![Wanted {
                resource: Resource::Catalog,
                action: Action::Search,
            }],
            Self::In {
                repository,
                actions,
                helpful,
            } => {
                let wanted = actions.iter().map(|action| on(repository, *action));
                let helpful = helpful.iter().map(|from| on(from, Action::Pull));
                wanted.chain(helpful).collect()
            }
        }
    }
}

/// What `route` needs; `mount_from` is the repository that a mount names as its source.
///
/// registry:2 asks for `delete` to cancel an upload and for `pull` to see how far it is. A session is
/// not content, though, and belongs to who pushes: the right to push is needed for all of its life,
/// and enough.
pub(crate) fn of(route: &Route, mount_from: Option<RepositoryName>) -> Need {
    const PULL: &[Action] = &[Action::Pull];
    const PUSH: &[Action] = &[Action::Pull, Action::Push];
    const DELETE: &[Action] = &[Action::Delete];
    let (repository, actions) = match route {
        Route::Preflight => return Need::Nothing,
        Route::Base => return Need::SignIn,
        Route::Catalog => return Need::Catalog,
        Route::ListTags { repository }
        | Route::ListReferrers { repository, .. }
        | Route::PullManifest { repository, .. }
        | Route::PullBlob { repository, .. } => (repository, PULL),
        Route::PushManifest { repository, .. }
        | Route::StartUpload { repository }
        | Route::UploadStatus { repository, .. }
        | Route::PushChunk { repository, .. }
        | Route::FinishUpload { repository, .. }
        | Route::CancelUpload { repository, .. } => (repository, PUSH),
        Route::DeleteManifest { repository, .. } | Route::DeleteBlob { repository, .. } => {
            (repository, DELETE)
        }
    };
    Need::In {
        repository: repository.clone(),
        actions,
        helpful: mount_from.filter(|_| matches!(route, Route::StartUpload { .. })),
    }
}
