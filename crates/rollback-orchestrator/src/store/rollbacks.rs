use std::fmt;
use std::str::FromStr;

use chassis::args;
use chassis::database::{self, Connection, time};
use model::names::{DeployNumber, DeploymentName, Principal, RequestId, RollbackId, RollbackName};
use model::permissions::{Permission, PermissionSet};
use uuid::Uuid;

use super::{Error, Store};
use crate::domain::history::DeploymentUid;
use crate::domain::options::Options;
use crate::domain::rollback::{
    Cancel, Links, Order, RollOut, RollOutEnd, Rollback, State, Step, StepKind, StoredError,
};
use crate::domain::warning::WarningCode;

/// Stands for a roll-out that has not ended as far as is known: a deploy that is written has a
/// roll-out in the table.
pub(super) const NOT_ENDED: &str = "NOT_ENDED";

/// A rollback that was found by its request.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) rollback: Rollback,
    /// The SHA-256 of the request that it was accepted for.
    pub(crate) request_body: Vec<u8>,
}

/// What never changes about a rollback.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct OrderRow {
    pub(super) id: Uuid,
    pub(super) deployment: String,
    deployment_uid: Uuid,
    created_by: String,
    target: i64,
    expected_latest: i64,
    replaced: i64,
    scope: String,
    description: String,
    permissions: String,
    plan_digest: String,
    acknowledged: String,
    hold: bool,
    allow_marked_bad: bool,
}

/// A rollback beside one of its steps.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Row {
    #[sqlx(flatten)]
    order: OrderRow,
    target_rollback: Option<Uuid>,
    replaced_rollback: Option<Uuid>,
    replaced_by: Option<Uuid>,
    request_body: Option<Vec<u8>>,
    state: String,
    needs_attention: bool,
    deploy: Option<i64>,
    roll_out: Option<String>,
    roll_out_reason: Option<String>,
    roll_out_deadline: Option<i64>,
    cancelled_by: Option<String>,
    cancel_time: Option<i64>,
    error: Option<Vec<u8>>,
    write_deadline: i64,
    create_time: i64,
    update_time: i64,
    end_time: Option<i64>,
    version: i64,
    step_kind: Option<String>,
    step_attempts: Option<i64>,
    step_start_time: Option<i64>,
    step_end_time: Option<i64>,
    step_error: Option<Vec<u8>>,
}

impl Row {
    pub(super) const fn id(&self) -> Uuid {
        self.order.id
    }

    /// About how many bytes it takes to tell it.
    pub(super) fn bytes(&self) -> usize {
        let errors = [&self.error, &self.step_error];
        let errors = errors.into_iter().flatten().map(Vec::len).sum::<usize>();
        errors + self.order.description.len()
    }
}

/// A rollback with its steps and its neighbours in one statement, so that they are of one moment. Which
/// rollback made a deploy is known by the deploy's number; a deploy can be replaced by several, of which
/// those before the last came to nothing.
macro_rules! select_rollback {
    ($condition:literal) => {
        select_rollback!("rollbacks", $condition)
    };
    ($rollbacks:literal, $condition:literal) => {
        concat!(
            "SELECT r.id, r.deployment, r.deployment_uid, r.created_by, r.target,
                 r.expected_latest, r.replaced, r.scope, r.description, r.permissions,
                 r.plan_digest, r.acknowledged, r.hold, r.allow_marked_bad, r.request_body, r.state,
                 r.needs_attention, r.deploy, r.roll_out, r.roll_out_reason, r.roll_out_deadline,
                 r.cancelled_by, r.cancel_time, r.error, r.write_deadline, r.create_time, r.update_time,
                 r.end_time, r.version, s.kind AS step_kind, s.attempts AS step_attempts,
                 s.start_time AS step_start_time, s.end_time AS step_end_time,
                 s.error AS step_error,
                 (SELECT t.id FROM rollbacks t
                  WHERE t.deployment_uid = r.deployment_uid AND t.deploy = r.target
                    AND t.deploy IS NOT NULL LIMIT 1) AS target_rollback,
                 (SELECT t.id FROM rollbacks t
                  WHERE t.deployment_uid = r.deployment_uid AND t.deploy = r.replaced
                    AND t.deploy IS NOT NULL LIMIT 1) AS replaced_rollback,
                 (SELECT t.id FROM rollbacks t
                  WHERE t.deployment_uid = r.deployment_uid AND t.replaced = r.deploy
                    AND t.deploy IS NOT NULL
                  ORDER BY t.deploy DESC LIMIT 1) AS replaced_by
             FROM ",
            $rollbacks,
            " r LEFT JOIN rollback_steps s ON s.rollback = r.id
             WHERE ",
            $condition
        )
    };
}

