use model::{Permission, PermissionSet};
use prost_types::FieldMask;
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::{ETL, Harness, WORKSPACE, assert_refused, deployment, image, metadata};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    let paths = paths.iter().map(ToString::to_string).collect();
    Some(FieldMask { paths })
}

impl Harness {
    async fn update_deployment(
        &self,
        who: &str,
        deployment: pb::Deployment,
        update_mask: Option<FieldMask>,
    ) -> Result<pb::Deployment, Status> {
        let request = pb::UpdateDeploymentRequest {
            deployment: Some(pb::Deployment {
                name: ETL.to_owned(),
                ..deployment
            }),
            update_mask,
            request_id: String::new(),
        };
        let request = self.call(who, request);
        let response = self.registry.update_deployment(request).await?;
        Ok(response.into_inner().deployment.unwrap())
    }

    async fn update_deploy(
        &self,
        who: &str,
        deploy: pb::Deploy,
        update_mask: Option<FieldMask>,
    ) -> Result<pb::Deploy, Status> {
        let request = pb::UpdateDeployRequest {
            deploy: Some(pb::Deploy {
                name: format!("{ETL}/deploys/1"),
                ..deploy
            }),
            update_mask,
            request_id: String::new(),
        };
        let request = self.call(who, request);
        let response = self.registry.update_deploy(request).await?;
        Ok(response.into_inner().deploy.unwrap())
    }

    pub(super) async fn mark(
        &self,
        who: &str,
        verdict: i32,
        reason: &str,
    ) -> Result<pb::Deploy, Status> {
        let request = pb::MarkDeployRequest {
            name: format!("{ETL}/deploys/1"),
            verdict,
            reason: reason.to_owned(),
            etag: String::new(),
        };
        let response = self.registry.mark_deploy(self.call(who, request)).await?;
        Ok(response.into_inner().deploy.unwrap())
    }

    async fn hold(&self, who: &str, reason: &str) -> Result<pb::Deployment, Status> {
        let request = pb::PlaceHoldRequest {
            name: ETL.to_owned(),
            reason: reason.to_owned(),
        };
        let response = self.registry.place_hold(self.call(who, request)).await?;
        Ok(response.into_inner().deployment.unwrap())
    }

    async fn delete(&self, who: &str, etag: &str) -> Result<pb::Deployment, Status> {
        let request = pb::DeleteDeploymentRequest {
            name: ETL.to_owned(),
            etag: etag.to_owned(),
            request_id: String::new(),
        };
        let request = self.call(who, request);
        let response = self.registry.delete_deployment(request).await?;
        Ok(response.into_inner().deployment.unwrap())
    }
}

#[tokio::test]
async fn the_mask_says_what_of_a_deployment_changes() {
    let harness = Harness::with_deployment().await;
    let update = async |deployment, paths| {
        harness
            .update_deployment("alice", deployment, paths)
            .await
            .unwrap()
    };
    let wanted = pb::Deployment {
        display_name: "new".to_owned(),
        execution_mode: pb::ExecutionMode::Remote.into(),
        ..Default::default()
    };
    let named = update(wanted.clone(), mask(&["display_name"])).await;
    assert_eq!(named.display_name, "new");
    assert_eq!(named.execution_mode(), pb::ExecutionMode::Hosted);
    assert!(named.rollback_enabled && !named.settings.is_empty());

    let not_empty = update(wanted, None).await;
    assert_eq!(not_empty.execution_mode(), pb::ExecutionMode::Remote);
    assert!(not_empty.rollback_enabled && !not_empty.settings.is_empty());

    let off = update(pb::Deployment::default(), mask(&["rollback_enabled"])).await;
    assert!(!off.rollback_enabled);
    let all = update(deployment(), mask(&["*"])).await;
    let whole = (
        all.display_name.as_str(),
        all.rollback_enabled,
        all.labels.len(),
    );
    assert_eq!(whole, ("ETL", true, 0));
    assert_eq!(all.execution_mode(), pb::ExecutionMode::Hosted);
    let read = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(read, all);
}

#[tokio::test]
async fn all_that_is_wrong_with_an_update_is_told_at_once() {
    let harness = Harness::with_deployment().await;
    let wrong = pb::Deployment {
        display_name: "x".repeat(101),
        description: "a\0b".to_owned(),
        labels: [
            ("UPPER".to_owned(), String::new()),
            ("a".to_owned(), "\0".to_owned()),
        ]
        .into(),
        dag_deploy_mode: 99,
        delivery: 99,
        execution_mode: -1,
        settings: [(String::new(), String::new())].into(),
        ..Default::default()
    };
    let refused = harness
        .update_deployment("alice", wrong.clone(), None)
        .await;
    let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
    for told in [
        "deployment.display_name",
        "deployment.description",
        "deployment.labels: every key",
        "deployment.labels: the value of a",
        "deployment.dag_deploy_mode",
        "deployment.delivery",
        "deployment.execution_mode",
        "deployment.settings",
    ] {
        assert!(status.message().contains(told), "{told}: {status:?}");
    }
    for paths in [&["uid"][..], &["labels.team"], &["*", "labels"]] {
        let refused = harness
            .update_deployment("alice", deployment(), mask(paths))
            .await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().contains("update_mask"), "{status:?}");
    }
    // What the mask leaves out is not looked at.
    let fine = harness
        .update_deployment("alice", wrong, mask(&["rollback_enabled"]))
        .await;
    assert!(!fine.unwrap().rollback_enabled);
}

