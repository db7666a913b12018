//! `/ui/me/stars`: what one gave stars, and may still see.

use askama::Template;
use serde::Deserialize;

use super::words;
use crate::api::Answer;
use crate::api::ui::ask::List;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Moment, Visibility};

#[derive(Debug, Deserialize)]
struct OwnStar {
    repository: String,
    visibility: Visibility,
    starred_at: Moment,
}

#[derive(Template)]
#[template(path = "account/stars.html")]
struct StarsPage<'a> {
    shell: &'a Shell,
    tab: &'static str,
    stars: List<OwnStar>,
}

impl StarsPage<'_> {
    fn visibility(&self, starred: &OwnStar) -> &'static str {
        words::visibility(self.shell, starred.visibility)
    }
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let after = visit.query.get("after").map(|after| ("after", after));
    let query: Vec<_> = after.into_iter().collect();
    let page = StarsPage {
        shell: &visit.shell,
        tab: "stars",
        stars: visit.get("/me/stars", &query).await?,
    };
    visit.show(&page)
}
