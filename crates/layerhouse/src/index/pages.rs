//! What people read of a repository: a line beside its name, a README, and what its image says of itself.
//! Plain text, kept as text: whoever shows it makes sure that it stays that.

use std::collections::BTreeMap;

use serde_json::json;

use super::audit::{Action, Audit};
use super::search::document;
use super::{Index, Sort};
use crate::auth::permits::RepositoryPermit;
use crate::auth::rights::Deed;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::counts::{self, Counts};
use crate::meta::pages::{self, Page};
use crate::meta::repositories::{self, RepositoryId};
use crate::meta::transaction::Transaction;

/// Longest description in characters, as on Docker Hub.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 255;
/// Longest README in bytes.
pub(crate) const README_BYTES_MAX: usize = 256 << 10;
/// What is kept of an image's labels and annotations: so many, with keys and values as long as these.
const LABELS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 1 << 10;

/// Labels and annotations of an image.
pub(crate) type Labels = BTreeMap<String, String>;

/// Where an image says what it is, the best first.
const DESCRIPTION_KEYS: [&str; 4] = [
    "org.opencontainers.image.description",
    "org.label-schema.description",
    "description",
    "org.opencontainers.image.title",
];

/// What is known of a repository beside its images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RepositoryPage {
    pub(crate) description: String,
    pub(crate) readme: String,
    /// Labels and annotations of the image that `latest`, or the newest tag, names.
    pub(crate) labels: Labels,
    /// Whether people wrote the description; else it is the image's.
    pub(crate) is_of_people: bool,
    pub(crate) counts: Counts,
}

/// What people change of a page; absent, it stays. A page without both is the image's again.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageChanges {
    pub(crate) description: Option<String>,
    pub(crate) readme: Option<String>,
}

/// Why a page was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("there is no repository {0}")]
    Unknown(String),
    #[error("this takes a maintainer of {0}; ask its owner")]
    NotMaintainer(String),
    #[error(
        "a description is one line of at most {DESCRIPTION_CHARS_MAX} characters; write more into \
         the README"
    )]
    Description,
    #[error("a README has at most {README_BYTES_MAX} bytes")]
    Readme,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl PageError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Unknown(_) => Sort::Absent,
            Self::NotMaintainer(_) => Sort::Forbidden,
            Self::Description | Self::Readme => Sort::Invalid,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// The page of a repository, for who may pull it.
    ///
    /// # Errors
    /// It is not there, or the database failed.
    pub(crate) fn page(&self, permit: &RepositoryPermit) -> Result<RepositoryPage, PageError> {
        self.look(|tx| {
            let repository = find(tx, permit)?;
            let page = pages::find(tx, repository)?.unwrap_or_default();
            show(tx, repository, page)
        })
    }

    /// Describes a repository, by who maintains it; the page that it has then.
    ///
    /// # Errors
    /// As [`PageError`] says.
    pub(crate) async fn describe(
        &self,
        permit: &RepositoryPermit,
        changes: PageChanges,
    ) -> Result<RepositoryPage, PageError> {
        let name = permit.repository().as_str();
        if !matches!(permit.deed(), Deed::Maintain | Deed::Own) {
            return Err(PageError::NotMaintainer(name.to_owned()));
        }
        let PageChanges {
            description,
            readme,
        } = changes;
        let description = description
            .as_deref()
            .map(checked_description)
            .transpose()?;
        let readme = readme.as_deref().map(checked_readme).transpose()?;
        let detail = json!({
            "description": description,
            "readme_bytes": readme.as_ref().map(String::len),
        });
        let audit = Audit::by(permit.asker(), Action::RepositoryDescribe, name, detail);
        let (permit, now) = (permit.clone(), self.now());
        self.change(audit, move |tx| {
            let repository = find(tx, &permit)?;
            let mut page = pages::find(tx, repository)?.unwrap_or_default();
            page.description = description.unwrap_or(page.description);
            page.readme = readme.unwrap_or(page.readme);
            page.is_of_people = !(page.description.is_empty() && page.readme.is_empty());
            if !page.is_of_people {
                page.description = description_in(&labels_of(&page));
            }
            pages::put(tx, repository, &page, now)?;
            document::refresh(tx, repository)?;
            show(tx, repository, page)
        })
        .await
    }
}

