//! Help for each client, with this host filled in.

mod guides;

use askama::Template;

use self::guides::{GUIDES, Group, Guide, OF_HTTP, Step, When};
use super::shell::Shell;
use super::visit::Visit;
use crate::api::Answer;
use crate::api::v1::problem::Problem;

/// The page that the segments behind `/ui/help` name.
///
/// # Errors
/// 404 for none
#[expect(clippy::unused_async, reason = "reads as the others")]
pub(super) async fn page(visit: Visit, segments: &[String]) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let shell = &visit.shell;
    let slug = match segments {
        [] => return visit.show(&Contents { shell, slug: "" }),
        [slug] => slug,
        _ => return Err(Problem::not_found()),
    };
    let guide = GUIDES.iter().find(|guide| guide.slug == slug);
    let guide = guide.ok_or_else(Problem::not_found)?;
    let steps = guide.steps.iter().filter(|step| is_for(shell, step.when));
    visit.show(&GuidePage {
        shell,
        slug: guide.slug,
        guide,
        steps: steps.map(|step| Shown::of(shell, step)).collect(),
    })
}

#[derive(Template)]
#[template(path = "help/contents.html")]
struct Contents<'a> {
    shell: &'a Shell,
    slug: &'static str,
}

#[derive(Template)]
#[template(path = "help/guide.html")]
struct GuidePage<'a> {
    shell: &'a Shell,
    slug: &'static str,
    guide: &'static Guide,
    steps: Vec<Shown>,
}

impl Contents<'_> {
    #[expect(clippy::unused_self, reason = "templates have a page at hand")]
    fn groups(&self) -> [Group; 5] {
        Group::ALL
    }
}

impl GuidePage<'_> {
    #[expect(clippy::unused_self, reason = "templates have a page at hand")]
    fn groups(&self) -> [Group; 5] {
        Group::ALL
    }
}

impl Guide {
    fn is(&self, slug: &str) -> bool {
        self.slug == slug
    }

    /// What it is called: names of products as they are.
    fn title(&self, shell: &Shell) -> &'static str {
        match self.slug {
            "mirror" => shell.t("help.mirror"),
            "close" => shell.t("help.close"),
            _ => self.name,
        }
    }
}

/// A step as it is for this server and who reads.
#[derive(Debug)]
struct Shown {
    said: &'static str,
    file: Option<String>,
    /// Commands, or what the file holds.
    code: Vec<String>,
    /// Whether clients take a token in the password's place here.
    names_token: bool,
}

impl Shown {
    fn of(shell: &Shell, step: &Step) -> Self {
        let code = filled(shell, step.code);
        let code = match step.file {
            _ if code.is_empty() => Vec::new(),
            Some(_) => vec![code],
            None => code.lines().map(str::to_owned).collect(),
        };
        Self {
            said: shell.t(step.said),
            file: step.file.map(|file| filled(shell, file)),
            code,
            names_token: step.when == When::SignIn && shell.has_accounts,
        }
    }
}

/// Whether a step is for who reads of this server.
fn is_for(shell: &Shell, when: When) -> bool {
    let is_http = shell.base_url.starts_with("http://");
    match when {
        When::Always => true,
        When::Http => is_http,
        When::Https => !is_http,
        When::SignIn => !shell.is_open,
    }
}

/// A text with what it stands for in its places.
fn filled(shell: &Shell, text: &str) -> String {
    let name = shell.user.as_deref().unwrap_or("NAME");
    let space = if shell.has_accounts { name } else { "demo" };
    let is_http = shell.base_url.starts_with("http://");
    let mut text = text.to_owned();
    for (place, flag) in OF_HTTP {
        text = text.replace(place, if is_http { flag } else { "" });
    }
    text.replace("{host}", &shell.host)
        .replace("{url}", &shell.base_url)
        .replace("{space}", space)
        .replace("{name}", name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_guide_is_found_and_says_something() {
        let slugs: BTreeSet<_> = GUIDES.iter().map(|guide| guide.slug).collect();
        assert_eq!(slugs.len(), GUIDES.len());
        let in_groups = Group::ALL.into_iter().flat_map(Group::guides);
        assert_eq!(in_groups.count(), GUIDES.len());
        for guide in &GUIDES {
            let always = guide.steps.iter().filter(|step| step.when == When::Always);
            let safe = guide.steps.iter().filter(|step| step.when == When::Https);
            assert_ne!(always.count() + safe.count(), 0, "{}", guide.slug);
        }
    }

    #[test]
    fn what_is_not_ours_stays() {
        let ours = ["{host}", "{url}", "{space}", "{name}"].into_iter();
        let ours: Vec<_> = ours.chain(OF_HTTP.map(|(place, _)| place)).collect();
        for step in GUIDES.iter().flat_map(|guide| guide.steps) {
            let text = format!("{}{}", step.code, step.file.unwrap_or_default());
            for (at, _) in text.match_indices('{') {
                let word = &text[at..];
                let is_ours = ours.iter().any(|place| word.starts_with(place));
                let foreign = ["{{ ", "{ ", "{\"", "{}", "{realm:"];
                let is_foreign = foreign.iter().any(|start| word.starts_with(start));
                assert!(is_ours || is_foreign, "{word}");
            }
        }
    }
}
