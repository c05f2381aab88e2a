//! What it means for a rollback that a call on its behalf failed, and the error that is kept of it.

use std::collections::HashMap;

use chassis::problem::{ERROR_DOMAIN, Problem, reason_of};
use model::names::{DeployName, DeployNumber, Principal, RollbackName};
use prost::Message;
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};

use crate::domain::rollback::StoredError;

/// How a call on behalf of an accepted rollback failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may succeed later.
    Passing(Problem),
    /// The permit was not accepted; with a new one it may be.
    Permit(Problem),
    /// It will never succeed.
    Final(Problem),
}

impl Failure {
    /// What the answer of `dependency` means.
    ///
    /// What it says of the rollback is for the person who asked for it. Everything else, its outages
    /// as well as its faults, can pass: the deadline decides.
    pub(super) fn new(dependency: &'static str, status: Status) -> Self {
        match reason_of(&status) {
            Some(ErrorReason::PermitInvalid) => Self::Permit(Problem::relay(status)),
            Some(
                ErrorReason::LatestDeployChanged
                | ErrorReason::RollbackBlocked
                | ErrorReason::PermitUsed
                | ErrorReason::RollbackClosed
                | ErrorReason::ResourceNotFound,
            ) => Self::Final(Problem::relay(status)),
            Some(ErrorReason::PermissionMissing) if is_about_a_service(&status) => {
                Self::Passing(Problem::internal(status))
            }
            Some(ErrorReason::PermissionMissing) => Self::Final(Problem::relay(status)),
            // It does not understand the request, and never will.
            Some(ErrorReason::InvalidFields) => Self::Final(Problem::internal(status)),
            Some(_) | None => Self::Passing(Problem::from_dependency(dependency, status)),
        }
    }

    /// A call that was given up, because the time for it was over.
    pub(crate) fn timed_out(dependency: &'static str) -> Self {
        Self::Passing(Problem::unavailable(
            dependency,
            "no answer in the time that was left",
        ))
    }

    /// What callers are told.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Passing(problem) | Self::Permit(problem) | Self::Final(problem) => problem,
        }
    }
}

/// Whether it is this service that lacks a permission, and not the person it asks for.
pub(super) fn is_about_a_service(status: &Status) -> bool {
    let principal = status
        .get_details_error_info()
        .and_then(|info| info.metadata.get("principal")?.parse::<Principal>().ok());
    matches!(principal, Some(Principal::Service(_)))
}

/// The rollback could not be written in time, and nothing was deployed.
pub(crate) fn deadline_exceeded(rollback: &RollbackName) -> StoredError {
    let problem = Problem::new(
        Code::DeadlineExceeded,
        ErrorReason::RollbackDeadlineExceeded,
        "the rollback was accepted, but could not be written within its deadline: nothing was \
         deployed; try again with a new request_id",
    );
    stored(problem, rollback)
}

/// Somebody cancelled the rollback before it was written.
pub(crate) fn cancelled(rollback: &RollbackName, by: &Principal) -> StoredError {
    let problem = Problem::new(
        Code::Aborted,
        ErrorReason::RollbackCancelled,
        format!("{by} cancelled the rollback before its deploy was written: nothing was deployed"),
    );
    stored(problem, rollback)
}

/// The registry does not have a deploy any more that it has written.
pub(crate) fn deploy_lost(rollback: &RollbackName, deploy: DeployNumber) -> StoredError {
    let deploy = DeployName::new(rollback.deployment().clone(), deploy);
    stored(Problem::not_found("deploy", &deploy), rollback)
}

/// Keeps an error as its callers are told it, with the name of the rollback.
pub(crate) fn stored(problem: Problem, rollback: &RollbackName) -> StoredError {
    let status = Status::from(problem);
    let mut details = status.get_error_details();
    let (reason, domain, mut metadata) = match details.error_info().cloned() {
        Some(ErrorInfo {
            reason,
            domain,
            metadata,
        }) => (reason, domain, metadata),
        None => (
            "INTERNAL".to_owned(),
            ERROR_DOMAIN.to_owned(),
            HashMap::new(),
        ),
    };
    metadata.insert("rollback".to_owned(), rollback.to_string());
    details.set_error_info(reason, domain, metadata);
    let named = Status::with_error_details(status.code(), status.message(), details);
    StoredError(named.details().to_vec())
}

/// An error as its caller is told it, to keep, and the problem as it was.
pub(crate) fn kept(problem: Problem) -> (StoredError, Problem) {
    let status = Status::from(problem);
    let details = status.get_error_details();
    let kept = Status::with_error_details(status.code(), status.message(), details);
    (StoredError(kept.details().to_vec()), Problem::relay(status))
}

/// A stored error as protobuf has it. One that cannot be read says no more than that.
pub(crate) fn to_proto(StoredError(bytes): &StoredError) -> tonic_types::pb::Status {
    tonic_types::pb::Status::decode(bytes.as_slice()).unwrap_or_else(|_| tonic_types::pb::Status {
        code: Code::Internal.into(),
        message: "the stored error cannot be read".to_owned(),
        details: Vec::new(),
    })
}

/// A stored error as the answer of a call.
pub(crate) fn to_problem(error: &StoredError) -> Problem {
    let tonic_types::pb::Status {
        code,
        message,
        details: _,
    } = to_proto(error);
    let details = error.0.clone().into();
    Problem::relay(Status::with_details(Code::from(code), message, details))
}