fn find(tx: &Transaction<'_>, permit: &RepositoryPermit) -> Result<RepositoryId, PageError> {
    let name = permit.repository();
    let found = repositories::find(tx, name)?;
    found.ok_or_else(|| PageError::Unknown(name.as_str().to_owned()))
}

fn show(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    page: Page,
) -> Result<RepositoryPage, PageError> {
    Ok(RepositoryPage {
        labels: labels_of(&page),
        description: page.description,
        readme: page.readme,
        is_of_people: page.is_of_people,
        counts: counts::find(tx, repository)?,
    })
}

fn checked_description(text: &str) -> Result<String, PageError> {
    let text = text.trim();
    if text.contains('\n') || DESCRIPTION_CHARS_MAX < text.chars().count() {
        return Err(PageError::Description);
    }
    Ok(one_line(text))
}

fn checked_readme(text: &str) -> Result<String, PageError> {
    if README_BYTES_MAX < text.len() {
        return Err(PageError::Readme);
    }
    Ok(readable(text))
}

/// What an image says of itself, from now on: kept beside what people wrote, and shown where nobody did.
pub(crate) fn say(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    labels: &Labels,
    now: Timestamp,
) -> Result<(), Fault> {
    let before = pages::find(tx, repository)?;
    let mut page = before.clone().unwrap_or_default();
    let labels = bounded(labels);
    page.labels = serde_json::to_string(&labels).expect("a map of text is JSON");
    if !page.is_of_people {
        page.description = description_in(&labels);
    }
    if before.as_ref() == Some(&page) || (before.is_none() && labels.is_empty()) {
        return Ok(());
    }
    pages::put(tx, repository, &page, now)
}

/// The description that an image has in its labels; empty if there is none.
fn description_in(labels: &Labels) -> String {
    let found = DESCRIPTION_KEYS.iter().find_map(|key| labels.get(*key));
    let line = found.map(|text| one_line(text)).unwrap_or_default();
    line.chars().take(DESCRIPTION_CHARS_MAX).collect()
}

/// The standard's labels first, then the others, as far as there is room.
fn bounded(labels: &Labels) -> Labels {
    let is_standard = |key: &str| key.starts_with("org.opencontainers.");
    let standard = labels.iter().filter(|(key, _)| is_standard(key));
    let others = labels.iter().filter(|(key, _)| !is_standard(key));
    let fitting = standard
        .chain(others)
        .filter(|(key, _)| key.len() <= KEY_BYTES_MAX)
        .take(LABELS_MAX);
    fitting
        .map(|(key, value)| {
            let end = value.floor_char_boundary(VALUE_BYTES_MAX);
            (one_line(key), readable(&value[..end]))
        })
        .collect()
}

/// As one line: terminals show it, and must not do what it says.
fn one_line(text: &str) -> String {
    let readable = readable(text);
    let words: Vec<&str> = readable.split_whitespace().collect();
    words.join(" ")
}

/// Without characters that a terminal acts on, or that turn the direction of what stands around them.
fn readable(text: &str) -> String {
    let is_kept = |at: &char| match at {
        '\n' | '\t' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => false,
        other => !other.is_control(),
    };
    text.chars().filter(is_kept).collect()
}

/// A page's labels as they were read.
fn labels_of(page: &Page) -> Labels {
    serde_json::from_str(&page.labels).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_a_line_without_tricks() {
        let check = |text: &str, expected: &str| {
            let labels = Labels::from([(DESCRIPTION_KEYS[0].to_owned(), text.to_owned())]);
            assert_eq!(description_in(&labels), expected);
        };
        check(" A  web\nserver ", "A web server");
        check("\u{1b}[31mred\u{9b}0m\u{0}", "[31mred0m");
        check("abc\u{202e}fed", "abcfed");
        check("一个\t网关", "一个 网关");
        check(&"é".repeat(300), &"é".repeat(255));
    }

    #[test]
    fn labels_are_bounded() {
        let mut labels: Labels = (0..1_000)
            .map(|number| (format!("a{number:04}"), "x".repeat(5_000)))
            .collect();
        labels.insert("k".repeat(200), String::new());
        labels.insert("org.opencontainers.image.source".to_owned(), "s".to_owned());
        let kept = bounded(&labels);
        assert_eq!(kept.len(), 64);
        assert_eq!(kept["org.opencontainers.image.source"], "s");
        assert!(kept.values().all(|value| value.len() <= 1024));
    }
}
