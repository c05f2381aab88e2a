//! One rollback, from its acceptance to its end.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff;
use chassis::problem::{Problem, chain};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Inner;
use crate::clients::authorization::{self, Permit};
use crate::clients::failure::{self, Failure};
use crate::clients::registry::{self, Write};
use crate::domain::rollback::{StepKind, StoredError, WrittenDeploy};
use crate::store::{Attempt, Error, Job};

/// How often the registry is asked in a row to close a rollback.
const CLOSES_IN_A_ROW: u32 = 20;

/// Carries one rollback out.
pub(super) struct Driver {
    inner: Arc<Inner>,
    stopping: watch::Receiver<bool>,
    job: Job,
    /// The permit in hand, which serves for one attempt.
    permit: Option<Permit>,
}

/// How the writing ended.
enum Written {
    /// The registry has written the deploy.
    Deploy(WrittenDeploy),
    /// There is no sense in trying any more.
    GivenUp(StoredError),
    /// The service stops.
    LetGo,
}

/// An attempt that failed, and in which step.
struct Failed {
    step: StepKind,
    failure: Failure,
}

impl Driver {
    pub(super) fn new(inner: Arc<Inner>, job: Job, permit: Option<Permit>) -> Self {
        let stopping = inner.stopping.subscribe();
        Self {
            inner,
            stopping,
            job,
            permit,
        }
    }

    /// Carries the rollback out until it has ended, or until somebody else does.
    ///
    /// If the database fails, nothing can be written down: the rollback is left to whoever takes it
    /// up when the lease has expired.
    pub(super) async fn drive(mut self) {
        let rollback = self.job.name.clone();
        match self.run().await {
            Ok(()) => {}
            Err(Error::Lost) => {
                tracing::info!(%rollback, "somebody else carries the rollback out");
            }
            Err(Error::Database(error)) => {
                tracing::error!(%rollback, cause = chain(&error), "cannot carry the rollback out");
            }
        }
    }

    async fn run(&mut self) -> Result<(), Error> {
        let error = match self.job.closing.clone() {
            Some(error) => error,
            None => match self.write_until_decided().await? {
                Written::Deploy(deploy) => return self.succeed(deploy).await,
                Written::LetGo => return self.inner.store.release(self.job.fence).await,
                // Nothing can have been written.
                Written::GivenUp(error) if !self.job.sent => return self.fail(&error).await,
                Written::GivenUp(error) => {
                    let now = self.inner.environment.now();
                    let lease = &self.inner.patience.lease;
                    self.inner
                        .store
                        .begin_close(self.job.fence, lease, &error, now)
                        .await?;
                    error
                }
            },
        };
        self.close(error).await
    }

    /// Asks the registry to write the deploy until it has, or never will, or it is too late.
    async fn write_until_decided(&mut self) -> Result<Written, Error> {
        let mut failures = 0;
        loop {
            let renews = self.permit.is_none();
            let lease = &self.inner.patience.lease;
            let now = self.inner.environment.now();
            let begun = self
                .inner
                .store
                .begin_attempt(self.job.fence, lease, renews, now)
                .await?;
            let left = match begun {
                Attempt::Begun(left) => left.to_std().unwrap_or_default(),
                Attempt::TooLate => {
                    return Ok(Written::GivenUp(failure::deadline_exceeded(&self.job.name)));
                }
            };
            self.job.sent = true;
            let Failed { step, failure } = match self.attempt(left).await? {
                Ok(deploy) => return Ok(Written::Deploy(deploy)),
                Err(failed) => failed,
            };

            let given_up = match &failure {
                Failure::Final(_) => true,
                // One that was made for this very attempt is as good as any will be.
                Failure::Permit(_) => renews,
                Failure::Passing(_) => false,
            };
            let at_once = matches!(&failure, Failure::Permit(_)) && !renews;
            let error = self.note(step, failure.into_problem()).await?;
            if given_up {
                return Ok(Written::GivenUp(error));
            }
            if !at_once {
                failures += 1;
                if !self.pause(failures).await {
                    return Ok(Written::LetGo);
                }
            }
        }
    }

