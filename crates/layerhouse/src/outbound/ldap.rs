//! Asks a directory: one connection for one sign-in, verified where it is in TLS, and within a patience
//! that its owner sets. What the answers mean is for `auth` to say.

use std::collections::HashMap;
use std::sync::Arc;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions};
use rustls::ClientConfig;

use crate::trust;

/// How connections are verified; made once.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

/// A connection to a directory; it ends when this does.
pub(crate) struct Connection {
    handle: Ldap,
    /// Reads and writes; a server that says what no client can understand ends it.
    driver: tokio::task::JoinHandle<()>,
}

/// An entry: its distinguished name, and the attributes that were asked for, by lower-case names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) attributes: HashMap<String, Vec<Vec<u8>>>,
}

/// Which entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) base: &'a str,
    /// All below the base, or the base alone.
    pub(crate) is_deep: bool,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [&'a str],
    /// More than so many are an error.
    pub(crate) entries_max: u16,
}

/// Why a directory gave no answer that helps.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// It said no, in numbers of RFC 4511, appendix A.
    #[error("it answers {code}: {text}")]
    Refused { code: u32, text: String },
    /// It said nothing, or what nobody understands.
    #[error("{0}")]
    Broken(String),
}

impl From<LdapError> for DirectoryError {
    fn from(error: LdapError) -> Self {
        let LdapError::LdapResult { result } = error else {
            return Self::Broken(error.to_string());
        };
        Self::Refused {
            code: result.rc,
            text: format!("{:?}", result.text),
        }
    }
}

impl Trust {
    /// Trusts these authorities, in PEM, and no others; without any, those of the system.
    ///
    /// # Errors
    /// A sentence: there is no certificate, or one that cannot be used.
    pub(crate) fn new(authorities: Option<&[u8]>) -> Result<Self, String> {
        trust::verifying(authorities).map(|config| Self(Arc::new(config)))
    }
}

impl Connection {
    /// Connects, in TLS if the URL or the operator says so.
    pub(crate) async fn open(
        url: &str,
        starts_tls: bool,
        trust: &Trust,
    ) -> Result<Self, DirectoryError> {
        let settings = LdapConnSettings::new()
            .set_starttls(starts_tls)
            .set_config(Arc::clone(&trust.0));
        let (connection, handle) = LdapConnAsync::with_settings(settings, url).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer learns that there is none.
            let _ = connection.drive().await;
        });
        Ok(Self { handle, driver })
    }

    /// Signs in. An empty name or password is no sign-in, but looks like one to whoever asks next (RFC
    /// 4513, 5.1.2), so neither can be sent (S13).
    pub(crate) async fn bind(&mut self, dn: &str, password: &str) -> Result<(), DirectoryError> {
        if dn.is_empty() || password.is_empty() {
            return Err(DirectoryError::Broken(
                "a name or a password is empty".to_owned(),
            ));
        }
        self.handle.simple_bind(dn, password).await?.success()?;
        Ok(())
    }

    pub(crate) async fn search(&mut self, query: Query<'_>) -> Result<Vec<Entry>, DirectoryError> {
        let scope = if query.is_deep {
            Scope::Subtree
        } else {
            Scope::Base
        };
        let options = SearchOptions::new().sizelimit(i32::from(query.entries_max));
        let found = self
            .handle
            .with_search_options(options)
            .search(query.base, scope, query.filter, query.attributes)
            .await?;
        let (found, _) = found.success()?;
        let entries = found
            .into_iter()
            .filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        let entries: Vec<_> = entries.collect();
        // Of an entry that is none, the library makes a panic: on a task of its own that is an answer.
        let read = async move {
            entries
                .into_iter()
                .map(SearchEntry::construct)
                .map(entry)
                .collect()
        };
        let read = tokio::spawn(read).await;
        read.map_err(|_| DirectoryError::Broken("an entry of its answer is none".to_owned()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn entry(found: SearchEntry) -> Entry {
    let texts = found.attrs.into_iter().map(|(name, values)| {
        let values = values.into_iter().map(String::into_bytes).collect();
        (name, values)
    });
    let attributes = texts.chain(found.bin_attrs);
    Entry {
        dn: found.dn,
        attributes: attributes
            .map(|(name, values)| (name.to_lowercase(), values))
            .collect(),
    }
}