pub(super) use select_rollback;

impl Store {
    /// The record of a rollback.
    pub(crate) async fn rollback(&self, name: &RollbackName) -> Result<Option<Rollback>, Error> {
        let mut connection = self.database.read().await?;
        read(&mut connection, name).await
    }

    /// The rollback that a request was accepted as.
    pub(crate) async fn rollback_of_request(
        &self,
        created_by: &Principal,
        deployment: &DeploymentName,
        request: RequestId,
    ) -> Result<Option<Found>, Error> {
        let mut connection = self.database.read().await?;
        let rows = connection
            .fetch_all::<Row>(
                select_rollback!("r.created_by = $1 AND r.deployment = $2 AND r.request_id = $3"),
                args![
                    created_by.to_string(),
                    deployment.to_string(),
                    request.get()
                ],
            )
            .await?;
        Ok(rollback(rows)?.map(|(rollback, request_body)| Found {
            rollback,
            request_body,
        }))
    }

    /// The rollback of a Deployment that is accepted and not written.
    pub(crate) async fn in_progress(
        &self,
        deployment: &DeploymentName,
        uid: DeploymentUid,
    ) -> Result<Option<RollbackName>, Error> {
        let mut connection = self.database.read().await?;
        let found = connection
            .fetch_optional::<(Uuid,)>(
                "SELECT id FROM rollbacks
                 WHERE deployment_uid = $1 AND state IN ('PENDING', 'RUNNING')",
                args![uid.0],
            )
            .await?;
        Ok(found.map(|(id,)| RollbackName::new(deployment.clone(), RollbackId::new(id))))
    }
}

/// The record of a rollback, as this connection sees it.
pub(super) async fn read(
    connection: &mut Connection,
    name: &RollbackName,
) -> Result<Option<Rollback>, Error> {
    let rows = connection
        .fetch_all::<Row>(
            select_rollback!("r.id = $1 AND r.deployment = $2"),
            args![name.id().get(), name.deployment().to_string()],
        )
        .await?;
    Ok(rollback(rows)?.map(|(rollback, _)| rollback))
}

