//! The policy as this replica knows it: an index in memory, and how fresh it is.
//!
//! - From memory: at most [`MOST_BEHIND`] old. A background task asks for the revision every
//!   [`POLL_EVERY`]. If it could not for too long, nothing is answered from memory any more.
//! - Fully consistent: the revision is read first, and the index is built anew if it has moved.
//! - A change is answered only after [`Policy::reach`] has put it into this replica's index.
//!
//! Building happens off the threads that serve, one at a time; whoever waits for the same policy gets
//! what the first one built.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chassis::environment::Environment;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::domain::index::{Flaw, Index, PolicyRows};
use crate::domain::policy::PolicyRevision;
use crate::domain::tokens::Credential;
use crate::store::{self, Freshness, Store};

/// How old an answer from memory may be.
const MOST_BEHIND: Duration = Duration::from_secs(5);
/// How often the background task asks for the newest revision.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long a revision is waited for that is not there yet; less than callers wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How long the database may take to tell a revision. A connection that hangs must not hang the
/// policy.
const ASKING_LIMIT: Duration = Duration::from_secs(4);
/// How long the database may take to read the whole policy.
const READING_LIMIT: Duration = Duration::from_secs(30);
/// How many flaws are logged one by one.
const MOST_FLAWS_LOGGED: usize = 20;

/// Why there is no answer from the policy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database did not answer in time.
    #[error("the database did not answer within {} seconds", limit.as_secs())]
    Timeout {
        /// How long it had.
        limit: Duration,
    },
    /// What is in memory is too old to answer from.
    #[error("the policy in memory is older than {} seconds", MOST_BEHIND.as_secs())]
    Stale,
    /// A revision that has not come.
    #[error("policy revision {wanted} has not come, the newest is {newest}")]
    NotReached {
        /// What was asked for.
        wanted: PolicyRevision,
        /// What is there.
        newest: PolicyRevision,
    },
    /// The token of a service account is not known, not for that account, revoked, or expired.
    #[error("the token is not known, or no more")]
    TokenRefused,
    /// Building the index failed.
    #[error("the index could not be built")]
    Build(#[from] tokio::task::JoinError),
}

/// The policy as this replica knows it. It is shared by all calls.
#[derive(Debug)]
pub(crate) struct Policy {
    store: Store,
    environment: Environment,
    known: RwLock<Known>,
    /// Held while an index is built.
    building: Mutex<()>,
    /// Held while a change of the policy is decided and written.
    changing: Mutex<()>,
    /// Tells that there is another index.
    replaced: watch::Sender<()>,
}

#[derive(Clone, Debug)]
struct Known {
    index: Arc<Index>,
    /// When reading the rows of the index began.
    read_at: Instant,
    /// When it was last asked whether this is the newest policy, and it was.
    confirmed_at: Instant,
}

impl Policy {
    /// Reads the whole policy.
    pub(crate) async fn load(store: Store, environment: Environment) -> Result<Self, Error> {
        let read_at = Instant::now();
        let index = read(&store, &environment).await?;
        let known = Known {
            index: Arc::new(index),
            read_at,
            confirmed_at: read_at,
        };
        Ok(Self {
            store,
            environment,
            known: RwLock::new(known),
            building: Mutex::default(),
            changing: Mutex::default(),
            replaced: watch::Sender::default(),
        })
    }

    /// What is in memory, if it is fresh enough and does not know that the token was revoked.
    pub(crate) fn remembered(&self, credential: &Credential) -> Result<Arc<Index>, Error> {
        accept(self.fresh()?, credential)
    }

    fn fresh(&self) -> Result<Arc<Index>, Error> {
        let Known {
            index,
            read_at: _,
            confirmed_at,
        } = self.known();
        if confirmed_at.elapsed() <= MOST_BEHIND {
            Ok(index)
        } else {
            Err(Error::Stale)
        }
    }

    /// The newest policy, after it was made sure that the token counts.
    pub(crate) async fn newest(&self, credential: &Credential) -> Result<Arc<Index>, Error> {
        let asked_at = Instant::now();
        let Freshness { revision, token } =
            within(ASKING_LIMIT, self.store.freshness(credential.recorded_id())).await?;
        let index = self.at(revision, asked_at).await?;
        if credential.stands(token.as_ref()) {
            Ok(index)
        } else {
            Err(Error::TokenRefused)
        }
    }

    /// A policy that is at least this one, which is waited for, if it does not know that the token
    /// was revoked.
    pub(crate) async fn at_least(
        &self,
        wanted: PolicyRevision,
        credential: &Credential,
    ) -> Result<Arc<Index>, Error> {
        let index = self.at_least_within(wanted, LONGEST_WAIT).await?;
        accept(index, credential)
    }

