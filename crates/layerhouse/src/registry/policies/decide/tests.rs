use std::fmt::Write as _;
use std::time::Duration;

use layerhouse_oci::digest::Algorithm;
use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::config::meaning::policies::TagSet;

const DAY: i64 = 24 * 3600 * 1000;
const NOW: Timestamp = Timestamp(1000 * DAY);

fn digest(name: &str) -> Digest {
    Digest::of(Algorithm::Sha256, name.as_bytes())
}

fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

/// So many days ago.
fn ago(days: i64) -> Timestamp {
    Timestamp(NOW.0 - days * DAY)
}

/// A repository, said in lines: `app pushed 3 untagged 2 pulled 1 subject base` is a manifest, with days ago;
/// `v1 = app 3` a tag and when it was pushed, `app.sig = sig 1` one in cosign's form of `app`; `list > app` a
/// child.
fn rows(text: &str) -> Rows {
    let mut rows = Rows::default();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let day = |text: &str| ago(text.parse().expect("days"));
    for words in &lines {
        if matches!(words.get(1), Some(&("=" | ">"))) {
            continue;
        }
        let said = |key: &str| {
            let at = words.iter().position(|word| *word == key)?;
            words.get(at + 1).copied()
        };
        rows.manifests.push(ManifestRow {
            digest: digest(words[0]),
            subject: said("subject").map(digest),
            pushed_at: said("pushed").map_or(NOW, day),
            untagged_at: said("untagged").map(day),
            pulled_at: said("pulled").map(day),
        });
    }
    for words in &lines {
        match words[..] {
            [index, ">", image] => {
                rows.children.push((digest(index), digest(image)));
            }
            [tag, "=", manifest, moved] => {
                let name = match tag.split_once(".sig") {
                    Some((owner, _)) => format!("{}.sig", digest(owner).as_str().replace(':', "-")),
                    None => tag.to_owned(),
                };
                let tag = TagRow {
                    name: name.parse().expect("a tag"),
                    digest: digest(manifest),
                    moved_at: day(moved),
                };
                rows.tags.push(tag);
            }
            _ => {}
        }
    }
    rows
}

/// What goes, with these names given back to digests.
fn gone(text: &str, policy: &Retention, fixed: &[&str]) -> Vec<String> {
    let rows = rows(text);
    let moment = Moment {
        now: NOW,
        pulls_known_since: ago(365),
        unheard: Duration::ZERO,
    };
    let is_fixed = |tag: &Tag| fixed.contains(&tag.as_str());
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let name = |digest_: &Digest| {
        let found = names.iter().find(|name| digest(name) == *digest_);
        (*found.expect("it has a name")).to_owned()
    };
    let told = decide(&rows, policy, is_fixed, moment)
        .into_iter()
        .map(|decision| match decision {
            Decision::Tag { tag, why } => match owner(&tag.name) {
                None => format!("{} ({why:?})", tag.name),
                Some(owner) => format!("{}.sig ({why:?})", name(&owner)),
            },
            Decision::Manifest { seen, why, .. } => format!("[{}] ({why:?})", name(&seen.digest)),
        });
    told.collect()
}

fn all(globs: &str) -> TagSet {
    TagSet {
        globs: globs
            .split_whitespace()
            .map(|glob| glob.parse().expect("a pattern"))
            .collect(),
        ..TagSet::default()
    }
}

fn keeping(rules: Vec<KeepRule>) -> Retention {
    Retention {
        keep: Some(rules),
        untagged_after: None,
    }
}

fn check(text: &str, policy: &Retention, expected: &[&str]) {
    assert_eq!(gone(text, policy, &[]), expected, "{text}");
}

const FIVE: &str = "
    a pushed 50 pulled 2
    b pushed 40 pulled 20
    c pushed 30
    d pushed 20
    e pushed 10
    v1.9.0 = a 50
    v1.10.0 = b 40
    main = c 30
    v2.0.0-rc.1 = d 20
    pr-7 = e 10";

