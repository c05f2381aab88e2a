use chassis::database::{self, Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{DeployNumber, RollbackId, RollbackName};
use uuid::Uuid;

use super::audit::{Subject, record};
use super::leases::set_attention;
use super::progress::{end_step, note_failure, told_of_roll_out};
use super::rollbacks::{number, parse};
use super::{Error, Fence, Lease, Store};
use crate::domain::rollback::{Looks, RollOutEnd, StepKind, StoredError};

/// How the roll-outs of written deploys are followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follow {
    /// For how long.
    pub(crate) within: TimeDelta,
    pub(crate) looks: Looks,
}

impl Follow {
    /// Until when a roll-out that begins now is followed, and when to look at it first.
    pub(super) fn from(&self, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let Self { within, looks } = self;
        let deadline = now + *within;
        (deadline, looks.next(now, deadline, now))
    }
}

/// A rollback whose roll-out has to be looked at.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) fence: Fence,
    pub(crate) name: RollbackName,
    pub(crate) deploy: DeployNumber,
    /// When the roll-out began.
    pub(crate) start: DateTime<Utc>,
    /// Until when it is followed.
    pub(crate) deadline: DateTime<Utc>,
    /// Whether that has passed.
    pub(crate) past_deadline: bool,
}

/// What a look has brought that did not see the end.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    /// How it failed, if it did.
    pub(crate) error: Option<StoredError>,
    pub(crate) needs_attention: bool,
}

#[derive(sqlx::FromRow)]
struct FollowedRow {
    id: Uuid,
    deployment: String,
    deploy: i64,
    end_time: i64,
    roll_out_deadline: i64,
    fence: i64,
}

impl Store {
    /// Gives a roll-out to look at that is due, by the database's clock. Of many who ask, one gets it,
    /// and nobody else until the lease expires.
    pub(crate) async fn follow(&self, lease: &Lease) -> Result<Option<Followed>, Error> {
        if !self.any_to_follow().await? {
            return Ok(None);
        }
        let claimed: Result<_, Error> = transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            Ok(claim(tx, lease, database_time)
                .await?
                .map(|row| (row, database_time)))
        });
        match claimed? {
            Some((row, database_time)) => Ok(Some(followed(row, database_time)?)),
            None => Ok(None),
        }
    }

    /// Looks without a transaction, so that a service at rest does not queue for SQLite's writer.
    async fn any_to_follow(&self) -> Result<bool, Error> {
        let mut connection = self.database.read().await?;
        let database_time = connection.database_time().await?;
        let found = connection
            .fetch_optional::<(i64,)>(
                "SELECT lease_expire_time FROM rollbacks
                 WHERE roll_out = 'NOT_ENDED' AND lease_expire_time <= $1
                 LIMIT 1",
                args![database_time],
            )
            .await?;
        Ok(found.is_some())
    }

    /// Leaves a roll-out that has not ended until the next look. One that goes as the last one went
    /// changes nothing, unless it failed.
    pub(crate) async fn look_again(
        &self,
        followed: &Followed,
        looked: &Looked,
        looks: Looks,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Looked {
            error,
            needs_attention,
        } = looked;
        let fence = followed.fence;
        transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            let next = looks.next(followed.start, followed.deadline, database_time);
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET lease_owner = NULL, lease_expire_time = $3
                         WHERE id = $1 AND fence = $2 AND roll_out = 'NOT_ENDED'
                         RETURNING id, deployment, state",
                    args![fence.rollback.get(), fence.counter, next],
                )
                .await?
                .ok_or(Error::Lost)?;
            let attention = set_attention(tx, fence, *needs_attention, now).await?;
            let mut entries = Vec::new();
            let news = match error {
                Some(error) => {
                    entries.extend(note_failure(tx, fence, StepKind::RollOut, error).await?);
                    true
                }
                None => forget_failures(tx, fence).await?,
            };
            if news {
                tx.execute(
                    "UPDATE rollbacks SET update_time = $2, version = version + 1 WHERE id = $1",
                    args![fence.rollback.get(), now],
                )
                .await?;
            }
            entries.extend(attention.map(|(_, told)| told));
            record(tx, &subject, now, entries).await
        })
    }

    /// Notes how a roll-out ended.
    pub(crate) async fn end_roll_out(
        &self,
        followed: &Followed,
        end: &RollOutEnd,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let fence = followed.fence;
        let RollOutEnd { how, reason } = end;
        transaction!(self.database, |tx| {
            let subject = tx
                .fetch_optional::<Subject>(
                    "UPDATE rollbacks
                         SET roll_out = $3, roll_out_reason = $4, needs_attention = $5,
                             update_time = $6, version = version + 1, lease_owner = NULL
                         WHERE id = $1 AND fence = $2 AND roll_out = 'NOT_ENDED'
                         RETURNING id, deployment, state",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        how.as_str(),
                        reason,
                        false,
                        now
                    ],
                )
                .await?
                .ok_or(Error::Lost)?;
            let step = end_step(tx, fence, StepKind::RollOut, now).await?;
            let told = told_of_roll_out(followed.deploy, end, step);
            record(tx, &subject, now, told).await
        })
    }
}

/// A look went well again. False if the last one did, too.
async fn forget_failures(tx: &mut Connection, fence: Fence) -> Result<bool, Error> {
    let changed = tx
        .execute(
            "UPDATE rollback_steps SET error = NULL, failures = 0
             WHERE rollback = $1 AND kind = $2 AND error IS NOT NULL",
            args![fence.rollback.get(), StepKind::RollOut.as_str()],
        )
        .await?;
    Ok(changed > 0)
}

/// The outer condition is judged again by PostgreSQL once the row's lock is had.
async fn claim(
    tx: &mut Connection,
    lease: &Lease,
    database_time: DateTime<Utc>,
) -> Result<Option<FollowedRow>, Error> {
    let row = tx
        .fetch_optional::<FollowedRow>(
            "UPDATE rollbacks
             SET lease_owner = $1, lease_expire_time = $2, fence = fence + 1
             WHERE id = (SELECT id FROM rollbacks
                         WHERE roll_out = 'NOT_ENDED' AND lease_expire_time <= $3
                         ORDER BY lease_expire_time
                         LIMIT 1)
               AND roll_out = 'NOT_ENDED' AND lease_expire_time <= $3
             RETURNING id, deployment, deploy, end_time, roll_out_deadline, fence",
            args![lease.owner, database_time + lease.duration, database_time],
        )
        .await?;
    Ok(row)
}

fn followed(row: FollowedRow, database_time: DateTime<Utc>) -> Result<Followed, database::Error> {
    let FollowedRow {
        id,
        deployment,
        deploy,
        end_time,
        roll_out_deadline,
        fence,
    } = row;
    let rollback = RollbackId::new(id);
    let deadline = time(roll_out_deadline)?;
    Ok(Followed {
        fence: Fence {
            rollback,
            counter: fence,
        },
        name: RollbackName::new(parse("deployment", &deployment)?, rollback),
        deploy: number(deploy)?,
        start: time(end_time)?,
        deadline,
        past_deadline: deadline <= database_time,
    })
}
