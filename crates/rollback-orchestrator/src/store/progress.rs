use chassis::database::{self, Connection};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{DeployNumber, Principal};

use super::audit::{Entry, Subject, record};
use super::following::Follow;
use super::rollbacks::{NOT_ENDED, parse};
use super::{Error, Fence, Lease, Store};
use crate::domain::audit::{Attempted, Event, is_told};
use crate::domain::rollback::{
    Closing, Ending, RollOut, RollOutEnd, StepKind, StoredError, WrittenDeploy,
};

/// A rollback whose attempt has begun.
#[derive(sqlx::FromRow)]
struct Begun {
    #[sqlx(flatten)]
    subject: Subject,
    write_deadline: i64,
}

/// Whether an attempt to write may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It has begun, and must end within this time.
    Begun(TimeDelta),
    /// The deadline has passed, and nothing more may be sent.
    TooLate,
    /// This person has asked to cancel the rollback, and nothing more may be sent.
    Cancelled(Principal),
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
                           AND write_deadline > $5 AND cancelled_by IS NULL
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
                return why_not(tx, fence).await;
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
            let failed = note_failure(tx, fence, kind, error).await?;
            record(tx, &subject, now, failed.into_iter().collect()).await
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

    /// Notes how the rollback will end, before the registry is asked to close it. From here on nobody
    /// tries to write it any more, and how it ends does not change, unless there is a deploy.
    pub(crate) async fn begin_close(
        &self,
        fence: Fence,
        lease: &Lease,
        closing: &Closing,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET error = $3, closing = $4, lease_expire_time = $5, update_time = $6,
                             version = version + 1
                         WHERE id = $1 AND fence = $2 AND state = 'RUNNING' AND closing IS NULL
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        closing.error.0.as_slice(),
                        closing.ending.as_str(),
                        database_time + lease.duration,
                        now
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            let error = closing.error.clone();
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
    /// roll-out has ended too; otherwise it is somebody else's, and is followed from here on.
    pub(crate) async fn succeed(
        &self,
        fence: Fence,
        deploy: &WrittenDeploy,
        follow: &Follow,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let WrittenDeploy { number, roll_out } = deploy;
        let (how, reason) = match roll_out {
            Some(RollOutEnd { how, reason }) => (how.as_str(), Some(reason.as_str())),
            None => (NOT_ENDED, None),
        };
        transaction!(self.database, |tx| {
            let (deadline, first_look) = match roll_out {
                Some(_) => (None, None),
                None => {
                    let (deadline, first_look) = follow.from(tx.database_time().await?);
                    (Some(deadline), Some(first_look))
                }
            };
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET state = 'SUCCEEDED', deploy = $3, roll_out = $4,
                             roll_out_reason = $5, roll_out_deadline = $6, error = NULL,
                             closing = NULL, needs_attention = $7, update_time = $8,
                             end_time = $8, version = version + 1, lease_owner = NULL,
                             lease_expire_time = COALESCE($9, lease_expire_time)
                         WHERE id = $1 AND fence = $2 AND state = 'RUNNING'
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        number.get(),
                        how,
                        reason,
                        deadline,
                        false,
                        now,
                        first_look
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            // The write was confirmed, whatever its last answer was.
            let written = end_step(tx, fence, StepKind::Write, now).await?;
            let deploy = *number;
            let mut entries = vec![written, Entry::own(Event::Succeeded { deploy })];
            end_open_steps(tx, fence, now).await?;
            let started = begin_step(tx, fence, StepKind::RollOut, now).await?;
            match roll_out {
                None => entries.push(started),
                Some(end) => {
                    let ended = end_step(tx, fence, StepKind::RollOut, now).await?;
                    entries.extend(told_of_roll_out(deploy, end, ended));
                }
            }
            record(tx, &subject, now, entries).await
        })
    }

    /// Ends a rollback that has no deploy and never will.
    pub(crate) async fn end_without_deploy(
        &self,
        fence: Fence,
        closing: &Closing,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            end_without_deploy(tx, fence, closing, now).await
        })
    }
}

pub(super) async fn end_without_deploy(
    tx: &mut Connection,
    fence: Fence,
    Closing { ending, error }: &Closing,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let subject = tx
        .fetch_optional::<Subject>(
            "UPDATE rollbacks
             SET state = $3, error = $4, needs_attention = $5, update_time = $6, end_time = $6,
                 version = version + 1, lease_owner = NULL
             WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')
             RETURNING id, deployment, state",
            args![
                fence.rollback.get(),
                fence.counter,
                ending.as_str(),
                error.0.as_slice(),
                false,
                now
            ],
        )
        .await?
        .ok_or(Error::Lost)?;
    end_open_steps(tx, fence, now).await?;
    let event = match ending {
        Ending::Failed => Event::Failed {
            error: error.clone(),
        },
        Ending::Cancelled => Event::Cancelled,
    };
    record(tx, &subject, now, vec![Entry::own(event)]).await
}

/// What is told of a roll-out that has ended. That its step went well is said only if the deploy runs.
pub(super) fn told_of_roll_out(deploy: DeployNumber, end: &RollOutEnd, step: Entry) -> Vec<Entry> {
    let roll_out = end.how;
    let ended = Entry::own(Event::RollOutEnded { deploy, roll_out });
    match roll_out {
        RollOut::Deployed => vec![step, ended],
        RollOut::Failed | RollOut::Superseded | RollOut::TimedOut => vec![ended],
    }
}

/// Why an attempt may not begin.
async fn why_not(tx: &mut Connection, fence: Fence) -> Result<Attempt, Error> {
    let held = tx
        .fetch_optional::<(Option<String>,)>(
            "SELECT cancelled_by FROM rollbacks
             WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')",
            args![fence.rollback.get(), fence.counter],
        )
        .await?;
    match held {
        Some((Some(by),)) => Ok(Attempt::Cancelled(parse("cancelled_by", &by)?)),
        Some((None,)) => Ok(Attempt::TooLate),
        None => Err(Error::Lost),
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
pub(super) async fn end_step(
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

/// Notes that an attempt failed, and returns what to tell of it, if it is told this time.
pub(super) async fn note_failure(
    tx: &mut Connection,
    fence: Fence,
    kind: StepKind,
    error: &StoredError,
) -> Result<Option<Entry>, Error> {
    let failed = tx
        .fetch_optional::<(i64, i64)>(
            "UPDATE rollback_steps SET error = $3, failures = failures + 1
             WHERE rollback = $1 AND kind = $2
             RETURNING attempts, failures",
            args![fence.rollback.get(), kind.as_str(), error.0.as_slice()],
        )
        .await?;
    let Some((attempts, _)) = failed.filter(|(_, failures)| is_told(*failures)) else {
        return Ok(None);
    };
    Ok(Some(Entry::own(Event::StepFailed {
        attempted: attempted(kind, attempts)?,
        error: error.clone(),
    })))
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
