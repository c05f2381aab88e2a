//! What was decided and done. Each event is written in the transaction of what it tells of, so that there
//! is never one without the other.
//!
//! Who writes an event locks the row of the rollback first, by changing it, and the Deployment's counter
//! last. So numbers have no gaps, and are committed in their order: who has read up to a number misses
//! nothing that comes later.

mod detail;

use chassis::database::{self, Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{DeploymentName, Principal, RollbackId, ServiceName};
use uuid::Uuid;

use self::detail::Detail;
use super::rollbacks::parse;
use super::{Error, Store};
use crate::domain::audit::{AuditEvent, Event, EventKind, Stage};

/// How many refusals of one principal are kept for an hour.
const MOST_REFUSALS: i64 = 60;

/// The rollback that something was done about, as its row says after that: `RETURNING id, deployment,
/// state`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Subject {
    pub(super) id: Uuid,
    pub(super) deployment: String,
    pub(super) state: String,
}

/// An event to write, and whose doing it is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    principal: Principal,
    event: Event,
}

impl Entry {
    /// Somebody decided it.
    pub(super) const fn by(principal: Principal, event: Event) -> Self {
        Self { principal, event }
    }

    /// This service did it by itself.
    pub(super) const fn own(event: Event) -> Self {
        Self::by(Principal::Service(ServiceName::RollbackOrchestrator), event)
    }
}

/// Somebody who was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) deployment: DeploymentName,
    pub(crate) principal: Principal,
    /// The rollback that it was about, if there is one.
    pub(crate) rollback: Option<Stage>,
    pub(crate) event: Event,
}

/// Whether a refusal was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    /// The principal was refused too often in this hour.
    TooMany,
}

#[derive(sqlx::FromRow)]
struct Row {
    number: i64,
    kind: String,
    principal: String,
    rollback: Option<Uuid>,
    event_time: i64,
    detail: String,
}

/// Writes events about a rollback, in this order. Nothing else may be locked after it.
pub(super) async fn record(
    tx: &mut Connection,
    subject: &Subject,
    now: DateTime<Utc>,
    entries: Vec<Entry>,
) -> Result<(), Error> {
    let Subject {
        id,
        deployment,
        state,
    } = subject;
    append(tx, deployment, Some((*id, state)), now, entries).await
}

