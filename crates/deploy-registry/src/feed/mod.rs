//! Tells watchers what changes, however many there are and whichever replica changes it: one poller
//! asks the database which histories moved, and what changed is read once for all who watch it.
//!
//! Nothing is pushed: a watcher is told that something moved, and takes what it has not seen when it gets
//! to it. So one that is slow costs nothing, and what is held does not depend on how many watch.

mod poller;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::environment::Environment;
use model::{DeploymentName, WorkspaceName};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

pub(crate) use self::poller::Poller;
use crate::domain::{Change, DeploymentUid, Standing};
use crate::store::{Error, Store};

/// How many streams one replica serves at once.
pub(crate) const MOST_WATCHERS: usize = 4_096;
/// How many changes a watcher is told at once; twice as many are held for all who watch a Deployment.
pub(crate) const MOST_AT_ONCE: usize = 256;
/// Of how many Deployments changes are held.
const MOST_HELD: usize = 1_024;

/// Where the histories of a workspace stand. It is the same allocation until one of them moves.
pub(crate) type Standings = Arc<BTreeMap<DeploymentName, Standing>>;
type Workspaces = Arc<HashMap<WorkspaceName, Standings>>;
type Held = Arc<tokio::sync::Mutex<VecDeque<Change>>>;

/// What changes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    store: Store,
    standings: watch::Receiver<Workspaces>,
    held: Arc<Mutex<HashMap<DeploymentUid, Held>>>,
    places: Arc<Semaphore>,
    look: Arc<Notify>,
}

/// Follows what moves.
#[derive(Debug)]
pub(crate) struct Follower {
    feed: Feed,
    _place: OwnedSemaphorePermit,
}

/// The service stops.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the service stops")]
pub(crate) struct Stopped;

impl Feed {
    /// A feed and its poller, which asks the database so often.
    pub(crate) fn new(store: Store, environment: Environment, every: Duration) -> (Self, Poller) {
        let (sender, standings) = watch::channel(Workspaces::default());
        let feed = Self {
            store: store.clone(),
            standings,
            held: Arc::default(),
            places: Arc::new(Semaphore::new(MOST_WATCHERS)),
            look: Arc::default(),
        };
        let poller = Poller {
            store,
            standings: sender,
            places: Arc::clone(&feed.places),
            look: Arc::clone(&feed.look),
            environment,
            every,
        };
        (feed, poller)
    }

    /// Has the poller look soon: this replica has changed something.
    pub(crate) fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Follows what moves. None if too many do.
    pub(crate) fn follow(&self) -> Option<Follower> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.look_soon();
        Some(Follower {
            feed: self.clone(),
            _place: place,
        })
    }

    /// At most `most` changes after one, where there are `count` in all: what is held for all, or, for
    /// who is far behind, what the database has.
    async fn after(
        &self,
        uid: DeploymentUid,
        last: i64,
        count: i64,
        most: usize,
    ) -> Result<Vec<Change>, Error> {
        let near = i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX);
        if count - last > near {
            return self.store.changes(uid, last, most).await;
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
        Ok(changes.take(most).cloned().collect())
    }

    fn held(&self, uid: DeploymentUid) -> Held {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_HELD && !all.contains_key(&uid) {
            all.clear();
        }
        Arc::clone(all.entry(uid).or_default())
    }

    /// How many changes are held.
    #[cfg(test)]
    pub(crate) async fn held_changes(&self) -> usize {
        let all = self.held.lock().unwrap().clone();
        let mut count = 0;
        for held in all.into_values() {
            count += held.lock().await.len();
        }
        count
    }
}

impl Follower {
    /// Where the histories of a workspace stand, as far as is known.
    pub(crate) fn standings(&mut self, workspace: &WorkspaceName) -> Standings {
        let all = self.feed.standings.borrow_and_update();
        all.get(workspace).cloned().unwrap_or_default()
    }

    /// The next changes after one, at most `most` of them, where there are `count` in all.
    pub(crate) async fn changes(
        &self,
        uid: DeploymentUid,
        last: i64,
        count: i64,
        most: usize,
    ) -> Result<Vec<Change>, Error> {
        self.feed.after(uid, last, count, most).await
    }

    /// Waits until some history moved.
    pub(crate) async fn moved(&mut self) -> Result<(), Stopped> {
        self.feed.standings.changed().await.map_err(|_| Stopped)
    }
}