#[test]
fn rules_keep_what_they_say() {
    let rule = KeepRule::default;
    let check = |rules: Vec<KeepRule>, expected: &[&str]| {
        let mut found = gone(FIVE, &keeping(rules), &[]);
        found.sort();
        let expected: Vec<_> = expected
            .iter()
            .map(|name| format!("[{name}] (LastTag)"))
            .collect();
        assert_eq!(found, expected);
    };
    check(vec![rule()], &[]);
    check(
        vec![KeepRule {
            newest: Some(2),
            ..rule()
        }],
        &["a", "b", "c"],
    );
    check(
        vec![KeepRule {
            newest: Some(9),
            ..rule()
        }],
        &[],
    );
    check(
        vec![KeepRule {
            tags: all("v*"),
            newest: Some(1),
            ..rule()
        }],
        &["a", "b", "c", "e"],
    );
    // v2.0.0-rc.1 is the highest, then 1.10 comes before 1.9; what is no version is not kept.
    check(
        vec![KeepRule {
            semver_newest: Some(2),
            ..rule()
        }],
        &["a", "c", "e"],
    );
    check(
        vec![KeepRule {
            pushed_within: Some(days(30)),
            ..rule()
        }],
        &["a", "b"],
    );
    // Pushed or pulled.
    check(
        vec![KeepRule {
            pulled_within: Some(days(10)),
            ..rule()
        }],
        &["b", "c", "d"],
    );
    // One rule's conditions add up, and so do rules.
    let both = KeepRule {
        tags: all("v*"),
        newest: Some(1),
        pulled_within: Some(days(5)),
        ..rule()
    };
    check(
        vec![
            both,
            KeepRule {
                tags: all("main"),
                ..rule()
            },
        ],
        &["b", "e"],
    );
    let regex = Regex::new("^(?:pr-[0-9]+)$").ok();
    let tags = TagSet {
        regex,
        ..all("main")
    };
    check(vec![KeepRule { tags, ..rule() }], &["a", "b", "d"]);
}

#[test]
fn what_was_pulled_before_anybody_looked_is_not_known() {
    let rows = rows(FIVE);
    let policy = keeping(vec![KeepRule {
        pulled_within: Some(days(10)),
        ..KeepRule::default()
    }]);
    let moment = |known: i64| Moment {
        now: NOW,
        pulls_known_since: ago(known),
        unheard: Duration::ZERO,
    };
    assert_eq!(decide(&rows, &policy, |_| false, moment(9)), []);
    assert_eq!(decide(&rows, &policy, |_| false, moment(10)).len(), 3);
}

#[test]
fn a_manifest_stays_while_something_holds_it() {
    let newest = keeping(vec![KeepRule {
        newest: Some(1),
        ..KeepRule::default()
    }]);
    // Another tag.
    check("a\n v1 = a 2\n v2 = a 1", &newest, &["v1 (Unkept)"]);
    // An index; and an image that has a tag of its own outlives its index.
    check(
        "list\n a\n v1 = a 2\n v2 = list 1\n list > a",
        &newest,
        &["v1 (Unkept)"],
    );
    check(
        "list\n a\n b\n v1 = list 2\n v2 = a 1\n list > a\n list > b",
        &newest,
        &["[list] (LastTag)", "[b] (Owner)"],
    );
    // An image in two indexes.
    check(
        "one\n two\n a\n v1 = one 2\n v2 = two 1\n one > a\n two > a",
        &newest,
        &["[one] (LastTag)"],
    );
    // A subject, and what refers to what refers to it.
    check(
        "a\n sbom subject a\n sig subject sbom\n v1 = a 1",
        &newest,
        &[],
    );
    check(
        "a\n b\n sbom subject a\n sig subject sbom\n v1 = a 2\n v2 = b 1",
        &newest,
        &["[a] (LastTag)", "[sbom] (Owner)", "[sig] (Owner)"],
    );
    // What never had a tag, and nothing holds, is not retention's.
    check("a\n b pushed 900\n v1 = a 1", &newest, &[]);
    check("a\n b subject gone pushed 900\n v1 = a 1", &newest, &[]);
}

