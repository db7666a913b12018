//! The pages of another registry, as a server of their own.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Environment;
use crate::api::sockets;
use crate::api::ui::elsewhere::Site;
use crate::config::elsewhere::Elsewhere;

/// Pages that can be looked at; stop them with [`Pages::stop`].
#[derive(Debug)]
pub struct Pages {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// Shows the pages of the registry that the settings name; asks it nothing yet.
///
/// # Errors
/// The address is taken, or a file that the settings name is not what it should be; in words.
pub async fn show_elsewhere(
    settings: &Elsewhere,
    environment: Environment,
) -> Result<Pages, String> {
    let Environment { clock, random } = environment;
    let site = Site::open(settings, clock, random).map_err(|error| error.to_string())?;
    let listener = sockets::bind(settings.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("the address is not known: {error}"))?;
    let (stop, stopped) = watch::channel(false);
    Ok(Pages {
        address,
        stop,
        serving: tokio::spawn(site.serve(listener, stopped)),
    })
}

impl Pages {
    /// Where they are: the port that was free, if the settings said 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It ends when it is told to.
        let _ = self.serving.await;
    }
}
