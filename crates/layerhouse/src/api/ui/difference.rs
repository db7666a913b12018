//! What changed between two images, `a` and `b`: how they run, their layers, and how they were made.

use std::collections::BTreeMap;

use super::browse::model::{ImageConfig, Layer, Pair};

/// Longest lists that are compared step by step: the work grows with their product.
const STEPS_MAX: usize = 500;

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Fate {
    /// Only `b` has it.
    Added,
    /// Only `a` has it.
    Removed,
    /// Both have it, but not the same.
    Changed,
    /// Both have the same.
    Same,
}

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Setting {
    Platform,
    User,
    Workdir,
    StopSignal,
    Entrypoint,
    Command,
    Environment,
    Port,
    Volume,
    Label,
}

/// A setting that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct SettingChange {
    pub(in crate::api::ui) setting: Setting,
    /// Of variables and labels; else empty.
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) before: Option<String>,
    pub(in crate::api::ui) after: Option<String>,
}

impl SettingChange {
    pub(in crate::api::ui) fn fate(&self) -> Fate {
        match (&self.before, &self.after) {
            (None, _) => Fate::Added,
            (Some(_), None) => Fate::Removed,
            (Some(before), Some(after)) if before == after => Fate::Same,
            (Some(_), Some(_)) => Fate::Changed,
        }
    }
}

/// A line of two lists that were laid side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Line<T> {
    pub(in crate::api::ui) fate: Fate,
    pub(in crate::api::ui) entry: T,
}

/// Layers, and what they weigh in bytes, each counted once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Layers {
    pub(in crate::api::ui) lines: Vec<Line<Layer>>,
    pub(in crate::api::ui) shared_bytes: u64,
    pub(in crate::api::ui) added_bytes: u64,
    pub(in crate::api::ui) removed_bytes: u64,
}

/// The settings in which `b` differs from `a`, in the order of [`Setting`], and by name.
pub(in crate::api::ui) fn settings(a: &ImageConfig, b: &ImageConfig) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    let mut compare = |setting, before: Option<String>, after: Option<String>| {
        if before != after {
            changes.push(SettingChange {
                setting,
                name: String::new(),
                before,
                after,
            });
        }
    };
    compare(Setting::Platform, a.platform.clone(), b.platform.clone());
    compare(Setting::User, a.user.clone(), b.user.clone());
    compare(Setting::Workdir, a.workdir.clone(), b.workdir.clone());
    compare(
        Setting::StopSignal,
        a.stop_signal.clone(),
        b.stop_signal.clone(),
    );
    compare(
        Setting::Entrypoint,
        arguments(&a.entrypoint),
        arguments(&b.entrypoint),
    );
    compare(
        Setting::Command,
        arguments(&a.command),
        arguments(&b.command),
    );
    named(
        &mut changes,
        Setting::Environment,
        &a.environment,
        &b.environment,
    );
    listed(&mut changes, Setting::Port, &a.ports, &b.ports);
    listed(&mut changes, Setting::Volume, &a.volumes, &b.volumes);
    named(&mut changes, Setting::Label, &a.labels, &b.labels);
    changes
}

/// Arguments as JSON, which is how Dockerfiles have them; none if there are none.
pub(in crate::api::ui) fn arguments(arguments: &[String]) -> Option<String> {
    if arguments.is_empty() {
        return None;
    }
    Some(serde_json::to_string(arguments).expect("a list of text is JSON"))
}