#[test]
fn signatures_go_with_what_they_sign_and_are_not_counted() {
    let newest = keeping(vec![KeepRule {
        newest: Some(1),
        ..KeepRule::default()
    }]);
    check(
        "a\n b\n sa\n sb\n v1 = a 9\n v2 = b 8\n a.sig = sa 1\n b.sig = sb 1",
        &newest,
        &["[a] (LastTag)", "[sa] (Owner)"],
    );
    // The signature of a signature.
    check(
        "a\n b\n sa\n ssa\n v1 = a 9\n v2 = b 8\n a.sig = sa 1\n sa.sig = ssa 1",
        &newest,
        &["[a] (LastTag)", "[sa] (Owner)", "[ssa] (Owner)"],
    );
    // Of what is not here: it may be on its way.
    check("b\n s\n v2 = b 8\n x.sig = s 0", &newest, &[]);
    check("b\n s\n v2 = b 8\n x.sig = s 2", &newest, &["[s] (Owner)"]);
    // A signature that somebody also tagged by hand.
    check(
        "a\n sa\n v1 = a 9\n keep = sa 1\n a.sig = sa 1",
        &newest,
        &["a.sig (Owner)", "[a] (LastTag)"],
    );
}

#[test]
fn untagged_manifests_wait() {
    let policy = Retention {
        keep: None,
        untagged_after: Some(days(14)),
    };
    check("a pushed 30\n v1 = a 30", &policy, &[]);
    check("a pushed 30", &policy, &["[a] (Untagged)"]);
    check("a pushed 13", &policy, &[]);
    check("a pushed 30 untagged 13", &policy, &[]);
    check("a pushed 30 untagged 14", &policy, &["[a] (Untagged)"]);
    // Pushed again by its digest.
    check("a pushed 3 untagged 14", &policy, &[]);
    check(
        "list pushed 30\n a pushed 30\n v1 = list 30\n list > a",
        &policy,
        &[],
    );
    check(
        "list pushed 30\n a pushed 30\n list > a",
        &policy,
        &["[list] (Untagged)", "[a] (Owner)"],
    );
    check(
        "list pushed 30\n a pushed 3\n list > a",
        &policy,
        &["[list] (Untagged)"],
    );
    check(
        "a pushed 30\n sbom pushed 30 subject a\n v1 = a 30",
        &policy,
        &[],
    );
    check(
        "sbom pushed 30 subject gone",
        &policy,
        &["[sbom] (Untagged)"],
    );
    // With rules beside it, a manifest waits from when its last tag goes.
    let both = Retention {
        keep: Some(vec![KeepRule {
            newest: Some(1),
            ..KeepRule::default()
        }]),
        ..policy
    };
    check(
        "a pushed 30\n b\n v1 = a 30\n v2 = b 1",
        &both,
        &["v1 (Unkept)"],
    );
    check(
        "a pushed 30\n s pushed 30\n b\n v1 = a 30\n v2 = b 1\n a.sig = s 30",
        &both,
        &["v1 (Unkept)"],
    );
    check(
        "a pushed 30 untagged 20\n s pushed 30\n a.sig = s 30",
        &both,
        &["[a] (Untagged)", "[s] (Owner)"],
    );
}

#[test]
fn immutable_tags_do_not_go() {
    let policy = keeping(vec![KeepRule {
        newest: Some(1),
        ..KeepRule::default()
    }]);
    let text = "a\n b\n c\n s\n v1 = a 9\n v2 = b 8\n v3 = c 7\n a.sig = s 1";
    assert_eq!(gone(text, &policy, &["v1"]), ["[b] (LastTag)"]);
    assert_eq!(gone(text, &policy, &[]).len(), 3);
}

/// An index whose subject is one of its images: neither can go first, so both stay.
#[test]
fn a_ring_of_manifests_stays() {
    let policy = Retention {
        keep: None,
        untagged_after: Some(days(14)),
    };
    check(
        "list pushed 30 subject a\n a pushed 30\n list > a",
        &policy,
        &[],
    );
}

fn any_rows() -> impl Strategy<Value = Rows> {
    let manifest = (
        0..40_i64,
        prop::option::of(0..40_i64),
        prop::option::of(0..8_usize),
    );
    let manifests = prop::collection::vec(manifest, 1..8);
    let tags = prop::collection::vec((0..8_usize, 0..8_usize, 0..40_i64, any::<bool>()), 0..10);
    let children = prop::collection::vec((0..8_usize, 0..8_usize), 0..6);
    (manifests, tags, children).prop_map(|(manifests, tags, children)| {
        let mut text = String::new();
        let count = manifests.len();
        for (number, (pushed, untagged, subject)) in manifests.iter().enumerate() {
            let _ = write!(text, "m{number} pushed {pushed}");
            if let Some(untagged) = untagged {
                let _ = write!(text, " untagged {untagged}");
            }
            if let Some(subject) = subject.filter(|subject| *subject < number) {
                let _ = write!(text, " subject m{subject}");
            }
            text += "\n";
        }
        let mut names = std::collections::BTreeSet::new();
        for (number, at, moved, is_signature) in tags {
            let tag = if is_signature {
                format!("m{number}.sig")
            } else {
                format!("1.{number}.0")
            };
            if names.insert(tag.clone()) {
                let _ = writeln!(text, "{tag} = m{} {moved}", at % count);
            }
        }
        for (index, image) in children {
            // What has a greater number holds what has a smaller one.
            if image < index && index < count {
                let _ = writeln!(text, "m{index} > m{image}");
            }
        }
        rows(&text)
    })
}

