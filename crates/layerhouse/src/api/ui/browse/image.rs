//! One image, or whatever else a manifest is: by its tag or its digest, in several views.

use askama::Template;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::super::form::Pairs;
use super::super::pictures::{Words, treemap};
use super::super::route::View;
use super::super::shell::{self, Html, Shell};
use super::super::visit::Visit;
use super::here;
use super::model::{Image, Layer, Referrer, Step, Variant, kind_key};
use super::parts::{self, Crumb, Tab, crumbs};
use super::snippets::{self, Snippet};
use crate::api::Answer;
use crate::api::body::ResponseBody;
use crate::api::ui::{blocking, difference};
use crate::api::v1::problem::Problem;
use crate::auth::rights::Deed;
use crate::auth::{Granted, Pull};
use crate::fault::{Fault, FaultKind};
use crate::registry::browse::kind::Kind;

/// Longest JSON that is shown; the whole can be downloaded.
const RAW_BYTES_MAX: usize = 256 << 10;
/// Platforms of an index that can be chosen from.
const CHOICES_MAX: usize = 40;
/// The platform that is shown first, if there is an image for it.
const USUAL_PLATFORM: &str = "linux/amd64";

/// One of an index's images.
#[derive(Debug)]
pub(in crate::api::ui) struct Choice {
    label: String,
    query: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "browse/image.html")]
struct Page<'a> {
    shell: &'a Shell,
    name: &'a str,
    title: String,
    /// As clients have it.
    reference: String,
    /// The tag or digest by which it was asked for.
    shown: &'a str,
    is_tag: bool,
    crumbs: Vec<Crumb>,
    tabs: Vec<Tab>,
    kind_key: &'static str,
    image: &'a Image,
    has_pulls: bool,
    choices: Vec<Choice>,
    may_delete: bool,
    body: Html,
}

/// A setting that the config has.
#[derive(Debug)]
struct ConfigLine {
    key: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "browse/image_overview.html")]
struct Overview<'a> {
    shell: &'a Shell,
    name: &'a str,
    image: &'a Image,
    config_lines: Vec<ConfigLine>,
    /// The layers of what is no image.
    files: &'a [Layer],
    snippets: Vec<Snippet>,
}

#[derive(Template)]
#[template(path = "browse/image_layers.html")]
struct LayersView<'a> {
    shell: &'a Shell,
    layers: &'a [Layer],
    steps: &'a [Step],
    picture: Html,
    summary: String,
    /// Whether who else has them is known.
    knows_uses: bool,
}

#[derive(Template)]
#[template(path = "browse/image_referrers.html")]
struct Referrers<'a> {
    shell: &'a Shell,
    tree: Html,
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "browse/image_referrer.html")]
struct OneReferrer<'a> {
    shell: &'a Shell,
    name: &'a str,
    referrer: &'a Referrer,
    kind_key: &'static str,
    inner: Html,
}

#[derive(Template)]
#[template(path = "browse/image_raw.html")]
struct Raw<'a> {
    shell: &'a Shell,
    pretty: String,
    config: Option<String>,
    has_config: bool,
    received: String,
    is_cut: bool,
}

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
    reference: Reference,
    view: View,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    blocking(move || show(&visit, &name, &reference, view)).await
}

