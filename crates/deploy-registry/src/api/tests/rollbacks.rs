use chassis::identity::PermitClaims;
use chassis::identity::permit::{PERMIT_VERSION, sign};
use model::{Principal, Scope};
use proto::common::v1::{BlockerCode, RollbackScope};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::*;

pub(super) const ORCHESTRATOR: &str = "rollback-orchestrator";

impl Harness {
    /// Deploy 1 is image `a`, 2 adds DAGs, 3 is image `b`, 4 is other DAGs.
    pub(super) async fn with_history() -> Self {
        let harness = Self::with_deployment().await;
        harness.deploy("alice", image('a')).await.unwrap();
        let bundle = harness.upload("alice", b"good dags").await.unwrap();
        harness.deploy("alice", dags(&bundle)).await.unwrap();
        harness.deploy("alice", image('b')).await.unwrap();
        let bundle = harness.upload("alice", b"bad dags").await.unwrap();
        harness.deploy("alice", dags(&bundle)).await.unwrap();
        harness
    }

    pub(super) async fn rollback(
        &self,
        who: &str,
        request: pb::CreateRollbackDeployRequest,
    ) -> Result<pb::CreateRollbackDeployResponse, Status> {
        let response = self
            .registry
            .create_rollback_deploy(self.call(who, request))
            .await?;
        Ok(response.into_inner())
    }

    pub(super) async fn preview(
        &self,
        target: i64,
        scope: RollbackScope,
    ) -> pb::CreateRollbackDeployResponse {
        let request = pb::CreateRollbackDeployRequest {
            parent: ETL.to_owned(),
            target_deploy: format!("{ETL}/deploys/{target}"),
            scope: scope.into(),
            validate_only: true,
            ..Default::default()
        };
        self.rollback(ORCHESTRATOR, request).await.unwrap()
    }

    /// What a permit for a rollback to deploy 2 with the scope ALL says.
    pub(super) async fn claims(&self, rollback: u128) -> PermitClaims {
        let deployment = self.get_deployment("alice", ETL).await.unwrap();
        let preview = self.preview(2, RollbackScope::All).await;
        PermitClaims {
            version: PERMIT_VERSION,
            issuer: AUTHORIZATION_ISSUER.to_owned(),
            audience: ServiceName::DeployRegistry,
            actor: Principal::Service(ServiceName::RollbackOrchestrator),
            person: "user:bob".parse().unwrap(),
            deployment: ETL.parse().unwrap(),
            deployment_uid: deployment.uid.parse().unwrap(),
            target_deploy: "2".parse().unwrap(),
            expected_latest_deploy: deployment
                .latest_deploy
                .rsplit('/')
                .next()
                .unwrap()
                .parse()
                .unwrap(),
            scope: Scope::All,
            permissions: PermissionSet::of(&[
                Permission::DeploymentImagesPush,
                Permission::DeploymentDagsPush,
            ]),
            hold: false,
            revision_digest: preview.revision_digest,
            plan_digest: "plan".to_owned(),
            rollback: model::RollbackId::new(Uuid::from_u128(rollback)),
            policy_revision: 7,
            issue_time: DateTime::from_timestamp(self.now().timestamp(), 0).unwrap(),
            expire_time: DateTime::from_timestamp(self.now().timestamp() + 15, 0).unwrap(),
            id: Uuid::from_u128(1_000 + rollback),
        }
    }

    fn sign(&self, claims: &PermitClaims) -> String {
        let folder = self
            .keyring
            .signing_folder(self.environment.clone())
            .unwrap();
        sign(&folder.signer(), claims).unwrap()
    }