proptest! {
    /// Whatever the rows: what goes is held by nothing that stays and has no tag that is kept; and when
    /// it is gone, the same policy at the same time finds no manifest that goes without its tag.
    #[test]
    fn what_goes_is_held_by_nothing(
        rows in any_rows(),
        newest in prop::option::of(1..3_usize),
        untagged in prop::option::of(1..30_u64),
    ) {
        let keep = newest.map(|newest| vec![KeepRule { newest: Some(newest), ..KeepRule::default() }]);
        let policy = Retention { keep, untagged_after: untagged.map(days) };
        let moment = Moment { now: NOW, pulls_known_since: ago(365), unheard: Duration::ZERO };
        let is_fixed = |tag: &Tag| tag.as_str() == "1.0.0";
        let decisions = decide(&rows, &policy, is_fixed, moment);
        let mut gone: Vec<Digest> = Vec::new();
        let mut gone_tags: Vec<Tag> = Vec::new();
        for decision in &decisions {
            match decision {
                Decision::Tag { tag, .. } => gone_tags.push(tag.name.clone()),
                Decision::Manifest { seen, tags, .. } => {
                    let is_here = |wanted: &Digest| rows.manifests.iter().any(|row| row.digest == *wanted);
                    // Who is asked to go first is gone already.
                    for (index, image) in &rows.children {
                        prop_assert!(*image != seen.digest || gone.contains(index));
                    }
                    if let Some(subject) = &seen.subject {
                        prop_assert!(!is_here(subject) || gone.contains(subject));
                    }
                    let pointing = rows.tags.iter().filter(|tag| tag.digest == seen.digest);
                    prop_assert_eq!(pointing.count(), tags.len());
                    gone.push(seen.digest.clone());
                    gone_tags.extend(tags.iter().map(|tag| tag.name.clone()));
                }
            }
        }
        prop_assert!(gone_tags.iter().all(|tag| tag.as_str() != "1.0.0"));
        if let Some(newest) = newest {
            let ordinary = |tag: &&TagRow| owner(&tag.name).is_none();
            let count = rows.tags.iter().filter(ordinary).count();
            let left = rows.tags.iter().filter(ordinary).filter(|tag| !gone_tags.contains(&tag.name)).count();
            // An index that signs its own image by its tag, and has it, waits for the image as that for it.
            let is_held = |tag: &&TagRow| {
                let mut holders = rows.children.iter().filter(|(_, image)| *image == tag.digest);
                let mut names = rows.tags.iter().filter(|other| other.digest == tag.digest);
                holders.any(|(index, _)| !gone.contains(index))
                    // So does one that signs its own referrer.
                    || names.any(|name| owner(&name.name).is_some_and(|signed| {
                        rows.manifests.iter().any(|row| row.digest == signed) && !gone.contains(&signed)
                    }))
            };
            let held = rows.tags.iter().filter(ordinary).filter(is_held).count();
            prop_assert!(newest.min(count) <= left && left <= newest + 1 + held);
        }
        // Again, on what is left.
        let mut after = rows.clone();
        after.manifests.retain(|row| !gone.contains(&row.digest));
        after.tags.retain(|tag| !gone_tags.contains(&tag.name));
        after.children.retain(|(index, _)| !gone.contains(index));
        for row in &mut after.manifests {
            let mut tags = rows.tags.iter().filter(|tag| tag.digest == row.digest);
            if tags.any(|tag| gone_tags.contains(&tag.name)) {
                row.untagged_at = Some(NOW);
            }
        }
        prop_assert_eq!(decide(&after, &policy, is_fixed, moment), []);
    }
}