/// One rollback of its rows, and the SHA-256 of the request that it was accepted for.
pub(super) fn rollback(rows: Vec<Row>) -> Result<Option<(Rollback, Vec<u8>)>, database::Error> {
    let Some(first) = rows.first().cloned() else {
        return Ok(None);
    };
    let mut steps = Vec::with_capacity(rows.len());
    for row in rows {
        steps.extend(step(row)?);
    }
    steps.sort_by_key(|step| step.kind);

    let Row {
        order,
        target_rollback,
        replaced_rollback,
        replaced_by,
        request_body,
        state,
        needs_attention,
        deploy,
        roll_out,
        roll_out_reason,
        roll_out_deadline,
        cancelled_by,
        cancel_time,
        error,
        write_deadline,
        create_time,
        update_time,
        end_time,
        version,
        step_kind: _,
        step_attempts: _,
        step_start_time: _,
        step_end_time: _,
        step_error: _,
    } = first;
    let state = match (state.as_str(), deploy, roll_out, error, end_time) {
        ("PENDING", None, None, None, None) => State::Pending,
        ("RUNNING", None, None, _, None) => State::Running,
        ("SUCCEEDED", Some(deploy), Some(roll_out), None, Some(end_time)) => State::Succeeded {
            deploy: number(deploy)?,
            roll_out: match roll_out.as_str() {
                NOT_ENDED => None,
                text => Some(RollOutEnd {
                    how: RollOut::from_name(text).ok_or_else(|| unknown("roll_out", text))?,
                    reason: roll_out_reason.unwrap_or_default(),
                }),
            },
            roll_out_deadline: roll_out_deadline.map(time).transpose()?,
            end_time: time(end_time)?,
        },
        ("FAILED", None, None, Some(error), Some(end_time)) => State::Failed {
            error: StoredError(error),
            end_time: time(end_time)?,
        },
        ("CANCELLED", None, None, Some(error), Some(end_time)) => State::Cancelled {
            error: StoredError(error),
            end_time: time(end_time)?,
        },
        (state, ..) => return Err(unknown("state", state)),
    };
    let cancel = match (cancelled_by, cancel_time) {
        (Some(by), Some(asked)) => Some(Cancel {
            by: parse("cancelled_by", &by)?,
            time: time(asked)?,
        }),
        (None, None) => None,
        (by, _) => return Err(unknown("cancelled_by", by.as_deref().unwrap_or_default())),
    };
    let name = RollbackName::new(
        parse("deployment", &order.deployment)?,
        RollbackId::new(order.id),
    );
    let rollback = Rollback {
        name,
        order: order.try_into()?,
        state,
        needs_attention,
        steps,
        links: Links {
            target: target_rollback.map(RollbackId::new),
            replaced: replaced_rollback.map(RollbackId::new),
            replaced_by: replaced_by.map(RollbackId::new),
        },
        cancel,
        write_deadline: time(write_deadline)?,
        create_time: time(create_time)?,
        update_time: time(update_time)?,
        version,
    };
    Ok(Some((rollback, request_body.unwrap_or_default())))
}

impl TryFrom<OrderRow> for Order {
    type Error = database::Error;

    fn try_from(row: OrderRow) -> Result<Self, database::Error> {
        let OrderRow {
            id: _,
            deployment: _,
            deployment_uid,
            created_by,
            target,
            expected_latest,
            replaced,
            scope,
            description,
            permissions,
            plan_digest,
            acknowledged,
            hold,
            allow_marked_bad,
        } = row;
        Ok(Self {
            deployment_uid: DeploymentUid(deployment_uid),
            target: number(target)?,
            expected_latest: number(expected_latest)?,
            replaced: number(replaced)?,
            scope: parse("scope", &scope)?,
            options: Options {
                hold,
                allow_marked_bad,
            },
            description,
            permissions: names(&permissions)
                .map(|name| parse::<Permission>("permissions", name))
                .collect::<Result<PermissionSet, _>>()?,
            plan_digest: parse("plan_digest", &plan_digest)?,
            acknowledged: names(&acknowledged)
                .map(|name| {
                    WarningCode::from_name(name).ok_or_else(|| unknown("acknowledged", name))
                })
                .collect::<Result<_, _>>()?,
            created_by: parse("created_by", &created_by)?,
        })
    }
}

/// The step that stands beside a rollback, if it has one.
fn step(row: Row) -> Result<Option<Step>, database::Error> {
    let (Some(kind), Some(attempts), Some(start_time)) =
        (row.step_kind, row.step_attempts, row.step_start_time)
    else {
        return Ok(None);
    };
    Ok(Some(Step {
        kind: StepKind::from_name(&kind).ok_or_else(|| unknown("kind", &kind))?,
        attempts: i32::try_from(attempts).map_err(database::Error::corrupt)?,
        start_time: time(start_time)?,
        end_time: row.step_end_time.map(time).transpose()?,
        error: row.step_error.map(StoredError),
    }))
}

/// The items of a list with commas between them.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|name| !name.is_empty())
}

pub(super) fn number(number: i64) -> Result<DeployNumber, database::Error> {
    DeployNumber::new(number).map_err(database::Error::corrupt)
}

pub(super) fn parse<T: FromStr<Err: fmt::Display>>(
    column: &str,
    text: &str,
) -> Result<T, database::Error> {
    text.parse()
        .map_err(|error| database::Error::corrupt(format!("{column}: {error}")))
}

pub(super) fn unknown(column: &str, text: &str) -> database::Error {
    database::Error::corrupt(format!("{column} is `{text}`, which does not fit"))
}
