//! Permits, made as the authorization service makes them, or almost.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::identity::PermitClaims;
use chassis::identity::permit::sign;
use model::names::ServiceName;
use proto::authorization::v1::IssuePermitRequest;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::common::v1::RollbackScope;
use proto::registry::v1::CreateRollbackDeployRequest;

use super::refusal::done;
use super::requests::deploy;
use super::{Orders, Person};

impl Orders {
    /// The write of a rollback of a Deployment as it is now, without a permit.
    pub(crate) async fn write(
        &self,
        deployment: &str,
        target: i64,
        scope: RollbackScope,
    ) -> CreateRollbackDeployRequest {
        CreateRollbackDeployRequest {
            parent: deployment.to_owned(),
            target_deploy: deploy(deployment, target),
            scope: scope.into(),
            rollback: format!(
                "{deployment}/rollbacks/{}",
                self.stack.environment.new_uuid()
            ),
            expected_latest_deploy: self.admin.deployment(deployment).await.latest_deploy,
            description: "orders cannot be imported".to_owned(),
            ..CreateRollbackDeployRequest::default()
        }
    }

    /// What a permit for a person to do this write has to say.
    pub(crate) async fn permit_request(
        &self,
        person: &Person,
        write: &CreateRollbackDeployRequest,
    ) -> IssuePermitRequest {
        let preview = CreateRollbackDeployRequest {
            validate_only: true,
            ..write.clone()
        };
        let registry = self.stack.orchestrator_itself();
        let preview = done(registry.registry().create_rollback_deploy(preview).await);
        let permissions: &[&str] = match write.scope() {
            _ if write.hold => &["deployment.images.push", "deployment.dags.push"],
            RollbackScope::Dags => &["deployment.dags.push"],
            RollbackScope::Image => &["deployment.images.push"],
            RollbackScope::All | RollbackScope::Unspecified => {
                &["deployment.images.push", "deployment.dags.push"]
            }
        };
        IssuePermitRequest {
            rollback: write.rollback.clone(),
            authority: Some(Authority::SubjectToken(person.token.clone())),
            deployment_uid: self.admin.deployment(&write.parent).await.uid,
            target_deploy: write.target_deploy.clone(),
            expected_latest_deploy: write.expected_latest_deploy.clone(),
            scope: write.scope,
            permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
            revision_digest: preview.revision_digest,
            plan_digest: "f".repeat(64),
            hold: write.hold,
        }
    }

    /// The permit of the authorization service for a person to do this write.
    pub(crate) async fn permit(
        &self,
        person: &Person,
        write: &CreateRollbackDeployRequest,
    ) -> String {
        let request = self.permit_request(person, write).await;
        let orchestrator = self.stack.service(
            ServiceName::RollbackOrchestrator,
            ServiceName::Authorization,
        );
        done(orchestrator.authorization().issue_permit(request).await).permit
    }

    /// A permit that differs from a genuine one, signed with the genuine key.
    pub(crate) fn resigned(&self, permit: &str, change: impl FnOnce(&mut PermitClaims)) -> String {
        let mut claims = claims(permit);
        change(&mut claims);
        let environment = self.stack.environment.clone();
        let keys = self.stack.keyring.signing_folder(environment).unwrap();
        sign(&keys.signer(), &claims).unwrap()
    }
}

/// What a permit says.
pub(crate) fn claims(permit: &str) -> PermitClaims {
    let [_, claims, _] = parts(permit);
    let json = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Claims as they stand in a permit.
pub(crate) fn encode(claims: &PermitClaims) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap())
}

/// Header, claims and signature.
pub(crate) fn parts(jws: &str) -> [&str; 3] {
    let parts = jws.split('.').collect::<Vec<_>>();
    parts.try_into().unwrap()
}