fn show(
    visit: &Visit,
    name: &RepositoryName,
    reference: &Reference,
    view: View,
) -> Result<Answer, Problem> {
    let pull = visit.visitor.pull(name)?;
    let image = here::image(visit.registry(), &pull, reference)?;
    let mut image = image.ok_or_else(Problem::not_found)?;
    let shell = &visit.shell;
    let mut choices = Vec::new();
    let body = match view {
        View::Overview => {
            // An index has no config: that of one of its images is shown.
            let (chosen, found) = chosen(visit, &pull, &image)?;
            choices = found;
            if let Some(chosen) = chosen {
                image.config = chosen.config;
                image.built_at = chosen.built_at;
            }
            overview(shell, name.as_str(), reference.as_str(), &image)?
        }
        View::Layers => {
            let (chosen, found) = chosen(visit, &pull, &image)?;
            choices = found;
            let mut chosen = chosen.unwrap_or_else(|| image.clone());
            let viewer = visit.visitor.viewer()?;
            here::add_uses(visit.registry(), &viewer, &pull, &mut chosen.layers)?;
            layers(shell, &chosen)?
        }
        View::Referrers => {
            let digest = image.digest.parse();
            let digest = digest
                .map_err(|error| Fault::new(FaultKind::Damaged, "reading a digest", error))?;
            let (found, is_cut) = here::referrers(visit.registry(), &pull, &digest)?;
            referrers(shell, name.as_str(), &found, is_cut)?
        }
        View::History => {
            let Reference::Tag(tag) = reference else {
                return Err(Problem::not_found());
            };
            return Ok(visit.go(&format!("/ui/r/{name}/-/history?tag={tag}")));
        }
        View::Raw => {
            let config = config_of(visit, &pull, &image)?;
            if let Some(wanted) = visit.query.get("download") {
                return download(wanted, &image, config);
            }
            raw(shell, &image, config.as_deref())?
        }
    };
    let shown = Shown {
        name,
        reference,
        view,
        image: &image,
        choices,
        may_delete: visit.visitor.may(name, Deed::Delete),
    };
    whole(shell, shown, body)
}

/// What of an image is shown, beside the view itself.
pub(in crate::api::ui) struct Shown<'a> {
    pub(in crate::api::ui) name: &'a RepositoryName,
    pub(in crate::api::ui) reference: &'a Reference,
    pub(in crate::api::ui) view: View,
    pub(in crate::api::ui) image: &'a Image,
    pub(in crate::api::ui) choices: Vec<Choice>,
    pub(in crate::api::ui) may_delete: bool,
}

/// The whole page around a view.
///
/// # Errors
/// Never: see [`shell::html`].
pub(in crate::api::ui) fn whole(
    shell: &Shell,
    shown: Shown<'_>,
    body: Html,
) -> Result<Answer, Problem> {
    let Shown {
        name,
        reference,
        view,
        image,
        choices,
        may_delete,
    } = shown;
    let page = Page {
        shell,
        name: name.as_str(),
        title: title(name, reference),
        reference: parts::reference(shell, name.as_str(), reference.as_str()),
        shown: reference.as_str(),
        is_tag: matches!(reference, Reference::Tag(_)),
        crumbs: way(name),
        tabs: tabs(shell, name, reference, view, image),
        kind_key: kind_key(image.kind),
        has_pulls: shell.elsewhere.is_none(),
        choices,
        may_delete,
        image,
        body,
    };
    shell::html(StatusCode::OK, &page)
}

/// A part of a page, made before the page around it.
fn part(template: &impl Template) -> Result<Html, Problem> {
    let made = template.render().map_err(|error| {
        let said = format!("a page could not be made: {error}");
        Fault::plain(FaultKind::Other, said)
    });
    Ok(Html(made?))
}

fn title(name: &RepositoryName, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{name}:{tag}"),
        Reference::Digest(digest) => {
            let hex = digest.hex();
            let short = hex.get(..12).unwrap_or(hex);
            format!("{name}@{}:{short}", digest.algorithm().name())
        }
    }
}

/// The way to a page of a repository: the repository itself at its end.
pub(in crate::api::ui) fn way(name: &RepositoryName) -> Vec<Crumb> {
    let mut way = crumbs(name.as_str(), false);
    let label = name.as_str().rsplit('/').next().unwrap_or_default();
    way.push(Crumb {
        label: label.to_owned(),
        path: format!("/ui/r/{name}"),
    });
    way
}

fn tabs(
    shell: &Shell,
    name: &RepositoryName,
    reference: &Reference,
    here: View,
    image: &Image,
) -> Vec<Tab> {
    let kind = match reference {
        Reference::Tag(_) => 't',
        Reference::Digest(_) => 'm',
    };
    let views = View::ALL.into_iter();
    // Another registry does not tell where its tags were.
    let has_history = kind == 't' && shell.elsewhere.is_none();
    let shown = views.filter(|view| has_history || *view != View::History);
    let tab = |view: View| {
        let path = format!("/ui/r/{name}/-/{kind}/{}", reference.as_str());
        let (key, path, count) = match view {
            View::Overview => ("browse.tab_overview", path, None),
            View::Layers => {
                let count = image.layers.len() as u64;
                let count = (0 < count).then_some(count);
                ("browse.tab_layers", format!("{path}/layers"), count)
            }
            View::Referrers => {
                let path = format!("{path}/referrers");
                ("browse.tab_referrers", path, image.referrers)
            }
            View::History => {
                let path = format!("/ui/r/{name}/-/history?tag={}", reference.as_str());
                ("browse.tab_history", path, None)
            }
            View::Raw => ("browse.tab_raw", format!("{path}/raw"), None),
        };
        Tab {
            key,
            path,
            count,
            is_here: view == here,
        }
    };
    shown.map(tab).collect()
}

