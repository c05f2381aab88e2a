//! What an error of the store means for the caller.

use std::time::Duration;

use chassis::problem::{Problem, comma_separated};
use model::{
    DagBundleName, DeployName, DeployNumber, DeployState, DeploymentName, RollbackId, RollbackName,
    Sha256Digest,
};
use proto::common::v1::ErrorReason;
use tonic::Code;

use super::encode;
use crate::bundle_store::{self, MOST_UPLOADS};
use crate::domain::{Blocker, Hold, MOST_AGENTS, Obstacle, Refusal};
use crate::images;
use crate::store::Error;
use crate::sweep;

/// What the request was about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) deployment: &'a DeploymentName,
    pub(super) expected_latest: Option<DeployNumber>,
    /// The deploy that it was about, or the target of a rollback.
    pub(super) target: Option<DeployNumber>,
    pub(super) rollback: Option<RollbackId>,
}

impl<'a> About<'a> {
    pub(super) const fn deployment(deployment: &'a DeploymentName) -> Self {
        Self {
            deployment,
            expected_latest: None,
            target: None,
            rollback: None,
        }
    }

    pub(super) const fn deploy(deploy: &'a DeployName) -> Self {
        let about = Self::deployment(deploy.deployment());
        Self {
            target: Some(deploy.number()),
            ..about
        }
    }

    pub(super) const fn rollback(rollback: &'a RollbackName) -> Self {
        let about = Self::deployment(rollback.deployment());
        Self {
            rollback: Some(rollback.id()),
            ..about
        }
    }

    /// The problem that the caller is told.
    pub(super) fn problem(self, error: Error) -> Problem {
        let Self {
            deployment,
            expected_latest,
            target,
            rollback,
        } = self;
        match error {
            Error::Database(error) => error.into(),
            Error::RequestIdReused(error) => error.into(),
            Error::DeploymentMissing => deployment_missing(deployment),
            Error::DeploymentExists => Problem::already_exists(DEPLOYMENT, deployment),
            Error::LatestDeployChanged { latest } => {
                latest_changed(deployment, expected_latest, latest)
            }
            Error::Refused(Refusal::NotAllowed(obstacles)) => not_allowed(&obstacles),
            Error::Refused(Refusal::BundlesMissing(digests)) => {
                bundles_missing(deployment, &digests)
            }
            Error::DeployMissing => {
                let target = target.unwrap_or(DeployNumber::NONE);
                deploy_missing(&DeployName::new(deployment.clone(), target))
            }
            Error::StateFinal(state) => {
                let target = target.unwrap_or(DeployNumber::NONE);
                state_final(&DeployName::new(deployment.clone(), target), state)
            }
            Error::DeploymentDeleted => deployment_deleted(deployment),
            Error::Held(hold) => held(deployment, &hold),
            Error::DeployUnfinished(number) => {
                unfinished(&DeployName::new(deployment.clone(), number))
            }
            error @ (Error::ChangesTrimmed | Error::ChangeAhead(_)) => Problem::internal(error),
            Error::TooManyAgents => Problem::new(
                Code::ResourceExhausted,
                ErrorReason::LimitExceeded,
                format!("{deployment} has {MOST_AGENTS} agents, the most that one can have"),
            )
            .with("limit", MOST_AGENTS),
            Error::EtagMismatch => match target {
                Some(number) => etag_mismatch(&DeployName::new(deployment.clone(), number)),
                None => etag_mismatch(deployment),
            },
            Error::ReportsNotTaken => reports_not_taken(deployment),
            Error::RollbackElsewhere => match rollback {
                Some(id) => {
                    Problem::not_found("rollback", &RollbackName::new(deployment.clone(), id))
                }
                None => deployment_missing(deployment),
            },
            Error::RollbackClosed => Problem::new(
                Code::FailedPrecondition,
                ErrorReason::RollbackClosed,
                "the rollback id is closed: no deploy will ever be written for it; \
                 make a new rollback",
            ),
            Error::Blocked(blockers) => blocked(&blockers),
            error @ Error::PermitMismatch(_) => permit_invalid(error),
            Error::PermitUsed => permit_used(),
            Error::QuotaExceeded { used, quota } => quota_exceeded(deployment, used, quota),
        }
    }
}

