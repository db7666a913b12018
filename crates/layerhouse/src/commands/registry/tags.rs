//! `layerhouse tags`.

use clap::Args;
use layerhouse::Needs;

use crate::commands::console::Act;
use crate::commands::console::session::{Failure, Session, encoded};
use crate::commands::console::shown::{Column, bytes, text};

#[derive(Debug, Args)]
pub(crate) struct TagsCommand {
    /// As acme/web
    repository: String,
    /// So many at most
    #[arg(short, long, value_name = "COUNT")]
    n: Option<usize>,
}

const SHOWN: [Column; 4] = [
    Column::new("TAG", |tag| text(&tag["name"])),
    Column::new("SIZE", |tag| bytes(&tag["size"])),
    Column::new("MOVED", |tag| text(&tag["moved_at"])),
    Column::new("DIGEST", |tag| text(&tag["digest"])),
];

impl Act for TagsCommand {
    const NEEDS: Needs = Needs::Registry;

    async fn act(self, session: &mut Session) -> Result<(), Failure> {
        let path = format!("/repositories/{}/-/tags", encoded(&self.repository));
        let found = session.list(&path, self.n).await?;
        session.show_all(&SHOWN, found)
    }
}
