//! An image of the other registry, and two of them side by side.

use http::StatusCode;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::Look;
use crate::api::Answer;
use crate::api::ui::browse::compare::{self, Side, common_platforms, of_platform, platform};
use crate::api::ui::browse::image::{
    Choice, Shown, choose, download, layers, overview, raw, referrers, way, whole,
};
use crate::api::ui::browse::model::Image;
use crate::api::ui::route::View;
use crate::api::ui::shell::html;
use crate::api::v1::problem::Problem;

pub(super) async fn page(
    look: &Look,
    name: &RepositoryName,
    reference: &Reference,
    view: View,
) -> Result<Answer, Problem> {
    let (shell, source) = (&look.shell, look.source());
    let image = source.image(name, reference).await?;
    let mut image = image.ok_or_else(Problem::not_found)?;
    let mut choices = Vec::new();
    let body = match view {
        View::Overview => {
            let (chosen, found) = chosen(look, name, &image).await?;
            choices = found;
            if let Some(chosen) = chosen {
                image.config = chosen.config;
            }
            overview(shell, name.as_str(), reference.as_str(), &image)?
        }
        View::Layers => {
            let (chosen, found) = chosen(look, name, &image).await?;
            choices = found;
            layers(shell, chosen.as_ref().unwrap_or(&image))?
        }
        View::Referrers => {
            let digest = image.digest.parse().map_err(|_| Problem::not_found())?;
            let found = source.referrers(name, &digest).await?;
            referrers(shell, name.as_str(), &found.rows, found.is_cut)?
        }
        View::History => return Err(Problem::not_found()),
        View::Raw => {
            let config = source.config(name, &image).await?;
            if let Some(wanted) = look.query.get("download") {
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
        may_delete: look.may_delete(),
    };
    whole(shell, shown, body)
}

/// Of an index, the image for the platform that was asked for, and what else can be asked for.
async fn chosen(
    look: &Look,
    name: &RepositoryName,
    image: &Image,
) -> Result<(Option<Image>, Vec<Choice>), Problem> {
    let Some((variant, choices)) = choose(&look.query, image) else {
        return Ok((None, Vec::new()));
    };
    let digest = variant.digest.parse().map_err(|_| Problem::not_found())?;
    let found = look
        .source()
        .image(name, &Reference::Digest(digest))
        .await?;
    Ok((found, choices))
}

pub(super) async fn compare(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    /// Tags that are offered.
    const TAGS: usize = 50;
    let (shell, source) = (&look.shell, look.source());
    let tags = source.tags(name).await?.ok_or_else(Problem::not_found)?;
    let (a, b) = compare::asked(&look.query);
    let (one, other) = (find(look, name, &a).await?, find(look, name, &b).await?);
    let (a, b) = (Side::of(a, one.as_ref()), Side::of(b, other.as_ref()));
    let (mut platforms, mut chosen, mut both) = (Vec::new(), String::new(), None);
    if let (Some(one), Some(other)) = (one, other) {
        platforms = common_platforms(&one, &other);
        chosen = platform(&look.query, &platforms);
        let one = image_for(look, name, one, &chosen).await?;
        let other = image_for(look, name, other, &chosen).await?;
        both = Some(compare::compare(shell, &one, &other));
    }
    let page = compare::Page {
        shell,
        name: name.as_str(),
        crumbs: way(name),
        a,
        b,
        tags: tags
            .names
            .iter()
            .take(TAGS)
            .map(ToString::to_string)
            .collect(),
        platforms,
        chosen,
        both,
    };
    html(StatusCode::OK, &page)
}

async fn find(look: &Look, name: &RepositoryName, text: &str) -> Result<Option<Image>, Problem> {
    match compare::reference(text) {
        Some(reference) => look.source().image(name, &reference).await,
        None => Ok(None),
    }
}

async fn image_for(
    look: &Look,
    name: &RepositoryName,
    image: Image,
    platform: &str,
) -> Result<Image, Problem> {
    let found = match of_platform(&image, platform) {
        Some(digest) => {
            look.source()
                .image(name, &Reference::Digest(digest))
                .await?
        }
        None => None,
    };
    Ok(found.unwrap_or(image))
}
