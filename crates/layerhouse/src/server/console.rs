//! The console of a data directory for the commands of its operator: that of the server that runs on it, or,
//! where none does, one of our own. So there is one implementation of whatever a command does.

use std::io;

use serde_json::Value;
use tokio::net::UnixStream;

use super::{Environment, Running, StartError, start};
use crate::api::console::client::{Client, Reply};
use crate::api::console::path;
use crate::blobs::OpenError;
use crate::config::meaning::mirror::Mirror;
use crate::config::meaning::{Auth, Config, Listen, Log};
use crate::registry::{Collecting, Limits};

/// What a command needs of the server that it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Accounts, which are there with the index.
    Accounts,
    /// What every registry has.
    Registry,
}

/// A console that can be asked.
#[derive(Debug)]
pub struct Console {
    client: Client,
    /// Ours, until we are done.
    server: Option<Running>,
}

/// Why the console cannot be asked; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error(
        "there are no accounts here: the index is off. Switch it on in the configuration, with\n\
         \n    layerhouse:\n      index: {{}}\n\n\
         or LAYERHOUSE_INDEX__ENABLED=true, and name that configuration with --config"
    )]
    Off,
    #[error(
        "{path} belongs to another user: run this as root, or as the user that the server runs as"
    )]
    NotOperator { path: String },
    #[error(
        "a server runs on {root}, but not with accounts: restart it with layerhouse.index in its \
         configuration, or stop it"
    )]
    OffThere { root: String },
    #[error(
        "a server runs on {root}, and its console cannot be reached ({path}): restart it, or stop it"
    )]
    Unreachable { root: String, path: String },
    #[error("the server broke off: {0}")]
    Broken(String),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Console {
    /// Reaches the server that runs on the configuration's data directory; `None` if none does.
    ///
    /// # Errors
    /// [`ConsoleError`] says what to do.
    pub async fn reach(config: &Config) -> Result<Option<Self>, ConsoleError> {
        let path = path(&config.root);
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                let client = Client::over(stream).await.map_err(ConsoleError::Broken)?;
                Ok(Some(Self {
                    client,
                    server: None,
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let path = path.display().to_string();
                Err(ConsoleError::NotOperator { path })
            }
            // Nobody listens, or nobody did at the last start.
            Err(_) => Ok(None),
        }
    }

    /// Reaches the server that runs on the configuration's data directory, or opens the directory.
    ///
    /// # Errors
    /// [`ConsoleError`] says what to do.
    pub async fn open(config: &Config, needs: Needs) -> Result<Self, ConsoleError> {
        let path = path(&config.root);
        let shown = || path.display().to_string();
        if let Some(mut console) = Self::reach(config).await? {
            if needs == Needs::Accounts {
                console.ask_for_accounts(config).await?;
            }
            return Ok(console);
        }
        if config.index.is_none() && needs == Needs::Accounts {
            return Err(ConsoleError::Off);
        }
        // Without accounts nobody signs in at the console: the files of who may need not be there.
        let auth = match config.index {
            Some(_) => config.auth.clone(),
            None => Auth::None,
        };
        // The same server, but nobody connects to it.
        let config = Config {
            listen: Listen::Nowhere,
            tls: None,
            debug: None,
            // What a command is for it does, and nothing beside it.
            limits: Limits {
                collection: Collecting {
                    is_enabled: false,
                    ..config.limits.collection
                },
                ..config.limits
            },
            mirror: config.mirror.clone().map(|mirror| Mirror {
                warm: Vec::new(),
                sync: Vec::new(),
                ..mirror
            }),
            auth,
            // Standard output is the command's.
            log: Log {
                has_access_log: false,
                ..config.log.clone()
            },
            ..config.clone()
        };
        let started = start(&config, Environment::system()).await;
        if let Err(StartError::Open(OpenError::InUse { .. })) = started {
            return Err(ConsoleError::Unreachable {
                root: config.root.display().to_string(),
                path: shown(),
            });
        }
        let server = started?;
        let stream = server
            .console()
            .map_err(|error| ConsoleError::Broken(error.to_string()))?;
        let client = Client::over(stream).await.map_err(ConsoleError::Broken)?;
        Ok(Self {
            client,
            server: Some(server),
        })
    }

    /// Whether the server that runs has accounts.
    async fn ask_for_accounts(&mut self, config: &Config) -> Result<(), ConsoleError> {
        let reply = self.ask("GET", "/api/v1", None).await?;
        match (reply.status, &config.index) {
            (404, None) => Err(ConsoleError::Off),
            (404, Some(_)) => Err(ConsoleError::OffThere {
                root: config.root.display().to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether nobody else uses the directory: no server runs on it but ours.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.server.is_some()
    }

    /// Asks the API as its administrator.
    ///
    /// # Errors
    /// The server broke off.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ConsoleError> {
        let asked = self.client.ask(method, path, body).await;
        asked.map_err(ConsoleError::Broken)
    }

    /// Closes the directory, if it was opened.
    pub async fn close(self) {
        drop(self.client);
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}
