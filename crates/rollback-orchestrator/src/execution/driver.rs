//! One rollback, from its acceptance to its end.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff;
use chassis::problem::{Problem, chain};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Inner;
use super::cancels::Cancels;
use crate::clients::authorization::{self, Permit};
use crate::clients::failure::{self, Failure};
use crate::clients::registry::{self, Write};
use crate::domain::rollback::{Closing, Ending, StepKind, StoredError, WrittenDeploy};
use crate::store::{Attempt, Error, Job};

/// How often the registry is asked in a row to close a rollback.
const CLOSES_IN_A_ROW: u32 = 20;

/// After how many failures in a row people are told. Fewer say that a service is being restarted.
const FAILURES_TO_TELL: u32 = 3;

/// Carries one rollback out.
pub(super) struct Driver {
    inner: Arc<Inner>,
    stopping: watch::Receiver<bool>,
    cancels: Cancels,
    job: Job,
    /// The permit in hand, which serves for one attempt.
    permit: Option<Permit>,
}

/// How the writing ended.
enum Written {
    /// The registry has written the deploy.
    Deploy(WrittenDeploy),
    /// There is no sense in trying any more.
    GivenUp(Closing),
    /// The service stops.
    LetGo,
}

/// How an attempt ended that has not written the deploy, as far as is known.
enum Missed {
    /// A step of it failed.
    Failed(StepKind, Failure),
    /// Somebody may have cancelled the rollback meanwhile, and nobody waited for the answer.
    Interrupted,
}

impl Driver {
    pub(super) fn new(inner: Arc<Inner>, job: Job, permit: Option<Permit>) -> Self {
        let stopping = inner.stopping.subscribe();
        let cancels = inner.cancels.of(job.fence.rollback);
        Self {
            inner,
            stopping,
            cancels,
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
        let closing = match self.job.closing.clone() {
            Some(closing) => closing,
            None => match self.write_until_decided().await? {
                Written::Deploy(deploy) => return self.succeed(deploy).await,
                Written::LetGo => return self.inner.store.release(self.job.fence).await,
                // Nothing can have been written.
                Written::GivenUp(closing) if !self.job.sent => return self.end(&closing).await,
                Written::GivenUp(closing) => {
                    let now = self.inner.environment.now();
                    let lease = &self.inner.patience.lease;
                    self.inner
                        .store
                        .begin_close(self.job.fence, lease, &closing, now)
                        .await?;
                    closing
                }
            },
        };
        self.close(closing).await
    }

    /// Asks the registry to write the deploy until it has, or never will, or it is too late, or
    /// somebody cancels.
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
                    let error = failure::deadline_exceeded(&self.job.name);
                    return Ok(Written::GivenUp(failed_with(error)));
                }
                Attempt::Cancelled(by) => {
                    return Ok(Written::GivenUp(Closing {
                        ending: Ending::Cancelled,
                        error: failure::cancelled(&self.job.name, &by),
                    }));
                }
            };
            self.job.sent = true;
            let (step, failure) = match self.attempt(left).await? {
                Ok(deploy) => return Ok(Written::Deploy(deploy)),
                Err(Missed::Interrupted) => continue,
                Err(Missed::Failed(step, failure)) => (step, failure),
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
                return Ok(Written::GivenUp(failed_with(error)));
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
    async fn attempt(&mut self, left: Duration) -> Result<Result<WrittenDeploy, Missed>, Error> {
        let end = Instant::now() + left;
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => {
                let renewal = self.inner.authorization.renew(&self.job.name);
                let renewal = by(end, authorization::DEPENDENCY, renewal);
                match unless(&mut self.cancels, StepKind::Authorize, renewal).await {
                    Ok(permit) => {
                        let now = self.inner.environment.now();
                        self.inner.store.end_authorize(self.job.fence, now).await?;
                        permit
                    }
                    Err(missed) => return Ok(Err(missed)),
                }
            }
        };
        let order = &self.job.order;
        let writing = self.inner.registry.write(Write {
            rollback: &self.job.name,
            target: order.target,
            scope: order.scope,
            options: order.options,
            expected_latest: order.expected_latest,
            description: &order.description,
            permit: &permit,
        });
        let writing = by(end, registry::DEPENDENCY, writing);
        Ok(unless(&mut self.cancels, StepKind::Write, writing).await)
    }

    /// Finds out from the registry whether there is a deploy after all, and makes sure that otherwise
    /// there never will be. Nothing else may end a rollback that was given up.
    ///
    /// A registry that does not say so for long is left alone until the lease expires. From then on it
    /// is asked once each time, so that rollbacks that cannot be closed keep no others from being taken
    /// up, however many they are.
    async fn close(&mut self, closing: Closing) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            let failure = match self.inner.registry.close(&self.job.name).await {
                Ok(Some(deploy)) => return self.succeed(deploy).await,
                Ok(None) => return self.end(&closing).await,
                Err(failure) => failure,
            };
            self.note(StepKind::Write, failure.into_problem()).await?;
            failures += 1;
            let told_before = self.job.needs_attention;
            let needs_attention = told_before || failures >= FAILURES_TO_TELL;
            let now = self.inner.environment.now();
            let lease = &self.inner.patience.lease;
            self.inner
                .store
                .renew_lease(self.job.fence, lease, needs_attention, now)
                .await?;
            if told_before || failures == CLOSES_IN_A_ROW {
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

    /// Waits before the next attempt, which may find that the rollback is cancelled. False if the
    /// service stops meanwhile.
    async fn pause(&mut self, failures: u32) -> bool {
        let (first, most) = self.inner.patience.pauses;
        tokio::select! {
            () = tokio::time::sleep(backoff::pause(failures, first, most)) => true,
            () = self.cancels.next() => true,
            // An error would say that the service is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
        }
    }

    async fn succeed(&self, deploy: WrittenDeploy) -> Result<(), Error> {
        let now = self.inner.environment.now();
        self.inner
            .store
            .succeed(self.job.fence, &deploy, &self.inner.patience.follow, now)
            .await?;
        let deploy = deploy.number;
        tracing::info!(rollback = %self.job.name, %deploy, "the rollback is written");
        Ok(())
    }

    async fn end(&self, closing: &Closing) -> Result<(), Error> {
        let now = self.inner.environment.now();
        self.inner
            .store
            .end_without_deploy(self.job.fence, closing, now)
            .await?;
        let rollback = &self.job.name;
        match closing.ending {
            Ending::Failed => {
                tracing::warn!(%rollback, "the rollback failed; nothing was deployed")
            }
            Ending::Cancelled => tracing::info!(%rollback, "the rollback is cancelled"),
        }
        Ok(())
    }
}

const fn failed_with(error: StoredError) -> Closing {
    Closing {
        ending: Ending::Failed,
        error,
    }
}

/// The outcome of a call, unless somebody cancels the rollback first. Whether a call that nobody waits
/// for has been carried out, only closing the rollback tells.
async fn unless<T>(
    cancels: &mut Cancels,
    step: StepKind,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Missed> {
    tokio::select! {
        biased;
        outcome = call => outcome.map_err(|failure| Missed::Failed(step, failure)),
        () = cancels.next() => Err(Missed::Interrupted),
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
