//! `storage.azure`: a container of Azure Blob Storage, with the keys of registry:2 and registry:3.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::storage::{root_directory, user_agent};
use crate::blobs::objects::settings::{Azure, AzureLogin, Bucket, PART_BYTES_DEFAULT, Service};
use crate::config::reader::Section;

const REALM: &str = "core.windows.net";
/// Where an upload ends in one object and is never copied, these have nothing to say.
const COPYING: [&str; 4] = [
    "max_retries",
    "retry_delay",
    "copy_status_poll_max_retry",
    "copy_status_poll_delay",
];

pub(super) fn read(azure: &Section<'_>, redirects: bool) -> Bucket {
    let account = account(azure);
    let name = azure.text_needed("container");
    let login = login(azure);
    let endpoint = endpoint(azure, &account);
    let signs = names_account(&endpoint, &account);
    if redirects && !signs {
        azure.warn(
            "serviceurl",
            "names the account neither in its host nor, else, as its whole path, so no address can be signed: pulls are passed on \
             by this server, as with redirect.disable",
        );
    }
    if azure.text("connectionstring").is_some() {
        azure.refuse(
            "connectionstring",
            "is not taken: write accountname, accountkey and, for another address than Azure's, serviceurl",
        );
    }
    for key in COPYING {
        azure.ignore(
            key,
            "is accepted and does nothing: objects are never copied",
        );
    }
    Bucket {
        name,
        root: root_directory(azure),
        user_agent: user_agent(azure),
        is_certificate_ignored: azure.flag("skipverify", false),
        part_bytes: PART_BYTES_DEFAULT,
        redirects: redirects && signs,
        service: Service::Azure(Azure {
            account,
            endpoint,
            login,
        }),
    }
}

fn account(azure: &Section<'_>) -> String {
    let account = azure.text_needed("accountname");
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !account.bytes().all(is_label) {
        azure.refuse(
            "accountname",
            "is no name of a storage account: small letters and digits",
        );
    }
    account
}

fn endpoint(azure: &Section<'_>, account: &str) -> String {
    let realm = azure.text_or("realm", REALM);
    let Some(own) = azure.text("serviceurl") else {
        return format!("https://{account}.blob.{realm}");
    };
    if azure.has("realm") {
        azure.warn("serviceurl", "wins over realm");
    }
    let parsed = own.parse::<http::Uri>().ok();
    let is_plain = parsed.is_some_and(|parsed| {
        matches!(parsed.scheme_str(), Some("http" | "https")) && parsed.query().is_none()
    });
    if !is_plain || own.contains(['@', '#']) {
        azure.refuse(
            "serviceurl",
            "is no address of a service; write https://ACCOUNT.blob.core.windows.net, without the container and \
             without a signature",
        );
        return format!("https://{account}.blob.{realm}");
    }
    own.trim_end_matches('/').to_owned()
}

/// Whether an address can be signed: what is signed has the account in it, which object_store takes from where the
/// address has it, the host before the path.
fn names_account(endpoint: &str, account: &str) -> bool {
    let (_, rest) = endpoint.split_once("://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, _) = host.split_once(':').unwrap_or((host, ""));
    if host.contains(account) {
        path.is_empty()
    } else {
        path == account
    }
}

fn login(azure: &Section<'_>) -> AzureLogin {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        SharedKey,
        ClientSecret,
        Machine,
    }
    let kinds = [
        ("shared_key", Kind::SharedKey),
        ("client_secret", Kind::ClientSecret),
        ("default_credentials", Kind::Machine),
    ];
    let credentials = azure.section("credentials");
    let kind = credentials.word("type", &kinds, None);
    let (client, tenant, secret) = (
        credentials.text("clientid"),
        credentials.text("tenantid"),
        credentials.text("secret"),
    );
    if let Some(key) = azure.text("accountkey") {
        if !matches!(kind, None | Some(Kind::SharedKey)) {
            azure.warn("accountkey", "wins over credentials, as in registry:3");
        }
        if STANDARD.decode(&key).is_err() {
            azure.refuse("accountkey", "is no key of an account: that is base64");
        }
        return AzureLogin::SharedKey(key);
    }
    let has_parts = client.is_some() || tenant.is_some() || secret.is_some();
    match kind {
        Some(Kind::SharedKey) => {
            azure.refuse("accountkey", "is missing; credentials.type is shared_key");
            AzureLogin::Machine
        }
        Some(Kind::ClientSecret) => {
            let parts = [
                ("clientid", &client),
                ("tenantid", &tenant),
                ("secret", &secret),
            ];
            for (key, part) in parts {
                if part.is_none() {
                    credentials.refuse(key, "is missing; type is client_secret");
                }
            }
            AzureLogin::ClientSecret {
                tenant: tenant.unwrap_or_default(),
                client: client.unwrap_or_default(),
                secret: secret.unwrap_or_default(),
            }
        }
        Some(Kind::Machine) | None => {
            if has_parts {
                credentials.refuse(
                    "type",
                    "clientid, tenantid and secret are of no use without type: client_secret",
                );
            }
            AzureLogin::Machine
        }
    }
}