    /// The request that fits the claims.
    pub(super) fn request(&self, claims: &PermitClaims) -> pb::CreateRollbackDeployRequest {
        pb::CreateRollbackDeployRequest {
            parent: ETL.to_owned(),
            target_deploy: format!("{ETL}/deploys/{}", claims.target_deploy),
            scope: RollbackScope::All.into(),
            rollback: format!("{ETL}/rollbacks/{}", claims.rollback),
            permit: self.sign(claims),
            expected_latest_deploy: format!("{ETL}/deploys/{}", claims.expected_latest_deploy),
            description: "the DAGs of deploy 4 are broken".to_owned(),
            validate_only: false,
            allow_marked_bad: false,
            hold: claims.hold,
        }
    }

    pub(super) async fn latest(&self) -> String {
        self.get_deployment("alice", ETL)
            .await
            .unwrap()
            .latest_deploy
    }

    async fn close(&self, who: &str, rollback: &str) -> Result<Option<pb::Deploy>, Status> {
        let request = pb::CloseRollbackRequest {
            rollback: rollback.to_owned(),
        };
        let response = self
            .registry
            .close_rollback(self.call(who, request))
            .await?;
        Ok(response.into_inner().deploy)
    }
}

#[tokio::test]
async fn a_rollback_with_its_permit_is_written_and_names_the_person() {
    let harness = Harness::with_history().await;
    let claims = harness.claims(1).await;
    let request = harness.request(&claims);
    let response = harness
        .rollback(ORCHESTRATOR, request.clone())
        .await
        .unwrap();
    let deploy = response.deploy.clone().unwrap();
    assert_eq!(deploy.name, format!("{ETL}/deploys/5"));
    assert_eq!(deploy.created_by, "user:bob");
    assert_eq!(deploy.trigger, i32::from(pb::DeployTrigger::Rollback));
    assert_eq!(deploy.settings, deployment().settings);
    assert_eq!(response.revision_digest, claims.revision_digest);
    let origin = deploy.rollback.unwrap();
    assert_eq!(origin.source_deploy, format!("{ETL}/deploys/2"));
    assert_eq!(origin.replaced_deploy, format!("{ETL}/deploys/4"));
    assert_eq!(origin.rollback, request.rollback);
    assert_eq!(origin.permit_id, claims.id.to_string());

    // A retry returns it, whatever else the request says, and however late it comes.
    harness.deploy("alice", image('c')).await.unwrap();
    harness.advance(TimeDelta::hours(1));
    let retry = pb::CreateRollbackDeployRequest {
        permit: String::new(),
        description: String::new(),
        target_deploy: "junk".to_owned(),
        ..request
    };
    let again = harness.rollback(ORCHESTRATOR, retry).await.unwrap();
    assert_eq!(again.deploy.unwrap().name, format!("{ETL}/deploys/5"));
    assert_eq!(harness.latest().await, format!("{ETL}/deploys/6"));
}

