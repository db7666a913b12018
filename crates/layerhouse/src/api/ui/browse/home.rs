//! Where people begin: what was pushed last, what is theirs, how full the disk is; in an empty registry, how to
//! push the first image.

use askama::Template;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::snippets;
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::auth::permits::AccountPermit;
use crate::clock::Timestamp;
use crate::registry::browse::repositories::{RepositoriesQuery, RepositorySort};
use crate::registry::browse::tags::Order;

/// Pushes, and names of each list, that are shown.
const PUSHES: u32 = 15;
const NAMES: u32 = 10;

/// A tag that was pushed.
#[derive(Debug)]
struct Push {
    repository: String,
    tag: String,
    digest: String,
    at: Timestamp,
    by: String,
}

#[derive(Debug)]
struct Namespace {
    name: String,
    repositories: u64,
}

/// The file system that the data is on.
#[derive(Clone, Copy, Debug)]
struct Disk {
    free_bytes: u64,
    total_bytes: u64,
}

impl Disk {
    /// How full it is, in percent.
    fn percent(self) -> u64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        u64::try_from(u128::from(used) * 100 / u128::from(self.total_bytes.max(1))).unwrap_or(100)
    }
}

#[derive(Template)]
#[template(path = "browse/home.html")]
struct Page<'a> {
    shell: &'a Shell,
    is_empty: bool,
    commands: [String; 3],
    recent: Vec<Push>,
    mine: Vec<String>,
    starred: Vec<String>,
    namespaces: Vec<Namespace>,
    disk: Option<Disk>,
    may_push: bool,
    push: String,
}

pub(in crate::api::ui) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    blocking(move || show(&visit)).await
}

fn show(visit: &Visit) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let registry = visit.registry();
    let viewer = visit.visitor.viewer()?;
    let recent = registry.recent_pushes(&viewer, PUSHES)?;
    let recent: Vec<Push> = recent
        .into_iter()
        .map(|push| Push {
            repository: push.repository.to_string(),
            tag: push.tag.to_string(),
            digest: push.digest.to_string(),
            at: push.happened_at,
            by: push.actor,
        })
        .collect();
    let namespaces = registry.first_namespaces(&viewer, NAMES as usize)?;
    let namespaces: Vec<Namespace> = namespaces
        .rows
        .into_iter()
        .map(|namespace| Namespace {
            name: namespace.name,
            repositories: namespace.repositories,
        })
        .collect();
    let (mine, starred) = own(visit)?;
    let can_have_pushed = !shell.has_accounts || shell.user.is_some();
    let name = match &shell.user {
        Some(user) if shell.has_accounts => format!("{user}/my-image"),
        _ => "my-image".to_owned(),
    };
    let is_empty = can_have_pushed && !registry.has_repositories()?;
    let page = Page {
        shell,
        is_empty,
        commands: snippets::push(&shell.host, &name),
        recent,
        mine,
        starred,
        namespaces,
        disk: disk(visit)?,
        may_push: can_have_pushed && !visit.visitor.policy().is_read_only,
        push: format!("docker push {}/{name}", shell.host),
    };
    visit.show(&page)
}

/// How full the disk is, for who looks after it: with accounts administrators, without whoever there is.
fn disk(visit: &Visit) -> Result<Option<Disk>, Problem> {
    if !visit.shell.is_admin && (visit.shell.has_accounts || visit.visitor.policy().is_read_only) {
        return Ok(None);
    }
    let (free_bytes, total_bytes) = visit.registry().room_bytes()?;
    Ok((0 < total_bytes).then_some(Disk {
        free_bytes,
        total_bytes,
    }))
}

/// Repositories of who signed in, the last pushed first, and those that they gave a star.
fn own(visit: &Visit) -> Result<(Vec<String>, Vec<String>), Problem> {
    let (Some(index), Some(user)) = (visit.visitor.index(), &visit.shell.user) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let viewer = visit.visitor.viewer()?;
    let query = RepositoriesQuery {
        within: Some(user),
        filter: None,
        sort: RepositorySort::Pushed,
        order: Order::Descending,
        page: 1,
        rows: NAMES,
    };
    let mine = visit.registry().repositories_page(&viewer, &query)?;
    let mine = mine
        .rows
        .into_iter()
        .map(|row| row.name.to_string())
        .collect();
    let permit = visit.visitor.asker().and_then(AccountPermit::of);
    let starred = match permit {
        Some(permit) => index.starred(&permit, &viewer, "", NAMES as usize)?.0,
        None => Vec::new(),
    };
    let starred = starred
        .into_iter()
        .map(|starred| starred.repository)
        .collect();
    Ok((mine, starred))
}
