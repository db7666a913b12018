//! That pages say what is written down, in every language, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use super::*;

#[test]
fn languages() {
    let check = |accept: &str, expected: Option<Language>| {
        assert_eq!(Language::preferred(accept), expected, "{accept}");
    };
    check("", None);
    check("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Chinese));
    check("en-US,en;q=0.9,zh;q=0.1", Some(Language::English));
    check("fr, zh-Hans;q=0.3, en;q=0.2", Some(Language::Chinese));
    check("fr, de", None);
    check("zh;q=0", None);
    check("zh;q=x,en", Some(Language::English));
    check("ZH", Some(Language::Chinese));
}

#[test]
fn values_and_numbers() {
    assert_eq!(filled("{2} of {1}", &[&"a", &3]), "3 of a");
    assert_eq!(filled("{0} {3} {x} {", &[&"a"]), "{0} {3} {x} {");
    // What was filled in is not filled again.
    assert_eq!(filled("{1}{2}", &[&"{2}", &"b"]), "{2}b");
    assert_eq!(numbered("one|many", 1), "one");
    assert_eq!(numbered("one|many", 0), "many");
    assert_eq!(numbered("all", 1), "all");
}

/// Every file of the pages, with what it says.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/ui")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let is_page = path
                .extension()
                .is_some_and(|end| end == "html" || end == "rs");
            if path.is_dir() {
                folders.push(path);
            } else if is_page && !path.ends_with("text/tests.rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                found.insert(path.display().to_string(), text);
            }
        }
    }
    found
}

#[test]
fn every_text_is_there_and_used() {
    // A key is two or more words with dots between, and stands in quotes.
    let quoted = Regex::new(r#""([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)""#).expect("a pattern");
    let said = Regex::new(r#"\b(?:t|say|say2|say3|count)\(\s*"([^"]+)""#).expect("a pattern");
    let (mut used, mut missing) = (BTreeSet::new(), Vec::new());
    for (file, text) in sources() {
        used.extend(quoted.captures_iter(&text).map(|found| found[1].to_owned()));
        for found in said.captures_iter(&text) {
            if !TEXTS.contains_key(&found[1]) {
                missing.push(format!("{file}: {}", &found[1]));
            }
        }
    }
    assert!(missing.is_empty(), "texts that are not there: {missing:#?}");
    // Notices are named by the address of a page.
    let notice = Regex::new(r"said=([a-z0-9_]+)").expect("a pattern");
    for text in sources().values() {
        used.extend(
            notice
                .captures_iter(text)
                .map(|found| format!("said.{}", &found[1])),
        );
    }
    let unused: Vec<_> = TEXTS.keys().filter(|key| !used.contains(**key)).collect();
    assert!(unused.is_empty(), "texts that nothing says: {unused:#?}");
}

#[test]
fn every_text_is_translated() {
    // Names of products and things that are called the same.
    let is_same = |text: &str| text.chars().all(|c| !c.is_ascii_lowercase()) || text.len() < 4;
    let mut wrong = Vec::new();
    for (key, [english, chinese]) in &*TEXTS {
        let is_chinese = chinese
            .chars()
            .any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        let values = |text: &str| text.matches('{').count();
        let most = english.split('|').map(values).max();
        if english.is_empty()
            || chinese.is_empty()
            || (!is_chinese && !is_same(english) && english != chinese)
        {
            wrong.push(format!("{key}: not translated"));
        }
        if english == chinese && !is_same(english) && english.split_whitespace().count() > 2 {
            wrong.push(format!("{key}: the same in both"));
        }
        if most != Some(values(chinese)) {
            wrong.push(format!("{key}: other values"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
