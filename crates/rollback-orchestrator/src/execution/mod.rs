//! Carrying accepted rollbacks out, whatever crashes.
//!
//! A rollback that was accepted belongs to a *driver*: a task of this service, not of the call that
//! asked for it, so that a caller who goes away changes nothing. What a driver is about to do is
//! stored before it does it, and every write names the fence that it holds. A driver that dies, with
//! its process or without, lets its lease expire, and any replica takes the rollback up from what is
//! stored ([`recovery`]). Two drivers of one rollback do no harm: the registry writes one deploy for
//! a rollback id, and only one of the two can write down how it ended.
//!
//! After something may have been sent to the registry, a rollback fails or is cancelled only once the
//! registry has said that there is no deploy and never will be.

mod cancels;
mod driver;
mod following;
mod recovery;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::environment::Environment;
use chrono::TimeDelta;
use model::names::{RollbackId, RollbackName};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use self::cancels::Canceller;
use self::driver::Driver;
use crate::clients::authorization::{Authorization, Permit};
use crate::clients::registry::Registry;
use crate::domain::rollback::Rollback;
use crate::store::{self, Acceptance, Follow, Lease, NewRollback, Store};

/// How many rollbacks of others one replica carries out at a time.
const MOST_TAKEN_UP: usize = 32;

/// How many roll-outs one replica looks at at a time. It is room of their own, so that a slow registry
/// holds up no write.
const MOST_LOOKED_AT: usize = 8;

/// How often a caller's rollback is looked at while somebody else carries it out.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long drivers may take to let go when the service stops: longer than their calls take.
const LET_GO: Duration = Duration::from_secs(12);

/// How patient drivers are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a rollback may take to be written, from its acceptance.
    pub(crate) write_within: TimeDelta,
    /// Whose leases these are, and how long a driver may be silent.
    pub(crate) lease: Lease,
    /// The first pause after a failed attempt, and the longest.
    pub(crate) pauses: (Duration, Duration),
    /// How often to look for rollbacks that nobody carries out any more, and for roll-outs to look at.
    pub(crate) poll: Duration,
    /// How the roll-outs of written deploys are followed.
    pub(crate) follow: Follow,
}

/// All drivers of this replica. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Execution(Arc<Inner>);

struct Inner {
    store: Store,
    registry: Registry,
    authorization: Authorization,
    environment: Environment,
    patience: Patience,
    drivers: Mutex<JoinSet<()>>,
    room: Arc<Semaphore>,
    room_to_look: Arc<Semaphore>,
    cancels: Canceller,
    stopping: watch::Sender<bool>,
}

/// What became of a rollback that was handed over.
#[derive(Debug)]
pub(crate) enum Submission {
    /// It was accepted, and has a driver.
    Accepted(Driven),
    /// The same request was accepted before.
    Repeated,
    /// Another rollback of the Deployment is not written yet. Nothing was accepted.
    InProgress(RollbackName),
}

/// Resolves when a driver has finished its rollback, or has let go of it.
pub(crate) type Driven = oneshot::Receiver<()>;

impl Execution {
    pub(crate) fn new(
        store: Store,
        registry: Registry,
        authorization: Authorization,
        environment: Environment,
        patience: Patience,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            registry,
            authorization,
            environment,
            patience,
            drivers: Mutex::default(),
            room: Arc::new(Semaphore::new(MOST_TAKEN_UP)),
            room_to_look: Arc::new(Semaphore::new(MOST_LOOKED_AT)),
            cancels: Canceller::new(),
            stopping: watch::Sender::new(false),
        }))
    }

    /// How long a rollback may take to be written, from its acceptance.
    pub(crate) fn write_within(&self) -> TimeDelta {
        self.0.patience.write_within
    }

    /// Accepts a rollback and carries it out. Both go on if nobody waits for the answer, which is
    /// there once it is accepted.
    pub(crate) fn submit(
        &self,
        new: NewRollback,
        permit: Permit,
    ) -> oneshot::Receiver<Result<Submission, store::Error>> {
        let (answer, receiver) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        self.spawn(async move {
            let lease = &inner.patience.lease;
            let accepted = inner
                .store
                .accept(&new, lease, inner.environment.now())
                .await;
            // That nobody hears an answer changes nothing: the caller has gone away.
            let job = match accepted {
                Ok(Acceptance::Accepted(job)) => *job,
                Ok(Acceptance::Repeated) => {
                    let _ = answer.send(Ok(Submission::Repeated));
                    return;
                }
                Ok(Acceptance::InProgress(rollback)) => {
                    let _ = answer.send(Ok(Submission::InProgress(rollback)));
                    return;
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return;
                }
            };
            let (done, driven) = oneshot::channel();
            let _ = answer.send(Ok(Submission::Accepted(driven)));
            Driver::new(Arc::clone(&inner), job, Some(permit))
                .drive()
                .await;
            let _ = done.send(());
        });
        receiver
    }

    /// Waits until a rollback has ended. None if it has not by `until`, or if the service stops.
    ///
    /// One that is driven here is looked at when its driver is done; for one that another replica
    /// drives there is no other way than to look again and again.
    pub(crate) async fn ended(
        &self,
        name: &RollbackName,
        driven: Option<Driven>,
        until: Instant,
    ) -> Result<Option<Rollback>, store::Error> {
        if let Some(driven) = driven {
            // Whether it is done, or broke, or takes too long: what is stored decides.
            let _ = tokio::time::timeout_at(until, driven).await;
        }
        let mut stopping = self.0.stopping.subscribe();
        loop {
            let rollback = self.0.store.rollback(name).await?;
            if let Some(rollback) = rollback
                && rollback.has_ended()
            {
                return Ok(Some(rollback));
            }
            let again = (Instant::now() + LOOK_AGAIN).min(until);
            if *stopping.borrow_and_update() || Instant::now() >= until {
                return Ok(None);
            }
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// Tells the driver of a rollback, if it is one of this replica, that it is cancelled. Others learn
    /// of it when they try again.
    pub(crate) fn cancelled(&self, rollback: RollbackId) {
        self.0.cancels.tell(rollback);
    }

    /// Tells drivers to let go of what they cannot finish at once.
    pub(crate) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Resolves when drivers are told to let go.
    pub(crate) async fn stopping(self) {
        // An error would say that the service is gone.
        let _ = self
            .0
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
    }

    /// Waits for all drivers. Those that do not let go are cut off: their leases expire.
    pub(crate) async fn join(&self) {
        let mut drivers = std::mem::take(&mut *self.drivers());
        let joined = async {
            while let Some(ended) = drivers.join_next().await {
                log_panic(ended);
            }
        };
        if tokio::time::timeout(LET_GO, joined).await.is_err() {
            tracing::warn!("rollbacks were still being carried out; other replicas take them up");
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut drivers = self.drivers();
        while let Some(ended) = drivers.try_join_next() {
            log_panic(ended);
        }
        drivers.spawn(task.in_current_span());
    }

    fn drivers(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.0
            .drivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a driver broke; its rollback is taken up when its lease expires");
    }
}
