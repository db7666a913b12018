//! Two images of a repository side by side: layers, settings, how they were made.

use askama::Template;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::super::difference::{self, Fate, Setting};
use super::super::form::Pairs;
use super::super::pictures::{Words, bars};
use super::super::shell::{Html, Shell};
use super::super::visit::Visit;
use super::here;
use super::image::way;
use super::model::{Image, ImageConfig};
use super::parts::Crumb;
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::auth::{Granted, Pull};

/// Tags that are offered.
const TAGS: u32 = 50;

/// One of the two, as it was asked for.
#[derive(Debug, Default)]
pub(in crate::api::ui) struct Side {
    text: String,
    /// Something was asked for that is not there.
    is_wrong: bool,
}

impl Side {
    pub(in crate::api::ui) fn of(text: String, found: Option<&Image>) -> Self {
        Self {
            is_wrong: !text.is_empty() && found.is_none(),
            text,
        }
    }
}

#[derive(Debug)]
struct LayerLine {
    class: &'static str,
    key: &'static str,
    command: Option<String>,
    digest: String,
    size_bytes: u64,
}

#[derive(Debug)]
struct SettingLine {
    class: &'static str,
    key: &'static str,
    name: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Debug)]
struct CommandLine {
    class: &'static str,
    key: &'static str,
    command: String,
}

/// What differs.
pub(in crate::api::ui) struct Both {
    is_same: bool,
    picture: Html,
    summary: String,
    layers: Vec<LayerLine>,
    settings: Vec<SettingLine>,
    commands: Vec<CommandLine>,
}

#[derive(Template)]
#[template(path = "browse/compare.html")]
pub(in crate::api::ui) struct Page<'a> {
    pub(in crate::api::ui) shell: &'a Shell,
    pub(in crate::api::ui) name: &'a str,
    pub(in crate::api::ui) crumbs: Vec<Crumb>,
    pub(in crate::api::ui) a: Side,
    pub(in crate::api::ui) b: Side,
    pub(in crate::api::ui) tags: Vec<String>,
    pub(in crate::api::ui) platforms: Vec<String>,
    pub(in crate::api::ui) chosen: String,
    pub(in crate::api::ui) both: Option<Both>,
}

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    blocking(move || show(&visit, &name)).await
}

fn show(visit: &Visit, name: &RepositoryName) -> Result<Answer, Problem> {
    let pull = visit.visitor.pull(name)?;
    let tags = visit.registry().latest_tags(&pull, TAGS)?;
    let tags = tags.ok_or_else(Problem::not_found)?;
    let (mut a, mut b) = asked(&visit.query);
    let find = |text: &str| find(visit, &pull, text);
    let (mut one, mut other) = (find(&a)?, find(&b)?);
    // Of chosen rows, however they are sorted, the older is what the newer is held against.
    let pushed_at = |image: &Option<Image>| image.as_ref().and_then(|image| image.pushed_at);
    let is_chosen = visit.query.get("a").or(visit.query.get("b")).is_none();
    if is_chosen
        && let (Some(first), Some(second)) = (pushed_at(&one), pushed_at(&other))
        && second < first
    {
        std::mem::swap(&mut a, &mut b);
        std::mem::swap(&mut one, &mut other);
    }
    let (a, b) = (Side::of(a, one.as_ref()), Side::of(b, other.as_ref()));
    let mut platforms = Vec::new();
    let mut chosen = String::new();
    let mut both = None;
    if let (Some(one), Some(other)) = (one, other) {
        platforms = common_platforms(&one, &other);
        chosen = platform(&visit.query, &platforms);
        let one = image_for(visit, &pull, one, &chosen)?;
        let other = image_for(visit, &pull, other, &chosen)?;
        both = Some(compare(&visit.shell, &one, &other));
    }
    visit.show(&Page {
        shell: &visit.shell,
        name: name.as_str(),
        crumbs: way(name),
        a,
        b,
        tags: tags.iter().map(|tag| tag.name.to_string()).collect(),
        platforms,
        chosen,
        both,
    })
}

/// The two that were asked for: as such, or as rows that were chosen in the table of tags.
pub(in crate::api::ui) fn asked(query: &Pairs) -> (String, String) {
    let mut selected = query.all("tag");
    let (first, second) = (selected.next(), selected.next());
    let of = |name, selected: Option<&str>| {
        let asked = query.get(name).or(selected);
        asked.unwrap_or_default().to_owned()
    };
    (of("a", first), of("b", second))
}

/// What a tag or a digest names.
fn find(visit: &Visit, pull: &Granted<Pull>, text: &str) -> Result<Option<Image>, Problem> {
    match reference(text) {
        Some(reference) => here::image(visit.registry(), pull, &reference),
        None => Ok(None),
    }
}

/// A tag or a digest, as somebody typed it.
pub(in crate::api::ui) fn reference(text: &str) -> Option<Reference> {
    match text.parse::<Digest>() {
        Ok(digest) => Some(Reference::Digest(digest)),
        Err(_) => text.parse().ok().map(Reference::Tag),
    }
}

