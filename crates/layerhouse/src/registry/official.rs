//! Repositories without a slash, which Docker also calls `library/…`: under an index they have one name.

use layerhouse_oci::name::RepositoryName;

use super::Registry;
use crate::fault::Fault;
use crate::meta;

impl Registry {
    /// Gives `library/nginx` the name `nginx`, as it is asked for from now on. Where both are there, the first
    /// one is out of reach while the index is on, and the log says so.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn name_official_repositories(&self) -> Result<(), Fault> {
        /// `0` is the byte behind `/`.
        const BEHIND: &str = "library0";
        let names = self.database.read(|tx| {
            let mut names: Vec<RepositoryName> = Vec::new();
            meta::repositories::each(tx, Some("library/"), |name, _| {
                if BEHIND <= name {
                    return std::ops::ControlFlow::Break(());
                }
                names.extend(name.parse::<RepositoryName>());
                std::ops::ControlFlow::Continue(())
            })?;
            Ok::<_, Fault>(names)
        })?;
        for old in names {
            let new = old.clone().canonical();
            if new == old {
                continue;
            }
            let (from, to) = (old.clone(), new.clone());
            let renamed = self.database.write(move |tx| {
                let Some(id) = meta::repositories::find(tx, &from)? else {
                    return Ok(true);
                };
                if meta::repositories::find(tx, &to)?.is_some() {
                    return Ok(false);
                }
                meta::links::mark_all_stale(tx, &from, id)?;
                meta::repositories::rename(tx, id, &to)?;
                meta::links::mark_all_stale(tx, &to, id)?;
                Ok::<_, Fault>(true)
            });
            if renamed.await? {
                tracing::info!(from = %old, to = %new, "an official repository has one name");
            } else {
                tracing::warn!(
                    "{old} cannot be reached: with the index, {new} is the same name and has images of its own; \
                     copy what is needed with the index off"
                );
            }
        }
        self.links_wanted.notify_one();
        Ok(())
    }
}