    /// One attempt, whose calls end in the time that is left.
    async fn attempt(&mut self, left: Duration) -> Result<Result<WrittenDeploy, Failed>, Error> {
        let end = Instant::now() + left;
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => {
                let renewal = self.inner.authorization.renew(&self.job.name);
                match by(end, authorization::DEPENDENCY, renewal).await {
                    Ok(permit) => {
                        let now = self.inner.environment.now();
                        self.inner.store.end_authorize(self.job.fence, now).await?;
                        permit
                    }
                    Err(failure) => {
                        let step = StepKind::Authorize;
                        return Ok(Err(Failed { step, failure }));
                    }
                }
            }
        };
        let order = &self.job.order;
        let writing = self.inner.registry.write(Write {
            rollback: &self.job.name,
            target: order.target,
            scope: order.scope,
            expected_latest: order.expected_latest,
            description: &order.description,
            permit: &permit,
        });
        let written = by(end, registry::DEPENDENCY, writing).await;
        let step = StepKind::Write;
        Ok(written.map_err(|failure| Failed { step, failure }))
    }

    /// Finds out from the registry whether there is a deploy after all, and makes sure that otherwise
    /// there never will be. Nothing else may end a rollback that was given up.
    ///
    /// A registry that does not say so for long is left alone until the lease expires, so that a
    /// rollback that cannot be closed does not keep others from being taken up.
    async fn close(&mut self, error: StoredError) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            let failure = match self.inner.registry.close(&self.job.name).await {
                Ok(Some(deploy)) => return self.succeed(deploy).await,
                Ok(None) => return self.fail(&error).await,
                Err(failure) => failure,
            };
            self.note(StepKind::Write, failure.into_problem()).await?;
            let now = self.inner.environment.now();
            let lease = &self.inner.patience.lease;
            self.inner
                .store
                .renew_lease(self.job.fence, lease, true, now)
                .await?;
            failures += 1;
            if failures == CLOSES_IN_A_ROW {
                return Ok(());
            }
            if !self.pause(failures).await {
                return self.inner.store.release(self.job.fence).await;
            }
        }
    }

    /// Keeps how a step failed.
    async fn note(&self, step: StepKind, problem: Problem) -> Result<StoredError, Error> {
        let rollback = &self.job.name;
        tracing::warn!(%rollback, %step, %problem, "a step of the rollback failed");
        let error = failure::stored(problem, rollback);
        let now = self.inner.environment.now();
        self.inner
            .store
            .fail_step(self.job.fence, step, &error, now)
            .await?;
        Ok(error)
    }

    /// Waits before the next attempt. False if the service stops meanwhile.
    async fn pause(&mut self, failures: u32) -> bool {
        let (first, most) = self.inner.patience.pauses;
        tokio::select! {
            () = tokio::time::sleep(backoff::pause(failures, first, most)) => true,
            // An error would say that the service is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
        }
    }

    async fn succeed(&self, deploy: WrittenDeploy) -> Result<(), Error> {
        let now = self.inner.environment.now();
        self.inner
            .store
            .succeed(self.job.fence, deploy, now)
            .await?;
        let deploy = deploy.number;
        tracing::info!(rollback = %self.job.name, %deploy, "the rollback is written");
        Ok(())
    }

    async fn fail(&self, error: &StoredError) -> Result<(), Error> {
        let now = self.inner.environment.now();
        self.inner.store.fail(self.job.fence, error, now).await?;
        tracing::warn!(rollback = %self.job.name, "the rollback failed; nothing was deployed");
        Ok(())
    }
}

/// The outcome of a call, if it comes in time.
async fn by<T>(
    end: Instant,
    dependency: &'static str,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let outcome = tokio::time::timeout_at(end, call).await;
    outcome.unwrap_or_else(|_| Err(Failure::timed_out(dependency)))
}
