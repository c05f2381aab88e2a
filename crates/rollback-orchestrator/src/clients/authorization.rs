//! Permits, asked for on behalf of a person.

use chassis::client::{ServiceChannel, retry};
use chassis::convert;
use chassis::identity::Caller;
use chassis::problem::{Problem, reason_of};
use chrono::{DateTime, Utc};
use model::deploys::Scope;
use model::names::{DeployName, RollbackName};
use model::permissions::PermissionSet;
use prost_types::Timestamp;
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::{IssuePermitRequest, IssuePermitResponse};
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};

use super::failure::{Failure, is_about_a_service};
use crate::domain::digest::PlanDigest;
use crate::domain::history::DeploymentUid;

pub(crate) const DEPENDENCY: &str = "authorization";

/// The authorization service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Authorization {
    client: AuthorizationServiceClient<ServiceChannel>,
}

/// A signed statement that one person may do one rollback. It is shown to nobody but the registry.
pub(crate) struct Permit(pub(crate) String);

/// A permit, and until when another one can be had.
pub(crate) struct FirstPermit {
    pub(crate) permit: Permit,
    pub(crate) grant_expire_time: DateTime<Utc>,
}

/// All that a permit binds.
pub(crate) struct Bound<'a> {
    pub(crate) rollback: &'a RollbackName,
    pub(crate) deployment_uid: DeploymentUid,
    pub(crate) target: &'a DeployName,
    pub(crate) expected_latest: &'a DeployName,
    pub(crate) scope: Scope,
    pub(crate) permissions: PermissionSet,
    pub(crate) hold: bool,
    pub(crate) revision_digest: &'a str,
    pub(crate) plan_digest: PlanDigest,
}

impl Authorization {
    pub(crate) fn new(channel: ServiceChannel) -> Self {
        Self {
            client: AuthorizationServiceClient::new(channel),
        }
    }

    /// Asks, with the caller's own token, for a permit for exactly this rollback.
    pub(crate) async fn issue(
        &self,
        caller: &Caller,
        bound: Bound<'_>,
    ) -> Result<FirstPermit, Problem> {
        let Bound {
            rollback,
            deployment_uid,
            target,
            expected_latest,
            scope,
            permissions,
            hold,
            revision_digest,
            plan_digest,
        } = bound;
        let request = IssuePermitRequest {
            rollback: rollback.to_string(),
            authority: Some(Authority::SubjectToken(caller.token().to_owned())),
            deployment_uid: deployment_uid.0.to_string(),
            target_deploy: target.to_string(),
            expected_latest_deploy: expected_latest.to_string(),
            scope: convert::scope_to_proto(scope).into(),
            permissions: permissions
                .iter()
                .map(|permission| permission.to_string())
                .collect(),
            revision_digest: revision_digest.to_owned(),
            plan_digest: plan_digest.to_string(),
            hold,
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.issue_permit(request).await }
        })
        .await
        .map_err(refused)?;
        let IssuePermitResponse {
            permit,
            principal: _,
            expire_time: _,
            grant_expire_time,
            policy_revision: _,
        } = response;
        let grant_expire_time = grant_expire_time.and_then(time).ok_or_else(|| {
            Problem::internal("the authorization service did not say when the grant expires")
        })?;
        Ok(FirstPermit {
            permit: Permit(permit),
            grant_expire_time,
        })
    }

    /// Asks for another permit by the grant that the first one left.
    pub(crate) async fn renew(&self, rollback: &RollbackName) -> Result<Permit, Failure> {
        let request = IssuePermitRequest {
            rollback: rollback.to_string(),
            authority: Some(Authority::Grant(true)),
            ..IssuePermitRequest::default()
        };
        match self.client.clone().issue_permit(request).await {
            Ok(response) => Ok(Permit(response.into_inner().permit)),
            Err(status) => Err(Failure::new(DEPENDENCY, status)),
        }
    }
}

/// What a refusal means for the caller whose token it was.
fn refused(status: Status) -> Problem {
    match reason_of(&status) {
        Some(ErrorReason::PermissionMissing) if !is_about_a_service(&status) => {
            Problem::relay(status)
        }
        // The token that this service accepted is not accepted there: it was revoked.
        _ if status.code() == Code::Unauthenticated => Problem::unauthenticated().caused_by(status),
        _ => Problem::from_dependency(DEPENDENCY, status),
    }
}

fn time(Timestamp { seconds, nanos }: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)
}
