use chassis::database::{self, Connection};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{RollbackId, RollbackName};
use uuid::Uuid;

use super::audit::{Entry, Subject, record};
use super::rollbacks::{OrderRow, parse, unknown};
use super::{Error, Fence, Store, fenced};
use crate::domain::audit::{Event, is_told};
use crate::domain::rollback::{Closing, Ending, Order, StoredError};

/// Who carries rollbacks out, and for how long without a sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) owner: Uuid,
    pub(crate) duration: TimeDelta,
}

/// A rollback to carry out, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) fence: Fence,
    pub(crate) name: RollbackName,
    pub(crate) order: Order,
    /// Whether anything can have been sent to the registry.
    pub(crate) sent: bool,
    /// How the rollback ends, if that was decided, once there is no deploy for certain.
    pub(crate) closing: Option<Closing>,
    /// Whether that was not to be found out so far.
    pub(crate) needs_attention: bool,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    #[sqlx(flatten)]
    order: OrderRow,
    state: String,
    needs_attention: bool,
    error: Option<Vec<u8>>,
    closing: Option<String>,
    fence: i64,
}

impl Store {
    /// Takes up a rollback that nobody carries out any more: one whose lease has expired, by the
    /// database's clock. Of many who try, one gets it.
    pub(crate) async fn take_up(
        &self,
        lease: &Lease,
        now: DateTime<Utc>,
    ) -> Result<Option<Job>, Error> {
        if !self.any_to_take_up().await? {
            return Ok(None);
        }
        // A row that cannot be read here, which a newer release may have written, keeps its new lease:
        // else it would be the first one again each time, and hold up all others.
        let row: Result<_, Error> = transaction!(self.database, |tx| take_up(tx, lease, now).await);
        Ok(row?.map(Job::try_from).transpose()?)
    }

    /// Looks without a transaction, so that a service at rest does not queue for SQLite's writer.
    async fn any_to_take_up(&self) -> Result<bool, Error> {
        let mut connection = self.database.read().await?;
        let database_time = connection.database_time().await?;
        let found = connection
            .fetch_optional::<(i64,)>(
                "SELECT lease_expire_time FROM rollbacks
                 WHERE state IN ('PENDING', 'RUNNING') AND lease_expire_time <= $1
                 LIMIT 1",
                args![database_time],
            )
            .await?;
        Ok(found.is_some())
    }

    /// Says that the rollback is still being carried out, and whether that needs people.
    pub(crate) async fn renew_lease(
        &self,
        fence: Fence,
        lease: &Lease,
        needs_attention: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let database_time = tx.database_time().await?;
            let changed = tx
                .execute(
                    "UPDATE rollbacks SET lease_expire_time = $3
                         WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')",
                    args![
                        fence.rollback.get(),
                        fence.counter,
                        database_time + lease.duration
                    ],
                )
                .await?;
            fenced(changed)?;
            match set_attention(tx, fence, needs_attention, now).await? {
                Some((subject, told)) => record(tx, &subject, now, vec![told]).await,
                None => Ok(()),
            }
        })
    }

    /// Leaves a rollback to whoever looks next.
    pub(crate) async fn release(&self, fence: Fence) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            let changed = tx
                .execute(
                    "UPDATE rollbacks SET lease_owner = NULL, lease_expire_time = 0
                         WHERE id = $1 AND fence = $2 AND state IN ('PENDING', 'RUNNING')",
                    args![fence.rollback.get(), fence.counter],
                )
                .await?;
            fenced(changed)
        })
    }
}

/// Says whether people are needed, and returns what to tell of that, if it changes.
pub(super) async fn set_attention(
    tx: &mut Connection,
    fence: Fence,
    needed: bool,
    now: DateTime<Utc>,
) -> Result<Option<(Subject, Entry)>, Error> {
    let changed = tx
        .fetch_optional::<Subject>(
            "UPDATE rollbacks
             SET needs_attention = $3, update_time = $4, version = version + 1
             WHERE id = $1 AND fence = $2 AND needs_attention <> $3
             RETURNING id, deployment, state",
            args![fence.rollback.get(), fence.counter, needed, now],
        )
        .await?;
    let event = if needed {
        Event::AttentionNeeded
    } else {
        Event::AttentionCleared
    };
    Ok(changed.map(|subject| (subject, Entry::own(event))))
}

/// The outer condition is judged again by PostgreSQL once the row's lock is had: of two who chose
/// the same row, the second one finds a lease that has not expired.
async fn take_up(
    tx: &mut Connection,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<Option<JobRow>, Error> {
    let database_time = tx.database_time().await?;
    let row = tx
        .fetch_optional::<JobRow>(
            "UPDATE rollbacks
             SET lease_owner = $1, lease_expire_time = $2, fence = fence + 1
             WHERE id = (SELECT id FROM rollbacks
                         WHERE state IN ('PENDING', 'RUNNING') AND lease_expire_time <= $3
                         ORDER BY lease_expire_time
                         LIMIT 1)
               AND state IN ('PENDING', 'RUNNING') AND lease_expire_time <= $3
             RETURNING id, deployment, deployment_uid, created_by, target, expected_latest,
                 replaced, scope, description, permissions, plan_digest, acknowledged, hold,
                 allow_marked_bad, state, needs_attention, error, closing, fence",
            args![lease.owner, database_time + lease.duration, database_time],
        )
        .await?;
    // Every owner but the first one took it up.
    if let Some(row) = row.as_ref().filter(|row| is_told(row.fence - 1)) {
        let subject = Subject {
            id: row.order.id,
            deployment: row.order.deployment.clone(),
            state: row.state.clone(),
        };
        record(tx, &subject, now, vec![Entry::own(Event::TakenUp)]).await?;
    }
    Ok(row)
}

impl TryFrom<JobRow> for Job {
    type Error = database::Error;

    fn try_from(row: JobRow) -> Result<Self, database::Error> {
        let JobRow {
            order,
            state,
            needs_attention,
            error,
            closing,
            fence,
        } = row;
        let rollback = RollbackId::new(order.id);
        let name = RollbackName::new(parse("deployment", &order.deployment)?, rollback);
        let closing = match (closing, error) {
            (Some(ending), Some(error)) => Some(Closing {
                ending: Ending::from_name(&ending).ok_or_else(|| unknown("closing", &ending))?,
                error: StoredError(error),
            }),
            (None, None) => None,
            (closing, _) => return Err(unknown("closing", closing.as_deref().unwrap_or_default())),
        };
        Ok(Self {
            fence: Fence {
                rollback,
                counter: fence,
            },
            name,
            order: order.try_into()?,
            sent: state != "PENDING",
            closing,
            needs_attention,
        })
    }
}
