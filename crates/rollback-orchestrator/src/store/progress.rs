use chassis::database::{self, Connection};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};

use super::audit::{Entry, Subject, record};
use super::rollbacks::NOT_ENDED;
use super::{Error, Fence, Lease, Store};
use crate::domain::audit::{Attempted, Event, is_told};
use crate::domain::rollback::{RollOut, StepKind, StoredError, WrittenDeploy};

/// A rollback whose attempt has begun.
#[derive(sqlx::FromRow)]
struct Begun {
    #[sqlx(flatten)]
    subject: Subject,
    write_deadline: i64,
}

/// Whether an attempt to write may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It has begun, and must end within this time.
    Begun(TimeDelta),
    /// The deadline has passed, and nothing more may be sent.
    TooLate,
}

impl Store {
    /// Notes that the registry will be asked to write the deploy, before it is; and, if `renews`,
    /// that a permit will be asked for first.
    pub(crate) async fn begin_attempt(
        &self,
        fence: Fence,
        lease: &Lease,
        renews: bool,
        now: DateTime<Utc>,
    ) -> Result<Attempt, Error> {
        transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            let begun = tx
                .fetch_optional::<Begun>(
                    "UPDATE rollbacks
                         SET state = 'RUNNING', lease_expire_time = $3, update_time = $4,
                             version = version + 1
                         WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')
                           AND write_deadline > $5
                         RETURNING id, deployment, state, write_deadline",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        database_time + lease.duration,
                        now,
                        database_time
                    ],
                )
                .await?;
            let Some(Begun {
                subject,
                write_deadline,
            }) = begun
            else {
                return too_late(tx, fence).await;
            };
            let mut entries = Vec::new();
            if renews {
                entries.push(begin_step(tx, fence, StepKind::Authorize, now).await?);
            }
            entries.push(begin_step(tx, fence, StepKind::Write, now).await?);
            record(tx, &subject, now, entries).await?;
            let left = write_deadline.saturating_sub(database_time.timestamp_micros());
            Ok(Attempt::Begun(TimeDelta::microseconds(left)))
        })
    }

    /// Notes how the last attempt of a step failed. One that fails again and again, since nobody says
    /// what became of it, is told ever more rarely.
    pub(crate) async fn fail_step(
        &self,
        fence: Fence,
        kind: StepKind,
        error: &StoredError,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let subject = touch(tx, fence, now).await?;
            let failed = tx
                .fetch_optional::<(i64, i64)>(
                    "UPDATE rollback_steps SET error = $3, failures = failures + 1
                     WHERE rollback = $1 AND kind = $2
                     RETURNING attempts, failures",
                    args![fence.rollback.get(), kind.as_str(), error.0.as_slice()],
                )
                .await?;
            let Some((attempts, _)) = failed.filter(|(_, failures)| is_told(*failures)) else {
                return Ok(());
            };
            let event = Event::StepFailed {
                attempted: attempted(kind, attempts)?,
                error: error.clone(),
            };
            record(tx, &subject, now, vec![Entry::own(event)]).await
        })
    }

    /// Notes that the permit was renewed.
    pub(crate) async fn end_authorize(
        &self,
        fence: Fence,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let subject = touch(tx, fence, now).await?;
            let ended = end_step(tx, fence, StepKind::Authorize, now).await?;
            record(tx, &subject, now, vec![ended]).await
        })
    }

    /// Notes what the rollback will fail with, before the registry is asked to close it. From here
    /// on nobody tries to write it any more.
    pub(crate) async fn begin_close(
        &self,
        fence: Fence,
        lease: &Lease,
        error: &StoredError,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET error = $3, closing = 'FAILED', lease_expire_time = $4, update_time = $5,
                             version = version + 1
                         WHERE id = $1 AND fence = $2 AND state = 'RUNNING'
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        error.0.as_slice(),
                        database_time + lease.duration,
                        now
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            let error = error.clone();
            record(
                tx,
                &subject,
                now,
                vec![Entry::own(Event::GivenUp { error })],
            )
            .await
        })
    }

    /// Ends a rollback whose deploy is written. Where deploys are recorded as already done, the
    /// roll-out has ended too; otherwise it is somebody else's, and nothing is said of it.
    pub(crate) async fn succeed(
        &self,
        fence: Fence,
        deploy: WrittenDeploy,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let WrittenDeploy { number, roll_out } = deploy;
        transaction!(self.database, |tx| {
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET state = 'SUCCEEDED', deploy = $3, roll_out = $4, error = NULL,
                             needs_attention = $5, update_time = $6, end_time = $6,
                             version = version + 1, lease_owner = NULL
                         WHERE id = $1 AND fence = $2 AND state = 'RUNNING'
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        number.get(),
                        roll_out.map_or(NOT_ENDED, RollOut::as_str),
                        false,
                        now
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            // The write was confirmed, whatever its last answer was.
            let written = end_step(tx, fence, StepKind::Write, now).await?;
            let deploy = number;
            let mut entries = vec![written, Entry::own(Event::Succeeded { deploy })];
            end_open_steps(tx, fence, now).await?;
            if let Some(roll_out) = roll_out {
                begin_step(tx, fence, StepKind::RollOut, now).await?;
                entries.push(end_step(tx, fence, StepKind::RollOut, now).await?);
                entries.push(Entry::own(Event::RollOutEnded { deploy, roll_out }));
            }
            record(tx, &subject, now, entries).await
        })
    }

    /// Ends a rollback that has no deploy and never will.
    pub(crate) async fn fail(
        &self,
        fence: Fence,
        error: &StoredError,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET state = 'FAILED', error = $3, needs_attention = $4, update_time = $5,
                             end_time = $5, version = version + 1, lease_owner = NULL
                         WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        error.0.as_slice(),
                        false,
                        now
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            end_open_steps(tx, fence, now).await?;
            let error = error.clone();
            record(tx, &subject, now, vec![Entry::own(Event::Failed { error })]).await
        })
    }
}

