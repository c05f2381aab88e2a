//! Keeping who asked for a rollback and was refused.

use chassis::identity::Caller;
use chassis::problem::{Problem, chain};
use model::names::DeploymentName;
use model::permissions::PermissionSet;

use super::wanted::Wanted;
use crate::api::Api;
use crate::clients::failure;
use crate::domain::audit::{AuditedRequest, Event};
use crate::store::{Kept, Refusal};

/// What was asked for, as far as it is known before there is a plan.
pub(super) fn asked(wanted: &Wanted) -> AuditedRequest {
    let Wanted {
        target,
        scope,
        description,
        plan_digest,
        acknowledged,
        request: _,
        validate_only: _,
    } = wanted;
    AuditedRequest {
        target: Some(target.number()),
        scope: *scope,
        description: description.clone(),
        expected_latest: None,
        permissions: PermissionSet::EMPTY,
        plan_digest: *plan_digest,
        acknowledged: acknowledged.clone(),
        hold: false,
        allow_marked_bad: false,
    }
}

/// Keeps that the caller was refused, and returns what it is told. That it could not be kept is nothing
/// to the caller.
pub(super) async fn record(
    service: &Api,
    caller: &Caller,
    deployment: &DeploymentName,
    asked: AuditedRequest,
    problem: Problem,
) -> Problem {
    let (error, problem) = failure::kept(problem);
    let refusal = Refusal {
        deployment: deployment.clone(),
        principal: caller.principal().clone(),
        rollback: None,
        event: Event::RollbackRefused {
            request: Box::new(asked),
            error,
        },
    };
    let now = service.environment.now();
    match service.store.record_refusal(&refusal, now).await {
        Ok(Kept::Yes) => {}
        Ok(Kept::TooMany) => {
            let principal = caller.principal();
            tracing::warn!(%deployment, %principal, "a refused rollback is not kept: too many in this hour");
        }
        Err(error) => {
            tracing::error!(%deployment, cause = chain(&error), "cannot keep a refused rollback");
        }
    }
    problem
}
