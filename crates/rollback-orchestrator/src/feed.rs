//! Tells watchers that something was written down, whichever replica did: one poller asks the database
//! for the last event of each Deployment, however many watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::problem::chain;
use model::names::DeploymentName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::store::Store;

/// How many streams one replica serves at once.
pub(crate) const MOST_WATCHERS: usize = 4_096;

/// The number of the last event of each Deployment.
type Counts = HashMap<String, i64>;

/// What was written down. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    counts: watch::Receiver<Counts>,
    places: Arc<Semaphore>,
}

/// Asks the database what was written down, while somebody watches.
#[derive(Debug)]
pub(crate) struct Poller {
    store: Store,
    counts: watch::Sender<Counts>,
    places: Arc<Semaphore>,
    every: Duration,
}

/// Follows one Deployment.
#[derive(Debug)]
pub(crate) struct Follower {
    counts: watch::Receiver<Counts>,
    deployment: String,
    _place: OwnedSemaphorePermit,
}

/// The service stops.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the service stops")]
pub(crate) struct Stopped;

impl Feed {
    /// A feed and its poller, which asks the database so often.
    pub(crate) fn new(store: Store, every: Duration) -> (Self, Poller) {
        let (sender, counts) = watch::channel(Counts::default());
        let places = Arc::new(Semaphore::new(MOST_WATCHERS));
        let feed = Self {
            counts,
            places: Arc::clone(&places),
        };
        let poller = Poller {
            store,
            counts: sender,
            places,
            every,
        };
        (feed, poller)
    }

    /// Follows a Deployment. None if too many follow something.
    pub(crate) fn follow(&self, deployment: &DeploymentName) -> Option<Follower> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Follower {
            counts: self.counts.clone(),
            deployment: deployment.to_string(),
            _place: place,
        })
    }
}

impl Follower {
    /// Waits until the Deployment has an event after this one.
    pub(crate) async fn after(&mut self, event: i64) -> Result<(), Stopped> {
        let deployment = &self.deployment;
        let moved = self.counts.wait_for(|counts| {
            let last = counts.get(deployment).copied();
            last.is_some_and(|last| last > event)
        });
        moved.await.map(drop).map_err(|_| Stopped)
    }
}

impl Poller {
    /// Polls until `stop` resolves; then every follower is told that the service stops.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(self.every) => {}
            }
            if self.places.available_permits() < MOST_WATCHERS {
                self.poll().await;
            }
        }
    }

    async fn poll(&self) {
        match self.store.last_events().await {
            Ok(counts) => {
                self.counts.send_if_modified(|known| {
                    let moved = *known != counts;
                    *known = counts;
                    moved
                });
            }
            Err(error) => {
                let cause = chain(&error);
                tracing::warn!(cause, "cannot read what was written down; trying again");
            }
        }
    }
}
