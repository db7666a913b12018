//! Clients of the services that keep buckets, made from what was configured.

use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, RetryConfig};

use super::settings::{Azure, AzureLogin, Bucket, Encryption, Gcs, GcsKey, S3, Service};
use crate::fault::{Fault, FaultKind};

/// How long a store may take to say anything: a part of 64 MiB at 1 MiB a second.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(64);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A request that failed is tried again for so long: a client waits for its answer meanwhile.
const RETRY_MAX: Duration = Duration::from_secs(15);
const RETRIES_MAX: usize = 4;

/// All that we ask of a store.
pub(super) trait Store: ObjectStore + MultipartStore + Signer {}

impl<Client: ObjectStore + MultipartStore + Signer> Store for Client {}

/// Gets ready to ask a bucket; it is not asked yet.
///
/// # Errors
/// What is said of it cannot be.
pub(super) fn open(bucket: &Bucket) -> Result<Box<dyn Store>, Fault> {
    let client = client(bucket)?;
    let fault = |error| Fault::new(FaultKind::Other, "opening the object store", error);
    Ok(match &bucket.service {
        Service::S3(s3) => Box::new(
            with_s3(bucket, s3)
                .with_client_options(client)
                .with_retry(retry())
                .build()
                .map_err(fault)?,
        ),
        Service::Gcs(gcs) => Box::new(
            with_gcs(gcs)
                .with_bucket_name(&bucket.name)
                .with_client_options(client)
                .with_retry(retry())
                .build()
                .map_err(fault)?,
        ),
        Service::Azure(azure) => Box::new(
            with_azure(azure)
                .with_container_name(&bucket.name)
                .with_client_options(client)
                .with_retry(retry())
                .build()
                .map_err(fault)?,
        ),
    })
}

fn client(bucket: &Bucket) -> Result<ClientOptions, Fault> {
    let mut client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(SILENCE_MAX)
        .with_connect_timeout(CONNECT_MAX)
        .with_allow_invalid_certificates(bucket.is_certificate_ignored)
        .with_allow_http(true);
    if let Some(agent) = &bucket.user_agent {
        let agent = agent.parse().map_err(|error| {
            Fault::new(
                FaultKind::Other,
                "the useragent of the object store is no header",
                Box::new(error) as Box<_>,
            )
        })?;
        client = client.with_user_agent(agent);
    }
    Ok(client)
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_MAX,
    }
}

fn with_s3(bucket: &Bucket, s3: &S3) -> AmazonS3Builder {
    let mut builder = match &s3.keys {
        Some(keys) => {
            let builder = AmazonS3Builder::new()
                .with_access_key_id(&keys.id)
                .with_secret_access_key(&keys.secret);
            match &keys.session {
                Some(session) => builder.with_token(session),
                None => builder,
            }
        }
        None => AmazonS3Builder::from_env(),
    };
    builder = builder
        .with_bucket_name(&bucket.name)
        .with_region(&s3.region)
        .with_virtual_hosted_style_request(!s3.is_path_style)
        // We hash every byte ourselves.
        .with_unsigned_payload(true);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint_of(&bucket.name, s3, endpoint));
    }
    match &s3.encryption {
        Encryption::Default => builder,
        Encryption::Aes256 => with_encryption(builder, "AES256"),
        Encryption::Kms(key) if key.is_empty() => with_encryption(builder, "aws:kms"),
        Encryption::Kms(key) => builder.with_sse_kms_encryption(key),
    }
}

fn with_encryption(builder: AmazonS3Builder, kind: &str) -> AmazonS3Builder {
    let key: AmazonS3ConfigKey = "aws_server_side_encryption"
        .parse()
        .expect("object_store has this key");
    builder.with_config(key, kind)
}

/// The bucket stands before the host where it does not stand in the path.
fn endpoint_of(bucket: &str, s3: &S3, endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !s3.is_path_style => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

/// A key may name another address than Google's (`gcs_base_url`), as those for emulators do.
fn with_gcs(gcs: &Gcs) -> GoogleCloudStorageBuilder {
    match &gcs.key {
        Some(GcsKey::File(path)) => {
            GoogleCloudStorageBuilder::new().with_service_account_path(path.to_string_lossy())
        }
        Some(GcsKey::Text(key)) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
        None => GoogleCloudStorageBuilder::from_env(),
    }
}

fn with_azure(azure: &Azure) -> MicrosoftAzureBuilder {
    let builder = match &azure.login {
        AzureLogin::SharedKey(key) => MicrosoftAzureBuilder::new().with_access_key(key),
        // The variables say where applications sign in, in the clouds that are apart (`AZURE_AUTHORITY_HOST`).
        AzureLogin::ClientSecret {
            tenant,
            client,
            secret,
        } => MicrosoftAzureBuilder::from_env()
            .with_client_secret_authorization(client, secret, tenant)
            .with_config(AzureConfigKey::CredentialType, "client_secret"),
        AzureLogin::Machine => MicrosoftAzureBuilder::from_env(),
    };
    builder
        .with_use_emulator(false)
        .with_account(&azure.account)
        .with_endpoint(azure.endpoint.clone())
}

/// What an answer means that object_store only quotes, for some requests of some services: that there is no such
/// thing, or that we may not.
pub(super) fn told(error: Error) -> Error {
    let Error::Generic { store, source } = error else {
        return error;
    };
    let text = source.to_string();
    let says = |status: &str| text.contains(&format!("non-2xx status code: {status}"));
    let path = String::new();
    if says("404") || (says("400") && text.contains("<Code>InvalidBlockList</Code>")) {
        // Blocks that were made a blob, or dropped, are in the list of those that wait no more.
        Error::NotFound { path, source }
    } else if says("403") {
        Error::PermissionDenied { path, source }
    } else if says("401") {
        Error::Unauthenticated { path, source }
    } else {
        Error::Generic { store, source }
    }
}

/// Whether the store said so: what it refused does not arrive later.
pub(super) fn is_answered(error: &Error) -> bool {
    if let Error::Generic { source, .. } = error {
        return source.to_string().contains("non-2xx status code: ");
    }
    true
}

/// Whether it has other parts than those that were named to it.
pub(super) fn is_of_other_parts(error: &Error) -> bool {
    matches!(error, Error::Generic { source, .. } if source.to_string().contains("<Code>InvalidPart</Code>"))
}