async fn append(
    tx: &mut Connection,
    deployment: &str,
    about: Option<(Uuid, &str)>,
    now: DateTime<Utc>,
    entries: Vec<Entry>,
) -> Result<(), Error> {
    let count = i64::try_from(entries.len()).map_err(database::Error::corrupt)?;
    if count == 0 {
        return Ok(());
    }
    let (last,) = tx
        .fetch_one::<(i64,)>(
            "INSERT INTO audit_counters (deployment, last) VALUES ($1, $2)
             ON CONFLICT (deployment) DO UPDATE SET last = audit_counters.last + $2
             RETURNING last",
            args![deployment, count],
        )
        .await?;
    for (number, Entry { principal, event }) in (last - count + 1..).zip(entries) {
        let detail = Detail::of(about.map(|(_, state)| state), &event).write()?;
        tx.execute(
            "INSERT INTO audit_events
                 (deployment, number, kind, principal, rollback, event_time, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args![
                deployment,
                number,
                event.kind().as_str(),
                principal.to_string(),
                about.map(|(rollback, _)| rollback),
                now,
                detail
            ],
        )
        .await?;
    }
    Ok(())
}

impl Store {
    /// Keeps that somebody was refused, if that was not kept too often for them in this hour, by any
    /// replica.
    pub(crate) async fn record_refusal(
        &self,
        refusal: &Refusal,
        now: DateTime<Utc>,
    ) -> Result<Kept, Error> {
        let Refusal {
            deployment,
            principal,
            rollback,
            event,
        } = refusal;
        let an_hour_ago = now - TimeDelta::hours(1);
        // Whoever was refused too often holds up nobody's writes.
        if !self.has_room(principal, an_hour_ago).await? {
            return Ok(Kept::TooMany);
        }
        transaction!(self.database, |tx| {
            let counted = tx
                .execute(
                    "INSERT INTO audit_refusals (principal, hour_start, kept) VALUES ($1, $2, 1)
                     ON CONFLICT (principal) DO UPDATE
                     SET kept = CASE WHEN audit_refusals.hour_start > $3
                             THEN audit_refusals.kept + 1 ELSE 1 END,
                         hour_start = CASE WHEN audit_refusals.hour_start > $3
                             THEN audit_refusals.hour_start ELSE $2 END
                     WHERE audit_refusals.hour_start <= $3 OR audit_refusals.kept < $4",
                    args![principal.to_string(), now, an_hour_ago, MOST_REFUSALS],
                )
                .await?;
            if counted == 0 {
                return Ok(Kept::TooMany);
            }
            let about = rollback.map(|Stage { rollback, state }| (rollback.get(), state.as_str()));
            let entry = Entry::by(principal.clone(), event.clone());
            append(tx, &deployment.to_string(), about, now, vec![entry]).await?;
            Ok(Kept::Yes)
        })
    }

    async fn has_room(
        &self,
        principal: &Principal,
        an_hour_ago: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let mut connection = self.database.read().await?;
        let full = connection
            .fetch_optional::<(i64,)>(
                "SELECT kept FROM audit_refusals
                 WHERE principal = $1 AND hour_start > $2 AND kept >= $3",
                args![principal.to_string(), an_hour_ago, MOST_REFUSALS],
            )
            .await?;
        Ok(full.is_none())
    }

    /// The events of a Deployment, or of one of its rollbacks, after the event with a number: the
    /// first ones of them.
    pub(crate) async fn audit_events(
        &self,
        deployment: &DeploymentName,
        rollback: Option<RollbackId>,
        after: i64,
        most: i64,
    ) -> Result<Vec<AuditEvent>, Error> {
        let mut connection = self.database.read().await?;
        events_after(&mut connection, deployment, rollback, after, most).await
    }
}

pub(super) async fn events_after(
    connection: &mut Connection,
    deployment: &DeploymentName,
    rollback: Option<RollbackId>,
    after: i64,
    most: i64,
) -> Result<Vec<AuditEvent>, Error> {
    let mut args = args![deployment.to_string(), after, most];
    let sql = match rollback {
        None => {
            "SELECT number, kind, principal, rollback, event_time, detail FROM audit_events
             WHERE deployment = $1 AND number > $2
             ORDER BY number LIMIT $3"
        }
        Some(rollback) => {
            args.push(rollback.get().into());
            "SELECT number, kind, principal, rollback, event_time, detail FROM audit_events
             WHERE deployment = $1 AND number > $2 AND rollback = $4
             ORDER BY number LIMIT $3"
        }
    };
    let rows = connection.fetch_all::<Row>(sql, args).await?;
    let events = rows.into_iter().map(|row| row.read(deployment));
    Ok(events.collect::<Result<_, _>>()?)
}

impl Row {
    fn read(self, deployment: &DeploymentName) -> Result<AuditEvent, database::Error> {
        let Self {
            number,
            kind,
            principal,
            rollback,
            event_time,
            detail,
        } = self;
        let kind = EventKind::from_name(&kind)
            .ok_or_else(|| database::Error::corrupt(format!("an event of kind `{kind}`")))?;
        let (state, event) = Detail::read(&detail)?.event(kind)?;
        let rollback = match (rollback, state) {
            (Some(rollback), Some(state)) => Some(Stage {
                rollback: RollbackId::new(rollback),
                state,
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(database::Error::corrupt("an event of half a rollback"));
            }
        };
        Ok(AuditEvent {
            deployment: deployment.clone(),
            number,
            event_time: time(event_time)?,
            principal: parse("principal", &principal)?,
            rollback,
            event,
        })
    }
}