/// The problem of a call that is about nothing by name, where only the database can fail.
pub(super) fn unexpected(error: Error) -> Problem {
    if let Error::Database(error) = error {
        error.into()
    } else {
        Problem::internal(error)
    }
}

const DEPLOYMENT: &str = "deployment";

pub(super) fn deployment_missing(name: &DeploymentName) -> Problem {
    Problem::not_found(DEPLOYMENT, name)
}

pub(super) fn deploy_missing(name: &DeployName) -> Problem {
    Problem::not_found("deploy", name)
}

/// No deploy is what somebody means who does not say a number.
pub(super) fn target_not_found(deployment: &DeploymentName, why: &str) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::TargetNotFound,
        format!("{why} in {deployment}: choose a deploy by its name"),
    )
    .with("deployment", deployment)
}

pub(super) fn bundle_unknown(name: &DagBundleName) -> Problem {
    Problem::not_found("dagBundle", name)
}

/// The bundle store failed, or takes no more for the moment.
pub(super) fn bundle_store(error: bundle_store::Error) -> Problem {
    match error {
        bundle_store::Error::Busy => Problem::new(
            Code::ResourceExhausted,
            ErrorReason::LimitExceeded,
            format!("{MOST_UPLOADS} uploads are taken at once, and go on already: try again later"),
        )
        .with("limit", MOST_UPLOADS)
        .retry_after(UPLOAD_AGAIN)
        .caused_by(error),
        bundle_store::Error::Folder { path: _, source: _ }
        | bundle_store::Error::Slow
        | bundle_store::Error::Store(_) => Problem::unavailable("the bundle store", error),
    }
}

/// A sweep did not come to its end.
pub(super) fn sweep(error: sweep::Error) -> Problem {
    match error {
        sweep::Error::Taken => Problem::new(
            Code::Aborted,
            ErrorReason::SweepInProgress,
            "another sweep is going on, and does the same: wait for it, then call again",
        )
        .retry_after(SWEEP_AGAIN),
        sweep::Error::Store(error) => unexpected(error),
        sweep::Error::BundleStore(error) => bundle_store(error),
    }
}

/// How long to wait while somebody else sweeps.
const SWEEP_AGAIN: Duration = Duration::from_secs(10);

/// An image registry does not say what it is asked. The log tells why.
pub(super) fn image_registry(error: images::Error) -> Problem {
    let refused = match &error {
        images::Error::Denied { host } | images::Error::Credentials { host, source: _ } => {
            Some(host.clone())
        }
        images::Error::Unreachable { host: _, source: _ }
        | images::Error::Slow { host: _ }
        | images::Error::Status { host: _, status: _ }
        | images::Error::Unusable { host: _, what: _ } => None,
    };
    let Some(host) = refused else {
        return Problem::unavailable(IMAGE_REGISTRY, error);
    };
    let message = format!(
        "the image registry {host} does not show the image to this service: whoever operates it can \
         give credentials with --docker-config"
    );
    Problem::new(
        Code::Unavailable,
        ErrorReason::DependencyUnavailable,
        message,
    )
    .with("dependency", IMAGE_REGISTRY)
    .caused_by(error)
}

const IMAGE_REGISTRY: &str = "the image registry";

/// How long to wait before an upload is tried again that there was no room for.
const UPLOAD_AGAIN: Duration = Duration::from_secs(5);

/// Another deploy landed in between.
pub(super) fn latest_changed(
    deployment: &DeploymentName,
    expected: Option<DeployNumber>,
    latest: DeployNumber,
) -> Problem {
    let name = |number| DeployName::new(deployment.clone(), number);
    let latest = name(latest);
    let expected = expected
        .map(name)
        .map(|name| name.to_string())
        .unwrap_or_default();
    Problem::new(
        Code::Aborted,
        ErrorReason::LatestDeployChanged,
        format!(
            "the latest deploy is {latest}, not {expected}: read the Deployment again, then decide \
             again"
        ),
    )
    .with("expected_latest_deploy", expected)
    .with("latest_deploy", latest)
}

