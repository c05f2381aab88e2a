//! Asks the database what moved, and forgets changes that are no longer kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chassis::environment::Environment;
use chassis::problem::chain;
use chrono::TimeDelta;
use model::{DeploymentName, WorkspaceName};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::{MOST_WATCHERS, Standings, Workspaces};
use crate::domain::Standing;
use crate::store::{Error, Store};

/// How long changes are kept.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How many changes of a Deployment are kept.
const MOST_KEPT: i64 = 100_000;
const TRIM_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long the poller waits when this replica has changed something, so that one look tells of many
/// changes.
const SOON: Duration = Duration::from_millis(20);

/// Asks the database what moved, while somebody watches.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(super) store: Store,
    pub(super) standings: watch::Sender<Workspaces>,
    pub(super) places: Arc<Semaphore>,
    pub(super) look: Arc<Notify>,
    pub(super) environment: Environment,
    pub(super) every: Duration,
}

impl Poller {
    /// Polls until `stop` resolves; then every follower is told that the service stops.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut trimmed = None::<Instant>;
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = sleep(self.every) => {}
                () = self.look.notified() => sleep(SOON.min(self.every)).await,
            }
            if self.places.available_permits() < MOST_WATCHERS {
                self.poll().await;
            }
            if trimmed.is_none_or(|at| at.elapsed() > TRIM_EVERY) {
                self.trim().await;
                trimmed = Some(Instant::now());
            }
        }
    }

    async fn poll(&self) {
        match self.store.standings().await {
            Ok(standings) => self.tell(standings),
            Err(error) => {
                tracing::warn!(
                    cause = chain(&error),
                    "cannot read what changed; trying again"
                );
            }
        }
    }

    /// Tells every follower, if something moved. What did not stays the same allocation.
    fn tell(&self, standings: Vec<(DeploymentName, Standing)>) {
        let mut now = HashMap::<WorkspaceName, BTreeMap<_, _>>::new();
        for (name, standing) in standings {
            let workspace = now.entry(name.workspace().clone()).or_default();
            workspace.insert(name, standing);
        }
        let known = Arc::clone(&self.standings.borrow());
        let mut moved = false;
        let told = now.into_iter().map(|(workspace, standings)| {
            let same = known.get(&workspace).filter(|known| ***known == standings);
            let standings = same.map(Arc::clone).unwrap_or_else(|| {
                moved = true;
                Standings::new(standings)
            });
            (workspace, standings)
        });
        let told = told.collect();
        if moved {
            self.standings.send_replace(Arc::new(told));
        }
    }

    async fn trim(&self) {
        match self.forget().await {
            Ok(0) => {}
            Ok(changes) => tracing::info!(changes, "changes forgotten that are no longer kept"),
            Err(error) => {
                tracing::warn!(
                    cause = chain(&error),
                    "cannot forget old changes; trying again"
                );
            }
        }
    }

    async fn forget(&self) -> Result<u64, Error> {
        let before = self.environment.now() - KEPT;
        let mut changes = self.store.trim_changes_before(before).await?;
        for (uid, count) in self.store.long_histories(MOST_KEPT).await? {
            changes += self.store.trim_changes_to(uid, count - MOST_KEPT).await?;
        }
        Ok(changes)
    }
}