#[tokio::test]
async fn a_deployment_that_is_deleted_is_read_only() {
    let harness = Harness::with_deployment().await;
    let deploy = harness.deploy("alice", image('a')).await.unwrap();
    let stale = harness.get_deployment("alice", ETL).await.unwrap().etag;
    harness.hold("alice", "the end is near").await.unwrap();
    let refused = harness.delete("alice", &stale).await;
    let status = assert_refused(refused, Code::Aborted, ErrorReason::EtagMismatch);
    assert_eq!(metadata(&status, "resource"), ETL);

    let deleted = harness.delete("alice", "").await.unwrap();
    assert!(deleted.delete_time.is_some());
    assert_eq!(harness.get_deployment("alice", ETL).await.unwrap(), deleted);
    let list = async |show_deleted| {
        let request = pb::ListDeploymentsRequest {
            parent: WORKSPACE.to_owned(),
            show_deleted,
            ..Default::default()
        };
        let request = harness.call("alice", request);
        let list = harness.registry.list_deployments(request).await.unwrap();
        list.into_inner().deployments.len()
    };
    assert_eq!((list(false).await, list(true).await), (0, 1));
    let get = pb::GetDeployRequest { name: deploy.name };
    harness
        .registry
        .get_deploy(harness.call("alice", get))
        .await
        .unwrap();

    let reason = ErrorReason::DeploymentDeleted;
    let code = Code::FailedPrecondition;
    assert_refused(harness.deploy("alice", image('b')).await, code, reason);
    assert_refused(harness.upload("alice", b"bytes").await, code, reason);
    assert_refused(harness.delete("alice", "").await, code, reason);
    assert_refused(harness.hold("alice", "x").await, code, reason);
    assert_refused(harness.mark("alice", 1, "x").await, code, reason);
    let refused = harness.update_deployment("alice", deployment(), None).await;
    assert_refused(refused, code, reason);
}

#[tokio::test]
async fn a_hold_is_told_to_whoever_deploys() {
    let harness = Harness::with_deployment().await;
    harness
        .hold("alice", "we look into deploy 7")
        .await
        .unwrap();
    let refused = harness.deploy("alice", image('a')).await;
    let status = assert_refused(refused, Code::FailedPrecondition, ErrorReason::DeployHeld);
    assert_eq!(metadata(&status, "placed_by"), "user:alice");
    assert!(
        status.message().contains("we look into deploy 7"),
        "{status:?}"
    );
    let refused = harness.hold("alice", " ").await;
    assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);

    let release = pb::ReleaseHoldRequest {
        name: ETL.to_owned(),
    };
    let request = harness.call("alice", release);
    let released = harness.registry.release_hold(request).await.unwrap();
    assert_eq!(released.into_inner().deployment.unwrap().hold, None);
    harness.deploy("alice", image('a')).await.unwrap();
}

#[tokio::test]
async fn a_deploy_is_noted_on_by_whoever_may_ship() {
    let harness = Harness::with_deployment().await;
    harness.deploy("alice", image('a')).await.unwrap();
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    harness.grant("shipper", ETL, dags);
    let reads = PermissionSet::of(&[
        Permission::DeploymentConfigGet,
        Permission::DeploymentDeployRevisionsGet,
    ]);
    harness.grant("viewer", ETL, reads);

    let pin = pb::Deploy {
        pinned: true,
        ..Default::default()
    };
    let pinned = harness
        .update_deploy("shipper", pin.clone(), None)
        .await
        .unwrap();
    assert!(pinned.pinned && pinned.pin_time.is_some() && pinned.settings.is_empty());
    assert_eq!(pinned.pinned_by, "user:shipper");
    let marked = harness.mark("shipper", 2, "it loses rows").await.unwrap();
    let mark = marked.mark.unwrap();
    assert_eq!(
        (
            mark.verdict(),
            mark.reason.as_str(),
            mark.marked_by.as_str()
        ),
        (pb::Verdict::Bad, "it loses rows", "user:shipper")
    );
    assert!(mark.mark_time.is_some());
    assert_eq!(harness.mark("shipper", 3, "").await.unwrap().mark, None);

    let stale = pb::Deploy {
        etag: pinned.etag,
        ..pin.clone()
    };
    let refused = harness
        .update_deploy("shipper", stale, mask(&["pinned"]))
        .await;
    let status = assert_refused(refused, Code::Aborted, ErrorReason::EtagMismatch);
    assert_eq!(metadata(&status, "resource"), format!("{ETL}/deploys/1"));
    let unpinned = harness
        .update_deploy("shipper", pb::Deploy::default(), mask(&["pinned"]))
        .await;
    assert!(!unpinned.unwrap().pinned);

    let (code, reason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    assert_refused(
        harness.update_deploy("viewer", pin.clone(), None).await,
        code,
        reason,
    );
    assert_refused(harness.mark("viewer", 1, "x").await, code, reason);
    assert_refused(harness.hold("viewer", "x").await, code, reason);
    assert_refused(harness.delete("viewer", "").await, code, reason);
    let refused = harness
        .update_deployment("viewer", deployment(), None)
        .await;
    assert_refused(refused, code, reason);
    let (code, reason) = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_refused(
        harness.update_deploy("nobody", pin, None).await,
        code,
        reason,
    );
    assert_refused(harness.mark("nobody", 1, "x").await, code, reason);
    assert_refused(harness.hold("nobody", "x").await, code, reason);
}

#[tokio::test]
async fn a_verdict_has_a_reason() {
    let harness = Harness::with_deployment().await;
    harness.deploy("alice", image('a')).await.unwrap();
    for (verdict, reason, fields) in [
        (0, "", &["verdict", "reason"][..]),
        (99, "why", &["verdict"]),
        (1, "", &["reason"]),
        (2, &"x".repeat(501), &["reason"]),
        (3, "a\0b", &["reason"]),
    ] {
        let refused = harness.mark("alice", verdict, reason).await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        for field in fields {
            assert!(
                status.message().contains(&format!("{field}: ")),
                "{status:?}"
            );
        }
    }
}
