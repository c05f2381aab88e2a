//! What is kept of what was decided and done about the rollbacks of a Deployment.

use chrono::{DateTime, Utc};
use model::deploys::Scope;
use model::names::{DeployNumber, DeploymentName, Principal, RollbackId};
use model::permissions::PermissionSet;

use super::digest::PlanDigest;
use super::options::Options;
use super::rollback::{Order, RollOut, StateName, StepKind, StoredError};
use super::warning::WarningCode;

/// Up to this time, each repetition is told.
const TOLD_EACH_TIME: i64 = 8;

/// One thing that was decided or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEvent {
    pub(crate) deployment: DeploymentName,
    /// Counted from 1 for each Deployment, without gaps.
    pub(crate) number: i64,
    pub(crate) event_time: DateTime<Utc>,
    /// Whose doing it is.
    pub(crate) principal: Principal,
    /// None for a rollback that was refused: there is none.
    pub(crate) rollback: Option<Stage>,
    pub(crate) event: Event,
}

/// A rollback, and how far it is once what the event tells of is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) rollback: RollbackId,
    pub(crate) state: StateName,
}

/// What was decided or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody asked for a rollback, and was refused.
    RollbackRefused {
        request: Box<AuditedRequest>,
        error: StoredError,
    },
    /// A rollback was accepted.
    RollbackAccepted { request: Box<AuditedRequest> },
    /// A step was begun.
    StepStarted(Attempted),
    /// A step was done.
    StepSucceeded(Attempted),
    /// An attempt of a step failed.
    StepFailed {
        attempted: Attempted,
        error: StoredError,
    },
    /// Somebody else goes on with the rollback.
    TakenUp,
    /// Nothing more is tried. Unless there is a deploy after all, the rollback ends with the error.
    GivenUp { error: StoredError },
    /// Somebody asked to cancel it.
    CancelRequested,
    /// Somebody asked to cancel it, and was refused.
    CancelRefused { error: StoredError },
    /// It cannot finish by itself as things stand.
    AttentionNeeded,
    /// It goes on by itself again.
    AttentionCleared,
    /// The deploy is written.
    Succeeded { deploy: DeployNumber },
    /// It ended without a deploy.
    Failed { error: StoredError },
    /// It was cancelled before a deploy was written.
    Cancelled,
    /// The roll-out of the deploy ended.
    RollOutEnded {
        deploy: DeployNumber,
        roll_out: RollOut,
    },
}

/// Which attempt of which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempted {
    pub(crate) step: StepKind,
    /// Counted from 1.
    pub(crate) attempt: i32,
}

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditedRequest {
    /// None where none was found.
    pub(crate) target: Option<DeployNumber>,
    pub(crate) scope: Scope,
    pub(crate) description: String,
    /// None if it was refused before that was known, like `permissions`.
    pub(crate) expected_latest: Option<DeployNumber>,
    pub(crate) permissions: PermissionSet,
    /// The plan that is carried out, or that the caller agreed to.
    pub(crate) plan_digest: Option<PlanDigest>,
    pub(crate) acknowledged: Vec<WarningCode>,
    pub(crate) hold: bool,
    pub(crate) allow_marked_bad: bool,
}

codes! {
    /// What an event is called.
    EventKind {
        RollbackRefused = "ROLLBACK_REFUSED",
        RollbackAccepted = "ROLLBACK_ACCEPTED",
        StepStarted = "STEP_STARTED",
        StepSucceeded = "STEP_SUCCEEDED",
        StepFailed = "STEP_FAILED",
        TakenUp = "ROLLBACK_TAKEN_UP",
        GivenUp = "ROLLBACK_GIVEN_UP",
        CancelRequested = "CANCEL_REQUESTED",
        CancelRefused = "CANCEL_REFUSED",
        AttentionNeeded = "ATTENTION_NEEDED",
        AttentionCleared = "ATTENTION_CLEARED",
        Succeeded = "ROLLBACK_SUCCEEDED",
        Failed = "ROLLBACK_FAILED",
        Cancelled = "ROLLBACK_CANCELLED",
        RollOutEnded = "ROLL_OUT_ENDED",
    }
}

impl Event {
    pub(crate) const fn kind(&self) -> EventKind {
        match self {
            Self::RollbackRefused { .. } => EventKind::RollbackRefused,
            Self::RollbackAccepted { .. } => EventKind::RollbackAccepted,
            Self::StepStarted(_) => EventKind::StepStarted,
            Self::StepSucceeded(_) => EventKind::StepSucceeded,
            Self::StepFailed { .. } => EventKind::StepFailed,
            Self::TakenUp => EventKind::TakenUp,
            Self::GivenUp { .. } => EventKind::GivenUp,
            Self::CancelRequested => EventKind::CancelRequested,
            Self::CancelRefused { .. } => EventKind::CancelRefused,
            Self::AttentionNeeded => EventKind::AttentionNeeded,
            Self::AttentionCleared => EventKind::AttentionCleared,
            Self::Succeeded { .. } => EventKind::Succeeded,
            Self::Failed { .. } => EventKind::Failed,
            Self::Cancelled => EventKind::Cancelled,
            Self::RollOutEnded { .. } => EventKind::RollOutEnded,
        }
    }
}

impl AuditedRequest {
    /// What was asked for, of a rollback that is accepted.
    pub(crate) fn accepted(order: &Order) -> Self {
        let Order {
            deployment_uid: _,
            target,
            expected_latest,
            replaced: _,
            scope,
            options: Options {
                hold,
                allow_marked_bad,
            },
            description,
            permissions,
            plan_digest,
            acknowledged,
            created_by: _,
        } = order;
        Self {
            target: Some(*target),
            scope: *scope,
            description: description.clone(),
            expected_latest: Some(*expected_latest),
            permissions: *permissions,
            plan_digest: Some(*plan_digest),
            acknowledged: acknowledged.clone(),
            hold: *hold,
            allow_marked_bad: *allow_marked_bad,
        }
    }
}

/// Whether something that goes on repeating itself is told this time, counted from 1: what cannot be
/// closed for a year fills a page, not a disk.
pub(crate) const fn is_told(time: i64) -> bool {
    time <= TOLD_EACH_TIME || time.count_ones() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_is_told_ever_more_rarely() {
        let told = (1..=100_000).filter(|time| is_told(*time));
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256, 512];
        assert_eq!(
            told.clone().take(expected.len()).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(told.count(), 21);
    }
}