/// Platforms that both have images for: only then there is a choice.
pub(in crate::api::ui) fn common_platforms(one: &Image, other: &Image) -> Vec<String> {
    let of = |image: &Image| -> Vec<String> {
        let there = image.variants.iter().filter(|variant| variant.is_here);
        there
            .filter_map(|variant| variant.platform.clone())
            .collect()
    };
    let (one, other) = (of(one), of(other));
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other,
        (false, true) => one,
        (false, false) => one
            .into_iter()
            .filter(|platform| other.contains(platform))
            .collect(),
    }
}

/// Which of the platforms is compared: the one that was asked for, or a usual one; empty if there is no choice.
pub(in crate::api::ui) fn platform(query: &Pairs, platforms: &[String]) -> String {
    let find = |wanted: Option<&str>| {
        let mut platforms = platforms.iter();
        platforms.find(|platform| Some(platform.as_str()) == wanted)
    };
    let found = find(query.get("platform")).or_else(|| find(Some("linux/amd64")));
    found.or(platforms.first()).cloned().unwrap_or_default()
}

/// Of an index, the image for a platform; else what it is.
fn image_for(
    visit: &Visit,
    pull: &Granted<Pull>,
    image: Image,
    platform: &str,
) -> Result<Image, Problem> {
    let found = match of_platform(&image, platform) {
        Some(digest) => here::image(visit.registry(), pull, &Reference::Digest(digest))?,
        None => None,
    };
    Ok(found.unwrap_or(image))
}

/// The image of an index for a platform.
pub(in crate::api::ui) fn of_platform(image: &Image, platform: &str) -> Option<Digest> {
    let there = image.variants.iter().filter(|variant| variant.is_here);
    let mut there = there.filter(|variant| variant.platform.as_deref() == Some(platform));
    there.next().and_then(|variant| variant.digest.parse().ok())
}

/// What differs between two images.
pub(in crate::api::ui) fn compare(shell: &Shell, one: &Image, other: &Image) -> Both {
    let layers = difference::layers(&one.layers, &other.layers);
    let nothing = ImageConfig::default();
    let config = |image: &Image| image.config.clone().unwrap_or_else(|| nothing.clone());
    let (before, after) = (config(one), config(other));
    let summary = shell.say3(
        "browse.compare_summary",
        shell.size(layers.shared_bytes),
        shell.size(layers.added_bytes),
        shell.size(layers.removed_bytes),
    );
    let bar = |key: &'static str, bytes: u64, colour: usize| bars::Bar {
        label: shell.t(key).to_owned(),
        value: shell.size(bytes),
        tip: format!("{} · {}", shell.t(key), shell.size(bytes)),
        parts: vec![bars::Part {
            weight: bytes,
            colour,
        }],
    };
    let words = Words {
        title: shell.t("browse.compare_picture").to_owned(),
        summary: summary.clone(),
    };
    let picture = bars::svg(
        &words,
        &[
            bar("browse.fate_same", layers.shared_bytes, 7),
            bar("browse.fate_added", layers.added_bytes, 1),
            bar("browse.fate_removed", layers.removed_bytes, 3),
        ],
    );
    let settings = difference::settings(&before, &after);
    Both {
        is_same: one.digest == other.digest,
        picture: Html(picture),
        summary,
        layers: layers
            .lines
            .into_iter()
            .map(|line| LayerLine {
                class: class(line.fate),
                key: fate_key(line.fate),
                command: line.entry.command,
                digest: line.entry.digest,
                size_bytes: line.entry.size_bytes,
            })
            .collect(),
        settings: settings
            .into_iter()
            .map(|change| SettingLine {
                class: class(change.fate()),
                key: setting_key(change.setting),
                name: change.name,
                before: change.before,
                after: change.after,
            })
            .collect(),
        commands: difference::commands(&before, &after)
            .into_iter()
            .map(|line| CommandLine {
                class: class(line.fate),
                key: fate_key(line.fate),
                command: line.entry,
            })
            .collect(),
    }
}

fn class(fate: Fate) -> &'static str {
    match fate {
        Fate::Added => "added",
        Fate::Removed => "removed",
        Fate::Changed => "changed",
        Fate::Same => "same",
    }
}

fn fate_key(fate: Fate) -> &'static str {
    match fate {
        Fate::Added => "browse.fate_added",
        Fate::Removed => "browse.fate_removed",
        Fate::Changed => "browse.fate_changed",
        Fate::Same => "browse.fate_same",
    }
}

fn setting_key(setting: Setting) -> &'static str {
    match setting {
        Setting::Platform => "browse.platform",
        Setting::User => "browse.user",
        Setting::Workdir => "browse.workdir",
        Setting::StopSignal => "browse.stop_signal",
        Setting::Entrypoint => "browse.entrypoint",
        Setting::Command => "browse.command",
        Setting::Environment => "browse.environment",
        Setting::Port => "browse.ports",
        Setting::Volume => "browse.volumes",
        Setting::Label => "browse.labels",
    }
}