/// Tells a deadline that has passed from a fence that was lost.
async fn too_late(tx: &mut Connection, fence: Fence) -> Result<Attempt, Error> {
    let held = tx
        .fetch_optional::<(i64,)>(
            "SELECT fence FROM rollbacks
             WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')",
            args![fence.rollback.get(), fence.counter],
        )
        .await?;
    if held.is_some() {
        Ok(Attempt::TooLate)
    } else {
        Err(Error::Lost)
    }
}

async fn touch(tx: &mut Connection, fence: Fence, now: DateTime<Utc>) -> Result<Subject, Error> {
    tx.fetch_optional::<Subject>(
        "UPDATE rollbacks SET update_time = $3, version = version + 1
         WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')
         RETURNING id, deployment, state",
        args![fence.rollback.get(), fence.counter, now],
    )
    .await?
    .ok_or(Error::Lost)
}

/// Begins an attempt of a step, and returns what to tell of it.
async fn begin_step(
    tx: &mut Connection,
    fence: Fence,
    kind: StepKind,
    now: DateTime<Utc>,
) -> Result<Entry, Error> {
    let (attempts,) = tx
        .fetch_one::<(i64,)>(
            "INSERT INTO rollback_steps (rollback, kind, attempts, failures, start_time)
             VALUES ($1, $2, 1, 0, $3)
             ON CONFLICT (rollback, kind) DO UPDATE
             SET attempts = rollback_steps.attempts + 1, failures = 0, end_time = NULL
             RETURNING attempts",
            args![fence.rollback.get(), kind.as_str(), now],
        )
        .await?;
    Ok(Entry::own(Event::StepStarted(attempted(kind, attempts)?)))
}

/// Ends a step that went well, whatever its attempts before said, and returns what to tell of it.
async fn end_step(
    tx: &mut Connection,
    fence: Fence,
    kind: StepKind,
    now: DateTime<Utc>,
) -> Result<Entry, Error> {
    let (attempts,) = tx
        .fetch_one::<(i64,)>(
            "UPDATE rollback_steps SET end_time = $3, error = NULL
             WHERE rollback = $1 AND kind = $2
             RETURNING attempts",
            args![fence.rollback.get(), kind.as_str(), now],
        )
        .await?;
    Ok(Entry::own(Event::StepSucceeded(attempted(kind, attempts)?)))
}

fn attempted(step: StepKind, attempts: i64) -> Result<Attempted, Error> {
    let attempt = i32::try_from(attempts).map_err(database::Error::corrupt)?;
    Ok(Attempted { step, attempt })
}

/// No step goes on after the rollback has ended.
async fn end_open_steps(
    tx: &mut Connection,
    fence: Fence,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE rollback_steps SET end_time = $2 WHERE rollback = $1 AND end_time IS NULL",
        args![fence.rollback.get(), now],
    )
    .await?;
    Ok(())
}