pub(in crate::api::ui) fn overview(
    shell: &Shell,
    name: &str,
    reference: &str,
    image: &Image,
) -> Result<Html, Problem> {
    let mut config_lines = Vec::new();
    if let Some(config) = &image.config {
        let mut add = |key, value: Option<String>| {
            config_lines.extend(value.map(|value| ConfigLine { key, value }));
        };
        add(
            "browse.entrypoint",
            difference::arguments(&config.entrypoint),
        );
        add("browse.command", difference::arguments(&config.command));
        add("browse.user", config.user.clone());
        add("browse.workdir", config.workdir.clone());
        add("browse.stop_signal", config.stop_signal.clone());
    }
    let is_image = matches!(image.kind, Kind::Image | Kind::Index);
    part(&Overview {
        shell,
        name,
        image,
        config_lines,
        files: if is_image { &[] } else { &image.layers },
        snippets: snippets::pull(image.kind, &shell.host, name, reference),
    })
}

/// Of an index, the image for the platform that was asked for, and what else can be asked for.
fn chosen(
    visit: &Visit,
    pull: &Granted<Pull>,
    image: &Image,
) -> Result<(Option<Image>, Vec<Choice>), Problem> {
    let Some((variant, choices)) = choose(&visit.query, image) else {
        return Ok((None, Vec::new()));
    };
    let digest = variant.digest.parse().map(Reference::Digest);
    let digest =
        digest.map_err(|error| Fault::new(FaultKind::Damaged, "reading a digest", error))?;
    let found = here::image(visit.registry(), pull, &digest)?;
    Ok((found, choices))
}

/// Which of an index's images is shown: the one for the platform that was asked for, or a usual one; with what
/// else can be asked for.
pub(in crate::api::ui) fn choose<'a>(
    query: &Pairs,
    image: &'a Image,
) -> Option<(&'a Variant, Vec<Choice>)> {
    let wanted = query.get("platform").unwrap_or(USUAL_PLATFORM);
    let is_one = |variant: &&Variant| variant.is_here && variant.platform.is_some();
    let there: Vec<&Variant> = image
        .variants
        .iter()
        .filter(is_one)
        .take(CHOICES_MAX)
        .collect();
    let mut matching = there.iter();
    let matching = matching.find(|variant| variant.platform.as_deref() == Some(wanted));
    let here = *matching.or(there.first())?;
    let choices = there.iter().map(|variant| {
        let label = variant.platform.clone().unwrap_or_default();
        Choice {
            query: query.with("platform", Some(&label)),
            is_here: variant.digest == here.digest,
            label,
        }
    });
    Some((here, choices.collect()))
}

