//! Tells watchers what changes, however many there are and whichever replica changes it: one poller
//! asks the database which Deployments moved, and what changed is read once for all who watch it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::environment::Environment;
use chassis::problem::chain;
use chrono::TimeDelta;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::domain::{Change, DeploymentUid};
use crate::store::{Error, Store};

/// How long changes are kept.
const KEPT: TimeDelta = TimeDelta::days(30);
const TRIM_EVERY: Duration = Duration::from_secs(60 * 60);
/// How many streams one replica serves at once.
pub(crate) const MOST_WATCHERS: usize = 4_096;
/// How many changes a watcher is told at once, and how many are held for all who watch a Deployment.
const MOST_AT_ONCE: usize = 256;
/// Of how many Deployments changes are held.
const MOST_HELD: usize = 1_024;

type Counts = Arc<HashMap<DeploymentUid, i64>>;
type Held = Arc<tokio::sync::Mutex<VecDeque<Change>>>;

/// What changes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    store: Store,
    counts: watch::Receiver<Counts>,
    held: Arc<Mutex<HashMap<DeploymentUid, Held>>>,
    places: Arc<Semaphore>,
}

/// Asks the database what moved, while somebody watches.
#[derive(Debug)]
pub(crate) struct Poller {
    store: Store,
    counts: watch::Sender<Counts>,
    places: Arc<Semaphore>,
    environment: Environment,
    every: Duration,
}

/// Follows one Deployment.
#[derive(Debug)]
pub(crate) struct Follower {
    feed: Feed,
    uid: DeploymentUid,
    last: i64,
    _place: OwnedSemaphorePermit,
}

/// The service stops.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the service stops")]
pub(crate) struct Stopped;

impl Feed {
    /// A feed and its poller, which asks the database so often.
    pub(crate) fn new(store: Store, environment: Environment, every: Duration) -> (Self, Poller) {
        let (sender, counts) = watch::channel(Counts::default());
        let places = Arc::new(Semaphore::new(MOST_WATCHERS));
        let feed = Self {
            store: store.clone(),
            counts,
            held: Arc::default(),
            places: Arc::clone(&places),
        };
        let poller = Poller {
            store,
            counts: sender,
            places,
            environment,
            every,
        };
        (feed, poller)
    }

    /// Follows a Deployment after one of its changes. None if too many follow something.
    pub(crate) fn follow(&self, uid: DeploymentUid, after: i64) -> Option<Follower> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Follower {
            feed: self.clone(),
            uid,
            last: after,
            _place: place,
        })
    }

    /// The changes after one, of which there are `count`: what is held for all, or, for who is far
    /// behind, what the database has.
    async fn after(&self, uid: DeploymentUid, last: i64, count: i64) -> Result<Vec<Change>, Error> {
        let most = i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX);
        if count - last > most {
            return self.store.changes(uid, last, MOST_AT_ONCE).await;
        }
        let held = self.held(uid);
        let mut held = held.lock().await;
        let newest = held.back().map_or(0, |change| change.change);
        let oldest = held.front().map_or(i64::MAX, |change| change.change);
        if oldest > last + 1 || newest < last {
            // Somebody begins earlier than all who were here, or nobody was here for long.
            *held = self.store.changes(uid, last, MOST_AT_ONCE).await?.into();
        } else if newest < count {
            held.extend(self.store.changes(uid, newest, MOST_AT_ONCE).await?);
            let surplus = held.len().saturating_sub(2 * MOST_AT_ONCE);
            held.drain(..surplus);
        }
        let changes = held.iter().filter(|change| change.change > last);
        Ok(changes.take(MOST_AT_ONCE).cloned().collect())
    }

    fn held(&self, uid: DeploymentUid) -> Held {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_HELD && !all.contains_key(&uid) {
            all.clear();
        }
        Arc::clone(all.entry(uid).or_default())
    }
}

impl Follower {
    /// The last change that was told.
    pub(crate) const fn last(&self) -> i64 {
        self.last
    }

    /// The changes that came since, if any.
    pub(crate) async fn changes(&mut self) -> Result<Vec<Change>, Error> {
        let count = self.feed.counts.borrow_and_update().get(&self.uid).copied();
        let count = count.unwrap_or(0);
        if count <= self.last {
            return Ok(Vec::new());
        }
        let changes = self.feed.after(self.uid, self.last, count).await?;
        if let Some(newest) = changes.last() {
            self.last = newest.change;
        }
        Ok(changes)
    }

    /// Waits until some Deployment moved.
    pub(crate) async fn moved(&mut self) -> Result<(), Stopped> {
        self.feed.counts.changed().await.map_err(|_| Stopped)
    }
}

impl Poller {
    /// Polls until `stop` resolves; then every follower is told that the service stops.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut trimmed = None::<tokio::time::Instant>;
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(self.every) => {}
            }
            if self.places.available_permits() < MOST_WATCHERS {
                self.poll().await;
            }
            if trimmed.is_none_or(|at| at.elapsed() > TRIM_EVERY) {
                self.trim().await;
                trimmed = Some(tokio::time::Instant::now());
            }
        }
    }

    async fn poll(&self) {
        match self.store.change_counts().await {
            Ok(counts) => {
                let counts = Counts::new(counts.into_iter().collect());
                self.counts.send_if_modified(|known| {
                    let moved = *known != counts;
                    *known = counts;
                    moved
                });
            }
            Err(error) => {
                tracing::warn!(
                    cause = chain(&error),
                    "cannot read what changed; trying again"
                );
            }
        }
    }

    async fn trim(&self) {
        match self.store.trim_changes(self.environment.now() - KEPT).await {
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
}
