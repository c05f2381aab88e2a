//! Why a rollback was not carried out, or not yet, as the caller is told.

use chassis::identity::Caller;
use chassis::problem::{Problem, comma_separated};
use model::names::{DeploymentName, RollbackName};
use proto::common::v1::ErrorReason;
use tonic::Code;

use crate::domain::admission::Refusal;

/// What a caller is told whose rollback is not carried out.
pub(super) fn refused(caller: &Caller, deployment: &DeploymentName, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::PermissionMissing {
            missing,
            open_scopes,
            open_without_hold,
        } => {
            let problem = Problem::permission_missing(caller.principal(), missing, deployment)
                .with("open_scopes", comma_separated(open_scopes));
            match open_without_hold {
                Some(scopes) => problem.with("open_scopes_without_hold", comma_separated(scopes)),
                None => problem,
            }
        }
        Refusal::PlanChanged(digest) => Problem::new(
            Code::Aborted,
            ErrorReason::PlanChanged,
            "what would happen now is not what was agreed to: plan again, and look again",
        )
        .with("plan_digest", digest),
        Refusal::InProgress(rollback) => in_progress(&rollback),
        Refusal::Blocked(blockers) => {
            let texts = blockers.iter().map(|blocker| blocker.text.as_str());
            let message = format!(
                "the rollback cannot be done: {}",
                texts.collect::<Vec<_>>().join("; ")
            );
            let codes = comma_separated(blockers.iter().map(|blocker| blocker.code));
            let problem = Problem::new(
                Code::FailedPrecondition,
                ErrorReason::RollbackBlocked,
                message,
            )
            .with("blockers", codes);
            blockers.iter().fold(problem, |problem, blocker| {
                problem.with_precondition(blocker.code.as_str(), &blocker.subject, &blocker.text)
            })
        }
        Refusal::NotAcknowledged(warnings) => {
            let codes = comma_separated(warnings);
            let message = format!(
                "read these warnings in the plan, then send them in acknowledged_warnings: {codes}"
            );
            Problem::new(
                Code::FailedPrecondition,
                ErrorReason::WarningsNotAcknowledged,
                message,
            )
            .with("warnings", codes)
        }
    }
}

pub(super) fn in_progress(rollback: &RollbackName) -> Problem {
    Problem::new(
        Code::Aborted,
        ErrorReason::RollbackInProgress,
        format!("{rollback} is accepted and not written yet: wait for it, then plan again"),
    )
    .with("rollback", rollback)
}

/// The same request was accepted between the look and the insert: the caller looks again.
pub(super) fn in_between() -> Problem {
    Problem::internal("a repeated request was accepted and cannot be found")
}
