//! What several pages of the registry have: where one is, a repository's head, its other pages.

use layerhouse_oci::name::RepositoryName;

use super::super::shell::Shell;
use super::super::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::auth::rights::{Deed, Visibility};

/// A step on the way to where one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Crumb {
    pub(in crate::api::ui) label: String,
    /// Behind the operator's prefix.
    pub(in crate::api::ui) path: String,
}

/// One of several pages of the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Tab {
    /// Of the texts.
    pub(in crate::api::ui) key: &'static str,
    /// Behind the operator's prefix.
    pub(in crate::api::ui) path: String,
    pub(in crate::api::ui) count: Option<u64>,
    pub(in crate::api::ui) is_here: bool,
}

/// The stars of a repository, where there are accounts and somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Star {
    pub(in crate::api::ui) is_mine: bool,
    pub(in crate::api::ui) count: u64,
}

/// Which of a repository's pages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Place {
    Overview,
    Tags,
    History,
    Deleted,
    Settings,
    Access,
}

/// The head of a repository's pages.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Head {
    pub(in crate::api::ui) name: String,
    /// As clients have it: with the host.
    pub(in crate::api::ui) reference: String,
    pub(in crate::api::ui) crumbs: Vec<Crumb>,
    pub(in crate::api::ui) is_private: Option<bool>,
    pub(in crate::api::ui) star: Option<Star>,
    pub(in crate::api::ui) tabs: Vec<Tab>,
}

impl Head {
    /// For a repository that the visitor may pull from; `tags` is how many it has, as far as that is known.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::api::ui) fn of(
        visit: &Visit,
        name: &RepositoryName,
        place: Place,
        tags: Option<u64>,
    ) -> Result<Self, Problem> {
        let visitor = &visit.visitor;
        let visibility = visitor.visibility(name)?;
        let mut pages = Tabs {
            name: name.as_str(),
            place,
            made: Vec::new(),
        };
        pages.add(Place::Overview, "browse.tab_overview", "", None);
        pages.add(Place::Tags, "browse.tab_tags", "/-/tags", tags);
        pages.add(Place::History, "browse.tab_history", "/-/history", None);
        if visitor.may(name, Deed::Delete) {
            pages.add(Place::Deleted, "browse.tab_deleted", "/-/deleted", None);
        }
        if visit.shell.has_accounts && visitor.may(name, Deed::Maintain) {
            pages.add(Place::Settings, "browse.tab_settings", "/-/settings", None);
        }
        if visit.shell.has_accounts && visitor.may(name, Deed::Own) {
            pages.add(Place::Access, "browse.tab_access", "/-/access", None);
        }
        Ok(Self {
            name: name.to_string(),
            reference: format!("{}/{name}", visit.shell.host),
            crumbs: crumbs(name.as_str(), false),
            is_private: visibility.map(|visibility| visibility == Visibility::Private),
            star: star(visit, name)?,
            tabs: pages.made,
        })
    }

    /// As clients have a tag of it.
    pub(in crate::api::ui) fn tagged(&self, tag: &str) -> String {
        format!("{}:{tag}", self.reference)
    }
}

struct Tabs<'a> {
    name: &'a str,
    place: Place,
    made: Vec<Tab>,
}

impl Tabs<'_> {
    fn add(&mut self, place: Place, key: &'static str, behind: &str, count: Option<u64>) {
        self.made.push(Tab {
            key,
            path: format!("/ui/r/{}{behind}", self.name),
            count,
            is_here: place == self.place,
        });
    }
}

/// Who signed in may give a star.
fn star(visit: &Visit, name: &RepositoryName) -> Result<Option<Star>, Problem> {
    let Some(index) = visit.visitor.index().filter(|_| visit.shell.user.is_some()) else {
        return Ok(None);
    };
    let Ok(permit) = visit.visitor.repository(name, Deed::Pull) else {
        return Ok(None);
    };
    let page = index.page(&permit)?;
    Ok(Some(Star {
        is_mine: index.is_starred(&permit)?,
        count: u64::try_from(page.counts.stars).unwrap_or(0),
    }))
}

/// The namespaces above a name, and the name itself if it is one of them.
pub(in crate::api::ui) fn crumbs(name: &str, is_namespace: bool) -> Vec<Crumb> {
    let ends = name.match_indices('/').map(|(at, _)| at);
    let end = is_namespace.then_some(name.len());
    ends.chain(end)
        .map(|end| {
            let above = &name[..end];
            Crumb {
                label: above.rsplit('/').next().unwrap_or(above).to_owned(),
                path: format!("/ui/n/{above}"),
            }
        })
        .collect()
}

/// How many pages of `rows` each a list has.
pub(in crate::api::ui) fn last_page(total: u64, rows: u32) -> u64 {
    total.div_ceil(u64::from(rows)).max(1)
}

/// What `shell.host` and a name make, with a tag or a digest behind them.
pub(in crate::api::ui) fn reference(shell: &Shell, name: &str, reference: &str) -> String {
    let separator = super::snippets::separator(reference);
    format!("{}/{name}{separator}{reference}", shell.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_name_is_the_namespaces_above_it() {
        let check = |name, is_namespace, expected: &[(&str, &str)]| {
            let crumbs = crumbs(name, is_namespace);
            let told: Vec<(&str, &str)> = crumbs
                .iter()
                .map(|crumb| (crumb.label.as_str(), crumb.path.as_str()))
                .collect();
            assert_eq!(told, expected, "{name}");
        };
        check("web", false, &[]);
        check(
            "acme/team/web",
            false,
            &[("acme", "/ui/n/acme"), ("team", "/ui/n/acme/team")],
        );
        check(
            "acme/team",
            true,
            &[("acme", "/ui/n/acme"), ("team", "/ui/n/acme/team")],
        );
    }

    #[test]
    fn every_row_is_on_a_page() {
        assert_eq!(last_page(0, 50), 1);
        assert_eq!(last_page(50, 50), 1);
        assert_eq!(last_page(51, 50), 2);
    }
}
