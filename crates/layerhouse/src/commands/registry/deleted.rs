//! `layerhouse deleted` and `layerhouse rm`.

use clap::Args;
use layerhouse::Needs;

use super::reference::{Named, Part};
use crate::commands::console::Act;
use crate::commands::console::question::confirm;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, text, text_or};

#[derive(Debug, Args)]
pub(crate) struct DeletedCommand {
    /// As acme/web; without it, the repositories of which something can come back
    repository: Option<String>,
}

const HOLDINGS: [Column; 4] = [
    Column::new("REPOSITORY", |held| text(&held["repository"])),
    Column::new("DELETED", |held| text_or(&held["deleted_at"], "is there")),
    Column::new("MANIFESTS", |held| text(&held["manifests"])),
    Column::new("UNTIL", |held| {
        let (first, last) = (text(&held["first_until"]), text(&held["last_until"]));
        if first == last {
            last
        } else {
            format!("{first} to {last}")
        }
    }),
];
const MANIFESTS: [Column; 6] = [
    Column::new("DIGEST", |deleted| text(&deleted["digest"])),
    Column::new("TAGS", |deleted| {
        let tags = deleted["tags"].as_array().into_iter().flatten();
        tags.map(text).collect::<Vec<_>>().join(" ")
    }),
    Column::new("DELETED", |deleted| text(&deleted["deleted_at"])),
    Column::new("BY", |deleted| text(&deleted["deleted_by"])),
    Column::new("WHY", |deleted| text(&deleted["why"])),
    Column::new("UNTIL", |deleted| text(&deleted["restorable_until"])),
];

impl Act for DeletedCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let Some(repository) = self.repository else {
            let found = session.list("/deleted", None).await?;
            return session.show_all(&HOLDINGS, found);
        };
        let path = format!("/repositories/{}/-/deleted", encoded(&repository));
        let found = session.list(&path, None).await?;
        session.show_all(&MANIFESTS, found)
    }
}

#[derive(Debug, Args)]
pub(crate) struct RemoveCommand {
    /// As acme/web:v1 for a tag, acme/web@sha256:… for a manifest with its tags, acme/web for all of it
    #[arg(value_name = "REPOSITORY[:TAG|@DIGEST]")]
    what: Named,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Act for RemoveCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let repository = &self.what.repository;
        let (what, undone) = match &self.what.part {
            Part::Whole => (format!("repository {repository}"), repository.clone()),
            Part::Tag(tag) => (
                format!("tag {tag} of {repository}"),
                format!("{repository}:{tag}"),
            ),
            Part::Manifest(digest) => (
                format!("manifest {digest} of {repository}, with its tags"),
                format!("{repository}@{digest}"),
            ),
        };
        confirm(&format!("Delete {what}"), self.yes)?;
        session.delete(&self.what.path()).await?;
        session.done(&format!(
            "deleted {what}; to have it back: layerhouse restore {undone}"
        ));
        Ok(())
    }
}
