//! Which blobs go to which bucket.

use super::glob::Glob;

/// `layerhouse.stores`: whose blobs go to a bucket that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The first whose patterns fit a repository has its blobs.
    pub(crate) entries: Vec<Placed>,
    /// `layerhouse.storage.move`: blobs that are elsewhere are brought there.
    pub(crate) moves: bool,
}

/// The repositories whose blobs go to one bucket; maybe none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) store: String,
    pub(crate) repositories: Vec<Glob>,
    /// Those of them that it is not for.
    pub(crate) except: Vec<Glob>,
}

impl Placement {
    /// The name of the bucket that a repository's blobs go to; `None` for where all others go.
    pub(crate) fn store_of(&self, repository: &str) -> Option<&str> {
        let is_of = |globs: &[Glob]| globs.iter().any(|glob| glob.fits(repository));
        let fits = |placed: &&Placed| is_of(&placed.repositories) && !is_of(&placed.except);
        let placed = self.entries.iter().find(fits);
        placed.map(|placed| placed.store.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_counts() {
        let globs = |globs: &[&str]| {
            let parsed = globs.iter().map(|glob| glob.parse().expect("a pattern"));
            parsed.collect()
        };
        let placed = |store: &str, repositories: &[&str], except: &[&str]| Placed {
            store: store.to_owned(),
            repositories: globs(repositories),
            except: globs(except),
        };
        let placement = Placement {
            entries: vec![
                placed("fast", &["ml/prod/**", "web"], &["ml/prod/old/**"]),
                placed("left", &[], &[]),
                placed("cold", &["ml/**", "**/archive"], &["ml/ci", "acme/keep/*"]),
            ],
            moves: true,
        };
        for (repository, store) in [
            ("ml/prod/llm", Some("fast")),
            ("ml/dev/llm", Some("cold")),
            ("web", Some("fast")),
            ("acme/web", None),
            ("acme/archive", Some("cold")),
            ("acme/keep/archive", None),
            ("ml/ci", None),
            ("ml/prod/old/llm", Some("cold")),
            ("library/alpine", None),
        ] {
            assert_eq!(placement.store_of(repository), store, "{repository}");
        }
    }
}