fn named(changes: &mut Vec<SettingChange>, setting: Setting, a: &[Pair], b: &[Pair]) {
    let mut both: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for pair in a {
        both.entry(&pair.name).or_default().0 = Some(&pair.value);
    }
    for pair in b {
        both.entry(&pair.name).or_default().1 = Some(&pair.value);
    }
    for (name, (before, after)) in both {
        if before != after {
            changes.push(SettingChange {
                setting,
                name: name.to_owned(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
            });
        }
    }
}

/// Lists whose entries are there or not.
fn listed(changes: &mut Vec<SettingChange>, setting: Setting, a: &[String], b: &[String]) {
    let gone = a.iter().filter(|entry| !b.contains(entry));
    let new = b.iter().filter(|entry| !a.contains(entry));
    let change = |before: Option<&String>, after: Option<&String>| SettingChange {
        setting,
        name: String::new(),
        before: before.cloned(),
        after: after.cloned(),
    };
    changes.extend(gone.map(|entry| change(Some(entry), None)));
    changes.extend(new.map(|entry| change(None, Some(entry))));
}

/// The layers of both in order: what they share once, between what only one of them has.
pub(in crate::api::ui) fn layers(a: &[Layer], b: &[Layer]) -> Layers {
    let lines = side_by_side(a, b, |one, other| one.digest == other.digest);
    let weigh = |layers: &[Layer], other: &[Layer], is_shared: bool| {
        let mut seen: Vec<&str> = Vec::new();
        let mut bytes = 0_u64;
        for layer in layers.iter().take(STEPS_MAX) {
            let has_other = other.iter().any(|one| one.digest == layer.digest);
            if has_other == is_shared && !seen.contains(&layer.digest.as_str()) {
                seen.push(&layer.digest);
                bytes = bytes.saturating_add(layer.size_bytes);
            }
        }
        bytes
    };
    Layers {
        shared_bytes: weigh(a, b, true),
        removed_bytes: weigh(a, b, false),
        added_bytes: weigh(b, a, false),
        lines,
    }
}

/// How both were made, step by step.
pub(in crate::api::ui) fn commands(a: &ImageConfig, b: &ImageConfig) -> Vec<Line<String>> {
    let commands = |config: &ImageConfig| -> Vec<String> {
        let steps = config.history.iter();
        steps.map(|step| step.command.clone()).collect()
    };
    side_by_side(&commands(a), &commands(b), |one, other| one == other)
}

/// A longest common subsequence of the first 500 entries of both, with what stands between; removals first.
fn side_by_side<T: Clone>(a: &[T], b: &[T], is_same: impl Fn(&T, &T) -> bool) -> Vec<Line<T>> {
    let (a, b) = (&a[..a.len().min(STEPS_MAX)], &b[..b.len().min(STEPS_MAX)]);
    // How many entries `a` from one place and `b` from another have in common.
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if is_same(&a[i], &b[j]) {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::with_capacity(a.len() + b.len());
    let mut line = |fate, entry: &T| {
        lines.push(Line {
            fate,
            entry: entry.clone(),
        });
    };
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && is_same(&a[i], &b[j]) {
            line(Fate::Same, &a[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && common[i * width + j + 1] <= common[(i + 1) * width + j])
        {
            line(Fate::Removed, &a[i]);
            i += 1;
        } else {
            line(Fate::Added, &b[j]);
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::browse::model::Step;
    use super::*;

    fn pair(name: &str, value: &str) -> Pair {
        Pair {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn layer(digest: &str, size_bytes: u64) -> Layer {
        Layer {
            digest: digest.to_owned(),
            media_type: String::new(),
            size_bytes,
            command: None,
            title: None,
            uses: None,
        }
    }

    fn text(line: &Line<impl AsRef<str>>) -> String {
        let sign = match line.fate {
            Fate::Added => '+',
            Fate::Removed => '-',
            Fate::Changed => '!',
            Fate::Same => ' ',
        };
        format!("{sign}{}", line.entry.as_ref())
    }

    #[test]
    fn settings_that_differ_are_told_one_by_one() {
        let a = ImageConfig {
            user: Some("root".to_owned()),
            entrypoint: vec!["/app".to_owned()],
            environment: vec![pair("A", "1"), pair("B", "2"), pair("C", "3")],
            ports: vec!["80/tcp".to_owned(), "443/tcp".to_owned()],
            labels: vec![pair("v", "1")],
            ..ImageConfig::default()
        };
        let b = ImageConfig {
            user: None,
            entrypoint: vec!["/app".to_owned(), "\"run\"".to_owned()],
            environment: vec![pair("C", "3"), pair("B", "two"), pair("D", "")],
            ports: vec!["443/tcp".to_owned(), "8443/tcp".to_owned()],
            labels: vec![pair("v", "1")],
            ..ImageConfig::default()
        };
        let told: Vec<String> = settings(&a, &b)
            .iter()
            .map(|change| {
                let SettingChange {
                    setting,
                    name,
                    before,
                    after,
                } = change;
                let (before, after) = (before.as_deref(), after.as_deref());
                format!(
                    "{setting:?} {name} {:?} {} -> {}",
                    change.fate(),
                    before.unwrap_or("-"),
                    after.unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "User  Removed root -> -",
                r#"Entrypoint  Changed ["/app"] -> ["/app","\"run\""]"#,
                "Environment A Removed 1 -> -",
                "Environment B Changed 2 -> two",
                "Environment D Added - -> ",
                "Port  Removed 80/tcp -> -",
                "Port  Added - -> 8443/tcp",
            ]
        );
        assert_eq!(settings(&a, &a), []);
    }

    #[test]
    fn layers_are_weighed_once() {
        let a = [
            layer("base", 100),
            layer("old", 10),
            layer("empty", 1),
            layer("empty", 1),
        ];
        let b = [
            layer("base", 100),
            layer("new", 20),
            layer("empty", 1),
            layer("new", 20),
        ];
        let difference = layers(&a, &b);
        let lines: Vec<String> = difference
            .lines
            .iter()
            .map(|line| {
                text(&Line {
                    fate: line.fate,
                    entry: line.entry.digest.clone(),
                })
            })
            .collect();
        assert_eq!(lines, [" base", "-old", "-empty", "+new", " empty", "+new"]);
        assert_eq!(difference.shared_bytes, 101);
        assert_eq!(difference.removed_bytes, 10);
        assert_eq!(difference.added_bytes, 20);
    }

    #[test]
    fn commands_stand_side_by_side() {
        let made = |commands: &[&str]| ImageConfig {
            history: commands
                .iter()
                .map(|command| Step {
                    command: (*command).to_owned(),
                    ..Step::default()
                })
                .collect(),
            ..ImageConfig::default()
        };
        let lines = commands(
            &made(&["FROM", "RUN a", "CMD"]),
            &made(&["FROM", "RUN b", "RUN c", "CMD"]),
        );
        let lines: Vec<String> = lines.iter().map(text).collect();
        assert_eq!(lines, [" FROM", "-RUN a", "+RUN b", "+RUN c", " CMD"]);
        assert_eq!(commands(&made(&[]), &made(&[])), []);
    }

    proptest! {
        #[test]
        fn each_side_can_be_read_off(a in "[abc]{0,20}", b in "[abc]{0,20}") {
            let split = |text: &str| -> Vec<String> { text.chars().map(String::from).collect() };
            let lines = side_by_side(&split(&a), &split(&b), |one, other| one == other);
            let side = |other: Fate| -> String {
                let lines = lines.iter().filter(|line| line.fate != other);
                lines.map(|line| line.entry.as_str()).collect()
            };
            prop_assert_eq!(side(Fate::Added), a);
            prop_assert_eq!(side(Fate::Removed), b);
        }
    }
}
