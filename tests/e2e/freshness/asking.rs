use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::{
    CheckPermissionRequest, CheckPermissionResponse, Consistency, IssuePermitRequest,
    IssuePermitResponse,
};
use proto::common::v1::RollbackScope;
use tonic::{Code, Request, Response, Status};

use super::history::{Answer, Promise, Replica};
use super::world::{PERMISSION, World};
use crate::harness::requests::{deploy, patient};
use crate::harness::{DEPLOYMENT, Person, Refusal};

/// Yes, no, or that it cannot be said now, which is neither.
pub(super) type Told = Option<bool>;

impl World {
    /// Asks whether a person may, on their own word.
    pub(super) async fn ask(
        &self,
        person: usize,
        at: Replica,
        requirement: Requirement,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        let mut authorization = self.people[person][at].authorization();
        authorization.check_permission(question(requirement)).await
    }

    /// The same, written down.
    pub(super) async fn check(&self, person: usize, at: Replica, promise: Promise) -> Told {
        let requirement = match promise {
            Promise::Newest => Requirement::FullyConsistent(true),
            Promise::AtLeast(revision) => Requirement::AtLeastAsFresh(revision),
            Promise::FewSecondsBehind => Requirement::MinimizeLatency(true),
        };
        let answer = self.ask(person, at, requirement);
        let (answer, span) = self.timed(answer).await;
        let answer = said(answer)?.into_inner();
        let allowed = answer.decision.unwrap().allowed;
        self.answered(Answer {
            at,
            person,
            call: "check",
            promise,
            allowed,
            revision: Some(answer.policy_revision),
            span,
        });
        Some(allowed)
    }

    /// Asks for the first permit of a rollback, which leaves a grant.
    pub(super) async fn permit(&self, person: usize, at: Replica, rollback: &str) -> Told {
        let asked = self.permit_for(&self.people[person][at], at, rollback);
        self.permitted(person, at, "permit", asked).await
    }

    /// Asks for another permit by the grant that the first one has left.
    pub(super) async fn permit_again(&self, person: usize, at: Replica, rollback: &str) -> Told {
        let asked = self.permit_by_grant(at, rollback);
        self.permitted(person, at, "permit by grant", asked).await
    }

    async fn permitted(
        &self,
        person: usize,
        at: Replica,
        call: &'static str,
        asked: impl Future<Output = Result<Response<IssuePermitResponse>, Status>>,
    ) -> Told {
        let (answer, span) = self.timed(asked).await;
        let revision = revision_of(answer)?;
        let allowed = revision.is_some();
        self.answered(Answer {
            at,
            person,
            call,
            promise: Promise::Newest,
            allowed,
            revision,
            span,
        });
        Some(allowed)
    }

    /// The first permit of a rollback, on somebody's own word.
    pub(super) async fn permit_for(
        &self,
        person: &Person,
        at: Replica,
        rollback: &str,
    ) -> Result<Response<IssuePermitResponse>, Status> {
        let request = IssuePermitRequest {
            rollback: rollback.to_owned(),
            authority: Some(Authority::SubjectToken(person.token.clone())),
            deployment_uid: self.stack.environment.new_uuid().to_string(),
            target_deploy: deploy(DEPLOYMENT, 1),
            expected_latest_deploy: deploy(DEPLOYMENT, 2),
            scope: RollbackScope::Dags.into(),
            permissions: vec![PERMISSION.to_owned()],
            revision_digest: "r".repeat(64),
            plan_digest: "p".repeat(64),
            hold: false,
        };
        let mut authorization = self.orchestrator[at].authorization();
        authorization.issue_permit(patient(request)).await
    }

    /// Another one, by the grant.
    pub(super) async fn permit_by_grant(
        &self,
        at: Replica,
        rollback: &str,
    ) -> Result<Response<IssuePermitResponse>, Status> {
        let request = IssuePermitRequest {
            rollback: rollback.to_owned(),
            authority: Some(Authority::Grant(true)),
            ..IssuePermitRequest::default()
        };
        let mut authorization = self.orchestrator[at].authorization();
        authorization.issue_permit(patient(request)).await
    }

    /// The name of a rollback that nobody has heard of.
    pub(super) fn new_rollback(&self) -> String {
        let id = self.stack.environment.new_uuid();
        format!("{DEPLOYMENT}/rollbacks/{id}")
    }
}

/// The question that everybody asks.
pub(super) fn question(requirement: Requirement) -> Request<CheckPermissionRequest> {
    patient(CheckPermissionRequest {
        permission: PERMISSION.to_owned(),
        resource: DEPLOYMENT.to_owned(),
        consistency: Some(Consistency {
            requirement: Some(requirement),
        }),
        ..CheckPermissionRequest::default()
    })
}

/// What was answered, unless it cannot be said now.
fn said<T>(answer: Result<Response<T>, Status>) -> Option<Response<T>> {
    match answer {
        Ok(answer) => Some(answer),
        Err(status) if status.code() == Code::Unavailable => None,
        Err(status) => panic!("{}", Refusal::of(&status)),
    }
}

/// The policy that allowed it, or none if it was refused.
fn revision_of(answer: Result<Response<IssuePermitResponse>, Status>) -> Option<Option<i64>> {
    match answer {
        Err(status) if status.code() == Code::PermissionDenied => {
            Refusal::of(&status).lacks(PERMISSION);
            Some(None)
        }
        answer => said(answer).map(|answer| Some(answer.into_inner().policy_revision)),
    }
}
