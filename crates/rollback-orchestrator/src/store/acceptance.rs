use chassis::database::{self, Connection};
use chassis::problem::comma_separated;
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{DeploymentName, RequestId, RollbackId, RollbackName};
use uuid::Uuid;

use super::audit::{Entry, Subject, record};
use super::{Error, Fence, Job, Lease, Store};
use crate::domain::audit::{Attempted, AuditedRequest, Event};
use crate::domain::options::Options;
use crate::domain::rollback::{Order, StateName, StepKind};

/// A rollback to accept.
#[derive(Clone, Debug)]
pub(crate) struct NewRollback {
    pub(crate) name: RollbackName,
    pub(crate) order: Order,
    pub(crate) request: Option<RequestKey>,
    /// How long it may take to be written, from now on.
    pub(crate) write_within: TimeDelta,
    /// When it can no longer be written in any case.
    pub(crate) grant_expire_time: DateTime<Utc>,
    pub(crate) planned: StepTimes,
    pub(crate) authorized: StepTimes,
}

/// What a client called its request, and what was in it.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    pub(crate) id: RequestId,
    /// The SHA-256 of the request.
    pub(crate) body: [u8; 32],
}

/// When a step that is over was begun and ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepTimes {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

/// Whether a rollback was accepted.
#[derive(Clone, Debug)]
pub(crate) enum Acceptance {
    /// It was, and whoever asked carries it out.
    Accepted(Box<Job>),
    /// The same request was accepted before.
    Repeated,
    /// Another rollback of the Deployment is not written yet.
    InProgress(RollbackName),
}

impl Store {
    /// Accepts a rollback, if the same request was not accepted before and no other rollback of the
    /// Deployment is unwritten. Unique indexes decide that, on all replicas.
    pub(crate) async fn accept(
        &self,
        new: &NewRollback,
        lease: &Lease,
        now: DateTime<Utc>,
    ) -> Result<Acceptance, Error> {
        transaction!(self.database, |tx| accept(tx, new, lease, now).await)
    }
}

async fn accept(
    tx: &mut Connection,
    NewRollback {
        name,
        order,
        request,
        write_within,
        grant_expire_time,
        planned,
        authorized,
    }: &NewRollback,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<Acceptance, Error> {
    let Order {
        deployment_uid,
        target,
        expected_latest,
        replaced,
        scope,
        options: Options {
            hold,
            allow_marked_bad,
        },
        description,
        permissions,
        plan_digest,
        acknowledged,
        created_by,
    } = order;
    let database_time = tx.database_time().await?;
    let write_deadline = (database_time + *write_within).min(*grant_expire_time);
    let fence = Fence {
        rollback: name.id(),
        counter: 1,
    };
    let inserted = tx
        .execute(
            "INSERT INTO rollbacks
                 (id, deployment, deployment_uid, request_id, request_body, created_by, target,
                  expected_latest, replaced, scope, description, permissions, plan_digest,
                  acknowledged, state, needs_attention, write_deadline, create_time, update_time,
                  version, lease_owner, lease_expire_time, fence, hold, allow_marked_bad)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'PENDING', $15,
                     $16, $17, $17, 1, $18, $19, $20, $21, $22)
             ON CONFLICT DO NOTHING",
            args![
                name.id().get(),
                name.deployment().to_string(),
                deployment_uid.0,
                request.as_ref().map(|request| request.id.get()),
                request.as_ref().map(|request| request.body.to_vec()),
                created_by.to_string(),
                target.get(),
                expected_latest.get(),
                replaced.get(),
                scope.as_str(),
                description,
                comma_separated(permissions.iter()),
                plan_digest.to_string(),
                comma_separated(acknowledged),
                false,
                write_deadline,
                now,
                lease.owner,
                database_time + lease.duration,
                fence.counter,
                *hold,
                *allow_marked_bad,
            ],
        )
        .await?;
    if inserted == 0 {
        return in_the_way(tx, name.deployment(), order, request.as_ref()).await;
    }
    for (kind, times) in [(StepKind::Plan, planned), (StepKind::Authorize, authorized)] {
        tx.execute(
            "INSERT INTO rollback_steps (rollback, kind, attempts, failures, start_time, end_time)
             VALUES ($1, $2, 1, 0, $3, $4)",
            args![name.id().get(), kind.as_str(), times.start, times.end],
        )
        .await?;
    }
    record_acceptance(tx, name, order, now).await?;
    Ok(Acceptance::Accepted(Box::new(Job {
        fence,
        name: name.clone(),
        order: order.clone(),
        sent: false,
        closing: None,
        needs_attention: false,
    })))
}

/// The steps before the acceptance are told after it, so that its event is the rollback's first.
async fn record_acceptance(
    tx: &mut Connection,
    name: &RollbackName,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let subject = Subject {
        id: name.id().get(),
        deployment: name.deployment().to_string(),
        state: StateName::Pending.as_str().to_owned(),
    };
    let request = Box::new(AuditedRequest::accepted(order));
    let mut entries = vec![Entry::by(
        order.created_by.clone(),
        Event::RollbackAccepted { request },
    )];
    entries.extend([StepKind::Plan, StepKind::Authorize].map(|step| {
        let attempted = Attempted { step, attempt: 1 };
        Entry::own(Event::StepSucceeded(attempted))
    }));
    record(tx, &subject, now, entries).await
}

/// What a rollback that could not be inserted ran into.
async fn in_the_way(
    tx: &mut Connection,
    deployment: &DeploymentName,
    order: &Order,
    request: Option<&RequestKey>,
) -> Result<Acceptance, Error> {
    if let Some(request) = request {
        let repeated = tx
            .fetch_optional::<(Uuid,)>(
                "SELECT id FROM rollbacks
                 WHERE created_by = $1 AND deployment = $2 AND request_id = $3",
                args![
                    order.created_by.to_string(),
                    deployment.to_string(),
                    request.id.get()
                ],
            )
            .await?;
        if repeated.is_some() {
            return Ok(Acceptance::Repeated);
        }
    }
    let unwritten = tx
        .fetch_optional::<(Uuid,)>(
            "SELECT id FROM rollbacks
             WHERE deployment_uid = $1 AND state IN ('PENDING', 'RUNNING')",
            args![order.deployment_uid.0],
        )
        .await?;
    match unwritten {
        Some((id,)) => {
            let name = RollbackName::new(deployment.clone(), RollbackId::new(id));
            Ok(Acceptance::InProgress(name))
        }
        // It ended in between: start over.
        None => Err(database::Error::Collision.into()),
    }
}
