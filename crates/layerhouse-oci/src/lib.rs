//! The vocabulary of a container registry, after the OCI distribution-spec and image-spec 1.1.
//!
//! Text and bytes from outside become types that cannot be wrong, or an error that says why; what
//! to do about a request is decided here from values alone. Doing it is left to others: the arrows
//! point `api → registry → { meta, blobs } → layerhouse-oci`, and nothing here points back. The
//! `[dependencies]` of this crate are the promise that it has no async, no IO and no clock.
//!
//! Every parser is total (no input makes it panic), linear in its input, and fuzzed.
//!
//! | module | text or bytes | becomes |
//! |---|---|---|
//! | [`route`] | method and path | [`route::Route`] |
//! | [`name`] | `acme/web` | [`name::RepositoryName`] |
//! | [`namespace`] | `acme` | [`namespace::NamespaceName`], who `acme/web` belongs to |
//! | [`mod@reference`] | `latest`, `sha256:…` | [`reference::Reference`], of [`tag`] and [`digest`] |
//! | [`tag_at`] | `latest.at-20270115` | [`tag_at::TagAt`], a tag as it was |
//! | [`upload_id`] | the last part of an upload URL | [`upload_id::UploadId`] |
//! | [`range`] | `Content-Range`, `Range` | [`range::ContentRange`], [`range::Requested`] |
//! | [`media_type`] | `Content-Type`, `mediaType` | [`media_type::MediaType`] |
//! | [`accept`] | `Accept` | [`accept::Negotiated`] |
//! | [`manifest`] | a manifest | [`manifest::Manifest`], of [`descriptor`] |
//! | [`upload`] | an upload and a chunk | the offset to append at |
//! | [`error_code`] | a refusal | the code clients know |
#![warn(missing_docs)]

pub mod accept;
pub mod descriptor;
pub mod digest;
pub mod error_code;
pub mod fields;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod namespace;
pub mod range;
pub mod reference;
pub mod route;
pub mod strict_json;
pub mod tag;
pub mod tag_at;
pub mod upload;
pub mod upload_id;

mod text;
