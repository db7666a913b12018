//! Whether the disk can still be believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::{Fault, FaultKind};

/// Remembers a device error, for files and database alike, until the process ends: a sync that failed is
/// never tried again, for the kernel forgets what it could not write, and the next one says "done".
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<AtomicBool>);

impl Health {
    /// # Errors
    /// The device failed before.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Fault::plain(
                FaultKind::Device,
                "the disk failed earlier; pushes stay refused until it is repaired and the server \
                 restarted",
            ));
        }
        Ok(())
    }

    /// Takes note of a fault; after a device error nothing is written any more.
    pub(crate) fn note(&self, fault: Fault) -> Fault {
        if fault.kind() == FaultKind::Device && !self.0.swap(true, Ordering::SeqCst) {
            tracing::error!(%fault, "the disk failed: pushes are refused from now on, pulls go on");
        }
        fault
    }
}
