use model::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::{ETL, Harness, WORKSPACE, assert_refused, deployment, image, metadata};

impl Harness {
    /// With the Deployment `etl`, whose deploys somebody ships and reports.
    async fn with_agent() -> Self {
        let harness = Self::new().await;
        harness.grant(
            "alice",
            WORKSPACE,
            Permission::ALL.iter().copied().collect(),
        );
        let request = pb::CreateDeploymentRequest {
            parent: WORKSPACE.to_owned(),
            deployment_id: "etl".to_owned(),
            deployment: Some(pb::Deployment {
                delivery: pb::Delivery::Agent.into(),
                execution_mode: pb::ExecutionMode::Remote.into(),
                ..deployment()
            }),
            ..Default::default()
        };
        let request = harness.call("alice", request);
        let created = harness.registry.create_deployment(request).await.unwrap();
        let created = created.into_inner().deployment.unwrap();
        assert_eq!(created.delivery(), pb::Delivery::Agent);
        assert_eq!(created.execution_mode(), pb::ExecutionMode::Remote);
        harness
    }

    async fn report(
        &self,
        who: &str,
        deploy: i64,
        state: pb::DeployState,
    ) -> Result<pb::Deploy, Status> {
        self.report_because(who, deploy, state.into(), "as the agent saw it")
            .await
    }

    async fn report_because(
        &self,
        who: &str,
        deploy: i64,
        state: i32,
        reason: &str,
    ) -> Result<pb::Deploy, Status> {
        let request = pb::ReportDeployStateRequest {
            name: format!("{ETL}/deploys/{deploy}"),
            state,
            reason: reason.to_owned(),
        };
        let request = self.call(who, request);
        let response = self.registry.report_deploy_state(request).await?;
        Ok(response.into_inner().deploy.unwrap())
    }
}

#[tokio::test]
async fn a_deploy_is_reported_by_whoever_ships_it() {
    let harness = Harness::with_agent().await;
    let reports = PermissionSet::of(&[Permission::DeploymentDeploysReport]);
    harness.grant("agent", ETL, reports);
    let shipped = harness.deploy("alice", image('a')).await.unwrap();
    assert_eq!(shipped.state(), pb::DeployState::Pending);
    let current = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(current.latest_deploy, shipped.name);
    assert_eq!(current.current_deploy, "");

    let deploy = harness
        .report("agent", 1, pb::DeployState::Deployed)
        .await
        .unwrap();
    assert_eq!(deploy.state(), pb::DeployState::Deployed);
    assert_eq!(deploy.state_reason, "as the agent saw it");
    assert!(deploy.settings.is_empty());
    assert_ne!(deploy.etag, shipped.etag);
    let current = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(current.current_deploy, shipped.name);

    // Nothing is left to report, and to say the same again is fine.
    let again = harness
        .report("agent", 1, pb::DeployState::Deployed)
        .await
        .unwrap();
    assert_eq!(again.etag, deploy.etag);
    let late = harness.report("agent", 1, pb::DeployState::Failed).await;
    let late = assert_refused(
        late,
        Code::FailedPrecondition,
        ErrorReason::DeployStateFinal,
    );
    assert_eq!(metadata(&late, "state"), "DEPLOYED");
    assert_eq!(metadata(&late, "deploy"), shipped.name);
}

#[tokio::test]
async fn reports_need_their_permission_and_make_sense() {
    let harness = Harness::with_agent().await;
    harness.deploy("alice", image('a')).await.unwrap();
    let pushes = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    harness.grant("viewer", ETL, pushes);
    let state = pb::DeployState::Deployed;
    let refused = harness.report("viewer", 1, state).await;
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let refused = harness.report("nobody", 1, state).await;
    assert_refused(refused, Code::NotFound, ErrorReason::ResourceNotFound);
    let missing = harness.report("alice", 2, state).await;
    assert_refused(missing, Code::NotFound, ErrorReason::ResourceNotFound);

    for state in [0, 1, 5, 99, -1] {
        let wrong = harness
            .report_because("alice", 1, state, &"x".repeat(501))
            .await;
        let status = assert_refused(wrong, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().contains("state: must be"), "{status:?}");
        assert!(status.message().contains("reason: must have"), "{status:?}");
    }
}

#[tokio::test]
async fn deploys_that_are_recorded_as_done_take_no_reports() {
    let harness = Harness::with_deployment().await;
    harness.deploy("alice", image('a')).await.unwrap();
    let refused = harness.report("alice", 1, pb::DeployState::Deployed).await;
    assert_refused(
        refused,
        Code::FailedPrecondition,
        ErrorReason::ReportsNotTaken,
    );
}
