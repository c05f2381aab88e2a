//! Telling the drivers of this replica that a rollback was cancelled.

use model::names::RollbackId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many cancels a driver may be behind. One that is further behind looks as if its own rollback
/// were among them.
const MOST_BEHIND: usize = 64;

/// Tells drivers to look at what is stored. That a rollback is cancelled stands there, and nowhere else:
/// here it only becomes known sooner.
pub(super) struct Canceller(broadcast::Sender<RollbackId>);

/// The cancels of one rollback.
pub(super) struct Cancels {
    rollback: RollbackId,
    all: broadcast::Receiver<RollbackId>,
}

impl Canceller {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(MOST_BEHIND))
    }

    pub(super) fn tell(&self, rollback: RollbackId) {
        // An error says that nothing is being carried out here.
        let _ = self.0.send(rollback);
    }

    pub(super) fn of(&self, rollback: RollbackId) -> Cancels {
        Cancels {
            rollback,
            all: self.0.subscribe(),
        }
    }
}

impl Cancels {
    /// Waits until the rollback may have been cancelled.
    pub(super) async fn next(&mut self) {
        loop {
            match self.all.recv().await {
                Ok(cancelled) if cancelled != self.rollback => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
