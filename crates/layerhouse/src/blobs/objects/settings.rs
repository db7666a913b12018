//! What is said of the object store that bytes are in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// No part but the last may be smaller: S3's own bound.
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
/// registry:2's `chunksize`.
pub(crate) const PART_BYTES_DEFAULT: u64 = 10 << 20;
/// A part is in memory while it is sent.
pub(crate) const PART_BYTES_MAX: u64 = 64 << 20;

/// A bucket of objects: of S3 or what speaks like it (`storage.s3`), of Google's (`storage.gcs`), or a container of
/// Azure's (`storage.azure`).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// What every key begins with; without slashes at its ends, maybe empty.
    pub(crate) root: String,
    pub(crate) service: Service,
    pub(crate) user_agent: Option<String>,
    /// The store's certificate is not looked at.
    pub(crate) is_certificate_ignored: bool,
    /// Of the first parts; later ones are larger.
    pub(crate) part_bytes: u64,
    /// Pulls are sent to the store itself.
    pub(crate) redirects: bool,
}

/// Where blobs go that do not become files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// Where all go that go to no other; absent, these are files of the data directory.
    pub(crate) default: Option<Bucket>,
    /// By their names, which keys begin with.
    pub(crate) named: BTreeMap<String, Bucket>,
}

/// Who keeps the bucket.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Service {
    S3(S3),
    Gcs(Gcs),
    Azure(Azure),
}

/// S3, or what speaks like it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct S3 {
    pub(crate) region: String,
    /// Scheme and host; absent, that of AWS.
    pub(crate) endpoint: Option<String>,
    /// The bucket is named in the path and not in the host.
    pub(crate) is_path_style: bool,
    /// Absent, those of the machine: the variables of AWS, a role of the pod, of the task or of the instance.
    pub(crate) keys: Option<Keys>,
    pub(crate) encryption: Encryption,
    pub(crate) storage_class: Option<String>,
}

/// Google Cloud Storage.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Gcs {
    /// Absent, the application default credentials of the machine, which sign no addresses.
    pub(crate) key: Option<GcsKey>,
}

/// The key of a service account, as Google gives it out: JSON. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum GcsKey {
    File(PathBuf),
    Text(String),
}

/// A storage account of Azure's.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Azure {
    pub(crate) account: String,
    /// Where the containers of the account are; without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) login: AzureLogin,
}

/// How we show who we are; never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum AzureLogin {
    /// The key of the account, in base64.
    SharedKey(String),
    /// An application of the tenant.
    ClientSecret {
        tenant: String,
        client: String,
        secret: String,
    },
    /// The variables of Azure, the identity of a pod, or that of the machine.
    Machine,
}

/// What signs requests; never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) session: Option<String>,
}

/// How the store encrypts what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// As the bucket says.
    Default,
    /// With keys of its own.
    Aes256,
    /// With this key of its key service; empty for the service's own.
    Kms(String),
}

impl Bucket {
    /// What registry:2 calls the driver.
    pub(crate) fn driver(&self) -> &'static str {
        match &self.service {
            Service::S3(_) => "s3aws",
            Service::Gcs(_) => "gcs",
            Service::Azure(_) => "azure",
        }
    }

    /// Bucket and root, as a person names them.
    pub(crate) fn place(&self) -> String {
        let (name, root) = (&self.name, &self.root);
        match &self.service {
            Service::S3(_) => format!("s3://{name}/{root}"),
            Service::Gcs(_) => format!("gs://{name}/{root}"),
            Service::Azure(azure) => format!("azure://{}/{name}/{root}", azure.account),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Bucket")
            .field("place", &self.place())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(service: Service) -> Bucket {
        Bucket {
            name: "images".to_owned(),
            root: "of/registry".to_owned(),
            service,
            user_agent: None,
            is_certificate_ignored: false,
            part_bytes: PART_BYTES_DEFAULT,
            redirects: true,
        }
    }

    #[test]
    fn buckets_are_named_and_their_secrets_are_not() {
        let secret = || "asecret".to_owned();
        let azure = |login| {
            Service::Azure(Azure {
                account: "account".to_owned(),
                endpoint: "https://account.blob.core.windows.net".to_owned(),
                login,
            })
        };
        let s3 = Service::S3(S3 {
            region: "us-east-1".to_owned(),
            endpoint: None,
            is_path_style: false,
            keys: Some(Keys {
                id: secret(),
                secret: secret(),
                session: Some(secret()),
            }),
            encryption: Encryption::Default,
            storage_class: None,
        });
        let gcs = Service::Gcs(Gcs {
            key: Some(GcsKey::Text(secret())),
        });
        let application = AzureLogin::ClientSecret {
            tenant: "tenant".to_owned(),
            client: "client".to_owned(),
            secret: secret(),
        };
        for (service, place) in [
            (s3, "s3://images/of/registry"),
            (gcs, "gs://images/of/registry"),
            (
                azure(AzureLogin::SharedKey(secret())),
                "azure://account/images/of/registry",
            ),
            (azure(application), "azure://account/images/of/registry"),
        ] {
            let bucket = bucket(service);
            assert_eq!(bucket.place(), place);
            let shown = format!("{bucket:?}");
            assert!(
                shown.contains(place) && !shown.contains("secret"),
                "{shown}"
            );
        }
    }
}
