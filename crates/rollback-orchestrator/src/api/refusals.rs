//! Keeping who was refused.

use chassis::identity::Caller;
use chassis::problem::{Problem, chain};
use model::names::DeploymentName;

use super::Api;
use crate::clients::failure;
use crate::domain::audit::{Event, Stage};
use crate::domain::rollback::StoredError;
use crate::store::{Kept, Refusal};

/// Keeps that the caller was refused, and returns what it is told. That it could not be kept is nothing
/// to the caller.
pub(super) async fn keep(
    service: &Api,
    caller: &Caller,
    deployment: &DeploymentName,
    rollback: Option<Stage>,
    problem: Problem,
    event: impl FnOnce(StoredError) -> Event,
) -> Problem {
    let (error, problem) = failure::kept(problem);
    let refusal = Refusal {
        deployment: deployment.clone(),
        principal: caller.principal().clone(),
        rollback,
        event: event(error),
    };
    let now = service.environment.now();
    let (kind, principal) = (refusal.event.kind(), &refusal.principal);
    match service.store.record_refusal(&refusal, now).await {
        Ok(Kept::Yes) => {}
        Ok(Kept::TooMany) => {
            tracing::warn!(%kind, %deployment, %principal, "a refusal is not kept: too many in this hour");
        }
        Err(error) => {
            tracing::error!(%kind, %deployment, cause = chain(&error), "cannot keep a refusal");
        }
    }
    problem
}