pub(in crate::api::ui) fn layers(shell: &Shell, image: &Image) -> Result<Html, Problem> {
    let layers = &image.layers;
    let total = layers
        .iter()
        .fold(0, |sum: u64, layer| sum.saturating_add(layer.size_bytes));
    let count = layers.len() as u64;
    let is_shared = |layer: &Layer| {
        let uses = layer.uses.as_ref();
        uses.is_some_and(|uses| !uses.is_only())
    };
    let shared = layers.iter().filter(|layer| is_shared(layer));
    let shared = shared.fold(0, |sum: u64, layer| sum.saturating_add(layer.size_bytes));
    let count = shell.count("browse.layers_count", count);
    let knows_uses = layers.iter().any(|layer| layer.uses.is_some());
    let summary = if knows_uses {
        let (total, shared) = (shell.size(total), shell.size(shared));
        shell.say3("browse.layers_summary", count, total, shared)
    } else {
        shell.say2("browse.layers_summary_alone", count, shell.size(total))
    };
    let cell = |(at, layer): (usize, &Layer)| {
        let command = layer.command.as_deref().or(layer.title.as_deref());
        let label = command.unwrap_or(&layer.digest).to_owned();
        let note = shell.size(layer.size_bytes);
        treemap::Cell {
            weight: layer.size_bytes,
            tip: format!("{}. {label} · {note}", at + 1),
            label: format!("{}. {label}", at + 1),
            note,
            colour: at,
            is_shared: is_shared(layer),
        }
    };
    let cells = layers.iter().enumerate().map(cell).collect();
    let words = Words {
        title: shell.t("browse.layers_picture").to_owned(),
        summary: summary.clone(),
    };
    let steps = image
        .config
        .as_ref()
        .map(|config| config.history.as_slice());
    let steps = steps.unwrap_or_default();
    part(&LayersView {
        shell,
        layers,
        steps,
        picture: Html(treemap::svg(&words, cells, shell.t("browse.others"))),
        summary,
        knows_uses,
    })
}

pub(in crate::api::ui) fn referrers(
    shell: &Shell,
    name: &str,
    found: &[Referrer],
    is_cut: bool,
) -> Result<Html, Problem> {
    let tree = tree(shell, name, found)?;
    part(&Referrers {
        shell,
        tree,
        is_cut,
    })
}

/// Referrers as lists within lists.
fn tree(shell: &Shell, name: &str, referrers: &[Referrer]) -> Result<Html, Problem> {
    if referrers.is_empty() {
        return Ok(Html::default());
    }
    let mut html = String::from("<ul class=\"tree\">");
    for referrer in referrers {
        let one = OneReferrer {
            shell,
            name,
            referrer,
            kind_key: kind_key(referrer.kind),
            inner: tree(shell, name, &referrer.referrers)?,
        };
        html.push_str(&part(&one)?.0);
    }
    html.push_str("</ul>");
    Ok(Html(html))
}

/// The config's bytes.
fn config_of(
    visit: &Visit,
    pull: &Granted<Pull>,
    image: &Image,
) -> Result<Option<Vec<u8>>, Problem> {
    let manifest = Manifest::parse(&image.content, None).ok();
    match manifest.and_then(|manifest| manifest.config) {
        Some(config) => Ok(visit.registry().image_config(pull, &config.digest)?),
        None => Ok(None),
    }
}

pub(in crate::api::ui) fn raw(
    shell: &Shell,
    image: &Image,
    config: Option<&[u8]>,
) -> Result<Html, Problem> {
    let (mut is_cut, received) = cut(&String::from_utf8_lossy(&image.content));
    let mut pretty = |bytes: &[u8]| {
        let value = serde_json::from_slice::<serde_json::Value>(bytes).ok()?;
        let pretty = serde_json::to_string_pretty(&value).ok()?;
        let (is_long, pretty) = cut(&pretty);
        is_cut |= is_long;
        Some(pretty)
    };
    let shown = pretty(&image.content).unwrap_or_else(|| received.clone());
    let config_shown = config.and_then(&mut pretty);
    part(&Raw {
        shell,
        pretty: shown,
        has_config: config.is_some(),
        config: config_shown,
        received,
        is_cut,
    })
}

fn cut(text: &str) -> (bool, String) {
    let end = text.floor_char_boundary(RAW_BYTES_MAX);
    (end < text.len(), text[..end].to_owned())
}

/// The manifest or the config as it was received, as a file: nothing that a browser shows.
pub(in crate::api::ui) fn download(
    wanted: &str,
    image: &Image,
    config: Option<Vec<u8>>,
) -> Result<Answer, Problem> {
    let (content, kind) = match wanted {
        "manifest" => (image.content.clone(), "manifest"),
        "config" => (config.ok_or_else(Problem::not_found)?, "config"),
        _ => return Err(Problem::not_found()),
    };
    let digest = image.digest.replace(':', "-");
    let file = format!("attachment; filename=\"{kind}-{digest}.json\"");
    let mut answer = Response::new(ResponseBody::from(content));
    let headers = answer.headers_mut();
    let file = HeaderValue::from_str(&file);
    let file = file.unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_DISPOSITION, file);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    Ok(answer)
}
