//! A little of everything that writes, as values: to be run against a server that dies or fails at any
//! of its durable steps, and run on after it was started again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::harness::console;
use super::super::harness::http::Client;
use super::super::harness::images::{digest, image, referrer};
use super::ledger::{Effect, Failure, Key, Ledger, Upload, location};
use super::noise;

/// One thing that a client wants done, with one or a few requests.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// POST, PATCH, PUT with the last bytes.
    PushInChunks {
        content: Vec<u8>,
    },
    /// POST with the digest.
    PushAtOnce {
        content: Vec<u8>,
    },
    PushManifest {
        reference: String,
        content: String,
    },
    DeleteTag {
        tag: String,
    },
    /// By digest, and with it every tag that points at it.
    DeleteManifest {
        digest: String,
    },
    /// POST, PATCH, DELETE.
    CancelUpload,
    /// POST, PATCH, and no more: another day it is gone on with.
    LeaveUpload {
        content: Vec<u8>,
    },
    PullBlob {
        digest: String,
    },
    /// The operator collects at once, and with it a blob that nothing needs.
    Collect {
        root: PathBuf,
        garbage: String,
    },
}

impl Operation {
    /// What it changes if it is done.
    fn effects(&self) -> Vec<Effect> {
        match self {
            Self::PushInChunks { content } | Self::PushAtOnce { content } => {
                let digest = digest(content);
                vec![(Key::Blob(digest.clone()), Some(digest))]
            }
            Self::PushManifest { reference, content } => {
                let digest = digest(content);
                let mut effects = vec![(Key::Manifest(digest.clone()), Some(digest.clone()))];
                if *reference != digest {
                    effects.push((Key::Tag(reference.clone()), Some(digest)));
                }
                effects
            }
            Self::DeleteTag { tag } => vec![(Key::Tag(tag.clone()), None)],
            Self::DeleteManifest { digest } => vec![(Key::Manifest(digest.clone()), None)],
            Self::Collect { garbage, .. } => vec![(Key::Blob(garbage.clone()), None)],
            Self::CancelUpload | Self::LeaveUpload { .. } | Self::PullBlob { .. } => Vec::new(),
        }
    }

    /// Does it and writes down what came of it.
    ///
    /// `is_repeated` says that it may have been done before, so that a delete finds nothing.
    pub(super) fn run(
        &self,
        client: &Client,
        ledger: &mut Ledger,
        is_repeated: bool,
    ) -> Result<(), Failure> {
        let result = self.attempt(client, ledger, is_repeated);
        match &result {
            Ok(()) => ledger.acknowledge(self.effects()),
            Err(_) => ledger.doubt(self.effects()),
        }
        result
    }

    fn attempt(
        &self,
        client: &Client,
        ledger: &mut Ledger,
        is_repeated: bool,
    ) -> Result<(), Failure> {
        let deleted: &[u16] = if is_repeated { &[202, 404] } else { &[202] };
        match self {
            Self::PushInChunks { content } => {
                let middle = content.len() / 2;
                let upload = begin(client, ledger, content, middle)?;
                let path = format!("{}?digest={}", upload.location, digest(content));
                ledger.request(client, "PUT", &path, &[], &content[middle..], &[201])?;
                ledger.upload = None;
            }
            Self::PushAtOnce { content } => {
                let path = format!("blobs/uploads/?digest={}", digest(content));
                ledger.request(client, "POST", &path, &[], content, &[201])?;
            }
            Self::PushManifest { reference, content } => {
                let path = format!("manifests/{reference}");
                ledger.request(client, "PUT", &path, &[], content.as_bytes(), &[201])?;
            }
            Self::DeleteTag { tag } => {
                ledger.request(
                    client,
                    "DELETE",
                    &format!("manifests/{tag}"),
                    &[],
                    b"",
                    deleted,
                )?;
            }
            Self::DeleteManifest { digest } => {
                let path = format!("manifests/{digest}");
                ledger.request(client, "DELETE", &path, &[], b"", deleted)?;
            }
            Self::CancelUpload => {
                let content = noise(99, 3000);
                let upload = begin(client, ledger, &content, content.len())?;
                // Whether the cancellation arrives or not, the client does not go on with it.
                ledger.upload = None;
                ledger.request(client, "DELETE", &upload.location, &[], b"", &[204])?;
            }
            Self::LeaveUpload { content } => {
                begin(client, ledger, content, content.len() / 2)?;
            }
            Self::Collect { root, .. } => {
                let path = "/api/v1/collection/runs";
                let how = json!({ "now": true, "empty_trash": true });
                let answer = console::try_send(root, "POST", path, Some(&how));
                let answer = answer.map_err(Failure::Broken)?;
                if answer.status != 200 {
                    return Err(Failure::Refused {
                        request: path.to_owned(),
                        status: answer.status,
                        message: answer.text(),
                    });
                }
            }
            Self::PullBlob { digest } => {
                ledger.request(client, "GET", &format!("blobs/{digest}"), &[], b"", &[200])?;
            }
        }
        Ok(())
    }
}

/// Opens a session and sends the first bytes.
fn begin(
    client: &Client,
    ledger: &mut Ledger,
    content: &[u8],
    first_bytes: usize,
) -> Result<Upload, Failure> {
    let answer = ledger.request(client, "POST", "blobs/uploads/", &[], b"", &[202])?;
    let location = location(&answer);
    let upload = Upload {
        location,
        content: content.to_owned(),
        acknowledged_bytes: 0,
    };
    ledger.upload = Some(upload.clone());
    let range = format!("0-{}", first_bytes - 1);
    let headers = [("Content-Range", range.as_str())];
    ledger.request(
        client,
        "PATCH",
        &upload.location,
        &headers,
        &content[..first_bytes],
        &[202],
    )?;
    let upload = Upload {
        acknowledged_bytes: first_bytes,
        ..upload
    };
    ledger.upload = Some(upload.clone());
    Ok(upload)
}

