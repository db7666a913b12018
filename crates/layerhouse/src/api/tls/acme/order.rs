//! One certificate, asked for over ACME (RFC 8555) and proved by tls-alpn-01 (RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How long the authority may take to look at us, and then to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_mins(2));

/// The certificates that prove to the authority that a host is ours, while it looks.
#[derive(Debug, Default)]
pub(super) struct Challenges(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let challenges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.get(hello.server_name()?).cloned()
    }
}

/// Shows a host's proof while it lives.
struct Shown<'a> {
    challenges: &'a Challenges,
    host: &'a str,
}

impl Challenges {
    fn show<'a>(&'a self, host: &'a str, proof: CertifiedKey) -> Shown<'a> {
        let mut challenges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(host.to_owned(), Arc::new(proof));
        Shown {
            challenges: self,
            host,
        }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let challenges = &self.challenges.0;
        let mut challenges = challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.remove(self.host);
    }
}

/// A certificate for the host: its key and its chain in PEM, as the cache keeps them.
pub(super) async fn order(
    account: &Account,
    host: &str,
    challenges: &Challenges,
    provider: &CryptoProvider,
) -> Result<String, String> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account
        .new_order(&NewOrder::new(&identifiers))
        .await
        .map_err(told)?;
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(told)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or("the authority does not offer tls-alpn-01")?;
        let digest = challenge.key_authorization().digest();
        let proof = proof(host, digest.as_ref(), provider)?;
        shown.push(challenges.show(host, proof));
        challenge.set_ready().await.map_err(told)?;
    }
    let status = order.poll_ready(&PATIENCE).await.map_err(told)?;
    if !matches!(status, OrderStatus::Ready | OrderStatus::Valid) {
        return Err(why_invalid(&mut order).await);
    }
    drop(shown);
    let key = KeyPair::generate().map_err(told)?;
    let request = request(host, &key).map_err(told)?;
    order.finalize_csr(&request).await.map_err(told)?;
    let chain = order.poll_certificate(&PATIENCE).await.map_err(told)?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What the authority found when it looked at us.
async fn why_invalid(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let mut errors = state.challenges.iter().filter_map(|it| it.error.as_ref());
        if let Some(error) = errors.next_back() {
            return format!("the authority could not verify the host: {error}");
        }
    }
    "the authority could not verify the host".to_owned()
}

fn params(host: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params)
}

fn request(host: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    Ok(params(host)?.serialize_request(key)?.der().to_vec())
}

/// The certificate of RFC 8737, 3: signed by itself, with the digest of the key authorization.
fn proof(host: &str, digest: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let make = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(host)?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        Ok((params.self_signed(&key)?.der().clone(), key.serialize_der()))
    };
    let (certificate, key) = make().map_err(told)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = provider.key_provider.load_private_key(key).map_err(told)?;
    Ok(CertifiedKey::new(vec![certificate], key))
}

/// Registers the account, or finds it.
pub(super) async fn account(
    key: (instant_acme::Key, PrivateKeyDer<'static>),
    directory_url: &str,
    email: Option<&str>,
) -> Result<Account, String> {
    let explained = |error: Error| {
        format!("{error} (the certificates that are trusted can be given by SSL_CERT_FILE)")
    };
    let builder = Account::builder().map_err(explained)?;
    let (account, _) = builder
        .create_from_key(key, directory_url.to_owned())
        .await
        .map_err(|error| format!("the account at {directory_url}: {error}"))?;
    if let Some(email) = email {
        let contact = format!("mailto:{email}");
        if let Err(error) = account.update_contacts(&[&contact]).await {
            tracing::warn!(%error, "the ACME account's e-mail address was not taken");
        }
    }
    Ok(account)
}