    async fn at_least_within(
        &self,
        wanted: PolicyRevision,
        wait: Duration,
    ) -> Result<Arc<Index>, Error> {
        let deadline = Instant::now() + wait;
        let mut replaced = self.replaced.subscribe();
        if let Ok(index) = self.fresh()
            && index.revision() >= wanted
        {
            return Ok(index);
        }
        let mut index = self.newest(&Credential::Unrecorded).await?;
        while index.revision() < wanted {
            let not_reached = Error::NotReached {
                wanted,
                newest: index.revision(),
            };
            // The background task looks for it.
            match tokio::time::timeout_at(deadline, replaced.changed()).await {
                Ok(Ok(())) => index = self.fresh()?,
                Ok(Err(_)) | Err(_) => return Err(not_reached),
            }
        }
        Ok(index)
    }

    /// Waits until this replica's index has a change that was just written.
    pub(crate) async fn reach(&self, written: PolicyRevision) -> Result<(), Error> {
        if self.known().index.revision() < written {
            self.at(written, Instant::now()).await?;
        }
        Ok(())
    }

    /// Waits for the turn to change the policy. Changes of other replicas are not kept out, but in
    /// this one they would only get into each other's way.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Keeps the index up to date until `stop` resolves.
    pub(crate) async fn follow(&self, stop: impl Future<Output = ()>) {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let polling = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.newest(&Credential::Unrecorded).await {
                    let cause = chassis::problem::chain(&error);
                    tracing::warn!(cause, "the policy could not be followed");
                }
            }
        };
        tokio::select! {
            () = stop => {}
            () = polling => {}
        }
    }

    /// The index, given that `revision` was the newest when it was asked for, at some time since
    /// `asked_at`: what is in memory if it is of that revision or was read since, a new one
    /// otherwise.
    async fn at(&self, revision: PolicyRevision, asked_at: Instant) -> Result<Arc<Index>, Error> {
        let answered_at = Instant::now();
        let confirm = || self.confirm(revision, asked_at, answered_at);
        if let Some(index) = confirm() {
            return Ok(index);
        }
        let _building = self.building.lock().await;
        // Somebody may have built it in the meantime.
        if let Some(index) = confirm() {
            return Ok(index);
        }
        let read_at = Instant::now();
        let index = Arc::new(read(&self.store, &self.environment).await?);
        let known = Known {
            index: Arc::clone(&index),
            read_at,
            confirmed_at: read_at,
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        self.replaced.send_replace(());
        tracing::debug!(revision = index.revision().0, "the policy was read");
        Ok(index)
    }

    fn confirm(
        &self,
        revision: PolicyRevision,
        asked_at: Instant,
        answered_at: Instant,
    ) -> Option<Arc<Index>> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.index.revision() == revision {
            known.confirmed_at = known.confirmed_at.max(asked_at);
        } else if known.read_at < answered_at {
            return None;
        }
        Some(Arc::clone(&known.index))
    }

    fn known(&self) -> Known {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A revocation moves the policy, so that an index of a later revision knows of it.
fn accept(index: Arc<Index>, credential: &Credential) -> Result<Arc<Index>, Error> {
    match credential.recorded_id() {
        Some(id) if index.revoked(id) => Err(Error::TokenRefused),
        Some(_) | None => Ok(index),
    }
}

/// Reads the whole policy and builds its index.
async fn read(store: &Store, environment: &Environment) -> Result<Index, Error> {
    build(within(READING_LIMIT, store.policy(environment.now())).await?).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, store::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Timeout { limit }),
    }
}

/// Builds an index where it keeps no call waiting.
async fn build(rows: PolicyRows) -> Result<Index, Error> {
    let (index, flaws) = tokio::task::spawn_blocking(|| Index::build(rows)).await?;
    log(&flaws);
    Ok(index)
}

/// A flaw keeps somebody from what they were meant to have: a person must look.
fn log(flaws: &[Flaw]) {
    for flaw in flaws.iter().take(MOST_FLAWS_LOGGED) {
        let flaw = chassis::problem::chain(flaw);
        tracing::error!(
            flaw,
            "a part of the policy cannot be read and grants nothing"
        );
    }
    let unlogged = flaws.len().saturating_sub(MOST_FLAWS_LOGGED);
    if unlogged > 0 {
        tracing::error!(
            unlogged,
            "more of the policy cannot be read and grants nothing"
        );
    }
}

#[cfg(test)]
mod tests;