/// Pushes, moves and deletes: every durable step there is, some along two ways.
pub(super) fn everything() -> Vec<Operation> {
    let (layer, config) = (noise(1, 6000), b"{}".to_vec());
    let mut first = image("{}", &[]);
    first["layers"] = json!([{
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest(&layer),
        "size": layer.len(),
    }]);
    let mut second = first.clone();
    second["annotations"] = json!({ "number": "2" });
    let (first, second) = (first.to_string(), second.to_string());
    let subject = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(&second),
        "size": second.len(),
    });
    let signature = referrer(&subject, "application/vnd.example.signature", 1).to_string();
    vec![
        Operation::PushInChunks {
            content: layer.clone(),
        },
        Operation::PushAtOnce { content: config },
        Operation::PushManifest {
            reference: "v1".to_owned(),
            content: first.clone(),
        },
        // The tag moves.
        Operation::PushManifest {
            reference: "v1".to_owned(),
            content: second.clone(),
        },
        Operation::PushManifest {
            reference: digest(&signature),
            content: signature,
        },
        Operation::PushManifest {
            reference: "v2".to_owned(),
            content: second,
        },
        Operation::DeleteTag {
            tag: "v2".to_owned(),
        },
        Operation::DeleteManifest {
            digest: digest(&first),
        },
        // What is there already is published over.
        Operation::PushInChunks {
            content: layer.clone(),
        },
        Operation::CancelUpload,
        Operation::PullBlob {
            digest: digest(&layer),
        },
        Operation::LeaveUpload {
            content: noise(2, 4000),
        },
    ]
}

/// A blob that nothing needs, and the end of it.
pub(super) fn collecting(root: &Path) -> Vec<Operation> {
    let content = noise(3, 5000);
    let garbage = digest(&content);
    vec![
        Operation::PushAtOnce { content },
        Operation::Collect {
            root: root.to_owned(),
            garbage,
        },
    ]
}

/// Pushes image after image until the server does not do it any more; what `client` was told.
pub(super) fn push_images(client: &Client, repository: &str, seed: u64) -> Ledger {
    let mut ledger = Ledger::new(repository);
    let mut number = seed << 32;
    loop {
        number += 1;
        let layer = noise(number, 20_000);
        let mut manifest = image("{}", &[]);
        manifest["layers"] = json!([{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest(&layer),
            "size": layer.len(),
        }]);
        let content = manifest.to_string();
        let push = if number.is_multiple_of(2) {
            Operation::PushInChunks { content: layer }
        } else {
            Operation::PushAtOnce { content: layer }
        };
        let operations = [
            push,
            Operation::PushAtOnce {
                content: b"{}".to_vec(),
            },
            Operation::PushManifest {
                reference: "latest".to_owned(),
                content: content.clone(),
            },
            Operation::PushManifest {
                reference: format!("n{number}"),
                content,
            },
        ];
        for operation in operations {
            if operation.run(client, &mut ledger, false).is_err() {
                return ledger;
            }
        }
    }
}

/// Pushes images and deletes older ones until the server does not do it any more, where what nothing needs may
/// be collected at once; what `client` was told.
pub(super) fn churn_images(client: &Client, repository: &str, seed: u64) -> Ledger {
    let mut ledger = Ledger::new(repository);
    let mut number = seed << 32;
    let mut live = VecDeque::new();
    let config = b"{}".to_vec();
    loop {
        number += 1;
        let layer = noise(number, 20_000);
        let mut manifest = image("{}", &[]);
        manifest["layers"] = json!([{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest(&layer),
            "size": layer.len(),
        }]);
        let content = manifest.to_string();
        let pushed = churn_image(client, &mut ledger, [&layer, &config], &content, number);
        match pushed {
            Ok(()) => live.push_back((digest(&layer), digest(&content))),
            // On a busy machine what it needs was pushed too long ago.
            Err(Failure::Refused { status: 404, .. }) => continue,
            Err(_) => return ledger,
        }
        if 2 < live.len()
            && let Some((layer, manifest)) = live.pop_front()
        {
            ledger.doubt(vec![(Key::Blob(layer), None)]);
            let delete = Operation::DeleteManifest { digest: manifest };
            if delete.run(client, &mut ledger, false).is_err() {
                return ledger;
            }
        }
    }
}

fn churn_image(
    client: &Client,
    ledger: &mut Ledger,
    blobs: [&Vec<u8>; 2],
    manifest: &str,
    number: u64,
) -> Result<(), Failure> {
    for content in blobs {
        let push = if number.is_multiple_of(2) {
            Operation::PushInChunks {
                content: content.clone(),
            }
        } else {
            Operation::PushAtOnce {
                content: content.clone(),
            }
        };
        let pushed = push.run(client, ledger, false);
        // Until a manifest needs it.
        ledger.doubt(vec![(Key::Blob(digest(content)), None)]);
        pushed?;
    }
    for reference in [format!("n{number}"), "latest".to_owned()] {
        let push = Operation::PushManifest {
            reference,
            content: manifest.to_owned(),
        };
        push.run(client, ledger, false)?;
    }
    let needed = blobs.map(digest);
    let needed = needed.map(|digest| (Key::Blob(digest.clone()), Some(digest)));
    ledger.acknowledge(needed.into());
    Ok(())
}