/// How many missing bundles an error names.
const MOST_NAMES: usize = 3;

/// The Deployment does not have these bundles, or their bytes are gone.
pub(super) fn bundles_missing(deployment: &DeploymentName, digests: &[Sha256Digest]) -> Problem {
    let names = digests
        .iter()
        .map(|digest| DagBundleName::new(deployment.clone(), *digest));
    let names = comma_separated(names.take(MOST_NAMES));
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DagBundleMissing,
        format!(
            "{names} was not uploaded, or is gone: upload it with UploadDagBundle, then try again"
        ),
    )
    .with("dag_bundle", names)
}

/// The permit is missing, forged, expired, or not for exactly this write. Only the log says which.
pub(super) fn permit_invalid(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Problem {
    Problem::new(
        Code::PermissionDenied,
        ErrorReason::PermitInvalid,
        "a rollback deploy needs a permit of the authorization service for exactly this write",
    )
    .caused_by(cause)
}

fn quota_exceeded(deployment: &DeploymentName, used: i64, quota: i64) -> Problem {
    Problem::new(
        Code::ResourceExhausted,
        ErrorReason::LimitExceeded,
        format!(
            "the bundles of {deployment} have {used} bytes, and may have {quota} in this \
             installation: upload less, or wait until deploys have expired and their bundles are \
             removed"
        ),
    )
    .with("limit", quota)
    .with("used", used)
}

pub(super) fn permit_used() -> Problem {
    Problem::new(
        Code::PermissionDenied,
        ErrorReason::PermitUsed,
        "the permit was used before, for another rollback",
    )
}

fn state_final(deploy: &DeployName, state: DeployState) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DeployStateFinal,
        format!("{deploy} is {state}, which is final: nothing is left to report"),
    )
    .with("deploy", deploy)
    .with("state", state)
}

fn deployment_deleted(deployment: &DeploymentName) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DeploymentDeleted,
        format!("{deployment} was deleted: it can be read, and nothing more is written to it"),
    )
    .with("deployment", deployment)
}

fn held(deployment: &DeploymentName, hold: &Hold) -> Problem {
    let Hold {
        reason,
        by,
        time: _,
    } = hold;
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DeployHeld,
        format!(
            "{by} keeps new deploys away from {deployment} ({reason}): release the hold first, with \
             ReleaseHold"
        ),
    )
    .with("deployment", deployment)
    .with("placed_by", by)
}

fn unfinished(deploy: &DeployName) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DeployUnfinished,
        format!("{deploy} is unfinished: wait until it is shipped, or report that it failed"),
    )
    .with("deploy", deploy)
}

fn etag_mismatch(resource: &impl std::fmt::Display) -> Problem {
    Problem::new(
        Code::Aborted,
        ErrorReason::EtagMismatch,
        format!("{resource} changed since it was read: read it again, then decide again"),
    )
    .with("resource", resource)
}

fn reports_not_taken(deployment: &DeploymentName) -> Problem {
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::ReportsNotTaken,
        format!(
            "deploys of {deployment} are recorded as already done (delivery RECORD), so nobody \
             reports them"
        ),
    )
    .with("deployment", deployment)
}

fn not_allowed(obstacles: &[Obstacle]) -> Problem {
    let message = obstacles
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    Problem::new(
        Code::FailedPrecondition,
        ErrorReason::DeployNotAllowed,
        message,
    )
}

fn blocked(blockers: &[Blocker]) -> Problem {
    let names = blockers
        .iter()
        .map(|blocker| encode::blocker_name(blocker.code()));
    let texts = blockers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let problem = Problem::new(
        Code::FailedPrecondition,
        ErrorReason::RollbackBlocked,
        texts.join("; "),
    )
    .with("blockers", comma_separated(names));
    blockers
        .iter()
        .zip(&texts)
        .fold(problem, |problem, (blocker, text)| {
            problem.with_precondition(
                encode::blocker_name(blocker.code()),
                &blocker.subject(),
                text,
            )
        })
}
