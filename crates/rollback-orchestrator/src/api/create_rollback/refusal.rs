//! Keeping who asked for a rollback and was refused.

use chassis::identity::Caller;
use chassis::problem::Problem;
use model::names::DeploymentName;
use model::permissions::PermissionSet;

use super::wanted::Wanted;
use crate::api::{Api, refusals};
use crate::domain::audit::{AuditedRequest, Event};
use crate::domain::options::Options;
use crate::domain::target::{Aim, Asked};

/// What was asked for, as far as it is known before there is a plan.
pub(super) fn asked(wanted: &Wanted) -> AuditedRequest {
    let Wanted {
        asked:
            Asked {
                deployment: _,
                aim,
                scope,
                options:
                    Options {
                        hold,
                        allow_marked_bad,
                    },
            },
        description,
        plan_digest,
        acknowledged,
        request: _,
        validate_only: _,
    } = wanted;
    AuditedRequest {
        target: match aim {
            Aim::Deploy(number) => Some(*number),
            Aim::Previous | Aim::AsOf(_) => None,
        },
        scope: *scope,
        description: description.clone(),
        expected_latest: None,
        permissions: PermissionSet::EMPTY,
        plan_digest: *plan_digest,
        acknowledged: acknowledged.clone(),
        hold: *hold,
        allow_marked_bad: *allow_marked_bad,
    }
}

/// Keeps that the caller was refused, and returns what it is told.
pub(super) async fn record(
    service: &Api,
    caller: &Caller,
    deployment: &DeploymentName,
    asked: AuditedRequest,
    problem: Problem,
) -> Problem {
    let event = |error| Event::RollbackRefused {
        request: Box::new(asked),
        error,
    };
    refusals::keep(service, caller, deployment, None, problem, event).await
}
