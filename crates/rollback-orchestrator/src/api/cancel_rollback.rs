//! CancelRollback: ends a rollback whose deploy is not written yet, and waits until it has ended.
//!
//! A write that is under way cannot be called back. Then the registry decides: either it has written the
//! deploy, and there is nothing to cancel any more, or it never will.

use std::time::Duration;

use chassis::access::{Freshness, judge};
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::names::{DeployName, DeployNumber, RollbackName};
use proto::common::v1::ErrorReason;
use proto::rollback::v1::{CancelRollbackRequest, CancelRollbackResponse};
use tokio::time::Instant;
use tonic::{Code, Request};

use super::permission::held_for_plan;
use super::{Api, encode, refusals, unfinished};
use crate::clients::failure;
use crate::domain::audit::{Event, Stage};
use crate::domain::rollback::{State, StateName};

/// How long the caller waits for the end: longer than an attempt to write may take that is under way
/// at another replica.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn handle(
    service: &Api,
    request: Request<CancelRollbackRequest>,
) -> Result<CancelRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let CancelRollbackRequest { name } = request.into_inner();

    let mut fields = Fields::new();
    let Some(name) = fields.parse::<RollbackName>("name", &name) else {
        return Err(fields.into_problem());
    };

    let freshness = Freshness::FullyConsistent;
    let held = held_for_plan(&service.access, &caller, name.deployment(), freshness).await?;
    let rollback = service.store.rollback(&name).await?;
    let rollback = rollback.ok_or_else(|| Problem::not_found("rollback", &name))?;
    let resource = name.deployment().clone().into();
    if let Err(problem) = judge(&caller, &resource, rollback.order.permissions, held) {
        let stage = Stage {
            rollback: name.id(),
            state: rollback.state.name(),
        };
        let event = |error| Event::CancelRefused { error };
        let deployment = name.deployment();
        return Err(
            refusals::keep(service, &caller, deployment, Some(stage), problem, event).await,
        );
    }

    let by = caller.principal();
    let error = failure::cancelled(&name, by);
    let now = service.environment.now();
    service.store.cancel(&name, by, &error, now).await?;
    service.execution.cancelled(name.id());

    let until = Instant::now() + PATIENCE;
    let ended = service.execution.ended(&name, None, until).await?;
    let rollback = ended.ok_or_else(|| unfinished(&name))?;
    match &rollback.state {
        State::Cancelled { .. } => Ok(CancelRollbackResponse {
            rollback: Some(encode::rollback(rollback)),
        }),
        State::Succeeded { deploy, .. } => Err(written(&name, *deploy)),
        State::Failed { .. } => Err(failed(&name)),
        State::Pending | State::Running => Err(unfinished(&name)),
    }
}

fn written(name: &RollbackName, deploy: DeployNumber) -> Problem {
    let deploy = DeployName::new(name.deployment().clone(), deploy);
    let message = format!("{name} has written {deploy}: to undo that, roll back again");
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::RollbackEnded,
        message,
    )
    .with("rollback", name)
    .with("state", StateName::Succeeded)
    .with("deploy", deploy)
}

fn failed(name: &RollbackName) -> Problem {
    let message = format!("{name} has failed: nothing was deployed");
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::RollbackEnded,
        message,
    )
    .with("rollback", name)
    .with("state", StateName::Failed)
}