#[tokio::test]
async fn only_the_orchestrator_writes_rollbacks() {
    let harness = Harness::with_history().await;
    let claims = harness.claims(1).await;
    let request = harness.request(&claims);
    // Even an administrator, with a permit that is genuine.
    let result = harness.rollback("alice", request.clone()).await;
    let status = assert_refused(
        result,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    assert_eq!(metadata(&status, "permissions"), "system.rollbacks.write");
    let result = harness.rollback("nobody", request.clone()).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let result = harness.rollback("authorization", request.clone()).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let preview = pb::CreateRollbackDeployRequest {
        validate_only: true,
        ..request.clone()
    };
    let result = harness.rollback("alice", preview).await;
    assert_refused(
        result,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let result = harness.close("alice", &request.rollback).await;
    assert_refused(
        result,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    assert_eq!(harness.latest().await, format!("{ETL}/deploys/4"));
}

#[tokio::test]
async fn a_permit_that_is_not_for_exactly_this_write_is_refused() {
    let harness = Harness::with_history().await;
    let good = harness.claims(1).await;
    let request = harness.request(&good);
    let with_permit = |permit: String| pb::CreateRollbackDeployRequest {
        permit,
        ..request.clone()
    };
    let with_claims = |change: fn(&mut PermitClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        with_permit(harness.sign(&claims))
    };
    let mut tampered = request.permit.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let foreign_key = chassis::identity::SigningKey::generate();
    let local_key = harness.keyring.local_issuer().unwrap();
    let requests = [
        ("no permit", with_permit(String::new())),
        ("junk", with_permit("junk".to_owned())),
        ("a megabyte", with_permit("x".repeat(1_000_000))),
        (
            "tampered",
            with_permit(String::from_utf8(tampered).unwrap()),
        ),
        ("forged", with_permit(sign(&foreign_key, &good).unwrap())),
        (
            "key of tokens",
            with_permit(sign(&local_key, &good).unwrap()),
        ),
        (
            "issuer",
            with_claims(|c| c.issuer = "https://elsewhere".to_owned()),
        ),
        (
            "deployment",
            with_claims(|c| {
                c.deployment = "workspaces/data/deployments/other".parse().unwrap();
            }),
        ),
        (
            "deployment uid",
            with_claims(|c| c.deployment_uid = Uuid::from_u128(1)),
        ),
        (
            "target",
            with_claims(|c| c.target_deploy = "3".parse().unwrap()),
        ),
        (
            "expected latest",
            with_claims(|c| c.expected_latest_deploy = "5".parse().unwrap()),
        ),
        ("scope", with_claims(|c| c.scope = Scope::Dags)),
        ("hold in the permit only", with_claims(|c| c.hold = true)),
        (
            "hold in the request only",
            pb::CreateRollbackDeployRequest {
                hold: true,
                ..request.clone()
            },
        ),
        (
            "permissions",
            with_claims(|c| {
                c.permissions = PermissionSet::of(&[Permission::DeploymentDagsPush]);
            }),
        ),
        (
            "revision",
            with_claims(|c| c.revision_digest = "0".repeat(64)),
        ),
        (
            "rollback",
            with_claims(|c| c.rollback = model::RollbackId::new(Uuid::from_u128(2))),
        ),
    ];
    for (what, request) in requests {
        let result = harness.rollback(ORCHESTRATOR, request).await;
        let status = result.expect_err(what);
        assert_eq!(
            reason_of(&status),
            Some(ErrorReason::PermitInvalid),
            "{what}: {status:?}"
        );
        assert_eq!(status.code(), Code::PermissionDenied, "{what}");
    }
    let late = harness.request(&good);
    harness.advance(TimeDelta::seconds(16));
    let result = harness.rollback(ORCHESTRATOR, late).await;
    assert_refused(result, Code::PermissionDenied, ErrorReason::PermitInvalid);
    assert_eq!(harness.latest().await, format!("{ETL}/deploys/4"));
    // And none of it has settled the rollback.
    assert_eq!(
        harness
            .close(ORCHESTRATOR, &request.rollback)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_permit_that_was_used_is_refused_for_another_rollback() {
    let harness = Harness::with_history().await;
    let first = harness.claims(1).await;
    harness
        .rollback(ORCHESTRATOR, harness.request(&first))
        .await
        .unwrap();
    let request = pb::CreateRollbackDeployRequest {
        rollback: format!("{ETL}/rollbacks/{}", Uuid::from_u128(2)),
        ..harness.request(&first)
    };
    let result = harness.rollback(ORCHESTRATOR, request).await;
    assert_refused(result, Code::PermissionDenied, ErrorReason::PermitUsed);
    // Also where the authorization service gave the same id twice.
    harness.deploy("alice", image('c')).await.unwrap();
    let mut second = harness.claims(2).await;
    second.id = first.id;
    let result = harness
        .rollback(ORCHESTRATOR, harness.request(&second))
        .await;
    assert_refused(result, Code::PermissionDenied, ErrorReason::PermitUsed);
}

#[tokio::test]
async fn a_deploy_that_landed_in_between_stops_the_write() {
    let harness = Harness::with_history().await;
    let request = harness.request(&harness.claims(1).await);
    harness.deploy("alice", image('c')).await.unwrap();
    let result = harness.rollback(ORCHESTRATOR, request).await;
    let status = assert_refused(result, Code::Aborted, ErrorReason::LatestDeployChanged);
    assert_eq!(
        metadata(&status, "latest_deploy"),
        format!("{ETL}/deploys/5")
    );
}

#[tokio::test]
async fn a_closed_rollback_is_never_written() {
    let harness = Harness::with_history().await;
    let request = harness.request(&harness.claims(1).await);
    for _ in 0..2 {
        assert_eq!(
            harness
                .close(ORCHESTRATOR, &request.rollback)
                .await
                .unwrap(),
            None
        );
    }
    let result = harness.rollback(ORCHESTRATOR, request).await;
    assert_refused(
        result,
        Code::FailedPrecondition,
        ErrorReason::RollbackClosed,
    );

    let request = harness.request(&harness.claims(2).await);
    let written = harness
        .rollback(ORCHESTRATOR, request.clone())
        .await
        .unwrap()
        .deploy;
    assert_eq!(
        harness
            .close(ORCHESTRATOR, &request.rollback)
            .await
            .unwrap(),
        written
    );
    let nowhere = request.rollback.replace("/etl/", "/nowhere/");
    let result = harness.close(ORCHESTRATOR, &nowhere).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let result = harness.close(ORCHESTRATOR, "junk").await;
    assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
}

#[tokio::test]
async fn a_preview_shows_the_deploy_and_writes_nothing() {
    let harness = Harness::with_history().await;
    let before = harness.get_deployment("alice", ETL).await.unwrap();
    let preview = harness.preview(2, RollbackScope::Dags).await;
    assert_eq!(preview.blockers, []);
    let deploy = preview.deploy.unwrap();
    assert_eq!(deploy.number, 5);
    assert_eq!(deploy.r#type, i32::from(pb::DeployType::DagsOnly));
    assert_eq!(
        deploy.changed_components,
        [i32::from(pb::Component::DagBundle)]
    );
    assert_eq!(deploy.created_by, "");
    let revision = deploy.revision.unwrap();
    assert_eq!(revision.image, image('b').image);
    assert_eq!(harness.get_deployment("alice", ETL).await.unwrap(), before);
}

#[tokio::test]
async fn a_preview_tells_every_blocker_at_once() {
    let mut harness = Harness::with_history().await;
    harness.registry.rollbacks_enabled = false;
    for file in harness.files() {
        std::fs::remove_file(harness.folder.path().join("bundles").join(file)).unwrap();
    }
    let codes = |preview: &pb::CreateRollbackDeployResponse| {
        preview.blockers.iter().map(pb_code).collect::<Vec<_>>()
    };
    let current = harness.preview(4, RollbackScope::All).await;
    assert_eq!(
        codes(&current),
        [
            BlockerCode::RollbackDisabledInstallation,
            BlockerCode::TargetIsCurrent,
            BlockerCode::NoChange,
            BlockerCode::ArtifactMissing,
        ]
    );
    assert!(current.deploy.is_some());
    harness.advance(TimeDelta::days(91));
    let expired = harness.preview(2, RollbackScope::Dags).await;
    assert_eq!(
        codes(&expired),
        [
            BlockerCode::RollbackDisabledInstallation,
            BlockerCode::TargetExpired,
            BlockerCode::ArtifactMissing,
        ]
    );
    let missing = expired.blockers.last().unwrap();
    assert!(
        missing.subject.starts_with(&format!("{ETL}/dagBundles/")),
        "{missing:?}"
    );

    // The write is stopped by the same.
    let request = harness.request(&harness.claims(1).await);
    let result = harness.rollback(ORCHESTRATOR, request).await;
    let status = assert_refused(
        result,
        Code::FailedPrecondition,
        ErrorReason::RollbackBlocked,
    );
    assert_eq!(
        metadata(&status, "blockers"),
        "ROLLBACK_DISABLED_INSTALLATION,TARGET_EXPIRED,ARTIFACT_MISSING"
    );
    let violations = status
        .get_details_precondition_failure()
        .unwrap()
        .violations;
    assert_eq!(violations.len(), 3);
}

fn pb_code(blocker: &proto::common::v1::Blocker) -> BlockerCode {
    assert!(!blocker.text.is_empty() && !blocker.subject.is_empty());
    blocker.code()
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_write_is_told_at_once() {
    let harness = Harness::with_history().await;
    let elsewhere = "workspaces/data/deployments/other";
    let request = pb::CreateRollbackDeployRequest {
        parent: ETL.to_owned(),
        target_deploy: format!("{elsewhere}/deploys/1"),
        scope: 99,
        rollback: format!("{elsewhere}/rollbacks/{}", Uuid::from_u128(1)),
        expected_latest_deploy: String::new(),
        description: " ".to_owned(),
        ..Default::default()
    };
    for validate_only in [false, true] {
        let request = pb::CreateRollbackDeployRequest {
            validate_only,
            description: if validate_only {
                "x".repeat(501)
            } else {
                " ".to_owned()
            },
            ..request.clone()
        };
        let result = harness.rollback(ORCHESTRATOR, request).await;
        let status = assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
        for field in ["target_deploy", "scope", "rollback", "description"] {
            assert!(
                status.message().contains(field),
                "{field}: {}",
                status.message()
            );
        }
    }
    for parent in ["", "workspaces/data", "x\0"] {
        let request = pb::CreateRollbackDeployRequest {
            parent: parent.to_owned(),
            ..request.clone()
        };
        let result = harness.rollback(ORCHESTRATOR, request).await;
        assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
}

#[tokio::test]
async fn a_target_that_does_not_exist_is_not_found() {
    let harness = Harness::with_history().await;
    let request = pb::CreateRollbackDeployRequest {
        parent: ETL.to_owned(),
        target_deploy: format!("{ETL}/deploys/99"),
        scope: RollbackScope::All.into(),
        validate_only: true,
        ..Default::default()
    };
    let result = harness.rollback(ORCHESTRATOR, request.clone()).await;
    let status = assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_name, request.target_deploy);
    let stale = pb::CreateRollbackDeployRequest {
        target_deploy: format!("{ETL}/deploys/1"),
        expected_latest_deploy: format!("{ETL}/deploys/3"),
        ..request
    };
    let result = harness.rollback(ORCHESTRATOR, stale).await;
    assert_refused(result, Code::Aborted, ErrorReason::LatestDeployChanged);
}

#[tokio::test]
async fn a_rollback_with_a_hold_keeps_deploys_away() {
    let harness = Harness::with_history().await;
    let mut claims = harness.claims(1).await;
    claims.hold = true;
    let request = harness.request(&claims);
    let preview = pb::CreateRollbackDeployRequest {
        validate_only: true,
        ..request.clone()
    };
    let preview = harness.rollback(ORCHESTRATOR, preview).await.unwrap();
    assert_eq!(preview.revision_digest, claims.revision_digest);
    assert_eq!(preview.blockers, []);
    let before = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(before.hold, None);

    let written = harness.rollback(ORCHESTRATOR, request.clone()).await;
    let deploy = written.unwrap().deploy.unwrap();
    assert_eq!(deploy.name, format!("{ETL}/deploys/5"));
    let held = harness.get_deployment("alice", ETL).await.unwrap();
    let hold = held.hold.unwrap();
    assert_eq!(hold.placed_by, "user:bob");
    let reason = format!("{}: the DAGs of deploy 4 are broken", request.rollback);
    assert_eq!(hold.reason, reason);
    let refused = harness.deploy("alice", image('c')).await;
    let status = assert_refused(refused, Code::FailedPrecondition, ErrorReason::DeployHeld);
    assert_eq!(metadata(&status, "placed_by"), "user:bob");
    assert!(status.message().contains(&request.rollback), "{status:?}");
}
