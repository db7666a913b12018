//! Where the links of a repository and the bytes that they name are: in a directory, or in a bucket.

use std::collections::BTreeSet;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use crate::blobs::Store;
use crate::blobs::objects::Objects;
use crate::blobs::objects::survey::{Small, SurveyedRepository};
use crate::blobs::survey::{BlobFiles, LinkFile, TagFiles};
use crate::fault::Fault;
use crate::meta;
use crate::meta::adoptions::Linked;
use crate::meta::database::Database;

/// Answers that come one by one, each when it is asked for.
pub(super) type Answers<'a, T> = Box<dyn Iterator<Item = Result<T, Fault>> + 'a>;

/// One repository of a registry:2. A fault is an outage, which must not look like damage; what is damaged is said in
/// words, and left as it is.
pub(super) trait Place {
    /// What is linked. What the rows say as well need not be looked at.
    fn links(&self, rows: &Linked) -> Result<Vec<LinkFile>, Fault>;
    fn tags<'a>(&'a self, tags: Vec<&'a Tag>)
    -> Answers<'a, (Tag, Result<TagFiles, &'static str>)>;
    fn size_bytes(&self, digest: &Digest) -> Result<Result<u64, String>, Fault>;
    /// The bytes of manifests that have at most so many.
    fn manifests<'a>(
        &'a self,
        digests: Vec<&'a Digest>,
        bytes_max: u64,
    ) -> Answers<'a, (&'a Digest, Result<Vec<u8>, String>)>;
    /// Whether bytes hash to another digest.
    fn is_damaged(&self, digest: &Digest) -> Result<Result<bool, String>, Fault>;
}

/// A repository in a directory.
pub(super) struct InDirectory<'a> {
    pub(super) store: &'a Store,
    pub(super) blobs: &'a BlobFiles<'a>,
    pub(super) name: &'a RepositoryName,
}

impl Place for InDirectory<'_> {
    fn links(&self, _: &Linked) -> Result<Vec<LinkFile>, Fault> {
        Ok(self.store.survey_links(self.name))
    }

    fn tags<'a>(
        &'a self,
        tags: Vec<&'a Tag>,
    ) -> Answers<'a, (Tag, Result<TagFiles, &'static str>)> {
        let read = |tag: &Tag| Ok((tag.clone(), self.store.survey_tag(self.name, tag)));
        Box::new(tags.into_iter().map(read))
    }

    fn size_bytes(&self, digest: &Digest) -> Result<Result<u64, String>, Fault> {
        Ok(self.blobs.size_bytes(digest))
    }

    fn manifests<'a>(
        &'a self,
        digests: Vec<&'a Digest>,
        bytes_max: u64,
    ) -> Answers<'a, (&'a Digest, Result<Vec<u8>, String>)> {
        let read = move |digest| Ok((digest, self.blobs.read(digest, bytes_max)));
        Box::new(digests.into_iter().map(read))
    }

    fn is_damaged(&self, digest: &Digest) -> Result<Result<bool, String>, Fault> {
        let is_whole = self.store.rehash(digest);
        Ok(is_whole
            .map(|is_whole| is_whole == Some(false))
            .map_err(|fault| fault.to_string()))
    }
}

/// A repository in a bucket. The blobs have rows already: they are listed first.
pub(super) struct InBucket<'a> {
    pub(super) objects: &'a Objects,
    pub(super) database: &'a Database,
    pub(super) surveyed: SurveyedRepository,
}

impl Place for InBucket<'_> {
    fn links(&self, rows: &Linked) -> Result<Vec<LinkFile>, Fault> {
        let SurveyedRepository {
            name,
            layers,
            manifests,
            tags,
            strange,
        } = &self.surveyed;
        let known = |links: &BTreeSet<Digest>, rows: &BTreeSet<Digest>, link: fn(_) -> _| {
            let known = links.intersection(rows).cloned().map(link);
            known.collect::<Vec<LinkFile>>()
        };
        let mut links = known(layers, &rows.layers, LinkFile::Layer);
        links.extend(known(manifests, &rows.manifests, LinkFile::Manifest));
        links.extend(tags.keys().cloned().map(LinkFile::Tag));
        links.extend(strange.iter().cloned().map(LinkFile::Strange));
        let new = layers.difference(&rows.layers);
        for answer in self.objects.layer_links(name, new) {
            let (digest, said) = answer?;
            links.push(said.map_or_else(LinkFile::Strange, |()| LinkFile::Layer(digest)));
        }
        let new = manifests.difference(&rows.manifests);
        for answer in self.objects.manifest_links(name, new) {
            let (digest, said) = answer?;
            links.push(said.map_or_else(LinkFile::Strange, |()| LinkFile::Manifest(digest)));
        }
        Ok(links)
    }

    fn tags<'a>(
        &'a self,
        tags: Vec<&'a Tag>,
    ) -> Answers<'a, (Tag, Result<TagFiles, &'static str>)> {
        let surveyed = tags
            .into_iter()
            .filter_map(|tag| self.surveyed.tags.get_key_value(tag));
        Box::new(self.objects.survey_tags(&self.surveyed.name, surveyed))
    }

    fn size_bytes(&self, digest: &Digest) -> Result<Result<u64, String>, Fault> {
        let size_bytes = self
            .database
            .read(|tx| meta::adoptions::noted_bytes(tx, digest))?;
        Ok(size_bytes.ok_or_else(|| "has no object".to_owned()))
    }

    fn manifests<'a>(
        &'a self,
        digests: Vec<&'a Digest>,
        bytes_max: u64,
    ) -> Answers<'a, (&'a Digest, Result<Vec<u8>, String>)> {
        let read = self.objects.contents(digests, bytes_max);
        Box::new(read.map(|answer| {
            let (digest, small) = answer?;
            let content = match small {
                Small::Content(content) => Ok(content),
                Small::Missing => Err("has no object".to_owned()),
                Small::TooLarge(bytes) => {
                    Err(format!("its object has {bytes} bytes, no manifest does"))
                }
            };
            Ok((digest, content))
        }))
    }

    fn is_damaged(&self, digest: &Digest) -> Result<Result<bool, String>, Fault> {
        let key = self.objects.key_in_registry(digest);
        let hashed = self.objects.rehash(&key, digest.algorithm())?;
        Ok(Ok(hashed.is_some_and(|(actual, _)| actual != *digest)))
    }
}
