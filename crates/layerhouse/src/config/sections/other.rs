//! Sections with little or nothing behind them: `validation`, `catalog`, `tags`, and those that are
//! accepted because configurations have them.

use crate::config::meaning::{Platforms, Validation};
use crate::config::reader::Section;
use crate::registry::manifest_rules::ManifestRules;

pub(in crate::config) fn validation(root: &Section<'_>) -> Validation {
    let validation = root.section("validation");
    let enabled = validation.flag_given("enabled");
    if enabled.is_some() {
        validation.warn("enabled", "is deprecated: write validation.disabled");
    }
    let is_disabled = validation.flag("disabled", enabled == Some(false));
    let manifests = validation.section("manifests");
    let urls = manifests.section("urls");
    let validation = Validation {
        is_disabled,
        urls_allow: urls.texts("allow"),
        urls_deny: urls.texts("deny"),
        platforms: platforms(&manifests.section("indexes")),
    };
    if let Err(problem) = ManifestRules::new(&validation) {
        urls.refuse("", problem);
    }
    validation
}

fn platforms(indexes: &Section<'_>) -> Platforms {
    #[derive(Clone)]
    enum Which {
        All,
        None,
        List,
    }
    let which = [
        ("all", Which::All),
        ("none", Which::None),
        ("list", Which::List),
        ("", Which::All),
    ];
    let which = indexes.word("platforms", &which, Some("all"));
    let list = indexes.sections("platformlist");
    let list: Vec<_> = list
        .iter()
        .map(|one| {
            let architecture = one.text_needed("architecture");
            (one.text_needed("os"), architecture)
        })
        .collect();
    match which {
        Some(Which::List) => {
            if list.is_empty() {
                indexes.refuse(
                    "platformlist",
                    "is missing: the platforms that must be there",
                );
            }
            Platforms::List(list)
        }
        Some(Which::None) => Platforms::None,
        Some(Which::All) | None => Platforms::All,
    }
}

/// The longest pages of `catalog.maxentries` and `tags.maxtags`.
pub(in crate::config) fn pages(root: &Section<'_>) -> (usize, usize) {
    let pages = |section: &str, key: &str| {
        let entries = root.section(section).positive(key, 1000);
        usize::try_from(entries).unwrap_or(usize::MAX)
    };
    (pages("catalog", "maxentries"), pages("tags", "maxtags"))
}

/// What configurations have and nothing here needs.
pub(in crate::config) fn accepted(root: &Section<'_>) {
    root.ignore(
        "redis",
        "is accepted and does nothing: what it would keep is in the database, and exact",
    );
    root.ignore(
        "reporting",
        "is accepted and does nothing: neither Bugsnag nor New Relic is told anything; the log \
         and http.debug.prometheus have it",
    );
    root.ignore(
        "compatibility",
        "is accepted and does nothing: manifests of schema 1 are refused",
    );
    root.ignore(
        "policy",
        "is accepted and does nothing: manifests of every class are taken",
    );
}
